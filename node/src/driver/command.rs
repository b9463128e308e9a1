//! What the rest of the node asks of the driver.

use std::sync::Arc;
use std::time::Duration;

use roommate_protocol::media::clock::ClockView;
use roommate_protocol::room::proof::ProofKey;
use roommate_protocol::room::{Refusal, Room as Machine, RoomConfig};
use roommate_protocol::rooms::telling::told_to_members;
use roommate_protocol::time::Now;
use roommate_protocol::trust::id::{BroadcastId, RoomPk, TrackKey};
use roommate_protocol::wire::catalog::Catalog;
use tokio::sync::{mpsc, oneshot, watch};

use super::Driver;
use super::room::{RoomEntry, Track};
use crate::config::JoinConfig;
use crate::link::SharedTrack;
use crate::net::surroundings::{dial_policy, listening};
use crate::status::{RoomEvent, RoomStatus, SharedClock};
use crate::track::{Publication, Subscription};
use roommate_media::source::SourceControl;

/// Events of one room that wait to be read; more, and the newest are counted as missed.
const EVENTS_MAX: usize = 256;

/// A room that was joined.
pub(crate) struct Joined {
    pub(crate) status: watch::Receiver<RoomStatus>,
    pub(crate) events: mpsc::Receiver<RoomEvent>,
}

/// One request, with where to answer.
pub(crate) enum Command {
    Join {
        config: Box<JoinConfig>,
        reply: oneshot::Sender<Joined>,
    },
    Publish {
        room: RoomPk,
        catalog: Catalog,
        view: ClockView,
        encoder: Option<Arc<SourceControl>>,
        reply: oneshot::Sender<Result<Vec<Publication>, Refusal>>,
    },
    NoteKeyframe {
        room: RoomPk,
        key: TrackKey,
    },
    Retract {
        room: RoomPk,
        broadcast: BroadcastId,
    },
    Subscribe {
        room: RoomPk,
        key: TrackKey,
        latency: Duration,
        reply: oneshot::Sender<Result<Subscription, Refusal>>,
    },
    Unsubscribe {
        room: RoomPk,
        key: TrackKey,
    },
    WantKeyframe {
        room: RoomPk,
        key: TrackKey,
    },
    Leave {
        room: RoomPk,
        reply: oneshot::Sender<()>,
    },
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

impl Driver {
    pub(super) fn on_command(&mut self, command: Command, now: Now) {
        match command {
            Command::Join { config, reply } => {
                let _ = reply.send(self.join(*config, now));
            }
            Command::Publish { room, catalog, view, encoder, reply } => {
                let _ = reply.send(self.publish(room, (catalog, view), encoder, now));
            }
            Command::NoteKeyframe { room, key } => {
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.machine.handle_keyframe(key, now);
                }
            }
            Command::Retract { room, broadcast } => {
                if let Some(entry) = self.rooms.get_mut(&room)
                    && entry.machine.retract(broadcast, now).is_ok()
                {
                    let over = |key: &TrackKey, _: &mut Track| key.broadcast == broadcast;
                    entry.tracks.extract_if(.., over).for_each(|(_, row)| row.end(now.mono));
                }
            }
            Command::Subscribe { room, key, latency, reply } => {
                let _ = reply.send(self.subscribe(room, key, latency, now));
            }
            Command::Unsubscribe { room, key } => {
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.machine.unsubscribe(key, now);
                    entry.tracks.remove(&key);
                }
            }
            Command::WantKeyframe { room, key } => {
                if let Some(entry) = self.rooms.get_mut(&room) {
                    entry.machine.want_keyframe(key, now);
                }
            }
            Command::Leave { room, reply } => self.leave(room, reply, now),
            // Handled by the loop, which it ends.
            Command::Shutdown { .. } => {}
        }
    }

    fn join(&mut self, config: JoinConfig, now: Now) -> Joined {
        let (events, events_out) = mpsc::channel(EVENTS_MAX);
        let proof = ProofKey::new(config.room, &config.secret);
        let ours = listening(&self.swarm);
        let machine = Machine::new(
            RoomConfig {
                room: config.room,
                key: self.config.key.clone(),
                tickets: config.tickets,
                name: self.config.name.clone(),
                title: config.title,
                incarnation: self.config.incarnation,
                hints: config.addresses.clone(),
                dialling: dial_policy(&ours),
            },
            rand::random(),
            now,
        );
        let addresses = told_to_members(&ours, self.desk.me);
        self.bootstraps.join((config.room, config.secret), &config.addresses, now);
        let entry = RoomEntry::new(config.room, machine, proof, events);
        let status = entry.status.subscribe();
        self.rooms.insert(config.room, entry);
        // Connections that are there already are other rooms': who is in this one as well proves it.
        if let Some(entry) = self.rooms.get_mut(&config.room) {
            entry.machine.set_addresses(addresses, now);
        }
        self.tell_status(config.room);
        Joined { status, events: events_out }
    }

    fn publish(
        &mut self,
        room: RoomPk,
        (catalog, view): (Catalog, ClockView),
        encoder: Option<Arc<SourceControl>>,
        now: Now,
    ) -> Result<Vec<Publication>, Refusal> {
        let me = self.desk.me;
        let entry = self.rooms.get_mut(&room).ok_or(Refusal::Ended)?;
        let tracks: Vec<_> = catalog.tracks.iter().map(|track| track.id).collect();
        let broadcast = entry.machine.publish(catalog, view, now)?;
        let publication = |track| {
            let key = TrackKey { publisher: me, broadcast, track };
            let shared = Arc::new(SharedTrack::new());
            let clock = Arc::new(SharedClock::default());
            let row = Track { shared: shared.clone(), encoder: encoder.clone(), clock };
            entry.tracks.insert(key, row);
            Publication { key, track: shared, view }
        };
        Ok(tracks.into_iter().map(publication).collect())
    }

    fn subscribe(
        &mut self,
        room: RoomPk,
        key: TrackKey,
        latency: Duration,
        now: Now,
    ) -> Result<Subscription, Refusal> {
        let entry = self.rooms.get_mut(&room).ok_or(Refusal::Ended)?;
        entry.machine.subscribe(key, latency, now)?;
        let track = entry.tracks.entry(key).or_insert_with(|| Track {
            shared: Arc::new(SharedTrack::new()),
            encoder: None,
            clock: Arc::new(SharedClock::default()),
        });
        Ok(Subscription { key, track: track.shared.clone(), clock: track.clock.clone() })
    }

    fn leave(&mut self, room: RoomPk, reply: oneshot::Sender<()>, now: Now) {
        if let Some(entry) = self.rooms.get_mut(&room) {
            entry.machine.leave(now);
        }
        self.bootstraps.leave_room(room, now);
        self.perform_all();
        if let Some(mut entry) = self.rooms.remove(&room) {
            self.feeds.forget_room(room);
            // What waits in the streams' queues is written, then they end.
            entry.streams.clear();
            tracing::info!(%room, "left the room");
        }
        let _ = reply.send(());
    }
}
