//! What there is to see.

use std::time::Duration;

use super::Room;
use super::input::{ConnId, Route};
use super::output::{Broadcast, EndReason};
use crate::media::clock::ClockView;
use crate::time::Wall;
use crate::trust::id::{BroadcastId, Incarnation, PeerId, TrackKey};
use crate::trust::ticket::Roles;
use crate::wire::header::SubscriptionId;
use crate::wire::message::ReceiverReport;

/// A member, as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub peer: PeerId,
    /// The name to show, escaped by whoever shows it.
    pub name: String,
    /// What it may do.
    pub roles: Roles,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// How we reach it ourselves; `None`: only others do.
    pub route: Option<Route>,
    /// The smallest of the last round trips.
    pub round_trip: Option<Duration>,
}

/// A child that we feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Who.
    pub peer: PeerId,
    /// Over which connection.
    pub conn: ConnId,
    /// The child's name for it.
    pub sub: SubscriptionId,
    /// What.
    pub track: TrackKey,
    /// How it is reached.
    pub route: Option<Route>,
    /// The smallest of the last round trips.
    pub round_trip: Option<Duration>,
    /// What it last said that it received.
    pub report: Option<ReceiverReport>,
}

/// A subscription of ours that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feeding {
    /// The parent.
    pub parent: PeerId,
    /// Over which connection.
    pub conn: ConnId,
    /// Our name for it.
    pub sub: SubscriptionId,
    /// How the parent is reached.
    pub route: Route,
    /// The parent first, the publisher last; empty until the parent admits us.
    pub path: Vec<PeerId>,
}

impl Room {
    /// Everybody else who is here.
    pub fn members(&self) -> Vec<MemberView> {
        let view = |(peer, member): (&PeerId, &super::roster::Member)| {
            let pair = self.pairs.get(peer);
            MemberView {
                peer: *peer,
                name: member.name.clone(),
                roles: member.grant.roles,
                incarnation: member.incarnation,
                route: pair.and_then(|pair| self.route_of(pair.current)),
                round_trip: pair.and_then(|pair| pair.meter.round_trip()),
            }
        };
        self.roster.iter().map(view).collect()
    }

    /// What the others broadcast.
    pub fn broadcasts(&self) -> Vec<Broadcast> {
        self.broadcasts.shown().collect()
    }

    /// A broadcast's clock, mapped from our steady clock, with the bound of its error. For display
    /// alone.
    pub fn clock(&self, publisher: PeerId, broadcast: BroadcastId) -> Option<ClockView> {
        if publisher == self.me {
            return self.publishing.clock(broadcast);
        }
        let of = |track: &&TrackKey| track.publisher == publisher && track.broadcast == broadcast;
        let views = self.parents.tracks().filter(of).filter_map(|track| {
            let (conn, _, admitted) = self.parents.open(track)?;
            let parent = self.conns.get(&conn)?.peer;
            self.pairs.get(&parent)?.meter.view(admitted?.clock)
        });
        views.min_by_key(|view| view.error_us)
    }

    /// How a track reaches us.
    pub fn feeding(&self, track: &TrackKey) -> Option<Feeding> {
        let (conn, sub, admitted) = self.parents.open(track)?;
        let known = self.conns.get(&conn)?;
        let path = admitted.map(|admitted| admitted.path.clone()).unwrap_or_default();
        Some(Feeding { parent: known.peer, conn, sub, route: known.route, path })
    }

    /// Tracks that we want, whether they come or not.
    pub fn subscriptions(&self) -> Vec<TrackKey> {
        self.parents.tracks().copied().collect()
    }

    /// Whom we feed.
    pub fn children(&self) -> Vec<Child> {
        let child = |(conn, sub, feed): (ConnId, SubscriptionId, &super::children::Feed)| Child {
            peer: feed.peer,
            conn,
            sub,
            track: feed.track,
            route: self.route_of(conn),
            round_trip: self.pairs.get(&feed.peer).and_then(|pair| pair.meter.round_trip()),
            report: feed.report,
        };
        self.children.iter().map(child).collect()
    }

    /// The room's title, if we know it; escaped by whoever shows it.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// Our own name in the room.
    pub fn me(&self) -> PeerId {
        self.me
    }

    /// What our tickets allow.
    pub fn roles(&self) -> Roles {
        self.grant.as_ref().map_or(Roles::NONE, |grant| grant.roles)
    }

    /// When our own tickets end.
    pub fn expires(&self) -> Option<Wall> {
        self.expiry.expires()
    }

    /// Why the room is over for this node, if it is.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// Frames of unknown types that were skipped, on connections that are still up.
    pub fn unknown_frames(&self) -> u64 {
        self.conns.values().map(|conn| conn.unknown.total()).sum()
    }

    fn route_of(&self, conn: ConnId) -> Option<Route> {
        self.conns.get(&conn).map(|conn| conn.route)
    }
}
