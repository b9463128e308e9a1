//! Takes frames apart and hands each to its policy.

use super::Room;
use super::conn::Stage;
use super::input::ConnId;
use super::output::Violation;
use crate::media::clock::ClockSample;
use crate::time::{Mono, Now};
use crate::wire::message::{Incoming, Ping, Pong};

impl Room {
    /// A frame (type and body) was read at `read_at` on the control stream of `conn`. Taking the
    /// stamp where the stream is read, and not here, keeps the driver's queue out of clocks.
    ///
    /// # Errors
    /// [`Violation`], for the log and for counting: closing that connection, and nothing else, is
    /// already among the outputs.
    pub fn handle_frame(
        &mut self,
        conn: ConnId,
        frame: &[u8],
        read_at: Now,
        now: Now,
    ) -> Result<(), Violation> {
        self.notice(now);
        let result = self.route(conn, frame, read_at.mono, now);
        match result {
            Ok(true) => self.settle(now),
            Ok(false) => {}
            Err(_) => {
                self.punish(conn, now);
                self.settle(now);
            }
        }
        result.map(|_| ())
    }

    /// The control stream of `conn` broke a rule before a frame of it could be handed on.
    pub fn handle_violation(&mut self, conn: ConnId, now: Now) {
        self.notice(now);
        self.punish(conn, now);
        self.settle(now);
    }

    /// Whether anything may have changed that policies look at.
    fn route(
        &mut self,
        conn: ConnId,
        frame: &[u8],
        read_at: Mono,
        now: Now,
    ) -> Result<bool, Violation> {
        let Some(known) = self.conns.get_mut(&conn) else { return Ok(false) };
        if let Some(pulse) = known.pulse_mut() {
            pulse.handle_frame(read_at);
        }
        let Some(message) = Incoming::read(frame)? else {
            known.unknown.count(now.mono)?;
            return Ok(false);
        };
        match (&known.stage, message) {
            (Stage::Up { .. } | Stage::Opening { .. }, _) => Err(Violation::Order),
            (_, Incoming::Hello(hello)) => self.on_hello(conn, hello, now).map(|()| true),
            (_, Incoming::Unwelcome(said)) => {
                self.on_unwelcome(conn, said, now);
                Ok(true)
            }
            (Stage::Greeting { .. }, _) => Err(Violation::Order),
            (Stage::Live { .. }, message) => self.route_live(conn, message, read_at, now),
        }
    }

    fn route_live(
        &mut self,
        conn: ConnId,
        message: Incoming,
        read_at: Mono,
        now: Now,
    ) -> Result<bool, Violation> {
        match message {
            Incoming::Ping(ping) => {
                self.on_ping(conn, ping, read_at, now);
                return Ok(false);
            }
            Incoming::Pong(pong) => return Ok(self.on_pong(conn, pong, read_at)),
            Incoming::Clock(clock) => self.on_clock(conn, clock),
            Incoming::ReceiverReport(report) => self.on_report(conn, report),
            Incoming::Roster(roster) => self.on_roster(conn, roster, now)?,
            Incoming::Lost(lost) => self.on_lost(conn, lost, now)?,
            Incoming::Goodbye(goodbye) => self.on_goodbye(conn, goodbye, now)?,
            Incoming::Parting(parting) => self.on_parting(conn, parting, now),
            Incoming::Announce(announce) => self.on_announce(conn, announce, now)?,
            Incoming::Retract(retract) => self.on_retract(conn, retract, now)?,
            Incoming::Subscribe(subscribe) => self.on_subscribe(conn, subscribe, now)?,
            Incoming::Unsubscribe(unsubscribe) => self.on_unsubscribe(conn, unsubscribe.sub),
            Incoming::KeyframeWanted(wanted) => self.on_keyframe_wanted(conn, wanted.sub, now),
            Incoming::Admit(admit) => self.on_admit(conn, admit, now),
            Incoming::Refuse(refuse) => self.on_refuse(conn, refuse, now),
            Incoming::Redirect(redirect) => self.on_redirect(conn, redirect, now),
            Incoming::Path(path) => self.on_path(conn, path, now),
            // Routed before.
            Incoming::Hello(_) | Incoming::Unwelcome(_) => return Err(Violation::Order),
        }
        Ok(true)
    }

    pub(super) fn send_ping(&mut self, conn: ConnId, seq: u32, now: Now) {
        self.send(conn, &Ping { seq, sent_us: now.mono.as_micros() });
    }

    fn on_ping(&mut self, conn: ConnId, ping: Ping, read_at: Mono, now: Now) {
        let pong = Pong {
            seq: ping.seq,
            ping_sent_us: ping.sent_us,
            read_us: read_at.as_micros(),
            sent_us: now.mono.as_micros(),
        };
        self.send(conn, &pong);
    }

    /// Whether it is the answer that a choice between connections may have waited for.
    fn on_pong(&mut self, conn: ConnId, pong: Pong, read_at: Mono) -> bool {
        let Some(known) = self.conns.get_mut(&conn) else { return false };
        let peer = known.peer;
        let asked = known.pulse_mut().and_then(|pulse| pulse.handle_pong(pong.seq));
        let (Some(asked_at), Some(pair)) = (asked, self.pairs.get_mut(&peer)) else { return false };
        let sample = ClockSample {
            asked_at,
            parent_read_at: Mono::from_micros(pong.read_us),
            parent_wrote_at: Mono::from_micros(pong.sent_us),
            answered_at: read_at,
        };
        // A sample that contradicts itself is not taken: clocks are for display alone.
        let _ = pair.meter.handle_sample(sample);
        pair.rivals_since.is_some() || pair.silent
    }
}
