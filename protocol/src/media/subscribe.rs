//! Reads one media stream: bytes in, verified appends out.
//!
//! Holds at most one record's head and one piece, whatever the stream claims: a head's signature is
//! checked before anything is reserved for its pieces, and each piece against its hash as soon as it
//! is whole. Decides nothing about the cache.

use bytes::{Buf, Bytes, BytesMut};

use crate::media::track::Append;
use crate::wire::header::StreamHeader;
use crate::wire::record::{Record, RecordError, SignedUnit, Verifier, head_bytes_needed};

/// How a stream broke a rule. The sender made or passed on what it should have refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamViolation {
    /// The header names another broadcast or track than its subscription.
    #[error("the stream belongs to another track than its subscription")]
    Track,
    /// Layers are not built; an honest sender opens none unasked.
    #[error("the stream carries a layer that was not asked for")]
    Layer,
    /// A record that is none, or is not signed for this place.
    #[error("a record was refused: {0}")]
    Record(#[from] RecordError),
    /// A piece that is not what the publisher signed.
    #[error("a piece does not have the hash that its publisher signed")]
    Piece,
    /// A record out of order, or not where the header said.
    #[error("a record does not follow the one before it")]
    Order,
    /// The header begins at a piece that the access unit does not have.
    #[error("the stream begins at a piece that does not exist")]
    FirstPiece,
    /// Bytes behind the signed end.
    #[error("bytes follow the end of the group")]
    AfterEnd,
}

/// Counts of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReaderCounts {
    /// Bytes taken in, the header not counted.
    pub bytes: u64,
    /// Signatures that were right.
    pub records: u64,
    /// Pieces whose hash was right.
    pub pieces: u64,
    /// Access units that came to their end.
    pub units: u64,
}

#[derive(Debug)]
enum State {
    /// Collecting the next record's head.
    Head,
    /// Collecting piece `index` of `unit`.
    Pieces { unit: SignedUnit, index: u16 },
    /// The signed end was read.
    Ended,
}

/// The reader of one stream, from behind its header on.
#[derive(Debug)]
pub struct StreamReader {
    verifier: Verifier,
    group: u64,
    layer: u8,
    next_seq: u64,
    first_piece: u16,
    /// Whether a record has been read: the first one may begin at a piece.
    begun: bool,
    state: State,
    buffer: BytesMut,
    counts: ReaderCounts,
}

impl StreamReader {
    /// Reads the stream that `header` opened, for the subscription that `verifier` stands for.
    ///
    /// # Errors
    /// [`StreamViolation::Track`] or [`StreamViolation::Layer`] when the header names another.
    pub fn new(verifier: Verifier, header: &StreamHeader) -> Result<Self, StreamViolation> {
        let track = verifier.track();
        if (header.broadcast, header.track) != (track.broadcast, track.track) {
            return Err(StreamViolation::Track);
        }
        if header.layer != 0 {
            return Err(StreamViolation::Layer);
        }
        Ok(Self {
            verifier,
            group: header.group,
            layer: header.layer,
            next_seq: header.first_seq,
            first_piece: header.first_piece,
            begun: false,
            state: State::Head,
            buffer: BytesMut::new(),
            counts: ReaderCounts::default(),
        })
    }

    /// Takes the stream's next bytes; what is whole and verified is pushed to `out`, in order, also
    /// when a later byte breaks a rule.
    ///
    /// # Errors
    /// [`StreamViolation`]; the stream is then of no further use.
    pub fn handle(&mut self, bytes: &[u8], out: &mut Vec<Append>) -> Result<(), StreamViolation> {
        let mut rest = bytes;
        self.counts.bytes += bytes.len() as u64;
        while !rest.is_empty() {
            match &self.state {
                State::Head => self.take_head(&mut rest, out)?,
                State::Pieces { .. } => self.take_piece(&mut rest, out)?,
                State::Ended => return Err(StreamViolation::AfterEnd),
            }
        }
        Ok(())
    }

    /// The stream was finished: whether that was behind the signed end. If not, the group is cut.
    pub fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// The stream was finished without the signed end: whether it brought something that can be
    /// shown. Then its sender has given up the rest for a newer group, as with
    /// [`StreamCode::Stale`](crate::wire::code::StreamCode::Stale), but not what was under way.
    pub fn is_left(&self) -> bool {
        !self.is_ended() && self.counts.units > 0
    }

    /// The group that this stream carries.
    pub fn group(&self) -> u64 {
        self.group
    }

    /// What was read.
    pub fn counts(&self) -> ReaderCounts {
        self.counts
    }

    /// Bytes that are held for what is not whole yet.
    pub fn held_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn take_head(
        &mut self,
        rest: &mut &[u8],
        out: &mut Vec<Append>,
    ) -> Result<(), StreamViolation> {
        // What is needed grows with what is known: kind, then fixed part, then the whole.
        loop {
            let needed = head_bytes_needed(&self.buffer)?;
            if self.buffer.len() == needed {
                break;
            }
            let taken = rest.len().min(needed - self.buffer.len());
            if taken == 0 {
                return Ok(());
            }
            self.buffer.extend_from_slice(&rest[..taken]);
            rest.advance(taken);
        }
        let head = self.buffer.split().freeze();
        match self.verifier.open(self.group, self.layer, head)? {
            Record::Unit(unit) => self.begin_unit(unit, out),
            Record::End(end) => {
                if end.next_seq() != self.next_seq || (!self.begun && self.first_piece != 0) {
                    return Err(StreamViolation::Order);
                }
                self.counts.records += 1;
                out.push(Append::End { group: self.group, end });
                self.state = State::Ended;
                Ok(())
            }
        }
    }

    fn begin_unit(
        &mut self,
        unit: SignedUnit,
        out: &mut Vec<Append>,
    ) -> Result<(), StreamViolation> {
        let head = unit.head();
        if head.seq != self.next_seq || (self.begun && head.keyframe) {
            return Err(StreamViolation::Order);
        }
        let index = if self.begun { 0 } else { self.first_piece };
        if index >= unit.pieces() {
            return Err(StreamViolation::FirstPiece);
        }
        self.next_seq = head.seq.checked_add(1).ok_or(StreamViolation::Order)?;
        self.begun = true;
        self.counts.records += 1;
        out.push(Append::Unit { group: self.group, unit: unit.clone() });
        self.state = State::Pieces { unit, index };
        Ok(())
    }

    fn take_piece(
        &mut self,
        rest: &mut &[u8],
        out: &mut Vec<Append>,
    ) -> Result<(), StreamViolation> {
        let State::Pieces { unit, index } = &mut self.state else { return Ok(()) };
        let needed = unit.piece_bytes(*index);
        // Copied out of the datagram, so that a cached piece does not keep a receive buffer alive.
        if self.buffer.is_empty() {
            self.buffer = BytesMut::with_capacity(needed);
        }
        let taken = rest.len().min(needed - self.buffer.len());
        self.buffer.extend_from_slice(&rest[..taken]);
        rest.advance(taken);
        if self.buffer.len() < needed {
            return Ok(());
        }
        let data: Bytes = std::mem::take(&mut self.buffer).freeze();
        if !unit.is_piece(*index, &data) {
            return Err(StreamViolation::Piece);
        }
        self.counts.pieces += 1;
        out.push(Append::Piece { group: self.group, seq: unit.head().seq, index: *index, data });
        *index += 1;
        if *index == unit.pieces() {
            self.counts.units += 1;
            self.state = State::Head;
        }
        Ok(())
    }
}
