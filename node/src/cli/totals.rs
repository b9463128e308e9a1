//! Adds several broadcasts up for the summary: counts are summed, latencies are the worst, times
//! are the first.

use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::PeerId;

use crate::status::Fed;

/// What the sound of one broadcast came to, or of several together.
#[derive(Clone, Debug, Default)]
pub(super) struct SoundFacts {
    pub(super) received: u64,
    pub(super) caught_up: u64,
    pub(super) gaps: u64,
    pub(super) stalls: u64,
    pub(super) bytes: u64,
    /// p50, p99, max
    pub(super) latency: [Option<f64>; 3],
}

/// What one broadcast came to, or several together.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    pub(super) publisher: Option<PeerId>,
    pub(super) fed: Option<Fed>,
    pub(super) received: u64,
    pub(super) caught_up: u64,
    pub(super) gaps: u64,
    pub(super) stalls: u64,
    pub(super) stalled_ms: f64,
    pub(super) bytes: u64,
    pub(super) first_at: Option<Mono>,
    pub(super) subscribed_ms: Option<f64>,
    pub(super) first_picture_ms: Option<f64>,
    pub(super) live_ms: Option<f64>,
    /// p50, p99, max
    pub(super) latency: [Option<f64>; 3],
    pub(super) clock_error_ms: Option<f64>,
    /// `None` where there is no sound.
    pub(super) sound: Option<SoundFacts>,
    pub(super) verified: u64,
    pub(super) refused: u64,
}

/// The sum of several [`Facts`].
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) facts: Facts,
    pub(super) publisher: Option<PeerId>,
    pub(super) fed: Option<Fed>,
}

impl Totals {
    /// Adds one broadcast.
    pub(super) fn add(&mut self, facts: &Facts) {
        let sum = &mut self.facts;
        self.publisher = facts.publisher;
        self.fed = facts.fed.clone().or(self.fed.take());
        sum.received += facts.received;
        sum.caught_up += facts.caught_up;
        sum.gaps += facts.gaps;
        sum.stalls += facts.stalls;
        sum.stalled_ms += facts.stalled_ms;
        sum.bytes += facts.bytes;
        sum.verified += facts.verified;
        sum.refused += facts.refused;
        sum.first_at = [sum.first_at, facts.first_at].into_iter().flatten().min();
        for (sum, one) in [
            (&mut sum.subscribed_ms, facts.subscribed_ms),
            (&mut sum.first_picture_ms, facts.first_picture_ms),
            (&mut sum.live_ms, facts.live_ms),
        ] {
            *sum = [*sum, one].into_iter().flatten().min_by(f64::total_cmp);
        }
        worst(&mut sum.latency, facts.latency);
        if let Some(sound) = &facts.sound {
            let sum = sum.sound.get_or_insert_default();
            sum.received += sound.received;
            sum.caught_up += sound.caught_up;
            sum.gaps += sound.gaps;
            sum.stalls += sound.stalls;
            sum.bytes += sound.bytes;
            worst(&mut sum.latency, sound.latency);
        }
        sum.clock_error_ms =
            [sum.clock_error_ms, facts.clock_error_ms].into_iter().flatten().max_by(f64::total_cmp);
    }
}

fn worst(sum: &mut [Option<f64>; 3], one: [Option<f64>; 3]) {
    for (sum, one) in sum.iter_mut().zip(one) {
        *sum = [*sum, one].into_iter().flatten().max_by(f64::total_cmp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_and_latencies_are_the_worst() {
        let one = Facts {
            received: 10,
            gaps: 1,
            sound: Some(SoundFacts { received: 7, ..SoundFacts::default() }),
            latency: [Some(5.0), Some(9.0), None],
            first_picture_ms: Some(80.0),
            ..Facts::default()
        };
        let other = Facts {
            received: 5,
            latency: [Some(6.0), Some(8.0), Some(20.0)],
            first_picture_ms: Some(70.0),
            ..Facts::default()
        };
        let mut totals = Totals::default();
        totals.add(&one);
        totals.add(&other);
        assert_eq!((totals.facts.received, totals.facts.gaps), (15, 1));
        assert_eq!(totals.facts.latency, [Some(6.0), Some(9.0), Some(20.0)]);
        assert_eq!(totals.facts.first_picture_ms, Some(70.0));
        assert_eq!(totals.facts.sound.unwrap().received, 7, "the other one is silent");
    }
}
