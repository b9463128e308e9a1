//! May this be written now? How far ahead of the network one writes is decided here and nowhere
//! else; counting is the transport's.
//!
//! Pictures wait at 32 KiB unsent. Sound waits for pictures never, only for itself: at
//! [`SOUND_UNSENT_BYTES_MAX`] the link does not even carry the sound, and more of it would only be
//! late. Words never ask. So the send window is never full, and words and sound never wait for it.

use std::time::Duration;

use crate::limits::{ACK_SILENCE_MAX, UNSENT_BYTES_MAX};
use crate::media::pull::Medium;
use crate::time::Mono;

/// Unsent bytes of all kinds at which sound waits: far above what pictures leave unsent, ten seconds
/// of sound, and far below the send window.
pub const SOUND_UNSENT_BYTES_MAX: usize = 128 * 1024;

/// The longest that a writer waits before it asks again: a notice may have been lost between two
/// looks, and 20 ms of a slow link are less than one piece.
pub const GATE_NOTICE_MAX: Duration = Duration::from_millis(20);

/// What the transport counts of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sending {
    /// Bytes written to all streams.
    pub written: u64,
    /// Bytes of them that were put on the network and are not known to be lost.
    pub sent: u64,
    /// Bytes sent and not acknowledged.
    pub in_flight: u64,
    /// Time since the last acknowledgement; since the connection began, before the first.
    pub last_ack_age: Duration,
}

impl Sending {
    /// Bytes accepted by QUIC and not on the network.
    pub fn unsent(&self) -> u64 {
        self.written.saturating_sub(self.sent)
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Up to [`crate::limits::WRITE_BYTES_MAX`] may be written.
    Write,
    /// Nothing; ask again on a notice, and at the latest then.
    Wait(Mono),
}

/// The gate of one track on one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gate {
    medium: Medium,
    /// When nothing was in flight, last we looked: silence before that proves nothing.
    quiet_at: Option<Mono>,
}

impl Gate {
    /// A gate for pictures that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A gate for a track that carries this.
    pub fn of(medium: Medium) -> Self {
        Self { medium, ..Self::default() }
    }

    /// Whether it may be written.
    pub fn ask(&mut self, sending: Sending, now: Mono) -> May {
        if sending.in_flight == 0 {
            self.quiet_at = Some(now);
        }
        let since_quiet = self.quiet_at.map_or(Duration::MAX, |quiet| now.since(quiet));
        let silence = sending.last_ack_age.min(since_quiet);
        let stopped = sending.in_flight > 0 && silence >= ACK_SILENCE_MAX;
        let (unsent_max, stopped) = match self.medium {
            Medium::Pictures => (UNSENT_BYTES_MAX, stopped),
            Medium::Sound => (SOUND_UNSENT_BYTES_MAX, false),
        };
        if sending.unsent() < unsent_max as u64 && !stopped {
            May::Write
        } else {
            May::Wait(now + GATE_NOTICE_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Mono = Mono::from_micros(50_000_000);

    fn sending(unsent: u64, in_flight: u64, ack_ms: u64) -> Sending {
        let last_ack_age = Duration::from_millis(ack_ms);
        Sending { written: 1_000_000 + unsent, sent: 1_000_000, in_flight, last_ack_age }
    }

    #[test]
    fn it_closes_at_32_kib_unsent_and_not_a_byte_before() {
        assert_eq!(Gate::new().ask(sending(32 * 1024 - 1, 9000, 10), NOW), May::Write);
        let wait = May::Wait(NOW + Duration::from_millis(20));
        assert_eq!(Gate::new().ask(sending(32 * 1024, 9000, 10), NOW), wait);
    }

    #[test]
    fn a_peer_that_acknowledges_nothing_for_a_second_gets_nothing() {
        assert_eq!(Gate::new().ask(sending(0, 1, 999), NOW), May::Write);
        assert!(matches!(Gate::new().ask(sending(0, 1, 1000), NOW), May::Wait(_)));
    }

    #[test]
    fn silence_while_nothing_was_in_flight_is_no_silence() {
        let mut gate = Gate::new();
        assert_eq!(gate.ask(sending(0, 0, 60_000), NOW), May::Write);
        let soon = NOW + Duration::from_millis(40);
        assert_eq!(gate.ask(sending(0, 8192, 60_040), soon), May::Write);
        let later = NOW + Duration::from_millis(1000);
        assert!(matches!(gate.ask(sending(0, 8192, 61_000), later), May::Wait(_)));
    }

    #[test]
    fn sound_goes_where_pictures_wait_and_waits_only_for_itself() {
        let mut gate = Gate::of(Medium::Sound);
        assert_eq!(gate.ask(sending(32 * 1024, 9000, 5_000), NOW), May::Write);
        assert_eq!(gate.ask(sending(128 * 1024 - 1, 9000, 5_000), NOW), May::Write);
        assert!(matches!(gate.ask(sending(128 * 1024, 9000, 10), NOW), May::Wait(_)));
    }

    #[test]
    fn more_sent_than_written_is_a_count_in_the_making_and_not_a_panic() {
        let lost = Sending { written: 5, sent: 9, ..Sending::default() };
        assert_eq!(lost.unsent(), 0);
        assert_eq!(Gate::new().ask(lost, NOW), May::Write);
    }
}
