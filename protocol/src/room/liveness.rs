//! Whether the other end of a control stream still answers: a ping each second, two unanswered mean
//! silent, nothing heard for nine seconds means dead.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::PING_INTERVAL;
use crate::time::Mono;

/// An answer within this time is prompt; a ping unanswered for longer counts against the stream.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(1);
/// Unanswered pings that mean silent.
const UNANSWERED_MAX: usize = 2;
/// Nothing heard for this long, and the stream is given up. A death is to be seen by all within 12 s,
/// so this and the spreading of the word must fit; earlier, and whoever is only busy, or between two
/// networks, would leave and come again in everybody's list, and his broadcasts with him.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(9);
/// Time to answer in, for those to whom we did not listen for a while.
const EXCUSED: Duration = Duration::from_secs(2);
/// Pings under way that are remembered: as many as are sent until the stream is dead.
const OUTSTANDING_MAX: usize = 16;

/// One control stream's pulse.
#[derive(Clone, Debug)]
pub(super) struct Liveness {
    ping_at: Mono,
    seq: u32,
    outstanding: VecDeque<(u32, Mono)>,
    heard_at: Mono,
    has_answered: bool,
}

impl Liveness {
    pub(super) fn new(now: Mono) -> Self {
        Self {
            ping_at: now,
            seq: 0,
            outstanding: VecDeque::new(),
            heard_at: now,
            has_answered: false,
        }
    }

    /// The number of the ping to send now, if one is due.
    pub(super) fn poll_ping(&mut self, now: Mono) -> Option<u32> {
        if now < self.ping_at {
            return None;
        }
        self.seq = self.seq.wrapping_add(1);
        // From now, not from when it was due: after a sleep one ping is sent, not thousands.
        self.ping_at = now + PING_INTERVAL;
        if self.outstanding.len() == OUTSTANDING_MAX {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back((self.seq, now));
        Some(self.seq)
    }

    /// Pings at once, whenever the next one is due.
    pub(super) fn hurry(&mut self, now: Mono) {
        self.ping_at = self.ping_at.min(now);
    }

    /// Silence so far proves nothing: we did not listen. A moment is left to answer in.
    pub(super) fn excuse(&mut self, now: Mono) {
        self.outstanding.clear();
        self.heard_at = self.heard_at.max(now - (DEAD_AFTER - EXCUSED));
    }

    /// Any frame was read at `read_at`.
    pub(super) fn handle_frame(&mut self, read_at: Mono) {
        self.heard_at = self.heard_at.max(read_at);
    }

    /// The answer to ping `seq`: when that was sent, if it was one of ours that is under way.
    pub(super) fn handle_pong(&mut self, seq: u32) -> Option<Mono> {
        let at = self.outstanding.iter().position(|(sent, _)| *sent == seq)?;
        self.has_answered = true;
        // Answers come in order: what is older was answered or never will be.
        self.outstanding.drain(..=at).next_back().map(|(_, sent_at)| sent_at)
    }

    pub(super) fn is_silent(&self, now: Mono) -> bool {
        let late = self.outstanding.iter().filter(|(_, sent)| now.since(*sent) >= ANSWER_MAX);
        late.count() >= UNANSWERED_MAX
    }

    /// Whether it has answered, and owes no answer for a second or longer.
    pub(super) fn is_prompt(&self, now: Mono) -> bool {
        self.has_answered && !self.is_slow(now)
    }

    /// Whether it owes an answer for a second or longer.
    pub(super) fn is_slow(&self, now: Mono) -> bool {
        self.outstanding.front().is_some_and(|(_, sent)| now.since(*sent) >= ANSWER_MAX)
    }

    pub(super) fn is_dead(&self, now: Mono) -> bool {
        now.since(self.heard_at) >= DEAD_AFTER
    }

    pub(super) fn heard_at(&self) -> Mono {
        self.heard_at
    }

    pub(super) fn poll_timeout(&self) -> Mono {
        self.ping_at.min(self.heard_at + DEAD_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Mono {
        Mono::from_micros(ms * 1000)
    }

    #[test]
    fn two_unanswered_pings_mean_silent_and_one_answer_ends_it() {
        let mut pulse = Liveness::new(at(0));
        assert_eq!(pulse.poll_ping(at(0)), Some(1));
        assert_eq!(pulse.poll_ping(at(999)), None);
        assert_eq!(pulse.poll_ping(at(1000)), Some(2));
        assert!(!pulse.is_silent(at(1999)));
        assert!(pulse.is_silent(at(2000)));
        assert_eq!(pulse.handle_pong(2), Some(at(1000)));
        assert!(!pulse.is_silent(at(2000)) && pulse.is_prompt(at(2000)));
        assert_eq!(pulse.handle_pong(1), None, "answered with the later one");
    }

    #[test]
    fn after_a_long_sleep_one_ping_is_sent() {
        let mut pulse = Liveness::new(at(0));
        pulse.poll_ping(at(0));
        let late = at(8 * 3_600_000);
        assert!(pulse.poll_ping(late).is_some());
        assert_eq!(pulse.poll_ping(late), None);
        assert!(pulse.is_dead(late));
    }

    #[test]
    fn whoever_talks_without_answering_is_not_dead_but_not_prompt() {
        let mut pulse = Liveness::new(at(0));
        for second in 0..20 {
            pulse.poll_ping(at(second * 1000));
            pulse.handle_frame(at(second * 1000 + 500));
        }
        let now = at(20_000);
        assert!(!pulse.is_dead(now) && pulse.is_silent(now) && !pulse.is_prompt(now));
    }
}
