//! Words go through one task, pictures through none: while that task is blocked, pictures flow.

use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check;
use e2e::fields::Fields;
use e2e::stage::Stage;

use crate::room::{Room, end, playing};

#[test]
fn a_blocked_driver_delays_no_picture() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    // Twenty blocks of 200 ms, one a second.
    let viewer = room.viewer("viewer").env("ROOMMATE_TEST_BLOCK_DRIVER", "200x20").ready();
    playing(&viewer);
    viewer.line("last block", Duration::from_secs(40), |line| {
        line.find("driver_blocked_us")
            .and_then(|list| list.as_array())
            .is_some_and(|l| l.len() >= 20)
    });
    let ended = end(viewer);
    end(publisher);
    let blocks: Vec<(i64, i64)> = ended
        .summary()
        .list("driver_blocked_us")
        .iter()
        .map(|block| (block.at("0").as_i64().unwrap(), block.at("1").as_i64().unwrap()))
        .collect();
    assert_eq!(blocks.len(), 20);
    assert!(blocks.iter().all(|(from, to)| to - from >= 195_000), "{blocks:?}");
    let units = room.trace("viewer");
    // The late joiner's burst at the start is no gap, and nothing before the first block counts.
    let blocked =
        |ready: i64| blocks.iter().any(|(from, to)| (*from..=*to + 40_000).contains(&ready));
    let first = blocks[0].0;
    let last = blocks[blocks.len() - 1].1 + 1_000_000;
    let inside = check::longest_gap_ms(&units, blocked);
    let outside =
        check::longest_gap_ms(&units, |ready| (first..last).contains(&ready) && !blocked(ready));
    eprintln!("longest gap inside {inside:.0} ms, outside {outside:.0} ms");
    assert!(outside > 0.0 && inside > 0.0, "no pictures at all");
    assert!(inside <= outside + 30.0, "inside the blocks {inside:.0} ms, outside {outside:.0} ms");
}
