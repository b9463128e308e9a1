//! When a publisher forces a keyframe: requests of all children merge, and a slow or hostile viewer
//! does not spoil everybody's picture.
//!
//! At most one forced keyframe a second a track, none within 500 ms of the last keyframe of any
//! kind, and one request in 5 s a child counts. Remembers at most [`CHILDREN_MAX`] children.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits::CHILDREN_MAX;
use crate::time::{Deadline, Mono, Why};
use crate::trust::id::PeerId;

/// Between two forced keyframes of a track. A keyframe costs ten pictures.
pub const FORCED_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// After any keyframe: who asks so soon is about to receive that one.
pub const AFTER_KEYFRAME_MIN: Duration = Duration::from_millis(500);
/// Between two requests of one child that count.
pub const CHILD_INTERVAL_MIN: Duration = Duration::from_secs(5);

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyframeRequest {
    /// It counts: a keyframe will be forced, or comes anyhow.
    Merged,
    /// This child asked within the last 5 s, or too many children ask.
    TooSoon,
}

/// One track's policy.
#[derive(Clone, Debug, Default)]
pub struct KeyframePolicy {
    wanted: bool,
    forced_at: Option<Mono>,
    keyframe_at: Option<Mono>,
    asked_at: BTreeMap<PeerId, Mono>,
    requested: u64,
}

impl KeyframePolicy {
    /// Nothing asked, nothing forced.
    pub fn new() -> Self {
        Self::default()
    }

    /// A child, or the local viewer under its own name, asks.
    pub fn handle_request(&mut self, child: PeerId, now: Mono) -> KeyframeRequest {
        self.asked_at.retain(|_, asked| now.since(*asked) < CHILD_INTERVAL_MIN);
        if self.asked_at.contains_key(&child) || self.asked_at.len() >= CHILDREN_MAX {
            return KeyframeRequest::TooSoon;
        }
        self.asked_at.insert(child, now);
        self.wanted = true;
        self.requested += 1;
        KeyframeRequest::Merged
    }

    /// The encoder gave a keyframe, forced or not: whoever waits is served.
    pub fn handle_keyframe(&mut self, now: Mono) {
        self.keyframe_at = Some(now);
        self.wanted = false;
    }

    /// Whether the encoder must give a keyframe now; says so once for each.
    pub fn poll_output(&mut self, now: Mono) -> bool {
        let due = self.poll_timeout().is_some_and(|(at, _)| at <= now);
        if due {
            self.wanted = false;
            self.forced_at = Some(now);
        }
        due
    }

    /// When [`Self::poll_output`] will say yes, if nothing happens until then.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if !self.wanted {
            return None;
        }
        let after_forced = self.forced_at.map(|at| at + FORCED_INTERVAL_MIN);
        let after_any = self.keyframe_at.map(|at| at + AFTER_KEYFRAME_MIN);
        Some((after_forced.max(after_any).unwrap_or_default(), Why("forced keyframe")))
    }

    /// Requests that counted.
    pub fn requested(&self) -> u64 {
        self.requested
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Mono {
        Mono::from_micros(ms * 1000)
    }

    fn child(number: u8) -> PeerId {
        PeerId([number; 32])
    }

    #[test]
    fn requests_of_many_children_are_one_keyframe() {
        let mut policy = KeyframePolicy::new();
        for number in 0..20 {
            assert_eq!(policy.handle_request(child(number), ms(1000)), KeyframeRequest::Merged);
        }
        assert!(policy.poll_output(ms(1000)));
        assert!(!policy.poll_output(ms(9000)));
        assert_eq!(policy.requested(), 20);
    }

    #[test]
    fn at_most_one_is_forced_a_second() {
        let mut policy = KeyframePolicy::new();
        policy.handle_request(child(1), ms(0));
        assert!(policy.poll_output(ms(0)));
        policy.handle_request(child(2), ms(100));
        assert_eq!(policy.poll_timeout().map(|(at, _)| at), Some(ms(1000)));
        assert!(!policy.poll_output(ms(999)));
        assert!(policy.poll_output(ms(1000)));
    }

    #[test]
    fn none_is_forced_within_half_a_second_of_any_keyframe() {
        let mut policy = KeyframePolicy::new();
        policy.handle_keyframe(ms(2000));
        policy.handle_request(child(1), ms(2100));
        assert!(!policy.poll_output(ms(2499)));
        assert!(policy.poll_output(ms(2500)));
    }

    #[test]
    fn a_keyframe_that_came_by_itself_serves_who_waits() {
        let mut policy = KeyframePolicy::new();
        policy.handle_keyframe(ms(2000));
        policy.handle_request(child(1), ms(2100));
        policy.handle_keyframe(ms(2200));
        assert_eq!(policy.poll_timeout(), None);
        assert!(!policy.poll_output(ms(5000)));
    }

    #[test]
    fn one_child_counts_once_in_five_seconds_and_never_starves_another() {
        let mut policy = KeyframePolicy::new();
        assert_eq!(policy.handle_request(child(1), ms(0)), KeyframeRequest::Merged);
        assert!(policy.poll_output(ms(0)));
        for at in [1, 2500, 4999] {
            assert_eq!(policy.handle_request(child(1), ms(at)), KeyframeRequest::TooSoon);
        }
        assert!(!policy.poll_output(ms(4999)));
        assert_eq!(policy.handle_request(child(2), ms(4999)), KeyframeRequest::Merged);
        assert!(policy.poll_output(ms(4999)));
        assert_eq!(policy.handle_request(child(1), ms(5000)), KeyframeRequest::Merged);
    }

    #[test]
    fn a_thousand_askers_are_remembered_within_the_bound() {
        let mut policy = KeyframePolicy::new();
        for number in 0..1000_u32 {
            let mut name = [0; 32];
            name[..4].copy_from_slice(&number.to_be_bytes());
            policy.handle_request(PeerId(name), ms(0));
        }
        assert_eq!(policy.requested(), CHILDREN_MAX as u64);
    }
}
