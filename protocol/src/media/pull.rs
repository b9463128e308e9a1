//! The words between a cursor and whoever performs it: what a child asked for, and what to do next.

use std::time::Duration;

use bytes::Bytes;

use crate::media::track::{Lacking, Over};
use crate::trust::id::{PeerId, TrackKey};
use crate::wire::code::StreamCode;
use crate::wire::header::SubscriptionId;

/// The shell's name for one stream of one cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamNumber(pub u32);

/// Which of the two streams; the order is the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// The newest group.
    Newest,
    /// The group before it.
    Older,
}

/// What a track carries, as far as sending it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// Pictures: gated, and given up when they are late.
    #[default]
    Pictures,
    /// Sound: before all pictures, and held up only by itself.
    Sound,
}

/// One subscription, as the child asked for it.
#[derive(Clone, Debug)]
pub struct Feed {
    /// The child's name for it.
    pub subscription: SubscriptionId,
    /// The track.
    pub track: TrackKey,
    /// What it carries.
    pub medium: Medium,
    /// Who feeds us, nearest first, the publisher last; empty at the publisher.
    pub path: Vec<PeerId>,
    /// How late a picture may be before a newer group replaces it.
    pub latency: Duration,
    /// What the child lacks first; `None`: from the newest group's keyframe.
    pub lacking: Option<Lacking>,
}

/// Bytes for one vectored write on one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The stream. One that was never offered before is to be opened; its header is in `chunks`.
    pub stream: StreamNumber,
    /// Its rank.
    pub rank: Rank,
    /// At most [`crate::limits::WRITE_BYTES_MAX`] bytes in all. Only a look: nothing moves on until
    /// [`wrote`](crate::media::cursor::Cursor::wrote) says how much was taken.
    pub chunks: Vec<Bytes>,
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Write one of these, the first one if it takes any; then say so with [`wrote`](crate::media::cursor::Cursor::wrote). Only
    /// while the gate is open: if it is closed, wait for it, and pull again.
    Write(Vec<Offer>),
    /// All of this stream was written: finish it. The cursor has forgotten it.
    Finish(StreamNumber),
    /// Nothing more of this stream will be written, but what was written and has not left is worth
    /// more than anything else: make it the most urgent, and finish it, without the signed end. The
    /// cursor has forgotten it.
    Leave(StreamNumber),
    /// Reset this stream. The cursor has forgotten it and goes on with the newest keyframe.
    Reset {
        /// The stream.
        stream: StreamNumber,
        /// Why, for the child.
        code: StreamCode,
    },
    /// Nothing to send: until the cache changes, or [`poll_timeout`](crate::media::cursor::Cursor::poll_timeout).
    Wait,
    /// Nothing will ever be sent again.
    Ended(Over),
}

/// Counts of one child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CursorCounts {
    /// Access units wholly written.
    pub sent: u64,
    /// Access units of groups that were never begun for this child.
    pub skipped: u64,
    /// Access units not wholly written when their stream was reset or left.
    pub reset: u64,
    /// Streams reset or left.
    pub reset_streams: u64,
    /// Bytes written.
    pub bytes: u64,
}
