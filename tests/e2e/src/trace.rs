//! `--trace` files: one JSON object per access unit, and what can be computed from them without
//! believing any summary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fields::Fields;

/// One access unit as one node saw it. Times are microseconds of the broadcast's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Unit {
    /// Number in its track.
    pub seq: u64,
    /// Number of its group.
    pub group: u64,
    /// When the picture was captured.
    pub captured_us: i64,
    /// When it was complete, verified and in order; none in a publisher's file.
    pub ready_us: Option<i64>,
    /// How long the encoder took; none in a viewer's file.
    pub encode_us: Option<u64>,
    /// Size.
    pub bytes: u64,
}

impl Unit {
    /// Capture to ready, in milliseconds.
    ///
    /// # Panics
    /// For a publisher's unit, which is never ready.
    #[must_use]
    pub fn latency_ms(&self) -> f64 {
        let ready = self.ready_us.expect("a viewer's unit");
        (ready - self.captured_us) as f64 / 1000.0
    }
}

/// The track of pictures in every broadcast that the suites make; sound comes after it.
pub const PICTURES: u64 = 0;
/// The track of sound beside [`PICTURES`].
pub const SOUND: u64 = 1;

/// Reads the pictures of a trace, in the file's order. A last line cut short by SIGKILL is left out.
///
/// # Panics
/// If the file cannot be read, or another line is no access unit.
#[must_use]
pub fn read(path: &Path) -> Vec<Unit> {
    read_track(path, PICTURES)
}

/// Reads one track of a trace as [`read`] does.
///
/// # Panics
/// As [`read`].
#[must_use]
pub fn read_track(path: &Path, track: u64) -> Vec<Unit> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("no trace {}: {error}", path.display()));
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let units = whole.lines().map(|line| parse(line, path));
    units.filter(|(of, _)| *of == track).map(|(_, unit)| unit).collect()
}

/// The track, and the access unit.
fn parse(line: &str, path: &Path) -> (u64, Unit) {
    let value: Value = serde_json::from_str(line)
        .unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()));
    let unit = Unit {
        seq: value.count("seq"),
        group: value.count("group"),
        captured_us: micros(&value, "captured_us"),
        ready_us: value.find("ready_us").map(|_| micros(&value, "ready_us")),
        encode_us: value.find("encode_us").map(|_| value.count("encode_us")),
        bytes: value.count("bytes"),
    };
    (value.count("track"), unit)
}

fn micros(value: &Value, field: &str) -> i64 {
    value.at(field).as_i64().unwrap_or_else(|| panic!("{field} is no time in {value}"))
}

/// The traces that a `demo` wrote for `--trace PATH`, by role: each name is the given one with
/// role and number appended.
///
/// # Panics
/// If the folder cannot be read.
#[must_use]
pub fn of_demo(path: &Path, role: &str) -> Vec<PathBuf> {
    let name = path.file_name().and_then(|name| name.to_str()).expect("a file's name");
    let folder = path.parent().expect("a file is in a folder");
    let files = std::fs::read_dir(folder).expect("the trace's folder");
    let mut found: Vec<_> = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|file| {
            let other = file.file_name().and_then(|other| other.to_str()).unwrap_or_default();
            // With an extension in the name the role may stand before it.
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            other.strip_prefix(stem).is_some_and(|rest| rest.contains(role))
        })
        .collect();
    found.sort();
    found
}

/// What of a publisher's access units reached a viewer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delivery {
    /// Units from the first group sent to this viewer to the end.
    pub expected: u64,
    /// Those of them that arrived.
    pub received: u64,
    /// Those that did not.
    pub missing: Vec<u64>,
}

impl Delivery {
    /// The fraction that arrived; 0 of nothing is nothing.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.expected == 0 { 0.0 } else { self.received as f64 / self.expected as f64 }
    }
}

/// Compares a viewer's trace with its publisher's.
///
/// # Errors
/// A sentence, if the viewer claims what was never published, tells another size or capture time,
/// has something twice or out of order, or begins in the middle of a group.
pub fn delivery(publisher: &[Unit], viewer: &[Unit]) -> Result<Delivery, String> {
    let first = viewer.first().ok_or("the viewer received nothing")?;
    let published: BTreeMap<u64, &Unit> = publisher.iter().map(|unit| (unit.seq, unit)).collect();
    if published.len() != publisher.len() {
        return Err("the publisher has a number twice".to_owned());
    }
    let opens = publisher.iter().find(|unit| unit.group == first.group).map(|unit| unit.seq);
    if opens != Some(first.seq) {
        return Err(format!(
            "the first received is {}, but its group opens with {opens:?}",
            first.seq
        ));
    }
    for pair in viewer.windows(2) {
        if pair[1].seq <= pair[0].seq {
            return Err(format!("{} came after {}", pair[1].seq, pair[0].seq));
        }
    }
    for unit in viewer {
        let Some(original) = published.get(&unit.seq) else {
            return Err(format!("{} was never published", unit.seq));
        };
        let same = (original.group, original.captured_us, original.bytes)
            == (unit.group, unit.captured_us, unit.bytes);
        if !same {
            return Err(format!("published was {original:?}, received {unit:?}"));
        }
    }
    let received: BTreeSet<u64> = viewer.iter().map(|unit| unit.seq).collect();
    let expected: Vec<u64> = published.keys().copied().filter(|seq| *seq >= first.seq).collect();
    let missing: Vec<_> = expected.iter().copied().filter(|seq| !received.contains(seq)).collect();
    Ok(Delivery { expected: expected.len() as u64, received: received.len() as u64, missing })
}

/// Capture to ready in milliseconds, in ascending order, without the first `caught_up` units,
/// which were captured before the viewer had subscribed.
#[must_use]
pub fn latencies(viewer: &[Unit], caught_up: u64) -> Vec<f64> {
    let skip = usize::try_from(caught_up).unwrap_or(usize::MAX);
    sorted(viewer.iter().skip(skip).map(Unit::latency_ms))
}

/// The units captured between two times (seconds after the first capture of `all`).
#[must_use]
pub fn between<'a>(all: &[Unit], units: &'a [Unit], from_s: f64, to_s: f64) -> Vec<&'a Unit> {
    let Some(start) = all.iter().map(|unit| unit.captured_us).min() else { return Vec::new() };
    let inside = |unit: &&Unit| {
        let at = (unit.captured_us - start) as f64 / 1e6;
        (from_s..to_s).contains(&at)
    };
    units.iter().filter(inside).collect()
}

/// In ascending order.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A published unit of a stream with 10 pictures a group, 100 ms apart.
    pub(crate) fn published(seq: u64) -> Unit {
        Unit {
            seq,
            group: seq / 10,
            captured_us: seq as i64 * 100_000,
            ready_us: None,
            encode_us: Some(5_000),
            bytes: 1_000 + seq,
        }
    }

    pub(crate) fn received(seq: u64, latency_ms: i64) -> Unit {
        let original = published(seq);
        let ready_us = Some(original.captured_us + latency_ms * 1000);
        Unit { ready_us, encode_us: None, ..original }
    }

    #[test]
    fn what_is_missing_is_counted_from_the_first_group_on() {
        let publisher: Vec<_> = (0..40).map(published).collect();
        let viewer: Vec<_> =
            (10..40).filter(|seq| *seq != 25).map(|seq| received(seq, 20)).collect();
        let delivery = delivery(&publisher, &viewer).unwrap();
        assert_eq!((delivery.expected, delivery.received), (30, 29));
        assert_eq!(delivery.missing, [25]);
    }

    #[test]
    fn a_viewer_that_claims_too_much_is_found_out() {
        let publisher: Vec<_> = (0..20).map(published).collect();
        let fails = |viewer: &[Unit]| delivery(&publisher, viewer).unwrap_err();
        assert!(fails(&[]).contains("nothing"));
        assert!(fails(&[received(10, 5), received(21, 5)]).contains("never published"));
        assert!(fails(&[received(10, 5), received(10, 5)]).contains("came after"));
        assert!(fails(&[received(3, 5)]).contains("its group opens with Some(0)"));
        let mut altered = received(0, 5);
        altered.bytes += 1;
        assert!(fails(&[altered]).contains("published was"));
        let mut shifted = received(0, 5);
        shifted.captured_us += 1;
        assert!(fails(&[shifted]).contains("published was"));
    }

    #[test]
    fn files_are_read_and_a_torn_last_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.jsonl.watch-1");
        let line = r#"{"track":0,"seq":3,"group":1,"captured_us":10,"ready_us":2010,"bytes":7}"#;
        std::fs::write(&path, format!("{line}\n{{\"track\":0,\"se")).unwrap();
        let units = read(&path);
        assert_eq!(units.len(), 1);
        assert_eq!(units[0].latency_ms(), 2.0);
        assert_eq!(of_demo(&folder.path().join("trace.jsonl"), "watch"), [path]);
    }

    #[test]
    fn caught_up_units_have_no_latency() {
        let viewer = [received(0, 900), received(1, 800), received(2, 30), received(3, 20)];
        assert_eq!(latencies(&viewer, 2), [20.0, 30.0]);
    }
}
