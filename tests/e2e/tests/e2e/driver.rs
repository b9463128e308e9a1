//! Words go through one task, pictures through none: while that task is blocked, pictures flow.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check;
use e2e::fields::Fields;
use e2e::process::{Ended, Process};
use e2e::stage::Stage;
use e2e::trace::Unit;

use crate::room::{Room, end, playing};

/// A picture that is made so long after the one before, at 30 a second, is late by the publisher's
/// own doing.
const LATE_US: i64 = 60_000;

/// Twenty blocks of 200 ms, one a second.
const HOOK: (&str, &str) = ("ROOMMATE_TEST_BLOCK_DRIVER", "200x20");

#[test]
fn a_blocked_driver_delays_no_picture() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let viewer = room.viewer("viewer").env(HOOK.0, HOOK.1).ready();
    playing(&viewer);
    last_block(&viewer);
    let ended = end(viewer);
    end(publisher);
    // Whatever the publisher was late with is none of the viewer's driver.
    let published = room.trace("publisher");
    let made = |unit: &Unit| unit.captured_us + unit.encode_us.unwrap_or_default() as i64;
    let late = published.windows(2).filter(|pair| made(&pair[1]) - made(&pair[0]) > LATE_US);
    let late = late.map(|pair| pair[1].seq).collect();
    no_longer_gap_inside(&ended, &room.trace("viewer"), &late);
}

/// What a publisher feeds to others waits for no word of its own either.
#[test]
fn a_blocked_driver_of_the_publisher_delays_no_picture() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).env(HOOK.0, HOOK.1).ready();
    let viewer = room.viewer("viewer").ready();
    playing(&viewer);
    last_block(&publisher);
    end(viewer);
    let ended = end(publisher);
    // The encoder alone is left out: it waits for nobody, so its time is the machine's.
    let published = room.trace("publisher");
    let late = published.iter().filter(|unit| unit.encode_us > Some(LATE_US as u64));
    let late = late.map(|unit| unit.seq).collect();
    no_longer_gap_inside(&ended, &room.trace("viewer"), &late);
}

/// Waits until the process has told of its last block, and of a second after it.
#[track_caller]
fn last_block(process: &Process) {
    process.line("last block", Duration::from_secs(60), |line| {
        line.find("driver_blocked_us")
            .and_then(|list| list.as_array())
            .is_some_and(|blocks| blocks.len() >= 20)
    });
    process.next("further line", Duration::from_secs(5), |_| true);
}

/// When the driver stood still, by the broadcast's clock and the process's own word.
#[track_caller]
fn blocks(ended: &Ended) -> Vec<(i64, i64)> {
    let blocks: Vec<(i64, i64)> = ended
        .summary()
        .list("driver_blocked_us")
        .iter()
        .map(|block| (block.count("0") as i64, block.count("1") as i64))
        .collect();
    assert_eq!(blocks.len(), 20);
    assert!(blocks.iter().all(|(from, to)| to - from >= 195_000), "{blocks:?}");
    blocks
}

/// Compares the viewer's gaps while `blocked` stood still with those in between, without those before
/// the pictures that the publisher made `late`: those are few.
#[track_caller]
fn no_longer_gap_inside(blocked: &Ended, viewer: &[Unit], late: &BTreeSet<u64>) {
    assert!(late.len() * 4 <= viewer.len(), "{} of {} pictures late", late.len(), viewer.len());
    let blocks = blocks(blocked);
    // A late joiner's burst at its start is no gap, and before its first picture nobody waits.
    let joined = viewer.first().and_then(|unit| unit.ready_us).expect("pictures") + 500_000;
    let seen: Vec<_> = blocks.iter().filter(|(from, _)| *from >= joined).collect();
    assert!(seen.len() >= 15, "only {} blocks while somebody watched", seen.len());
    // A gap is a block's if any part of it is: one that begins before the block too.
    let blocked = |from: i64, to: i64| seen.iter().any(|block| from < block.1 && block.0 < to);
    let span = seen[0].0..seen[seen.len() - 1].1 + 1_000_000;
    let longest = |inside: bool| {
        check::longest_gap_ms(viewer, |unit, from, to| {
            !late.contains(&unit.seq) && span.contains(&to) && blocked(from, to) == inside
        })
    };
    let (inside, outside) = (longest(true), longest(false));
    eprintln!("longest gap inside {inside:.0} ms, outside {outside:.0} ms");
    assert!(outside > 0.0 && inside > 0.0, "no pictures at all");
    assert!(outside <= 250.0, "{outside:.0} ms without a picture, and nothing was blocked");
    assert!(inside <= outside + 30.0, "inside the blocks {inside:.0} ms, outside {outside:.0} ms");
}
