//! The readers of one link, as the shell's reader tasks are: bytes of streams in, verified appends
//! into the cache, stops out.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::pull::StreamNumber;
use roommate_protocol::media::subscribe::StreamReader;
use roommate_protocol::media::track::{Append, Appended, CutWhy};
use roommate_protocol::time::Mono;
use roommate_protocol::wire::code::StreamCode;
use roommate_protocol::wire::header::StreamHeader;
use roommate_protocol::wire::record::Verifier;

use crate::pipe::Arrived;
use crate::world::Fault;

#[derive(Debug)]
enum Stream {
    Header(BytesMut),
    Body(Box<StreamReader>),
    Over,
}

/// All streams of one link.
#[derive(Debug)]
pub struct Reading {
    verifier: Verifier,
    streams: BTreeMap<StreamNumber, Stream>,
    /// Streams that broke a rule.
    pub violations: u64,
}

impl Reading {
    /// No streams yet.
    #[must_use]
    pub fn new(verifier: Verifier) -> Self {
        Self { verifier, streams: BTreeMap::new(), violations: 0 }
    }

    /// Takes what arrived. Gives the code with which the stream is to be stopped, if it is.
    pub fn handle(
        &mut self,
        (stream, arrived): (StreamNumber, Arrived),
        cache: &mut TrackCache,
        (now, fault): (Mono, Option<Fault>),
    ) -> Option<StreamCode> {
        let state = self.streams.entry(stream).or_insert(Stream::Header(BytesMut::new()));
        let done = match arrived {
            Arrived::Bytes(bytes) => match take(state, &bytes, &self.verifier) {
                Ok(appends) => append(cache, appends, now, fault),
                Err(appends) => {
                    self.violations += 1;
                    let _ = append(cache, appends, now, fault);
                    Err(StreamCode::Violation)
                }
            },
            // Gone before its header came: nothing to cut.
            Arrived::Finished | Arrived::Reset(_) if !matches!(state, Stream::Body(_)) => Ok(()),
            Arrived::Finished => {
                if let Stream::Body(reader) = state
                    && !reader.is_ended()
                {
                    let left = reader.is_left();
                    let why = if left { CutWhy::GivenUp } else { CutWhy::Broken };
                    cache.cut(reader.group(), why, now);
                }
                *state = Stream::Over;
                Ok(())
            }
            Arrived::Reset(_) => {
                if let Stream::Body(reader) = state {
                    cache.cut(reader.group(), CutWhy::GivenUp, now);
                }
                *state = Stream::Over;
                Ok(())
            }
        };
        let code = done.err()?;
        if let Stream::Body(reader) = state {
            cache.cut(reader.group(), CutWhy::Broken, now);
        }
        *state = Stream::Over;
        Some(code)
    }

    /// The link is lost: what it did not bring to an end is cut.
    pub fn lose(&mut self, cache: &mut TrackCache, now: Mono) {
        for stream in self.streams.values_mut() {
            if let Stream::Body(reader) = stream
                && !reader.is_ended()
            {
                cache.cut(reader.group(), CutWhy::Broken, now);
            }
            *stream = Stream::Over;
        }
    }
}

/// What is verified of these bytes; as an error, where the rest broke a rule.
fn take(state: &mut Stream, bytes: &[u8], verifier: &Verifier) -> Result<Vec<Append>, Vec<Append>> {
    let mut out = Vec::new();
    match state {
        Stream::Over => Ok(out),
        Stream::Body(reader) => match reader.handle(bytes, &mut out) {
            Ok(()) => Ok(out),
            Err(_) => Err(out),
        },
        Stream::Header(begun) => {
            begun.extend_from_slice(bytes);
            let begun = begun.clone().freeze();
            let Some((header, length)) = StreamHeader::decode(&begun).map_err(|_| Vec::new())?
            else {
                return Ok(out);
            };
            let reader = StreamReader::new(verifier.clone(), &header).map_err(|_| Vec::new())?;
            *state = Stream::Body(Box::new(reader));
            take(state, &begun[length..], verifier)
        }
    }
}

fn append(
    cache: &mut TrackCache,
    appends: Vec<Append>,
    now: Mono,
    fault: Option<Fault>,
) -> Result<(), StreamCode> {
    for mut append in appends {
        if fault == Some(Fault::PieceAltered)
            && let Append::Piece { data, .. } = &mut append
        {
            *data = altered(data);
        }
        match cache.append(&append, now) {
            Appended::Added | Appended::Already => {}
            Appended::Gap => return Err(StreamCode::Gap),
            Appended::Conflict => return Err(StreamCode::Conflict),
        }
    }
    Ok(())
}

/// The same bytes with the last one changed.
pub(crate) fn altered(bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.into()
}
