//! The messages of `/roommate/control/1`: one struct and one frozen number each.
//!
//! A released body never changes, news is a new number; an unknown number is counted and skipped by
//! whoever reads. What is passed on by others travels as a signed envelope ([`Signed`]) whose
//! payload has a fixed layout of its own ([`super::signed`]), for what is signed is never bincode.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::frame::{self, Violation};
use super::header::SubscriptionId;
use crate::limits::{NAME_BYTES_MAX, PATH_HOPS_MAX, TITLE_BYTES_MAX};
use crate::trust::id::{Incarnation, PeerId, TrackKey};

/// The oldest version of the control protocol that this build speaks.
pub const VERSION_MIN: u16 = 1;
/// The newest version of the control protocol that this build speaks.
pub const VERSION_MAX: u16 = 1;

/// Longest signed envelope in a message: an announcement with its ticket chain and a full catalog
/// is below 4 KiB.
pub const SIGNED_BYTES_MAX: usize = 8 * 1024;
/// Longest ticket chain: three tickets of about 250 bytes.
pub const CHAIN_BYTES_MAX: usize = 2 * 1024;
/// Roster entries in one message: some 60 of a kilobyte each fill a frame.
pub const ROSTER_ENTRIES_MAX: usize = 128;
/// Peers that a redirect or a goodbye may point to. More than one can try is no help.
pub const CANDIDATES_MAX: usize = 8;
/// Longest latency budget that a child may ask for: beyond a minute it is a recording.
pub const LATENCY_MS_MAX: u32 = 60_000;

/// A message with its frozen number.
pub trait Message: Serialize + DeserializeOwned {
    /// The frame type.
    const KIND: u16;
    /// Whether every list and text is within its bound. A body that is not is a violation.
    fn is_sound(&self) -> bool {
        true
    }
}

/// The bytes of `message` as a frame, its length in front.
///
/// # Errors
/// [`super::codec::EncodeError`] where it is longer than a frame may be.
pub fn encode(message: &impl Message) -> Result<Bytes, super::codec::EncodeError> {
    frame::encode(kind_of(message), message)
}

fn kind_of<M: Message>(_: &M) -> u16 {
    M::KIND
}

/// Bytes of a signed envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed(pub Vec<u8>);

impl Signed {
    fn is_sound(&self) -> bool {
        self.0.len() <= SIGNED_BYTES_MAX
    }
}

/// The first message each way, once the proof of the room secret has passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Oldest version that the sender speaks.
    pub version_min: u16,
    /// Newest version that the sender speaks.
    pub version_max: u16,
    /// What the sender can do beyond its version; unknown bits are ignored.
    pub features: u64,
    /// Which start of the sender this is.
    pub incarnation: Incarnation,
    /// The sender's ticket chain.
    pub chain: Vec<u8>,
    /// The name to show for it; escaped wherever it is shown.
    pub name: String,
    /// The room's title, if the sender knows it.
    pub title: Option<String>,
}

/// The sender does not accept the other's hello and will close: a member's reason, not a stranger's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwelcome {
    /// Why; see [`crate::room::UnwelcomeReason`].
    pub reason: u16,
}

/// Entries of the roster, each signed by its subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// The envelopes.
    pub entries: Vec<Signed>,
}

/// Signed by the sender of the news: it no longer reaches one of its neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The envelope.
    pub signed: Signed,
}

/// Signed by its subject: it leaves the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goodbye {
    /// The envelope.
    pub signed: Signed,
    /// Who else has what the receiver got from the leaver.
    pub hint: Vec<PeerId>,
}

/// Only this control stream ends; the sender stays in the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parting {
    /// Members to turn to instead.
    pub hint: Vec<PeerId>,
}

/// A broadcast has begun, or its catalog has changed: signed by its publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announce {
    /// The envelope.
    pub signed: Signed,
}

/// A broadcast has ended: signed by its publisher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retract {
    /// The envelope.
    pub signed: Signed,
}

/// What a subscriber lacks first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lacking {
    /// The group.
    pub group: u64,
    /// The access unit in it.
    pub seq: u64,
    /// The piece of that.
    pub piece: u16,
}

/// A child asks to be fed one track.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// The child's name for it.
    pub sub: SubscriptionId,
    /// The track.
    pub track: TrackKey,
    /// What it lacks first; `None`: it has nothing of this track.
    pub lacking: Option<Lacking>,
    /// How late a picture may be before a newer group replaces it.
    pub latency_ms: u32,
}

/// What the sender knows of a broadcast's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReport {
    /// What to add to the sender's steady clock to have the broadcast's, in microseconds.
    pub offset_us: i64,
    /// Bound of the error in microseconds; 0 at the publisher.
    pub error_us: u64,
}

/// The parent feeds the child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admit {
    /// Which subscription.
    pub sub: SubscriptionId,
    /// The sender first, the publisher last.
    pub path: Vec<PeerId>,
    /// The sender's own view of the broadcast's clock.
    pub clock: ClockReport,
}

/// The parent has no slot but knows who may have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redirect {
    /// Which subscription.
    pub sub: SubscriptionId,
    /// Members to try, best first.
    pub candidates: Vec<PeerId>,
}

/// The parent does not feed the child, or no longer does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// Which subscription.
    pub sub: SubscriptionId,
    /// Why; see [`crate::room::RefuseReason`].
    pub reason: u16,
}

/// The child wants no more of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// Which subscription.
    pub sub: SubscriptionId,
}

/// The parent's own path has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Which subscription.
    pub sub: SubscriptionId,
    /// The sender first, the publisher last.
    pub path: Vec<PeerId>,
}

/// The child cannot show anything before the next keyframe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyframeWanted {
    /// Which subscription.
    pub sub: SubscriptionId,
}

/// Are you there, and what time is it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Counts the pings of this stream.
    pub seq: u32,
    /// The sender's steady clock when it was sent.
    pub sent_us: u64,
}

/// The answer to a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The ping's number.
    pub seq: u32,
    /// The ping's stamp.
    pub ping_sent_us: u64,
    /// The answerer's steady clock when the ping was read off the stream.
    pub read_us: u64,
    /// The answerer's steady clock when this was sent.
    pub sent_us: u64,
}

/// The parent's view of the broadcast's clock has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// Which subscription.
    pub sub: SubscriptionId,
    /// The sender's own view.
    pub report: ClockReport,
}

/// What a child received, told once in a while so that the parent can adapt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverReport {
    /// Which subscription.
    pub sub: SubscriptionId,
    /// Access units received whole since the subscription began.
    pub received: u64,
    /// Access units missing between the first and the last received.
    pub gaps: u64,
    /// Streams that were given up as stale.
    pub stale: u64,
    /// Newest access unit received whole.
    pub newest_seq: u64,
    /// Kilobits a second over the last second.
    pub kbps: u32,
}

fn few(peers: &[PeerId]) -> bool {
    peers.len() <= CANDIDATES_MAX
}

fn short_path(path: &[PeerId]) -> bool {
    !path.is_empty() && path.len() <= PATH_HOPS_MAX
}

macro_rules! messages {
    ($($(#[$meta:meta])* $number:literal $name:ident $(if |$message:ident| $sound:expr)?;)*) => {
        $(impl Message for $name {
            const KIND: u16 = $number;
            $(fn is_sound(&self) -> bool {
                let $message = self;
                $sound
            })?
        })*

        /// Any message of this version.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Incoming {
            $(#[doc = concat!("Type ", $number, ".")] $name($name),)*
        }

        impl Incoming {
            /// The message as a frame, its length in front.
            ///
            /// # Errors
            /// [`super::codec::EncodeError`] where it is longer than a frame may be.
            pub fn encode(&self) -> Result<Bytes, super::codec::EncodeError> {
                match self {
                    $(Self::$name(message) => encode(message),)*
                }
            }

            /// Reads a frame's content (type and body); `None` for a type that this version does
            /// not know.
            ///
            /// # Errors
            /// [`Violation`] where the body does not have the form, or breaks a bound, of its type.
            pub fn read(content: &[u8]) -> Result<Option<Self>, Violation> {
                let (kind, body) = frame::Frame::split(content)?;
                match kind {
                    $($number => read_as::<$name>(body).map(|m| Some(Self::$name(m))),)*
                    _ => Ok(None),
                }
            }
        }
    };
}

fn read_as<M: Message>(body: &[u8]) -> Result<M, Violation> {
    use super::codec::{DecodeError, decode};
    let violation = |error| Violation::Body { kind: M::KIND, error };
    let message: M = decode(body).map_err(violation)?;
    if message.is_sound() { Ok(message) } else { Err(violation(DecodeError::Malformed)) }
}

// 1 to 4 are the proof's (`room/proof.rs`); 64 and up are kept for room state, keys and text.
messages! {
    16 Hello if |m| m.name.len() <= NAME_BYTES_MAX
        && m.title.as_ref().is_none_or(|title| title.len() <= TITLE_BYTES_MAX)
        && m.chain.len() <= CHAIN_BYTES_MAX
        && m.version_min <= m.version_max;
    17 Unwelcome;
    18 Roster if |m| m.entries.len() <= ROSTER_ENTRIES_MAX
        && m.entries.iter().all(Signed::is_sound);
    19 Lost if |m| m.signed.is_sound();
    20 Goodbye if |m| m.signed.is_sound() && few(&m.hint);
    21 Parting if |m| few(&m.hint);
    32 Announce if |m| m.signed.is_sound();
    33 Retract if |m| m.signed.is_sound();
    34 Subscribe if |m| m.latency_ms <= LATENCY_MS_MAX;
    35 Admit if |m| short_path(&m.path);
    36 Redirect if |m| few(&m.candidates);
    37 Refuse;
    38 Unsubscribe;
    39 Path if |m| short_path(&m.path);
    40 KeyframeWanted;
    41 ReceiverReport;
    48 Ping;
    49 Pong;
    50 Clock;
}

#[cfg(test)]
mod tests;
