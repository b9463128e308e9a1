//! One room of the driver: its machine, and what belongs to it outside the machine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use roommate_protocol::media::track::Over;
use roommate_protocol::room::ConnId;
use roommate_protocol::room::Room as Machine;
use roommate_protocol::room::proof::ProofKey;
use roommate_protocol::room::{EndReason, Event};
use roommate_protocol::time::{Mono, Now, Wall};
use roommate_protocol::trust::id::{PeerId, RoomPk, TrackKey};
use tokio::sync::{mpsc, watch};

use super::order::Order;
use crate::link::SharedTrack;
use crate::net::outgoing::Outgoing;
use crate::status::{RoomEvent, RoomStatus, SharedClock};
use roommate_media::source::SourceControl;

/// Departures that the status tells of.
const DEPARTED_MAX: usize = 32;

/// A track of ours or of others.
pub(super) struct Track {
    pub(super) shared: Arc<SharedTrack>,
    /// Whoever is told that a keyframe is wanted, or that it is over; `None` for tracks of others.
    pub(super) encoder: Option<Arc<SourceControl>>,
    /// For players; unused for tracks of our own.
    pub(super) clock: Arc<SharedClock>,
}

impl Track {
    /// Nothing more comes of it: players and the source end.
    pub(super) fn end(&self, now: Mono) {
        self.shared.close(Over::Retracted, now);
        if let Some(encoder) = &self.encoder {
            encoder.stop();
        }
    }
}

/// One room.
pub(super) struct RoomEntry {
    pub(super) room: RoomPk,
    pub(super) machine: Machine,
    pub(super) proof: ProofKey,
    /// Control streams being opened for this room, in order.
    pub(super) opening: VecDeque<ConnId>,
    /// Control streams that are up.
    pub(super) streams: BTreeMap<ConnId, Outgoing>,
    pub(super) tracks: BTreeMap<TrackKey, Track>,
    pub(super) keyframes_requested: u64,
    pub(super) refused: u64,
    pub(super) ended: Option<EndReason>,
    /// Since when each member is here.
    pub(super) since: BTreeMap<PeerId, Wall>,
    /// Who left last; at most [`DEPARTED_MAX`].
    pub(super) departed: VecDeque<(PeerId, Wall)>,
    /// In which order broadcasts were announced.
    pub(super) order: Order,
    pub(super) status: watch::Sender<RoomStatus>,
    events: mpsc::Sender<RoomEvent>,
    missed: u64,
}

impl RoomEntry {
    pub(super) fn new(
        room: RoomPk,
        machine: Machine,
        proof: ProofKey,
        events: mpsc::Sender<RoomEvent>,
    ) -> Self {
        Self {
            room,
            machine,
            proof,
            opening: VecDeque::new(),
            streams: BTreeMap::new(),
            tracks: BTreeMap::new(),
            keyframes_requested: 0,
            refused: 0,
            ended: None,
            since: BTreeMap::new(),
            departed: VecDeque::new(),
            order: Order::default(),
            status: watch::Sender::new(RoomStatus::default()),
            events,
            missed: 0,
        }
    }

    /// Whether a control stream of this room is being opened on `conn`.
    pub(super) fn is_opening(&self, conn: ConnId) -> bool {
        self.opening.contains(&conn)
    }

    /// One opening on `conn` came to its end.
    pub(super) fn opened(&mut self, conn: ConnId) {
        if let Some(at) = self.opening.iter().position(|opening| *opening == conn) {
            self.opening.remove(at);
        }
    }

    /// Notes who came and who went, and which broadcast was announced.
    pub(super) fn note(&mut self, event: &Event, now: Now) {
        self.order.note(event);
        match event {
            Event::PeerJoined { peer, .. } => {
                self.since.insert(*peer, now.wall);
            }
            Event::PeerLeft { peer, .. } => {
                self.since.remove(peer);
                if self.departed.len() == DEPARTED_MAX {
                    self.departed.pop_front();
                }
                self.departed.push_back((*peer, now.wall));
            }
            _ => {}
        }
    }

    /// Tells an event; where nobody reads, it is counted as missed instead.
    pub(super) fn tell(&mut self, event: RoomEvent) {
        if self.missed > 0 && self.events.try_send(RoomEvent::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
        if self.missed > 0 || self.events.try_send(event).is_err() {
            self.missed += 1;
        }
    }
}
