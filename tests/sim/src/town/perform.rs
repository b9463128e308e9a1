//! What the room machines want done, done as the shell does it.

use std::time::Duration;

use roommate_protocol::address::Address;
use roommate_protocol::media::pull::Feed as Subscription;
use roommate_protocol::room::{ConnId, Event, Output};
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::wire::record::Verifier;

use super::Town;
use crate::feed::{Feed, STREAMS_PER_FEED};
use crate::member::{Member, address};
use crate::net::Line;
use crate::reading::Reading;
use crate::wire::{CONTROL, Wire};

/// So long until nobody has answered a dial.
const DIAL: Duration = Duration::from_secs(5);

impl Town {
    pub(super) fn perform_all(&mut self) -> bool {
        let mut performed = false;
        for number in 0..self.members.len() {
            while self.members[number].alive
                && let Some(output) = self.members[number].room.poll_output()
            {
                performed = true;
                self.trace.note(self.now, || format!("member {number}: {}", short(&output)));
                self.perform(number, output);
            }
        }
        performed
    }

    fn perform(&mut self, number: usize, output: Output) {
        let now = self.members[number].now(self.now);
        match output {
            Output::Dial { peer, addresses } => self.dial(number, peer, &addresses),
            Output::AskLacking { track } => {
                let cache = self.members[number].cache(&track);
                let lacking = cache.and_then(|cache| cache.lacking());
                self.members[number].room.handle_lacking(track, lacking, now);
            }
            Output::KeyframeWanted { .. } => {
                if let Some(source) = &mut self.members[number].source {
                    source.force_keyframe();
                }
            }
            Output::Event(event) => {
                if let Event::Ended { .. } = event {
                    self.finding.leave(number, self.now);
                }
                self.members[number].hear(event, self.now);
            }
            Output::OpenControl { conn }
            | Output::Send { conn, .. }
            | Output::CloseControl { conn, .. }
            | Output::CloseConnection { conn, .. }
            | Output::ExpectStreams { conn, .. }
            | Output::ForgetStreams { conn, .. }
            | Output::StartFeed { conn, .. }
            | Output::StopFeed { conn, .. } => self.perform_on(number, conn, output),
        }
    }

    fn perform_on(&mut self, number: usize, conn: ConnId, output: Output) {
        let Some((wire, end)) = self.wires.iter_mut().find_map(|wire| {
            let end = (0..2).find(|end| wire.ends[*end].conn == conn)?;
            Some((wire, end))
        }) else {
            return;
        };
        debug_assert_eq!(wire.ends[end].member, number, "a connection has one name a member");
        match output {
            Output::OpenControl { .. } => {
                let peers = [0, 1].map(|end: usize| self.members[wire.ends[end].member].peer);
                let mut nonce = [0; 32];
                self.dice.fill(&mut nonce);
                wire.open_control(&self.proof, peers, nonce);
            }
            Output::Send { frame, .. } => wire.say(end, &frame),
            Output::CloseControl { .. } => wire.pipes[end].finish(CONTROL),
            Output::CloseConnection { .. } => {
                // What was said before still arrives.
                let flushed = self.now + wire.pipes[end].patience() * 2;
                wire.down_at =
                    wire.down_at.map(|at| Some(at.map_or(flushed, |at| at.min(flushed))));
            }
            Output::ExpectStreams { sub, track, .. } => {
                if let Ok(verifier) = Verifier::new(self.founding.room(), track) {
                    wire.ends[end].expected.insert(sub, track);
                    wire.ends[end].readings.insert(sub, Reading::new(verifier));
                }
            }
            Output::ForgetStreams { sub, .. } => {
                wire.ends[end].expected.remove(&sub);
                wire.ends[end].readings.remove(&sub);
            }
            Output::StartFeed { sub, track, medium, lacking, latency, path, .. } => {
                let base = wire.ends[end].begun * STREAMS_PER_FEED;
                wire.ends[end].begun += 1;
                let subscription =
                    Subscription { subscription: sub, track, medium, path, latency, lacking };
                let feed = Feed::new(subscription, base);
                wire.ends[end].feeds.insert(sub, (track, feed));
            }
            Output::StopFeed { sub, code, .. } => {
                if let Some((_, mut feed)) = wire.ends[end].feeds.remove(&sub) {
                    feed.cancel(&mut wire.pipes[end], code);
                }
            }
            _ => {}
        }
    }

    fn dial(&mut self, number: usize, peer: Option<PeerId>, addresses: &[Address]) {
        let there = |member: &&Member| {
            let here = address(member.number, member.peer);
            member.alive && addresses.iter().any(|address| address.host == here.host)
        };
        match self.members.iter().find(there).map(|member| member.number) {
            Some(other) if peer.is_none_or(|peer| peer == self.members[other].peer) => {
                self.conns += 2;
                let ends = ((number, ConnId(self.conns)), (other, ConnId(self.conns + 1)));
                let line = both(self.lines[number], self.lines[other]);
                self.wires.push(Wire::dial(ends, line, &mut self.dice, self.now));
            }
            _ => self.failing.push((self.now + DIAL, number, peer)),
        }
    }
}

/// A line that is made of two.
fn both(a: Line, b: Line) -> Line {
    let slower = if a.rate.unwrap_or(u64::MAX) <= b.rate.unwrap_or(u64::MAX) { a } else { b };
    Line {
        delay: a.delay + b.delay,
        jitter: a.jitter + b.jitter,
        loss_ppm: a.loss_ppm + b.loss_ppm,
        reorder_ppm: a.reorder_ppm + b.reorder_ppm,
        rate: slower.rate,
        queue_bytes: slower.queue_bytes,
    }
}

fn short(output: &Output) -> String {
    match output {
        Output::Send { conn, frame } => {
            let kind = frame.get(4..6).map_or(0, |kind| u16::from_be_bytes([kind[0], kind[1]]));
            format!("sends type {kind}, {} bytes, on {}", frame.len(), conn.0)
        }
        other => format!("{other:?}"),
    }
}
