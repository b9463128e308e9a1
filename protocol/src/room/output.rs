//! What the room machine wants done, and what it tells.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::input::ConnId;
use super::reasons::{RefuseReason, UnwelcomeReason};
use crate::address::Address;
use crate::media::pull::Medium;
use crate::media::track::Lacking;
use crate::time::Wall;
use crate::trust::id::{BroadcastId, PeerId, TrackKey};
use crate::trust::ticket::Roles;
use crate::wire::catalog::Catalog;
use crate::wire::close::CloseCode;
use crate::wire::code::StreamCode;
use crate::wire::frame;
use crate::wire::header::SubscriptionId;

/// What the shell must do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Dial these addresses, all of which may be dialled; the first that answers is enough. The
    /// answer is `handle_connected` or `handle_dial_failed`.
    Dial {
        /// Who must answer; `None` where the link does not say.
        peer: Option<PeerId>,
        /// Where; never empty.
        addresses: Vec<Address>,
    },
    /// Open a control stream on a connection that we dialled, and run the proof on it. The answer is
    /// `handle_control_up` or `handle_control_failed`.
    OpenControl {
        /// Where.
        conn: ConnId,
    },
    /// Write a frame (its length in front) to the control stream.
    Send {
        /// Where.
        conn: ConnId,
        /// What.
        frame: Bytes,
    },
    /// Write what was sent, then close the control stream of this room.
    CloseControl {
        /// Where.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// This room has no more use for the connection: close it unless another room still has.
    /// [`CloseCode::Superseded`] and [`CloseCode::Silent`] are true for all rooms.
    CloseConnection {
        /// Which.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// Look what is lacking in the cache of this track and call `handle_lacking`.
    AskLacking {
        /// Which.
        track: TrackKey,
    },
    /// Accept streams of this subscription from now on. Comes before its Subscribe is sent.
    ExpectStreams {
        /// Where they come.
        conn: ConnId,
        /// Their subscription.
        sub: SubscriptionId,
        /// Their track.
        track: TrackKey,
    },
    /// Stop streams of this subscription with code `Gone` from now on.
    ForgetStreams {
        /// Where they came.
        conn: ConnId,
        /// Their subscription.
        sub: SubscriptionId,
    },
    /// Start the writer task of a child.
    StartFeed {
        /// Where it writes.
        conn: ConnId,
        /// The child's subscription.
        sub: SubscriptionId,
        /// What it writes.
        track: TrackKey,
        /// What that carries.
        medium: Medium,
        /// Where it begins; `None`: at the newest keyframe.
        lacking: Option<Lacking>,
        /// The child's latency budget.
        latency: Duration,
        /// We first, the publisher last.
        path: Vec<PeerId>,
        /// When the child's ticket ends.
        until: Option<Wall>,
    },
    /// End the writer task of a child.
    StopFeed {
        /// Where it writes.
        conn: ConnId,
        /// The child's subscription.
        sub: SubscriptionId,
        /// What to reset its streams with.
        code: StreamCode,
    },
    /// Ask the encoder of our own track for a keyframe: merged over children and limited in rate.
    KeyframeWanted {
        /// Which.
        track: TrackKey,
    },
    /// Something happened.
    Event(Event),
}

/// Something that happened, for people and for the rest of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A member is here.
    PeerJoined {
        /// Who.
        peer: PeerId,
        /// The name to show, escaped by whoever shows it.
        name: String,
        /// What it may do.
        roles: Roles,
    },
    /// A member is gone.
    PeerLeft {
        /// Who.
        peer: PeerId,
        /// How.
        why: LeftWhy,
    },
    /// The room's title became known.
    Titled {
        /// The title, escaped by whoever shows it.
        title: String,
    },
    /// A broadcast is on, or its catalog has changed.
    Announced {
        /// What is known of it.
        broadcast: Broadcast,
    },
    /// A broadcast is over.
    Retracted {
        /// Whose.
        publisher: PeerId,
        /// Which.
        broadcast: BroadcastId,
        /// How.
        why: RetractedWhy,
    },
    /// A parent feeds us.
    Admitted {
        /// The track.
        track: TrackKey,
        /// The parent.
        parent: PeerId,
        /// The connection on which it comes.
        conn: ConnId,
        /// The parent first, the publisher last.
        path: Vec<PeerId>,
    },
    /// A parent does not feed us; asked again later where that can help.
    Refused {
        /// The track.
        track: TrackKey,
        /// The parent.
        parent: PeerId,
        /// Why.
        reason: RefuseReason,
    },
    /// The parent of a track is no longer there; asked anew as soon as it is.
    Unfed {
        /// The track.
        track: TrackKey,
    },
    /// A member did not accept our hello.
    Unwelcome {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: UnwelcomeReason,
    },
    /// We did not accept the hello of somebody who knows the room secret.
    TurnedAway {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: UnwelcomeReason,
    },
    /// This node's key is in the room from another process as well.
    Elsewhere {
        /// The other one is the newer start: this one is no longer heard.
        newer: bool,
    },
    /// Our own tickets end soon.
    EndsSoon {
        /// How soon.
        left: Duration,
    },
    /// The room is over for this node. Nothing happens after it.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// What is known of a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Whose.
    pub publisher: PeerId,
    /// Which.
    pub id: BroadcastId,
    /// Its tracks.
    pub catalog: Catalog,
}

/// How a member left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftWhy {
    /// It said goodbye.
    Goodbye,
    /// None of its neighbours reaches it any more.
    Lost,
    /// Nothing of it was heard for as long as an entry holds.
    Faded,
    /// The list is full, and somebody whom we reach ourselves took its place.
    Displaced,
    /// Its ticket has ended.
    Expired,
    /// The same key started anew; `PeerJoined` follows.
    Restarted,
}

/// How a broadcast ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetractedWhy {
    /// Its publisher ended it.
    Ended,
    /// Its publisher is no longer in the room.
    PublisherLeft,
    /// Its publisher is back and did not speak of it again.
    Unconfirmed,
    /// Its publisher's ticket no longer lets it publish.
    NotAllowed,
}

/// Why the room is over for this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// We left.
    Left,
    /// Our ticket has ended.
    Expired,
    /// Our ticket was not valid from the beginning.
    Ticket,
    /// A newer start of this node is in the room.
    Elsewhere,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "this node has left the room",
            Self::Expired => "the hour of this link has come and the room has ended here; ask for a new link",
            Self::Ticket => {
                "the ticket made from this link is not valid for the room: check this machine's clock, else ask for a new link"
            }
            Self::Elsewhere => {
                "the same node key was started elsewhere and has taken this one's place; use another --data-dir or --ephemeral to run both"
            }
        })
    }
}

/// Why a verb is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The tickets do not allow it.
    #[error("this link does not allow it; ask for one with the role `{0}`")]
    Role(&'static str),
    /// The room is over for this node.
    #[error("the room has ended here")]
    Ended,
    /// No such broadcast or track is on.
    #[error("nothing of that name is being broadcast")]
    Unknown,
    /// As many as one node may have.
    #[error("there are {0} already, as many as one node may have")]
    TooMany(usize),
    /// The catalog breaks a bound.
    #[error("the catalog has a track that cannot be announced: look at its codec, size and rate")]
    Catalog,
    /// It is our own.
    #[error("this node publishes it itself")]
    Own,
}

/// What a member did that no member may do. Its connection is being closed already; this is for
/// counting and for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The frame itself.
    #[error(transparent)]
    Frame(#[from] frame::Violation),
    /// A frame came before the hello, or a second hello.
    #[error("a hello must come first, and once")]
    Order,
    /// A signed envelope whose signature or layout is wrong.
    #[error("a signed message is not what it says, or not signed by whom it names")]
    Signature,
    /// A subscription id was used twice.
    #[error("a subscription was named like one that is running")]
    SubscriptionReused,
    /// More signed news in a second than a room has.
    #[error("more signed news came in one second than a room can have")]
    Flood,
}
