//! Whether a bootstrap is still there: a ping a second, and silence after two unanswered.

use std::time::Duration;

use crate::limits::PING_INTERVAL;
use crate::time::Mono;

/// Pings that may be unanswered before the bootstrap counts as silent.
const UNANSWERED_MAX: u32 = 2;

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Ping(u64),
    Silent,
}

#[derive(Debug)]
pub(super) struct Pings {
    token: u64,
    sent: Mono,
    unanswered: u32,
    /// None once the silence was told.
    next: Option<Mono>,
    rtt: Option<Duration>,
}

impl Pings {
    /// Tokens count up from one drawn at random: two rooms may share a stream.
    pub(super) fn new(token: u64, now: Mono) -> Self {
        Self { token, sent: now, unanswered: 0, next: None, rtt: None }
    }

    pub(super) fn restart(&mut self, now: Mono) {
        (self.unanswered, self.next) = (0, Some(now + PING_INTERVAL));
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.next
    }

    pub(super) fn due(&mut self, now: Mono) -> Option<Due> {
        if self.next.is_none_or(|next| next > now) {
            return None;
        }
        if self.unanswered >= UNANSWERED_MAX {
            self.next = None;
            return Some(Due::Silent);
        }
        self.unanswered += 1;
        self.token = self.token.wrapping_add(1);
        (self.sent, self.next) = (now, Some(now + PING_INTERVAL));
        Some(Due::Ping(self.token))
    }

    pub(super) fn answered(&mut self, token: u64, now: Mono) {
        if token == self.token {
            self.unanswered = 0;
            self.rtt = Some(now.since(self.sent));
        }
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }
}
