//! Reads one stream into its track: parse, verify, append, tell. One task a stream.
//!
//! Holds one batch of datagrams, one record's head and one piece. Looks its subscription up by
//! itself and never asks the driver. Verifying is done outside the cache's lock.

use std::time::Duration;

use bytes::Bytes;
use roommate_protocol::media::subscribe::{StreamReader, StreamViolation};
use roommate_protocol::media::track::{Append, Appended, CutWhy};
use roommate_protocol::room::ConnId;
use roommate_protocol::wire::code::StreamCode;
use roommate_protocol::wire::header::{
    HEADER_BYTES_MAX, HeaderError, StreamHeader, SubscriptionId,
};

use crate::link::sink::{RecvError, RecvHalf, Time};
use crate::link::table::{Expected, SubscriptionTable};

/// A stream that says nothing for this long after its opening holds a reader for nothing.
pub const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The signed end of the group came.
    Ended,
    /// The group was cut: the parent reset the stream with this code (`None`: one of a newer
    /// version). A FIN without the signed end, behind something that can be shown, says `Stale` as
    /// well.
    Reset(Option<StreamCode>),
    /// The link is down.
    LinkDown,
    /// FIN without the signed end and without a whole access unit: counts against the parent, if
    /// the link lives.
    CutShort,
    /// The subscription is unknown or has ended: no offence.
    Gone,
    /// What it carries does not fit behind what is here: no offence.
    Gap,
    /// The publisher signed something else before under the same number; that stays.
    Conflict,
    /// A rule was broken: the parent should be left.
    Refused(Refused),
}

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The stream's header is none.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The stream broke off or fell silent before its header was whole.
    #[error("the stream has no header")]
    NoHeader,
    /// What follows it is not what the publisher signed.
    #[error(transparent)]
    Stream(#[from] StreamViolation),
}

/// How one stream ended, whose it was, and which group it carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReport {
    /// The subscription, once the header was read.
    pub sub: Option<SubscriptionId>,
    /// The group, once the header was read.
    pub group: Option<u64>,
    /// How it ended.
    pub end: ReadEnd,
}

/// Reads one stream to its end.
pub async fn read_stream<R: RecvHalf, T: Time>(
    mut stream: R,
    conn: ConnId,
    table: &SubscriptionTable,
    time: &T,
) -> ReadReport {
    let header = tokio::time::timeout(HEADER_TIME_MAX, read_header(&mut stream)).await;
    let (header, rest) = match header.unwrap_or(Err(ReadEnd::Refused(Refused::NoHeader))) {
        Ok(header) => header,
        Err(end) => {
            stop(&mut stream, end);
            return ReadReport { sub: None, group: None, end };
        }
    };
    let (sub, group) = (Some(header.subscription), Some(header.group));
    let Some(expected) = table.find(conn, header.subscription) else {
        stream.stop(StreamCode::Gone);
        return ReadReport { sub, group, end: ReadEnd::Gone };
    };
    let end = match StreamReader::new(expected.verifier.clone(), &header) {
        Err(violation) => ReadEnd::Refused(violation.into()),
        Ok(reader) => {
            let feeding = Feeding { expected: &expected, group: header.group, time, cut: None };
            read_records(&mut stream, reader, rest, feeding).await
        }
    };
    if matches!(end, ReadEnd::Refused(_)) {
        expected.track.note_refused();
    }
    stop(&mut stream, end);
    ReadReport { sub, group, end }
}

fn stop(stream: &mut impl RecvHalf, end: ReadEnd) {
    match end {
        ReadEnd::Gone => stream.stop(StreamCode::Gone),
        ReadEnd::Gap => stream.stop(StreamCode::Gap),
        ReadEnd::Conflict => stream.stop(StreamCode::Conflict),
        ReadEnd::Refused(_) => stream.stop(StreamCode::Violation),
        ReadEnd::Ended | ReadEnd::Reset(_) | ReadEnd::LinkDown | ReadEnd::CutShort => {}
    }
}

/// The header, and the bytes that came with it.
async fn read_header(stream: &mut impl RecvHalf) -> Result<(StreamHeader, Vec<u8>), ReadEnd> {
    let mut bytes = Vec::new();
    let mut batch = Vec::new();
    loop {
        let more = stream.read(&mut batch).await.map_err(ended)?;
        // A batch is bounded by its reader, and a header is decided within its bound.
        batch.drain(..).for_each(|chunk: Bytes| bytes.extend_from_slice(&chunk));
        match StreamHeader::decode(&bytes) {
            Ok(Some((header, length))) => {
                bytes.drain(..length);
                return Ok((header, bytes));
            }
            Ok(None) if more && bytes.len() < HEADER_BYTES_MAX => {}
            Ok(None) => return Err(ReadEnd::Refused(Refused::NoHeader)),
            Err(error) => return Err(ReadEnd::Refused(error.into())),
        }
    }
}

/// Holds a group as fed; dropped, also by an abort, it lets go and cuts it where that is due.
struct Feeding<'a, T: Time> {
    expected: &'a Expected,
    group: u64,
    time: &'a T,
    /// Why the group is cut; `None` until the stream has ended: then as if the link had broken.
    cut: Option<Option<CutWhy>>,
}

impl<T: Time> Drop for Feeding<'_, T> {
    fn drop(&mut self) {
        let cut = self.cut.unwrap_or(Some(CutWhy::Broken));
        self.expected.track.end_feeding(self.group, cut, self.time.mono());
    }
}

async fn read_records<T: Time>(
    stream: &mut impl RecvHalf,
    mut reader: StreamReader,
    rest: Vec<u8>,
    mut feeding: Feeding<'_, T>,
) -> ReadEnd {
    let expected = feeding.expected;
    expected.track.begin_feeding(feeding.group);
    let mut batch = vec![Bytes::from(rest)];
    let mut appends = Vec::new();
    let end = loop {
        if let Some(end) = take(&mut reader, &mut batch, &mut appends, &feeding) {
            break end;
        }
        let more = tokio::select! {
            biased;
            () = expected.ended.cancelled() => break ReadEnd::Gone,
            more = stream.read(&mut batch) => more,
        };
        match more {
            Ok(true) => {}
            Ok(false) => {
                let refused = take(&mut reader, &mut batch, &mut appends, &feeding);
                break refused.unwrap_or(if reader.is_ended() {
                    ReadEnd::Ended
                } else if reader.is_left() {
                    ReadEnd::Reset(Some(StreamCode::Stale))
                } else {
                    ReadEnd::CutShort
                });
            }
            // The signed end is here already; what happens to the stream behind it is no matter.
            Err(_) if reader.is_ended() => break ReadEnd::Ended,
            Err(error) => break ended(error),
        }
    };
    feeding.cut = Some(cut_by(end));
    end
}

/// Verifies a batch, appends what is whole, and tells once. `Some` when the stream is of no more
/// use.
fn take<T: Time>(
    reader: &mut StreamReader,
    batch: &mut Vec<Bytes>,
    appends: &mut Vec<Append>,
    feeding: &Feeding<'_, T>,
) -> Option<ReadEnd> {
    let track = &feeding.expected.track;
    let refused = batch.drain(..).try_for_each(|chunk| reader.handle(&chunk, appends)).err();
    track.note_verified(appends.len() as u64);
    let appended = track.append(appends, feeding.time.mono());
    appends.clear();
    match appended {
        Appended::Added | Appended::Already => refused.map(|r| ReadEnd::Refused(r.into())),
        Appended::Gap => Some(ReadEnd::Gap),
        Appended::Conflict => Some(ReadEnd::Conflict),
    }
}

fn ended(error: RecvError) -> ReadEnd {
    match error {
        RecvError::Reset(code) => ReadEnd::Reset(StreamCode::from_code(code)),
        RecvError::Closed => ReadEnd::LinkDown,
    }
}

fn cut_by(end: ReadEnd) -> Option<CutWhy> {
    match end {
        ReadEnd::Ended => None,
        ReadEnd::Reset(Some(StreamCode::Stale | StreamCode::Evicted)) => Some(CutWhy::GivenUp),
        _ => Some(CutWhy::Broken),
    }
}
