//! Planted faults: each is one that the tests of the writer must notice.

use std::time::Duration;

use super::feed::{GOOD, NO_FAULTS, SLOW};
use super::net::{Faults, Quality};
use super::world::{World, sleep};
use crate::link::reader::ReadEnd;
use crate::link::sink::Time as _;

/// The longest delay of nine access units; `None` when not all of them arrived.
async fn delay_with(faults: Faults, seed: u64) -> Option<Duration> {
    let mut world = World::new(seed, Quality { faults, ..GOOD }, None);
    world.studio.key_bytes = 300_000;
    world.publish(9).await;
    sleep(2_000).await;
    let (delay, received) = world.worst_delay();
    (received == 9).then_some(delay)
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_is_told_of_is_noticed() {
    let mut world = World::new(1, GOOD, None);
    world.publish(5).await;
    let appends = world.studio.next();
    world.appended.push(world.net.mono());
    world.ours.append_untold(&appends, world.net.mono());
    sleep(250).await;
    assert_eq!(world.received(), 5, "the fault was not planted");
    sleep(1_000).await;
    let (delay, received) = world.worst_delay();
    assert!(received == 6 && delay >= Duration::from_millis(250), "{delay:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_notice_of_the_gate_is_noticed() {
    let mut lost = Duration::ZERO;
    let mut sound = Duration::ZERO;
    for seed in 0..5 {
        lost += delay_with(Faults { no_gate_notice: true, ..NO_FAULTS }, seed).await.unwrap();
        sound += delay_with(NO_FAULTS, seed).await.unwrap();
    }
    assert!(lost > sound + Duration::from_millis(100), "{lost:?} against {sound:?}");
    // And even then the 20 ms keep the feed alive.
    assert!(lost < 5 * Duration::from_millis(700), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_wake_up_of_a_stream_is_noticed() {
    for seed in 0..5 {
        let lost = delay_with(Faults { no_writable: true, ..NO_FAULTS }, seed).await;
        let sound = delay_with(NO_FAULTS, seed).await.unwrap();
        let noticed = lost.is_none_or(|lost| lost > sound + Duration::from_millis(100));
        assert!(noticed, "{lost:?} against {sound:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_lies_is_noticed() {
    let faults = Faults { gate_lies: true, ..NO_FAULTS };
    let mut world = World::new(1, Quality { faults, ..SLOW }, None);
    world.publish(20).await;
    assert!(!world.net.offences().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_takes_bytes_and_waits_is_noticed() {
    let faults = Faults { takes_and_waits: true, ..NO_FAULTS };
    let mut world = World::new(1, Quality { faults, ..GOOD }, None);
    world.publish(20).await;
    let news = world.news.try_recv().unwrap();
    assert!(matches!(news.report.end, ReadEnd::Refused(_)), "{news:?}");
    assert!(world.theirs.reads().refused > 0);
}
