//! Words go through one task, pictures through none: while that task is blocked, pictures flow.

use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::check;
use e2e::fields::Fields;
use e2e::stage::Stage;

use crate::room::{Room, end, playing, wall_us};

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

/// The publisher's own driver: what it feeds to others waits for no word either. A publisher does not
/// tell when it was blocked: at the earliest from its start on, at the latest 22 s after it was ready.
#[test]
fn a_blocked_driver_of_the_publisher_delays_no_picture() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    // Before the publisher, so that no burst of a late joiner is among the gaps.
    let viewer = room.viewer("viewer").ready();
    let publisher = room.publisher("publisher", TEST_PICTURE);
    let publisher = publisher.env("ROOMMATE_TEST_BLOCK_DRIVER", "200x20").ready();
    let blocks_over = wall_us() + 22_000_000;
    viewer.line("twelve seconds without blocks", Duration::from_secs(60), |line| {
        line.find("received").is_some_and(|received| received.as_u64() >= Some(34 * 30))
    });
    end(viewer);
    end(publisher);
    let units = room.trace("viewer");
    let begun = units[0].ready_us.expect("a viewer's unit") + 1_000_000;
    let inside =
        check::longest_gap_ms(&units, |ready| (begun..begun + 18_000_000).contains(&ready));
    let outside = check::longest_gap_ms(&units, |ready| ready >= blocks_over);
    eprintln!("longest gap while it was blocked {inside:.0} ms, afterwards {outside:.0} ms");
    assert!(outside > 0.0 && inside > 0.0, "no pictures at all");
    assert!(inside <= outside + 30.0, "while blocked {inside:.0} ms, afterwards {outside:.0} ms");
}
