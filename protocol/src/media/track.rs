//! The words that all of `media` shares: access units, positions in a track, and what is appended.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::wire::record::{SignedEnd, SignedUnit};

/// One encoded picture or sound packet, as the encoder gave it and the decoder gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// Presentation time in the track's timescale.
    pub pts: i64,
    /// Presentation time minus decode time, in the track's timescale.
    pub decode_offset: i32,
    /// Capture time in microseconds of the broadcast's clock, before encoding.
    pub captured_us: i64,
    /// Decodable alone; begins a new group.
    pub keyframe: bool,
    /// The coded bytes, 1 to 2 MiB.
    pub data: Bytes,
}

/// What a child lacks first: where its feed should go on. No position at all means "from the newest
/// group's keyframe".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lacking {
    /// The group.
    pub group: u64,
    /// The access unit in it; the seq after its last when only the signed end is lacking.
    pub seq: u64,
    /// The piece of that access unit.
    pub piece: u16,
}

/// One verified thing to append to a cache. Cheap to clone and to apply: handles only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Append {
    /// An access unit's head; begins the group when it is a keyframe.
    Unit {
        /// The group.
        group: u64,
        /// The verified head.
        unit: SignedUnit,
    },
    /// One piece of the access unit `seq`.
    Piece {
        /// The group.
        group: u64,
        /// The access unit.
        seq: u64,
        /// Which piece of it, from 0.
        index: u16,
        /// The verified bytes.
        data: Bytes,
    },
    /// The signed end of the group.
    End {
        /// The group.
        group: u64,
        /// The verified end.
        end: SignedEnd,
    },
}

impl Append {
    /// The group that this belongs to.
    pub fn group(&self) -> u64 {
        match self {
            Self::Unit { group, .. } | Self::Piece { group, .. } | Self::End { group, .. } => {
                *group
            }
        }
    }
}

/// What came of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is new and is here now.
    Added,
    /// It was here before.
    Already,
    /// Something before it is not here, or its group has left: of no use here.
    Gap,
    /// It contradicts what is here, and what is here stays.
    Conflict,
}

/// Why a group stopped short of its signed end. Local knowledge, never passed on as fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutWhy {
    /// The feeder said that it gave the rest up: nothing more will come from there.
    GivenUp,
    /// The link was lost, or the stream ended without the signed end: somebody else may have it.
    Broken,
}

/// Why a track is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The publisher signed the track's end: everything before it is still worth sending.
    Finished,
    /// The broadcast was retracted.
    Retracted,
    /// The publisher is gone from the room.
    PublisherGone,
}
