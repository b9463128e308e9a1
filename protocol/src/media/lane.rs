//! One stream of a cursor: which bytes of a group come next, byte for byte.
//!
//! Offers at most [`WRITE_BYTES_MAX`] bytes and moves on only by what was really written, so that a
//! write that is cancelled or taken in part loses and repeats nothing.

use bytes::{Buf, Bytes};

use crate::limits::{UNSENT_BYTES_MAX, WRITE_BYTES_MAX};
use crate::media::group::{Group, Unit};
use crate::media::pull::StreamNumber;
use crate::time::Mono;

/// A position inside a group: an access unit, and in it the head (0) or piece `part - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) seq: u64,
    pub(super) part: u16,
    /// The piece that follows the first head: not 0 only when a feed goes on inside a unit.
    pub(super) first_piece: u16,
}

/// One element of the offer: how many bytes of it remain, and where its last byte leads.
#[derive(Clone, Copy, Debug)]
struct Step {
    bytes: usize,
    next: Position,
    ends: Ends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Nothing,
    Unit,
    Group,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) stream: StreamNumber,
    pub(super) group: u64,
    pub(super) begun_at: Mono,
    /// Whether anything was written, so that the child knows of it.
    pub(super) written: bool,
    /// Still on what was in the cache when the child was admitted.
    pub(super) catching_up: bool,
    /// Where it began.
    pub(super) first_seq: u64,
    /// Seq behind the last access unit seen in its group.
    pub(super) seen_next: u64,
    /// When something was last written.
    pub(super) wrote_at: Mono,
    /// It began with its group's keyframe.
    opens: bool,
    /// The keyframe, once all of it is there and until it is written: its group may leave the cache
    /// before it is through.
    held: Option<Unit>,
    /// What the cursor had written in all when the keyframe was.
    whole_at: Option<u64>,
    header: Bytes,
    position: Position,
    /// Bytes of the current element that were written.
    offset: usize,
    finished: bool,
    plan: Vec<Step>,
}

impl Lane {
    pub(super) fn new(
        stream: StreamNumber,
        group: &Group,
        header: Bytes,
        position: Position,
        now: Mono,
    ) -> Self {
        Self {
            stream,
            group: group.number(),
            begun_at: now,
            written: false,
            catching_up: false,
            first_seq: position.seq,
            seen_next: position.seq,
            wrote_at: now,
            opens: group.has_head() && position.seq == group.first_seq(),
            held: None,
            whole_at: None,
            header,
            position,
            offset: 0,
            finished: false,
            plan: Vec::new(),
        }
    }

    /// Whether all was written, the signed end included.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether what comes next has left the cache.
    pub(super) fn is_evicted(&self, group: Option<&Group>) -> bool {
        let gone = group.is_none_or(|group| self.position.seq < group.first_seq());
        let held = self.held.is_some() && self.is_under_way();
        gone && !self.finished && !held
    }

    /// Whether its keyframe was begun and is not whole.
    pub(super) fn is_under_way(&self) -> bool {
        self.opens && self.written && self.position.seq == self.first_seq
    }

    /// Bytes of its keyframe that are still to be written; `None` if not all of it is there.
    pub(super) fn keyframe_left(&self, group: Option<&Group>) -> Option<usize> {
        let own = || group.and_then(|group| group.unit(self.first_seq));
        let unit = self.held.as_ref().or_else(own).filter(|unit| unit.completed_at().is_some())?;
        let (head, first) = match self.position.part {
            0 => (unit.signed().bytes().len(), self.position.first_piece),
            part => (0, part - 1),
        };
        let pieces: usize =
            (first..unit.signed().pieces()).map(|index| unit.signed().piece_bytes(index)).sum();
        Some((head + pieces).saturating_sub(self.offset))
    }

    /// Notes what the cursor has written in all.
    pub(super) fn note_written(&mut self, all: u64) {
        if self.opens && self.position.seq != self.first_seq {
            self.held = None;
            self.whole_at.get_or_insert(all);
        }
    }

    /// Whether its keyframe was written so lately that some of it may not have been sent: nothing is
    /// written while [`UNSENT_BYTES_MAX`] are unsent. Afterwards some of it may still wait behind a
    /// newer group, which is then nearly through itself and is seen in its place.
    pub(super) fn is_just_whole(&self, all: u64) -> bool {
        self.whole_at.is_some_and(|at| all.saturating_sub(at) < UNSENT_BYTES_MAX as u64)
    }

    /// When the oldest access unit that is not wholly written came to the cache.
    pub(super) fn oldest_unsent_at(&self, group: &Group) -> Option<Mono> {
        group.unit(self.position.seq).map(|unit| unit.appended_at())
    }

    /// Access units seen in the group and not wholly written.
    pub(super) fn unsent_units(&self) -> u64 {
        self.seen_next.saturating_sub(self.position.seq)
    }

    /// What can be written next, for one vectored write; empty if nothing is there. Of a keyframe
    /// alone, where a newer group waits for it.
    pub(super) fn offer(&mut self, group: Option<&Group>, alone: bool) -> Vec<Bytes> {
        self.plan.clear();
        if self.opens && self.whole_at.is_none() && self.held.is_none() {
            let unit = group.and_then(|group| group.unit(self.first_seq));
            self.held = unit.filter(|unit| unit.completed_at().is_some()).cloned();
        }
        let mut chunks = Vec::new();
        if !self.header.is_empty() {
            chunks.push(self.header.clone());
        }
        let mut room = WRITE_BYTES_MAX - self.header.len();
        let (mut position, mut offset) = (self.position, self.offset);
        while room > 0
            && let Some((element, next, ends)) = element(position, self.held.as_ref(), group)
        {
            let rest = element.slice(offset..);
            let taken = rest.len().min(room);
            self.plan.push(Step { bytes: rest.len(), next, ends });
            chunks.push(rest.slice(..taken));
            room -= taken;
            offset = 0;
            if ends == Ends::Group || (alone && ends == Ends::Unit) {
                break;
            }
            position = next;
        }
        // A stream is opened for content, not for its header.
        if self.plan.is_empty() {
            return Vec::new();
        }
        chunks
    }

    /// `bytes` of the last offer were written; gives the access units that are now wholly written.
    pub(super) fn wrote(&mut self, bytes: usize, now: Mono) -> u64 {
        self.written |= bytes > 0;
        self.wrote_at = now;
        let of_header = bytes.min(self.header.len());
        self.header.advance(of_header);
        let mut bytes = bytes - of_header;
        let mut units = 0;
        let mut done = 0;
        for step in &mut self.plan {
            let taken = bytes.min(step.bytes);
            bytes -= taken;
            step.bytes -= taken;
            self.offset += taken;
            if step.bytes > 0 {
                break;
            }
            done += 1;
            self.position = step.next;
            self.offset = 0;
            units += u64::from(step.ends == Ends::Unit);
            self.finished |= step.ends == Ends::Group;
        }
        self.plan.drain(..done);
        debug_assert_eq!(bytes, 0, "more was written than offered");
        units
    }
}

/// The element at `position` if it is there, the position behind it, and what it ends.
fn element<'a>(
    position: Position,
    held: Option<&'a Unit>,
    group: Option<&'a Group>,
) -> Option<(&'a Bytes, Position, Ends)> {
    let Position { seq, part, first_piece } = position;
    if part == 0
        && let Some(end) = group.and_then(Group::end)
        && end.next_seq() == seq
    {
        return Some((end.bytes(), position, Ends::Group));
    }
    let held = held.filter(|unit| unit.signed().head().seq == seq);
    let unit = held.or_else(|| group.and_then(|group| group.unit(seq)))?;
    if part == 0 {
        let next = Position { seq, part: first_piece.saturating_add(1), first_piece: 0 };
        return Some((unit.signed().bytes(), next, Ends::Nothing));
    }
    let piece = unit.pieces().get(usize::from(part) - 1)?;
    if part == unit.signed().pieces() {
        let next = Position { seq: seq.saturating_add(1), part: 0, first_piece: 0 };
        return Some((piece, next, Ends::Unit));
    }
    Some((piece, Position { seq, part: part + 1, first_piece: 0 }, Ends::Nothing))
}
