//! One connection, from its handshake to its end.

use std::time::Duration;

use super::input::{ConnId, Connected, Route};
use super::liveness::Liveness;
use crate::limits::PROOF_TIMEOUT;
use crate::time::{Deadline, Mono, Why};
use crate::trust::id::PeerId;
use crate::wire::frame::UnknownMeter;

/// Signed news that one stream may bring at once: a full roster with all its broadcasts, twice.
const SIGNED_BURST: u32 = 2_048;
/// Signed news that it may bring a second after that: each costs up to five signature checks.
const SIGNED_PER_S: u32 = 64;
/// The shell tells within this time whether the control stream that it opens has passed.
const OPENING_MAX: Duration = Duration::from_secs(10);

/// A peer that connects to us in order to join this room opens its control stream within this time.
const COMING_MAX: Duration = Duration::from_secs(5);

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) peer: PeerId,
    pub(super) dialled: bool,
    pub(super) route: Route,
    pub(super) exporter: [u8; 16],
    pub(super) stage: Stage,
    pub(super) unknown: UnknownMeter,
    pub(super) signed: SignedMeter,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Up; until then the other side may be about to open the control stream.
    Up { until: Mono },
    /// We open the control stream and prove.
    Opening { until: Mono },
    /// Both know the secret; the other's hello is awaited.
    Greeting { until: Mono },
    /// Both said hello.
    Live { since: Mono, pulse: Liveness },
}

impl Conn {
    pub(super) fn new(connected: &Connected, now: Mono) -> Self {
        let stage = if connected.dialled {
            Stage::Opening { until: now + OPENING_MAX }
        } else {
            Stage::Up { until: now + COMING_MAX }
        };
        Self {
            peer: connected.peer,
            dialled: connected.dialled,
            route: connected.route,
            exporter: connected.exporter,
            stage,
            unknown: UnknownMeter::default(),
            signed: SignedMeter { left: SIGNED_BURST, since: now },
        }
    }

    pub(super) fn greet(&mut self, now: Mono) {
        self.stage = Stage::Greeting { until: now + PROOF_TIMEOUT };
    }

    pub(super) fn go_live(&mut self, now: Mono) {
        self.stage = Stage::Live { since: now, pulse: Liveness::new(now) };
    }

    pub(super) fn pulse(&self) -> Option<&Liveness> {
        match &self.stage {
            Stage::Live { pulse, .. } => Some(pulse),
            _ => None,
        }
    }

    pub(super) fn pulse_mut(&mut self) -> Option<&mut Liveness> {
        match &mut self.stage {
            Stage::Live { pulse, .. } => Some(pulse),
            _ => None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.stage, Stage::Live { .. })
    }

    /// Whether there is a control stream, or about to be.
    pub(super) fn has_control(&self) -> bool {
        !matches!(self.stage, Stage::Up { .. })
    }

    /// Whether a control stream may soon be live here.
    pub(super) fn is_connecting(&self, now: Mono) -> bool {
        match self.stage {
            Stage::Up { until } => now < until,
            Stage::Opening { .. } | Stage::Greeting { .. } => true,
            Stage::Live { .. } => false,
        }
    }

    pub(super) fn is_late(&self, now: Mono) -> bool {
        match self.stage {
            // Whoever came and did not ask to be let in is no member.
            Stage::Up { until } | Stage::Opening { until } | Stage::Greeting { until } => {
                until <= now
            }
            Stage::Live { .. } => false,
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Deadline> {
        match &self.stage {
            Stage::Up { until } => Some((*until, Why("a peer may want to join"))),
            Stage::Opening { until } => Some((*until, Why("a control stream is opened"))),
            Stage::Greeting { until } => Some((*until, Why("a hello is awaited"))),
            Stage::Live { pulse, .. } => Some((pulse.poll_timeout(), Why("ping"))),
        }
    }
}

/// Bounds the signatures that one stream makes us check.
#[derive(Debug)]
pub(super) struct SignedMeter {
    left: u32,
    since: Mono,
}

impl SignedMeter {
    /// Counts one; false: too many.
    pub(super) fn count(&mut self, now: Mono) -> bool {
        let seconds = u32::try_from(now.since(self.since).as_secs()).unwrap_or(u32::MAX);
        if seconds > 0 {
            self.since = now;
            let more = seconds.saturating_mul(SIGNED_PER_S);
            self.left = self.left.saturating_add(more).min(SIGNED_BURST);
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

/// A connection by name, for lists that are changed while they are walked.
pub(super) fn names<'a>(
    conns: impl IntoIterator<Item = (&'a ConnId, &'a Conn)>,
    which: impl Fn(&Conn) -> bool,
) -> Vec<ConnId> {
    conns.into_iter().filter(|(_, conn)| which(conn)).map(|(name, _)| *name).collect()
}
