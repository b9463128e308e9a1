//! Time stamps of 33 bits on a time that never wraps and never jumps back.
//!
//! The clock of a stream wraps each 26.5 hours and may be replaced by another at any place. A stamp
//! that fits neither the clock in force nor the one before begins a new clock: its first stamp
//! stands where the track that brings it would have gone on, and all tracks are shifted alike.
//! Bound: two clocks.

/// Units of a time stamp in a second.
pub(super) const TICKS_PER_S: i64 = 90_000;

/// A stamp further ahead of its track than this is of another clock; nearer, it is a gap.
const AHEAD_MAX: i64 = 10 * TICKS_PER_S;

/// The same where the stream says that its clock changes.
const AHEAD_FLAGGED_MAX: i64 = TICKS_PER_S;

/// A stamp further behind is of another clock; nearer, its muxer was careless.
const BACK_MAX: i64 = TICKS_PER_S / 2;

#[derive(Clone, Copy, Debug)]
struct Base {
    /// The newest stamp of this clock, unwrapped.
    seen: i64,
    shift: i64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Track {
    last: Option<i64>,
    /// Where it goes on after `last`.
    next: i64,
    flagged: bool,
}

/// The time of a stream of at most two tracks.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    now: Option<Base>,
    before: Option<Base>,
    tracks: [Track; 2],
}

impl Timeline {
    /// The stream says that its clock changes about here.
    pub(super) fn flag(&mut self) {
        for track in &mut self.tracks {
            track.flagged = true;
        }
    }

    /// Where `track` goes on after its newest stamp, as far as is known.
    pub(super) fn expect(&mut self, track: usize, next: i64) {
        self.tracks[track].next = next;
    }

    /// The time of a stamp of `track` (0 or 1).
    pub(super) fn map(&mut self, track: usize, stamp: u64) -> i64 {
        let at = self.find(track, stamp);
        let track = &mut self.tracks[track];
        track.flagged = false;
        track.last = Some(at);
        track.next = track.next.max(at);
        at
    }

    fn find(&mut self, track: usize, stamp: u64) -> i64 {
        let own = self.tracks[track];
        let other = self.tracks[1 - track];
        let Some(now) = &mut self.now else {
            let seen = i64::try_from(stamp).unwrap_or(0);
            self.now = Some(Base { seen, shift: 0 });
            return seen;
        };
        let ahead = if own.flagged { AHEAD_FLAGGED_MAX } else { AHEAD_MAX };
        let (from, to) = match (own.last, other.last) {
            (Some(last), _) => (last - BACK_MAX, last.max(own.next) + ahead),
            (None, Some(last)) => (last - AHEAD_MAX, last + AHEAD_MAX),
            (None, None) => (i64::MIN, i64::MAX),
        };
        for base in [Some(&mut *now), self.before.as_mut()].into_iter().flatten() {
            let seen = base.seen + difference(stamp, base.seen);
            let at = seen + base.shift;
            if (from..=to).contains(&at) {
                base.seen = seen;
                return at;
            }
        }
        let next = if own.last.is_some() { own.next } else { other.next };
        let seen = i64::try_from(stamp).unwrap_or(0);
        tracing::debug!("the stream's clock was replaced");
        self.before = self.now.replace(Base { seen, shift: next - seen });
        next
    }
}

/// How far `stamp` is ahead of `seen`, by the shorter way around.
pub(super) fn difference(stamp: u64, seen: i64) -> i64 {
    let wide = i64::try_from(stamp).unwrap_or(0) - seen;
    // Sign extension of 33 bits.
    wide << 31 >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRAP: u64 = 1 << 33;

    #[test]
    fn a_wrap_is_none() {
        let mut time = Timeline::default();
        let first = time.map(0, WRAP - 3_000);
        assert_eq!(time.map(0, 0) - first, 3_000);
        // Sound that is still before the wrap.
        assert_eq!(time.map(1, WRAP - 1_000) - first, 2_000);
        assert_eq!(time.map(0, 3_000) - first, 6_000);
        assert_eq!(time.map(1, 500) - first, 3_500);
    }

    #[test]
    fn another_clock_goes_on_where_the_track_was_and_takes_the_other_along() {
        let mut time = Timeline::default();
        assert_eq!(time.map(0, 90_000), 90_000);
        time.expect(0, 93_000);
        assert_eq!(time.map(1, 91_000), 91_000);
        assert_eq!(time.map(0, 5_000_000), 93_000);
        // The rest of the old sound, then the new.
        assert_eq!(time.map(1, 93_100), 93_100);
        assert_eq!(time.map(1, 5_002_000), 95_000);
        assert_eq!(time.map(0, 5_003_000), 96_000);
    }

    #[test]
    fn a_gap_is_kept_and_a_flagged_one_is_not() {
        let mut time = Timeline::default();
        time.map(0, 0);
        assert_eq!(time.map(0, 900_000), 900_000);
        time.expect(0, 903_000);
        time.flag();
        assert_eq!(time.map(0, 1_700_000), 903_000);
    }
}
