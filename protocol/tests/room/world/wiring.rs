//! How what rooms want is done: dialling, proving, carrying frames, losing them.

use bytes::Bytes;
use roommate_protocol::address::Address;
use roommate_protocol::room::proof::{ProofDialler, ProofKey, ProofListener, Step};
use roommate_protocol::room::{ConnId, Connected, Output, Room};
use roommate_protocol::time::Now;
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::wire::message::Incoming;

use super::{DELAY, Happening, S, Who, Wire, World};

impl World {
    pub(super) fn hears(&self, who: Who) -> bool {
        self.nodes[who].room.is_some() && !self.nodes[who].asleep
    }

    /// Something comes to a node: it happens now, or when its loop is no longer blocked.
    pub(super) fn arrive(&mut self, happening: Happening) {
        if let Happening::Up { conn } = happening {
            return self.bring_up(conn);
        }
        let to = happening.to();
        let read_at = self.now_of(to);
        match &mut self.nodes[to].backlog {
            Some(backlog) => backlog.push((happening, read_at)),
            None => self.happen(happening, read_at),
        }
    }

    pub(super) fn happen(&mut self, happening: Happening, read_at: Now) {
        match happening {
            Happening::Frame { conn, to, life, frame } => {
                let up = self.wires.get(&conn).is_some_and(|wire| wire.up);
                if up && self.hears(to) && self.life(to) == life {
                    self.nodes[to].frames += 1;
                    let result = self
                        .act(to, |room, now| room.handle_frame(conn, &frame[4..], read_at, now));
                    self.nodes[to].violations.extend(result.err());
                }
            }
            Happening::Up { .. } => {}
            Happening::Connected { connected, to } => {
                if self.hears(to) {
                    self.act(to, |room, now| room.handle_connected(connected, now));
                }
            }
            Happening::Control { conn, to, passed } => {
                if self.wires.get(&conn).is_some_and(|wire| wire.up) && self.hears(to) {
                    self.act(to, |room, now| {
                        if passed {
                            room.handle_control_up(conn, now);
                        } else {
                            room.handle_control_failed(conn, now);
                        }
                    });
                }
            }
            Happening::Down { conn, to, life } => {
                if let Some(wire) = self.wires.get_mut(&conn) {
                    wire.up = false;
                }
                if self.hears(to) && self.life(to) == life {
                    self.act(to, |room, now| room.handle_disconnected(conn, now));
                }
            }
            Happening::DialFailed { to, life, peer } => {
                if self.hears(to) && self.life(to) == life {
                    self.act(to, |room, now| room.handle_dial_failed(peer, now));
                }
            }
        }
    }

    fn bring_up(&mut self, conn: ConnId) {
        let Some(wire) = self.wires.get_mut(&conn) else { return };
        wire.up = true;
        let wire = *wire;
        let mut exporter = [0; 16];
        exporter[..8].copy_from_slice(&conn.0.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        for (who, dialled) in [(wire.dialler, true), (wire.listener, false)] {
            let peer = self.nodes[wire.other(who)].peer;
            let connected = Connected { conn, peer, dialled, route: wire.route, exporter };
            self.arrive(Happening::Connected { connected, to: who });
        }
    }

    pub(super) fn drain(&mut self, who: Who) {
        while let Some(output) = self.nodes[who].room.as_mut().and_then(Room::poll_output) {
            self.perform(who, output);
        }
    }

    fn perform(&mut self, who: Who, output: Output) {
        let at = self.now;
        if !matches!(output, Output::Send { .. } | Output::Event(_)) {
            self.nodes[who].outputs.push((at, output.clone()));
        }
        match &output {
            Output::Send { conn, frame } => self.send(who, *conn, frame.clone()),
            Output::Dial { peer, addresses } => self.dial(who, *peer, addresses),
            Output::OpenControl { conn } => self.open_control(*conn),
            Output::CloseConnection { conn, .. } => self.close(who, *conn),
            Output::AskLacking { track } => {
                self.act(who, |room, now| room.handle_lacking(*track, None, now));
            }
            Output::ExpectStreams { conn, sub, .. } => {
                self.nodes[who].expected.insert((*conn, sub.0));
            }
            Output::ForgetStreams { conn, sub } => {
                assert!(self.nodes[who].expected.remove(&(*conn, sub.0)), "forgotten twice");
            }
            Output::Event(event) => {
                self.nodes[who].events.push((at, event.clone()));
            }
            _ => {}
        }
    }

    fn send(&mut self, who: Who, conn: ConnId, frame: Bytes) {
        let Some(wire) = self.wires.get(&conn).copied() else {
            self.stranger_heard.push((conn, frame));
            return;
        };
        if let Ok(Some(Incoming::Subscribe(subscribe))) = Incoming::read(&frame[4..]) {
            let expected = self.nodes[who].expected.contains(&(conn, subscribe.sub.0));
            assert!(expected, "streams must be expected before the Subscribe is sent");
        }
        let to = wire.other(who);
        if wire.up && !self.cut.contains(&(who, to)) && !self.muted.contains(&conn) {
            self.later(DELAY, |world| Happening::Frame { conn, to, life: world.life(to), frame });
        }
    }

    fn dial(&mut self, who: Who, peer: Option<PeerId>, addresses: &[Address]) {
        let there = self.nodes.iter().position(|node| {
            addresses.iter().any(|address| address.port == node.port + 5_000)
                && node.room.is_some()
                && peer.is_none_or(|peer| peer == node.peer)
        });
        match there.filter(|there| *there != who && !self.cut.contains(&(who, *there))) {
            Some(there) => {
                self.connect(who, there);
            }
            None => {
                self.later(S, |world| Happening::DialFailed {
                    to: who,
                    life: world.life(who),
                    peer,
                });
            }
        }
    }

    /// Plays the real proof between the two, and tells both how it went.
    fn open_control(&mut self, conn: ConnId) {
        let Wire { dialler, listener, .. } = self.wires[&conn];
        let room = self.room();
        let (us, them) = (&self.nodes[dialler], &self.nodes[listener]);
        let keys = [us, them].map(|node| ProofKey::new(room, &node.secret));
        let [ours, theirs] = keys;
        let passed = prove(ours, us.peer, theirs, them.peer);
        self.later(3 * DELAY, |_| Happening::Control { conn, to: listener, passed });
        self.later(4 * DELAY, |_| Happening::Control { conn, to: dialler, passed });
    }

    /// What was sent before still arrives.
    fn close(&mut self, who: Who, conn: ConnId) {
        let Some(wire) = self.wires.get(&conn).copied() else { return };
        let to = wire.other(who);
        self.later(DELAY, |world| Happening::Down { conn, to, life: world.life(to) });
    }
}

impl Happening {
    fn to(&self) -> Who {
        match self {
            Self::Frame { to, .. }
            | Self::Connected { to, .. }
            | Self::Control { to, .. }
            | Self::Down { to, .. }
            | Self::DialFailed { to, .. } => *to,
            Self::Up { .. } => unreachable!("comes to two"),
        }
    }
}

impl Wire {
    pub(super) fn has(&self, who: Who) -> bool {
        self.dialler == who || self.listener == who
    }

    pub(super) fn other(&self, who: Who) -> Who {
        if self.dialler == who { self.listener } else { self.dialler }
    }
}

fn prove(ours: ProofKey, us: PeerId, theirs: ProofKey, them: PeerId) -> bool {
    let (mut dialler, first) = ProofDialler::new(ours, us, them, [1; 32]);
    let mut listener = ProofListener::new(vec![theirs], them, us, [2; 32]);
    let Ok(Step::Send(nonce)) = listener.handle_frame(&first[4..]) else { return false };
    let Ok(Step::Send(mac)) = dialler.handle_frame(&nonce[4..]) else { return false };
    let Ok(Step::Passed { send: Some(reply), .. }) = listener.handle_frame(&mac[4..]) else {
        return false;
    };
    matches!(dialler.handle_frame(&reply[4..]), Ok(Step::Passed { .. }))
}
