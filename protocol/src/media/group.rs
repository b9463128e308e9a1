//! One group in a cache: append-only, in order, its head gone first when it grows too long.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::media::track::{AccessUnit, Appended, CutWhy};
use crate::time::Mono;
use crate::wire::record::{SignedEnd, SignedUnit};

/// How far a group has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupState {
    /// More is expected.
    Open,
    /// Its signed end was seen: nothing is missing behind what is here.
    Ended,
    /// It stopped short; a repair may still complete it.
    Cut {
        /// What cut it.
        why: CutWhy,
        /// When.
        at: Mono,
    },
}

/// One access unit in a cache: its signed head and as many pieces as have come.
#[derive(Clone, Debug)]
pub struct Unit {
    signed: SignedUnit,
    pieces: Vec<Bytes>,
    appended_at: Mono,
    completed_at: Option<Mono>,
}

impl Unit {
    /// The signed head.
    pub fn signed(&self) -> &SignedUnit {
        &self.signed
    }

    /// The pieces that are here, from the first on without a hole.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// When its head came to this cache: its age counts from here.
    pub fn appended_at(&self) -> Mono {
        self.appended_at
    }

    /// When its last piece came, if it did.
    pub fn completed_at(&self) -> Option<Mono> {
        self.completed_at
    }

    /// The pieces that are here in one run of bytes. Copies unless there is one piece only.
    pub(super) fn access_unit(&self) -> AccessUnit {
        let head = self.signed.head();
        let data = match self.pieces.as_slice() {
            [only] => only.clone(),
            pieces => {
                let mut data = BytesMut::with_capacity(head.length as usize);
                pieces.iter().for_each(|piece| data.extend_from_slice(piece));
                data.freeze()
            }
        };
        AccessUnit {
            pts: head.pts,
            decode_offset: head.decode_offset,
            captured_us: head.captured_us,
            keyframe: head.keyframe,
            data,
        }
    }

    /// Bytes of its head and of the pieces that are here.
    pub(super) fn bytes(&self) -> usize {
        self.signed.bytes().len() + self.pieces.iter().map(Bytes::len).sum::<usize>()
    }
}

/// One group of a track. Never empty.
#[derive(Clone, Debug)]
pub struct Group {
    number: u64,
    first_seq: u64,
    units: VecDeque<Unit>,
    end: Option<SignedEnd>,
    state: GroupState,
    has_head: bool,
    bytes: usize,
}

impl Group {
    /// Begins a group with its keyframe's head.
    pub(super) fn begin(number: u64, keyframe: SignedUnit, now: Mono) -> Self {
        let mut group = Self {
            number,
            first_seq: keyframe.head().seq,
            units: VecDeque::new(),
            end: None,
            state: GroupState::Open,
            has_head: true,
            bytes: 0,
        };
        group.push(keyframe, now);
        group
    }

    /// The group's number: rises with each keyframe.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How far it has come.
    pub fn state(&self) -> GroupState {
        self.state
    }

    /// Whether its keyframe is still here, so that somebody can begin with it.
    pub fn has_head(&self) -> bool {
        self.has_head
    }

    /// Seq of the first access unit that is still here.
    pub fn first_seq(&self) -> u64 {
        self.first_seq
    }

    /// Seq and piece of what comes next.
    pub fn next(&self) -> (u64, u16) {
        match self.units.back() {
            Some(unit) if unit.completed_at.is_none() => {
                (unit.signed.head().seq, unit.pieces.len() as u16)
            }
            Some(unit) => (unit.signed.head().seq.saturating_add(1), 0),
            None => (self.first_seq, 0),
        }
    }

    /// The access unit `seq`, if at least its head is here.
    pub fn unit(&self, seq: u64) -> Option<&Unit> {
        self.units.get(usize::try_from(seq.checked_sub(self.first_seq)?).ok()?)
    }

    /// All access units that are here, in order.
    pub fn units(&self) -> impl DoubleEndedIterator<Item = &Unit> {
        self.units.iter()
    }

    /// The signed end, once it came.
    pub fn end(&self) -> Option<&SignedEnd> {
        self.end.as_ref()
    }

    /// Bytes that it holds, heads included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the newest access unit began to come.
    pub fn appended_at(&self) -> Mono {
        self.units.back().map(|unit| unit.appended_at).unwrap_or_default()
    }

    fn push(&mut self, signed: SignedUnit, now: Mono) {
        self.bytes += signed.bytes().len();
        let pieces = Vec::with_capacity(signed.pieces().into());
        self.units.push_back(Unit { signed, pieces, appended_at: now, completed_at: None });
    }

    pub(super) fn append_unit(&mut self, signed: &SignedUnit, now: Mono) -> Appended {
        let head = signed.head();
        if let Some(known) = self.unit(head.seq) {
            return if known.signed == *signed { Appended::Already } else { Appended::Conflict };
        }
        if head.seq < self.first_seq {
            return if self.has_head { Appended::Conflict } else { Appended::Already };
        }
        // A keyframe begins a group; a second one inside, or a unit behind the end, is the
        // publisher contradicting itself.
        if head.keyframe || self.end.is_some() {
            return Appended::Conflict;
        }
        if (head.seq, 0) != self.next() {
            return Appended::Gap;
        }
        self.push(signed.clone(), now);
        self.state = GroupState::Open;
        Appended::Added
    }

    pub(super) fn append_piece(
        &mut self,
        seq: u64,
        index: u16,
        data: &Bytes,
        now: Mono,
    ) -> Appended {
        if seq < self.first_seq {
            return Appended::Already;
        }
        let Some(offset) = usize::try_from(seq - self.first_seq).ok() else {
            return Appended::Gap;
        };
        let Some(unit) = self.units.get_mut(offset) else {
            return Appended::Gap;
        };
        let have = unit.pieces.len();
        if usize::from(index) < have {
            return Appended::Already;
        }
        if usize::from(index) > have || index >= unit.signed.pieces() {
            return Appended::Gap;
        }
        unit.pieces.push(data.clone());
        if unit.pieces.len() == usize::from(unit.signed.pieces()) {
            unit.completed_at = Some(now);
        }
        self.bytes += data.len();
        self.state = GroupState::Open;
        Appended::Added
    }

    pub(super) fn append_end(&mut self, end: &SignedEnd) -> Appended {
        if let Some(known) = &self.end {
            return if known == end { Appended::Already } else { Appended::Conflict };
        }
        let (seq, piece) = self.next();
        if end.next_seq() < seq || (end.next_seq() == seq && piece != 0) {
            return Appended::Conflict;
        }
        if end.next_seq() > seq {
            return Appended::Gap;
        }
        self.bytes += end.bytes().len();
        self.end = Some(end.clone());
        self.state = GroupState::Ended;
        Appended::Added
    }

    pub(super) fn cut(&mut self, why: CutWhy, at: Mono) {
        if self.state == GroupState::Open {
            self.state = GroupState::Cut { why, at };
        }
    }

    /// Lets the head go until at most `bytes_max` are held; the newest access unit always stays.
    pub(super) fn shorten(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max && self.units.len() > 1 {
            let Some(gone) = self.units.pop_front() else { return };
            self.bytes -= gone.bytes();
            self.first_seq = self.first_seq.saturating_add(1);
            self.has_head = false;
        }
    }
}
