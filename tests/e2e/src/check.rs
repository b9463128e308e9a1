//! Claims and how they are checked: pure functions that answer with a sentence, so that a planted
//! fault can prove that each check is able to fail.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fields::Fields;
use crate::trace::{self, Unit};

/// Rounding that a printed millisecond may have.
const ROUNDING_MS: f64 = 0.51;

/// What a check found, or a panic with its sentence.
///
/// # Panics
/// If the check failed.
#[track_caller]
pub fn must<T>(checked: Result<T, String>) -> T {
    checked.unwrap_or_else(|sentence| panic!("{sentence}"))
}

/// The value below or at which `percent` of the sorted values lie (nearest rank).
///
/// # Panics
/// Of no values.
#[must_use]
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    sorted[rank(sorted.len(), percent)]
}

fn rank(len: usize, percent: f64) -> usize {
    assert!(len > 0, "no values have no percentile");
    let rank = (percent / 100.0 * len as f64).ceil() as usize;
    rank.clamp(1, len) - 1
}

/// Whether `told` is that percentile of the sorted values: by any of the usual definitions, which
/// differ by at most one rank, and rounded at most to a millisecond.
///
/// # Errors
/// A sentence, if it is not.
pub fn agrees(what: &str, told: f64, sorted: &[f64], percent: f64) -> Result<(), String> {
    if sorted.is_empty() {
        return Err(format!("{what}: told {told} ms of no values"));
    }
    let at = rank(sorted.len(), percent);
    let low = sorted[at.saturating_sub(1)] - ROUNDING_MS;
    let high = sorted[(at + 1).min(sorted.len() - 1)] + ROUNDING_MS;
    if (low..=high).contains(&told) {
        return Ok(());
    }
    Err(format!("{what}: told {told} ms, the trace says {:.1}", sorted[at]))
}

/// Recomputes every latency that a viewer's summary tells.
///
/// # Errors
/// A sentence, if one of them is another.
pub fn watch_figures(summary: &Value, viewer: &[Unit]) -> Result<(), String> {
    let received = summary.count("received");
    if received != viewer.len() as u64 {
        return Err(format!("told {received} received, the trace has {}", viewer.len()));
    }
    let caught_up = summary.count("caught_up");
    caught_up_agrees(summary, viewer, caught_up)?;
    let latencies = trace::latencies(viewer, caught_up);
    let told = |name: &str| summary.num(&format!("latency_ms.{name}"));
    agrees("latency p50", told("p50"), &latencies, 50.0)?;
    agrees("latency p99", told("p99"), &latencies, 99.0)?;
    agrees("latency max", told("max"), &latencies, 100.0)?;
    let error = summary.num("clock_error_ms");
    if !(0.0..=1000.0).contains(&error) {
        return Err(format!("a clock error of {error} ms is none"));
    }
    Ok(())
}

/// Pictures that may be captured between our asking and our admission, and two for rounding.
const ADMITTED_WITHIN: u64 = 3;

/// Whether the pictures left out of the latencies are those captured before the viewer's
/// subscription: its first picture's time by both clocks leads from one to the other.
fn caught_up_agrees(summary: &Value, viewer: &[Unit], told: u64) -> Result<(), String> {
    let Some(first) = viewer.first() else { return Ok(()) };
    let since = summary.num("first_picture_ms") - summary.num("subscribed_ms");
    let subscribed = first.ready_us.unwrap_or_default() - (since * 1000.0) as i64;
    let counted = viewer.iter().take_while(|unit| unit.captured_us < subscribed).count() as u64;
    let p99 = |left_out: u64| {
        let latencies = trace::latencies(viewer, left_out);
        if latencies.is_empty() { f64::NAN } else { percentile(&latencies, 99.0) }
    };
    let stated = format!("p99 {:.1} ms without them, {:.1} ms with", p99(told), p99(0));
    eprintln!("{told} of {} pictures caught up: {stated}", viewer.len());
    if told.abs_diff(counted) <= ADMITTED_WITHIN {
        return Ok(());
    }
    Err(format!("told {told} caught_up, the trace has {counted}: {stated}"))
}

/// Recomputes what a viewer's summary tells of the sound.
///
/// # Errors
/// A sentence, if one of the figures is another.
pub fn sound_figures(summary: &Value, viewer: &[Unit]) -> Result<(), String> {
    let bytes = viewer.iter().map(|unit| unit.bytes).sum();
    for (name, counted) in [("received", viewer.len() as u64), ("bytes", bytes)] {
        let told = summary.count(&format!("sound.{name}"));
        if told != counted {
            return Err(format!("told {told} {name} of the sound, the trace has {counted}"));
        }
    }
    let latencies = trace::latencies(viewer, summary.count("sound.caught_up"));
    for (name, percent) in [("p50", 50.0), ("p99", 99.0), ("max", 100.0)] {
        let told = summary.num(&format!("sound.latency_ms.{name}"));
        agrees(&format!("sound latency {name}"), told, &latencies, percent)?;
    }
    Ok(())
}

/// Whether a viewer's trace has every access unit that its publisher's has from the viewer's first on.
///
/// # Errors
/// What is missing.
pub fn nothing_lost(publisher: &[Unit], viewer: &[Unit]) -> Result<(), String> {
    let delivery = trace::delivery(publisher, viewer)?;
    if delivery.missing.is_empty() {
        return Ok(());
    }
    Err(format!("of {} these never came: {:?}", delivery.expected, delivery.missing))
}

/// Recomputes every figure of a publisher's summary that its trace holds.
///
/// # Errors
/// A sentence, if one of them is another.
pub fn publish_figures(summary: &Value, publisher: &[Unit]) -> Result<(), String> {
    let bytes: u64 = publisher.iter().map(|unit| unit.bytes).sum();
    let groups: BTreeSet<u64> = publisher.iter().map(|unit| unit.group).collect();
    for (name, counted) in [
        ("access_units", publisher.len() as u64),
        ("bytes", bytes),
        ("keyframes", groups.len() as u64),
    ] {
        let told = summary.count(name);
        if told != counted {
            return Err(format!("told {told} {name}, the trace has {counted}"));
        }
    }
    let encode = publisher.iter().filter_map(|unit| unit.encode_us);
    let encode = trace::sorted(encode.map(|us| us as f64 / 1000.0));
    agrees("encode p50", summary.num("encode_ms.p50"), &encode, 50.0)?;
    agrees("encode p99", summary.num("encode_ms.p99"), &encode, 99.0)
}

/// What a good direct connection must give, in a build and on a machine that are not fast.
///
/// # Errors
/// A sentence for the first thing that is worse.
pub fn plays_well(summary: &Value, publisher: &[Unit], viewer: &[Unit]) -> Result<(), String> {
    let delivery = trace::delivery(publisher, viewer)?;
    if delivery.ratio() < 0.995 {
        return Err(format!("only {} of {} received", delivery.received, delivery.expected));
    }
    let stalls = summary.count("stalls");
    if stalls > 0 {
        return Err(format!("{stalls} stalls"));
    }
    let latencies = trace::latencies(viewer, summary.count("caught_up"));
    if latencies.is_empty() {
        return Err("nothing was received live".to_owned());
    }
    let p99 = percentile(&latencies, 99.0);
    if p99 > 250.0 {
        return Err(format!("capture to ready p99 is {p99:.1} ms"));
    }
    if latencies[0] < -summary.num("clock_error_ms") {
        return Err(format!("ready {:.1} ms before it was captured", -latencies[0]));
    }
    Ok(())
}

/// Median latency of the first and of the last fifth of these units by capture time.
///
/// # Panics
/// Of fewer than five units.
#[must_use]
pub fn fifths(units: &[&Unit]) -> (f64, f64) {
    let times = units.iter().map(|unit| unit.captured_us);
    let (from, to) = (times.clone().min().expect("units"), times.max().expect("units"));
    let median = |low: i64, high: i64| {
        let inside = units.iter().filter(|unit| (low..=high).contains(&unit.captured_us));
        percentile(&trace::sorted(inside.map(|unit| unit.latency_ms())), 50.0)
    };
    let fifth = (to - from) / 5;
    (median(from, from + fifth), median(to - fifth, to))
}

/// Whether latency stayed flat: the last fifth's median at most 1.5 times the first's.
///
/// # Errors
/// A sentence, if it grew.
pub fn stays_flat(units: &[&Unit]) -> Result<(), String> {
    let (first, last) = fifths(units);
    if last > first * 1.5 {
        return Err(format!("the median latency grew from {first:.0} to {last:.0} ms"));
    }
    Ok(())
}

/// Whether at least one unit of every published group arrived, of those captured in the same time.
///
/// # Errors
/// The groups that are missing.
pub fn every_group(publisher: &[&Unit], viewer: &[&Unit]) -> Result<(), String> {
    let groups = |units: &[&Unit]| units.iter().map(|unit| unit.group).collect::<BTreeSet<_>>();
    let (all, seen) = (groups(publisher), groups(viewer));
    let missing: Vec<_> = all.difference(&seen).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no picture of the groups {missing:?}")) }
}

/// The longest time between two ready times in a row, in milliseconds, of those for which `of`
/// holds of the later unit and both times.
#[must_use]
pub fn longest_gap_ms(viewer: &[Unit], of: impl Fn(&Unit, i64, i64) -> bool) -> f64 {
    let ready = |unit: &Unit| unit.ready_us.unwrap_or_default();
    let gaps = viewer.windows(2).filter(|pair| of(&pair[1], ready(&pair[0]), ready(&pair[1])));
    gaps.map(|pair| ready(&pair[1]) - ready(&pair[0])).max().unwrap_or(0) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::{published, received};
    use serde_json::json;

    fn story(latency: impl Fn(u64) -> i64) -> (Vec<Unit>, Vec<Unit>, Value) {
        let publisher: Vec<_> = (0..200).map(published).collect();
        let viewer: Vec<_> = (0..200).map(|seq| received(seq, latency(seq))).collect();
        let told = trace::latencies(&viewer, 0);
        let summary = json!({
            "received": 200, "caught_up": 0, "stalls": 0, "clock_error_ms": 0.4,
            "subscribed_ms": 100.0, "first_picture_ms": 100.0 + latency(0) as f64,
            "latency_ms": {"p50": percentile(&told, 50.0).round(), "p99": percentile(&told, 99.0), "max": told[199]},
        });
        (publisher, viewer, summary)
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), 50.0);
        assert_eq!(percentile(&values, 99.0), 99.0);
        assert_eq!(percentile(&values, 100.0), 100.0);
        assert_eq!(percentile(&[7.0], 1.0), 7.0);
    }

    #[test]
    fn true_figures_agree_and_false_ones_do_not() {
        let (_, viewer, summary) = story(|seq| 20 + (seq % 50) as i64);
        watch_figures(&summary, &viewer).unwrap();
        for (field, value) in [("p50", 20.0), ("p99", 50.0), ("max", 90.0)] {
            let mut lie = summary.clone();
            lie["latency_ms"][field] = json!(value);
            assert!(watch_figures(&lie, &viewer).unwrap_err().contains(field), "{field}");
        }
        let mut lie = summary.clone();
        lie["received"] = json!(201);
        assert!(watch_figures(&lie, &viewer).unwrap_err().contains("201"));
        for more in [4, 50, 200] {
            let mut lie = summary.clone();
            lie["caught_up"] = json!(more);
            let told = watch_figures(&lie, &viewer).unwrap_err();
            assert!(told.contains(&format!("told {more} caught_up, the trace has 0")), "{told}");
        }
        // Subscribed when 100 pictures of the open group were there already, and silent about it.
        let mut lie = summary;
        lie["subscribed_ms"] = json!(100.0 - 10_000.0);
        lie["first_picture_ms"] = json!(100.0 - 20_000.0);
        assert!(watch_figures(&lie, &viewer).unwrap_err().contains("told 0 caught_up"));
    }

    #[test]
    fn the_figures_of_the_sound_are_recomputed() {
        let (publisher, viewer, summary) = story(|seq| 20 + (seq % 50) as i64);
        nothing_lost(&publisher, &viewer).unwrap();
        let bytes: u64 = viewer.iter().map(|unit| unit.bytes).sum();
        let latency = &summary["latency_ms"];
        let sound = json!({"received": 200, "bytes": bytes, "caught_up": 0, "latency_ms": latency});
        let good = json!({"sound": sound});
        sound_figures(&good, &viewer).unwrap();
        for (field, value) in [("received", 199), ("bytes", 7), ("caught_up", 200)] {
            let mut lie = good.clone();
            lie["sound"][field] = json!(value);
            assert!(sound_figures(&lie, &viewer).is_err(), "{field}");
        }
        let mut lie = good.clone();
        lie["sound"]["latency_ms"]["p99"] = json!(30);
        assert!(sound_figures(&lie, &viewer).unwrap_err().contains("p99"));
        let lossy: Vec<_> = viewer.iter().filter(|unit| unit.seq != 77).cloned().collect();
        assert!(nothing_lost(&publisher, &lossy).unwrap_err().contains("[77]"));
    }

    #[test]
    fn a_publishers_figures_are_recomputed() {
        let publisher: Vec<_> = (0..100).map(published).collect();
        let bytes: u64 = publisher.iter().map(|unit| unit.bytes).sum();
        let good = json!({"access_units": 100, "bytes": bytes, "keyframes": 10, "encode_ms": {"p50": 5, "p99": 5}});
        publish_figures(&good, &publisher).unwrap();
        for (field, value) in [("access_units", 99), ("bytes", 1), ("keyframes", 11)] {
            let mut lie = good.clone();
            lie[field] = json!(value);
            assert!(publish_figures(&lie, &publisher).unwrap_err().contains(field));
        }
        let mut lie = good.clone();
        lie["encode_ms"]["p99"] = json!(6);
        assert!(publish_figures(&lie, &publisher).is_err());
    }

    #[test]
    fn playing_well_can_fail_in_every_way() {
        let (publisher, viewer, summary) = story(|_| 40);
        plays_well(&summary, &publisher, &viewer).unwrap();
        let lossy: Vec<_> = viewer.iter().filter(|unit| unit.seq % 100 != 7).cloned().collect();
        assert!(plays_well(&summary, &publisher, &lossy).unwrap_err().contains("only 198 of 200"));
        let (_, late, told) = story(|seq| if seq % 50 == 0 { 300 } else { 40 });
        assert!(plays_well(&told, &publisher, &late).unwrap_err().contains("p99"));
        let mut stalled = summary.clone();
        stalled["stalls"] = json!(1);
        assert!(plays_well(&stalled, &publisher, &viewer).unwrap_err().contains("1 stalls"));
        let (_, early, told) = story(|seq| if seq == 5 { -3 } else { 40 });
        assert!(plays_well(&told, &publisher, &early).unwrap_err().contains("before"));
    }

    #[test]
    fn growing_latency_is_not_flat() {
        let (_, steady, _) = story(|_| 600);
        stays_flat(&steady.iter().collect::<Vec<_>>()).unwrap();
        let (_, grows, _) = story(|seq| 100 + seq as i64);
        assert!(stays_flat(&grows.iter().collect::<Vec<_>>()).unwrap_err().contains("grew"));
    }

    #[test]
    fn a_group_without_a_picture_is_missed() {
        let (publisher, viewer, _) = story(|_| 40);
        let all: Vec<_> = publisher.iter().collect();
        every_group(&all, &viewer.iter().collect::<Vec<_>>()).unwrap();
        let some: Vec<_> = viewer.iter().filter(|unit| unit.group != 3).collect();
        assert!(every_group(&all, &some).unwrap_err().contains("[3]"));
    }

    #[test]
    fn the_longest_gap_is_found_where_it_is_asked_for() {
        let viewer = [received(0, 0), received(1, 0), received(2, 350)];
        assert_eq!(longest_gap_ms(&viewer, |_, _, _| true), 450.0);
        assert_eq!(longest_gap_ms(&viewer, |_, _, ready| ready <= 100_000), 100.0);
    }
}
