//! What the driver tells: the status of each room, the clocks of its broadcasts, and the log.

use std::sync::Arc;

use roommate_protocol::media::track::Over;
use roommate_protocol::room::{Event, RetractedWhy, Route};
use roommate_protocol::trust::id::{RoomPk, TrackKey};

use super::Driver;
use crate::link::SharedTrack;
use crate::status::{Child, Fed, Member, RoomStatus};

impl Driver {
    /// The track `key` of a room, if anybody here wants or makes it.
    pub(super) fn shared(&self, room: RoomPk, key: TrackKey) -> Option<Arc<SharedTrack>> {
        self.rooms.get(&room)?.tracks.get(&key).map(|row| row.shared.clone())
    }

    /// Writes the newest view of every broadcast's clock where players read it.
    pub(super) fn refresh_clocks(&mut self, room: RoomPk) {
        let Some(entry) = self.rooms.get(&room) else { return };
        for (key, row) in &entry.tracks {
            row.clock.set_view(entry.machine.clock(key.publisher, key.broadcast));
        }
    }

    /// Tells the newest state of a room.
    pub(super) fn tell_status(&mut self, room: RoomPk) {
        self.refresh_clocks(room);
        let children = self.children(room);
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        let mut broadcasts = entry.machine.broadcasts();
        entry.order.sort(&mut broadcasts);
        let members = entry
            .machine
            .members()
            .into_iter()
            .map(|member| Member {
                since: entry.since.get(&member.peer).copied().unwrap_or_default(),
                peer: member.peer,
                name: member.name,
                roles: member.roles,
            })
            .collect();
        let fed = entry
            .machine
            .subscriptions()
            .into_iter()
            .map(|track| match entry.machine.feeding(&track) {
                Some(feeding) => Fed {
                    track,
                    parent: Some(feeding.parent),
                    route: Some(feeding.route),
                    path: feeding.path,
                },
                None => Fed { track, parent: None, route: None, path: Vec::new() },
            })
            .collect();
        let status = RoomStatus {
            title: entry.machine.title().map(str::to_owned),
            members,
            broadcasts,
            children,
            fed,
            keyframes_requested: entry.keyframes_requested,
            refused: entry.refused,
            departed: entry.departed.iter().copied().collect(),
            driver_blocked: self.blocked.clone(),
            bootstraps: self.bootstraps.status(),
            ended: entry.ended,
        };
        entry.status.send_replace(status);
    }

    /// Whom this room feeds, with what the tasks and the connections say.
    fn children(&self, room: RoomPk) -> Vec<Child> {
        let Some(entry) = self.rooms.get(&room) else { return Vec::new() };
        let row = |child: roommate_protocol::room::Child| {
            let stats = self.feeds.stats((room, child.conn, child.sub))?;
            let native = self.links.get(child.conn).and_then(|link| link.native.as_ref());
            let path = native.map(|native| native.stats().path);
            Some(Child {
                peer: child.peer,
                track: child.track,
                route: child.route.unwrap_or(Route::Direct),
                rtt: path.map(|path| path.rtt).unwrap_or_default(),
                stats,
                counters: native.map(|native| native.counters()),
            })
        };
        entry.machine.children().into_iter().filter_map(row).collect()
    }
}

/// Why a track is over, when its broadcast is.
pub(super) fn over(why: RetractedWhy) -> Over {
    match why {
        RetractedWhy::PublisherLeft => Over::PublisherGone,
        RetractedWhy::Ended | RetractedWhy::Unconfirmed | RetractedWhy::NotAllowed => {
            Over::Retracted
        }
    }
}

/// What a person would tell a friend, and what is degraded.
pub(super) fn log_event(event: &Event) {
    match event {
        Event::PeerJoined { peer, .. } => tracing::info!(%peer, "joined"),
        Event::PeerLeft { peer, why } => tracing::info!(%peer, ?why, "left"),
        Event::Announced { broadcast } => {
            tracing::info!(publisher = %broadcast.publisher, id = ?broadcast.id, "broadcast on");
        }
        Event::Retracted { publisher, broadcast, why } => {
            tracing::info!(%publisher, id = ?broadcast, ?why, "broadcast over");
        }
        Event::Admitted { parent, path, .. } => {
            tracing::info!(%parent, depth = path.len(), "fed");
        }
        Event::Refused { parent, reason, .. } => tracing::warn!(%parent, %reason, "not fed"),
        Event::Unfed { track } => tracing::warn!(?track, "the parent is gone; asking anew"),
        Event::Unwelcome { peer, reason } => tracing::warn!(%peer, %reason, "we are not let in"),
        Event::TurnedAway { peer, reason } => tracing::warn!(%peer, %reason, "turned away"),
        Event::Elsewhere { newer } => tracing::warn!(newer, "this key is here twice"),
        Event::EndsSoon { left } => tracing::warn!(?left, "our ticket ends soon"),
        Event::Ended { reason } => tracing::info!(%reason, "the room has ended here"),
        Event::Titled { .. } => {}
    }
}
