//! Whether a viewer waited for pictures by its own doing: its gaps are held against those of its
//! publisher at the same pictures, so that a pause in one place forgives nothing in another.
//! Believes no summary: what that tells must be in the trace.

use serde_json::Value;

use crate::fields::Fields;
use crate::trace::Unit;

/// A picture that comes so long after its time is a stall.
const GRACE_US: i64 = 250_000;
/// A publisher that pauses for longer is broken itself.
const PAUSE_US: i64 = 1_000_000;

/// When the publisher had the picture ready to send.
fn made(unit: &Unit) -> i64 {
    unit.captured_us + unit.encode_us.unwrap_or_default() as i64
}

/// The usual time between two pictures: the median.
fn interval(publisher: &[Unit]) -> i64 {
    let pairs = publisher.windows(2);
    let mut times: Vec<_> = pairs.map(|pair| pair[1].captured_us - pair[0].captured_us).collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The longest that the publisher took for one of the pictures after `from` up to `to`.
fn pause(publisher: &[Unit], from: u64, to: u64) -> i64 {
    let pairs = publisher.windows(2).filter(|pair| (from + 1..=to).contains(&pair[1].seq));
    pairs.map(|pair| made(&pair[1]) - made(&pair[0])).max().unwrap_or_default()
}

/// Whether a viewer waited for a picture for more than a quarter second beyond its time only where
/// the publisher itself took as long to make it, a quarter second aside, and never over a second.
///
/// # Errors
/// A sentence, if it waited elsewhere or for longer, if its summary tells of stalls that its trace
/// does not show, or if the publisher paused for over a second.
pub fn none_of_its_own(summary: &Value, publisher: &[Unit], viewer: &[Unit]) -> Result<(), String> {
    let longest = pause(publisher, 0, u64::MAX);
    if longest > PAUSE_US {
        return Err(format!("the publisher paused for {} ms", longest / 1000));
    }
    let may = GRACE_US + interval(publisher);
    let mut shown = 0;
    for pair in viewer.windows(2) {
        let (from, to) = (pair[0].seq, pair[1].seq);
        let gap = pair[1].ready_us.unwrap_or_default() - pair[0].ready_us.unwrap_or_default();
        shown += u64::from(gap > GRACE_US);
        let own = pause(publisher, from, to);
        if gap > may && own < gap - GRACE_US {
            let (gap, own) = (gap / 1000, own / 1000);
            return Err(format!("{gap} ms from {from} to {to}, the publisher took {own} ms"));
        }
    }
    let told = summary.count("stalls");
    if told > shown {
        return Err(format!("{told} stalls told, the trace shows {shown}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::{published, received};
    use serde_json::json;

    /// 200 pictures, 100 ms apart; the viewer gets each 40 ms after it is made, save for those from
    /// `at` on, which come `late_ms` later.
    fn story(paused: Option<(usize, u64)>, stalled: Option<(u64, i64)>) -> Result<(), String> {
        let mut publisher: Vec<_> = (0..200).map(published).collect();
        if let Some((at, ms)) = paused {
            publisher[at].encode_us = Some(ms * 1000);
        }
        let late = |seq| stalled.filter(|(at, _)| *at == seq).map_or(0, |(_, ms)| ms);
        let viewer: Vec<_> = (0..200).map(|seq| received(seq, 40 + late(seq))).collect();
        none_of_its_own(&json!({"stalls": 0}), &publisher, &viewer)
    }

    #[test]
    fn a_stall_is_forgiven_where_the_publisher_paused_as_long_and_nowhere_else() {
        story(None, None).unwrap();
        // A gap of 400 ms, of which the publisher took 295 to 305.
        story(Some((50, 200)), Some((50, 300))).unwrap();
        story(None, Some((50, 240))).unwrap();
        assert!(story(None, Some((50, 300))).unwrap_err().contains("400 ms from 49 to 50"));
        assert!(story(Some((50, 210)), Some((90, 300))).unwrap_err().contains("from 89 to 90"));
        assert!(story(Some((50, 210)), Some((50, 700))).unwrap_err().contains("800 ms from 49"));
    }

    #[test]
    fn a_publisher_that_pauses_for_over_a_second_is_found_out() {
        story(Some((50, 900)), None).unwrap();
        assert!(story(Some((50, 1_000)), None).unwrap_err().contains("paused for 1095 ms"));
    }

    #[test]
    fn a_pause_forgives_nothing_of_the_pictures_that_are_lost() {
        let publisher: Vec<_> = (0..200).map(published).collect();
        let lossy = (0..200).filter(|seq| !(90..100).contains(seq));
        let lossy: Vec<_> = lossy.map(|seq| received(seq, 40)).collect();
        let told = none_of_its_own(&json!({"stalls": 1}), &publisher, &lossy).unwrap_err();
        assert!(told.contains("1100 ms from 89 to 100, the publisher took 100 ms"), "{told}");
    }

    #[test]
    fn a_stall_that_no_trace_shows_is_a_lie() {
        let publisher: Vec<_> = (0..200).map(published).collect();
        let viewer: Vec<_> = (0..200).map(|seq| received(seq, 40)).collect();
        let told = none_of_its_own(&json!({"stalls": 1}), &publisher, &viewer).unwrap_err();
        assert!(told.contains("1 stalls told, the trace shows 0"));
    }
}
