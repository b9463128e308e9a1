//! The core's outputs out: each becomes one action on the swarm, a stream, a feed or the status.

use std::time::Duration;

use bytes::Bytes;
use roommate_protocol::media::pull::Feed;
use roommate_protocol::room::{ConnId, Source};
use roommate_protocol::room::{Event, Output};
use roommate_protocol::time::Now;
use roommate_protocol::trust::id::{RoomPk, TrackKey};
use roommate_protocol::wire::close::CloseCode;

use super::Driver;
use super::bootstraps::Action;
use super::feeds::FeedOrder;
use super::swarm::Purpose;
use crate::net::address::{to_libp2p, to_multiaddr};
use crate::net::behaviour::CONTROL;
use crate::net::outgoing::{NotTaken, Outgoing};
use crate::net::words::Word;
use crate::status::{BootstrapLeftOut, RoomEvent};

impl Driver {
    /// Does everything that the machines want, until none wants anything.
    pub(super) fn perform_all(&mut self) {
        loop {
            let mut idle = true;
            while let Some(action) = self.bootstraps.poll_output() {
                idle = false;
                self.perform_bootstrap(action);
            }
            for room in self.rooms.keys().copied().collect::<Vec<_>>() {
                while let Some(output) =
                    self.rooms.get_mut(&room).and_then(|entry| entry.machine.poll_output())
                {
                    idle = false;
                    self.perform(room, output);
                }
            }
            if idle {
                return;
            }
        }
    }

    fn perform_bootstrap(&mut self, action: Action) {
        match action {
            Action::Dial(address) => {
                let addrs = vec![to_multiaddr(&address)];
                self.dial(address.peer, addrs, Purpose::Bootstrap(address));
            }
            Action::Found { room, peer, addresses } => {
                let now = self.desk.clock.now();
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.machine.handle_found(peer, &addresses, Source::Registration, now);
                }
            }
            Action::Gone { room, peer } => {
                let now = self.desk.clock.now();
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.machine.handle_unregistered(peer, now);
                }
            }
            Action::LeftOut { room, address } => {
                let left_out = BootstrapLeftOut(to_multiaddr(&address));
                tracing::warn!("{left_out}");
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.tell(RoomEvent::BootstrapLeftOut(left_out));
                }
            }
            Action::Close(conn, code) => self.close_connection(conn, code),
        }
    }

    fn perform(&mut self, room: RoomPk, output: Output) {
        match output {
            Output::Dial { peer, addresses } => {
                let addrs = addresses.iter().map(to_multiaddr).collect();
                let purpose = peer.map_or(Purpose::Hint(room), |peer| Purpose::Member(room, peer));
                self.dial(peer, addrs, purpose);
            }
            Output::OpenControl { conn } => self.open_control(room, conn),
            Output::Send { conn, frame } => self.send(room, conn, frame),
            Output::CloseControl { conn, code } => {
                tracing::debug!(conn = conn.0, %code, "control stream closed");
                // The task writes what waits, then ends.
                if let Some(entry) = self.rooms.get_mut(&room)
                    && entry.streams.remove(&conn).is_some()
                {
                    self.closing.note_ending(conn);
                }
            }
            Output::CloseConnection { conn, code } => self.close_unless_used(room, conn, code),
            Output::AskLacking { track } => self.tell_lacking(room, track),
            Output::ExpectStreams { conn, sub, track } => {
                if let Some(row) = self.rooms.get(&room).and_then(|entry| entry.tracks.get(&track))
                {
                    row.clock.set_subscribed(self.desk.clock.mono());
                    let shared = row.shared.clone();
                    self.feeds.expect(conn, sub, (room, track), shared);
                }
            }
            Output::ForgetStreams { conn, sub } => self.feeds.forget(conn, sub),
            Output::StartFeed { conn, sub, track, medium, lacking, latency, path, until } => {
                let now = self.desk.clock.now();
                let feed = Feed { subscription: sub, track, medium, path, latency, lacking };
                let order = FeedOrder { room, conn, feed, until };
                self.start_feed(order, now);
            }
            Output::StopFeed { conn, sub, code } => self.feeds.stop((room, conn, sub), code),
            Output::KeyframeWanted { track } => {
                if let Some(entry) = self.rooms.get_mut(&room)
                    && let Some(row) = entry.tracks.get(&track)
                    && let Some(encoder) = &row.encoder
                {
                    encoder.request_keyframe();
                    entry.keyframes_requested += 1;
                }
            }
            Output::Event(event) => self.on_event(room, event),
        }
    }

    fn open_control(&mut self, room: RoomPk, conn: ConnId) {
        let Some(link) = self.links.get(conn) else { return };
        let (id, peer) = (link.id, to_libp2p(&link.peer));
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.opening.push_back(conn);
        }
        self.swarm.behaviour_mut().door.open(id, peer, CONTROL);
    }

    fn send(&mut self, room: RoomPk, conn: ConnId, frame: Bytes) {
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        let Some(stream) = entry.streams.get(&conn) else { return };
        match stream.put(frame) {
            // A stream that has ended says so itself.
            Ok(()) | Err(NotTaken::Closed) => {}
            Err(NotTaken::Full) => {
                tracing::warn!(conn = conn.0, "a member does not read its control stream: closed");
                entry.streams.remove(&conn);
                self.close_connection(conn, CloseCode::Violation);
            }
        }
    }

    /// Closes a connection that this room has no more use for, unless another room still has.
    fn close_unless_used(&mut self, room: RoomPk, conn: ConnId, code: CloseCode) {
        let used = self
            .rooms
            .values()
            .filter(|entry| entry.room != room)
            // A stream that is being opened or proven may turn out to be one.
            .any(|entry| entry.streams.contains_key(&conn) || entry.is_opening(conn));
        if self.closing.may_close(conn, code, used, self.desk.clock.mono()) {
            self.close_connection(conn, code);
        }
    }

    fn tell_lacking(&mut self, room: RoomPk, track: TrackKey) {
        let now = self.desk.clock.now();
        let lacking = self.shared(room, track).and_then(|shared| shared.lacking());
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.machine.handle_lacking(track, lacking, now);
        }
    }

    fn on_event(&mut self, room: RoomPk, event: Event) {
        let now = self.desk.clock.now();
        super::tell::log_event(&event);
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        match &event {
            Event::Retracted { publisher, broadcast, why } => {
                let over = super::tell::over(*why);
                let of =
                    |key: &TrackKey| key.publisher == *publisher && key.broadcast == *broadcast;
                for (_, row) in entry.tracks.iter().filter(|(key, _)| of(key)) {
                    row.shared.close(over, now.mono);
                }
                entry.tracks.retain(|key, _| !of(key));
            }
            Event::Admitted { track, .. } => {
                if let Some(row) = entry.tracks.get(track) {
                    row.clock.set_admitted(now.mono);
                }
            }
            Event::TurnedAway { .. } => entry.refused += 1,
            Event::Ended { reason } => {
                entry.ended = Some(*reason);
                // Whoever plays or publishes here learns it from the track.
                for row in entry.tracks.values() {
                    row.end(now.mono);
                }
            }
            _ => {}
        }
        entry.note(&event, now);
        let ended = matches!(event, Event::Ended { .. });
        entry.tell(RoomEvent::Room(event));
        if ended {
            self.bootstraps.leave_room(room, now);
        }
        self.tell_status(room);
    }

    pub(super) fn on_word(&mut self, word: Word, now: Now) {
        match word {
            Word::ControlUp { conn, peer, room, asked, out } => {
                if !asked {
                    self.failures.handle_passed(&peer);
                }
                self.on_control_up(conn, room, out, now);
            }
            Word::ControlFailed { conn, peer, room } => {
                tracing::debug!(%peer, "no proof of the room secret");
                match room.map(|room| self.rooms.get_mut(&room)) {
                    Some(Some(entry)) => entry.machine.handle_control_failed(conn, now),
                    Some(None) => {}
                    None => self.failures.handle_failed(peer, now.mono),
                }
            }
            Word::Control { conn, room, content, read_at } => {
                let Some(entry) = self.rooms.get_mut(&room) else { return };
                if let Err(violation) = entry.machine.handle_frame(conn, &content, read_at, now) {
                    tracing::warn!(conn = conn.0, %violation, "a member broke a rule");
                    entry.refused += 1;
                }
                self.refresh_clocks(room);
            }
            Word::ControlDown { conn, room, violation } => {
                if let Some(code) = self.closing.note_ended(conn) {
                    self.close_connection(conn, code);
                }
                let Some(entry) = self.rooms.get_mut(&room) else { return };
                if entry.streams.remove(&conn).is_none() {
                    return;
                }
                match violation {
                    Some(violation) => {
                        tracing::warn!(conn = conn.0, %violation, "a member broke a rule");
                        entry.refused += 1;
                        entry.machine.handle_violation(conn, now);
                    }
                    None => entry.machine.handle_control_failed(conn, now),
                }
            }
            Word::Rooms { conn, content } => {
                if let Err(violation) = self.bootstraps.handle_frame(conn, &content, now) {
                    tracing::warn!(%violation, "the bootstrap broke a rule");
                    self.close_connection(conn, CloseCode::Violation);
                }
            }
            Word::RoomsDown { conn } => self.close_connection(conn, CloseCode::Done),
        }
    }

    fn on_control_up(&mut self, conn: ConnId, room: RoomPk, out: Outgoing, now: Now) {
        // A connection that ended meanwhile is not brought back by its last word.
        if self.closing.is_closing(conn) {
            return;
        }
        let Some(connected) = self.links.get(conn).map(super::swarm::connected) else { return };
        let Some(entry) = self.rooms.get_mut(&room) else { return };
        // The room may know nothing of a connection that came for another one.
        entry.machine.handle_connected(connected, now);
        entry.streams.insert(conn, out);
        entry.machine.handle_control_up(conn, now);
    }

    /// Waits until every stream task has written what it was given; true if all did in time.
    pub(super) async fn flush(&mut self, wait: Duration) -> bool {
        // A stream task ends when its queue is empty. Whoever still reads, as in a proof, is not waited
        // for.
        self.desk.writers.close();
        let written = async {
            loop {
                tokio::select! {
                    () = self.desk.writers.wait() => return,
                    // Nobody wants it any more, and its task must not wait for us.
                    _ = self.words_in.recv() => {}
                    // It is what writes.
                    _ = futures::StreamExt::next(&mut self.swarm) => {}
                }
            }
        };
        tokio::time::timeout(wait, written).await.is_ok()
    }
}
