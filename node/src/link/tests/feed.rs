//! The writer: nothing late that need not be, nothing ahead of the network, no end unmeant.

use std::collections::BTreeSet;
use std::time::Duration;

use roommate_protocol::limits::{UNSENT_BYTES_MAX, WRITE_BYTES_MAX};
use roommate_protocol::media::group::{Group, GroupState, Unit};
use roommate_protocol::media::track::Over;
use roommate_protocol::time::Wall;
use roommate_protocol::wire::code::StreamCode;

use super::net::{Faults, Quality};
use super::world::{World, sleep};
use crate::link::accept::STREAMS_MAX;
use crate::link::reader::HEADER_TIME_MAX;
use crate::link::sink::{MediaSink as _, Time as _};
use crate::link::writer::FeedEnd;

pub(super) const GOOD: Quality =
    Quality { bytes_per_ms: 8_000, stalls_percent: 20, faults: Faults { ..NO_FAULTS } };
pub(super) const NO_FAULTS: Faults =
    Faults { no_gate_notice: false, no_writable: false, gate_lies: false, takes_and_waits: false };
/// 2 Mbit/s under about 2.5.
pub(super) const SLOW: Quality = Quality { bytes_per_ms: 250, ..GOOD };

#[tokio::test(start_paused = true)]
async fn everything_arrives_in_time_whatever_the_schedule() {
    for seed in 0..20 {
        let mut world = World::new(seed, GOOD, None);
        world.publish(25).await;
        sleep(100).await;
        let (delay, received) = world.worst_delay();
        // A stall of up to 8 ms in one of five writes of up to 8 KiB; a keyframe has 60 KB.
        assert!(delay < Duration::from_millis(250), "seed {seed}: {delay:?}");
        assert_eq!((received, world.received()), (25, 25), "seed {seed}");
        let sent = world.stats.snapshot();
        assert_eq!((sent.sent, sent.skipped, sent.reset), (25, 0, 0), "seed {seed}");
        assert_eq!(world.net.offences(), [""; 0], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_ahead_of_a_slow_network_and_the_newest_wins() {
    for seed in 0..5 {
        let mut world = World::new(seed, SLOW, None);
        world.publish(300).await;
        let sent = world.stats.snapshot();
        assert_eq!(world.net.offences(), [""; 0], "seed {seed}");
        assert!(sent.max_write <= WRITE_BYTES_MAX as u64 && sent.max_write > 4096, "{sent:?}");
        assert!(sent.max_unsent < UNSENT_BYTES_MAX as u64, "{sent:?}");
        assert!(sent.reset > 0 && sent.reset_streams > 0, "{sent:?}");
        // Every access unit is accounted for, but those of the two groups in hand.
        let settled = sent.sent + sent.reset + sent.skipped;
        assert!((281..=300).contains(&settled), "seed {seed}: {sent:?}");
        assert!(world.received() > 285, "seed {seed}: {} of 300", world.received());
        let resets = world.net.resets();
        assert!(resets.iter().all(|(_, code)| *code == StreamCode::Stale), "{resets:?}");
        // What was reset does not keep the gate closed, nor hold it open for more.
        let (too_much, too_little) = world.net.misjudged();
        assert!(too_much < 2048 && too_little == 0, "{too_much} {too_little}");
    }
}

/// A keyframe takes 600 ms, and there is a new one each 330.
#[tokio::test(start_paused = true)]
async fn keyframes_slower_than_their_groups_arrive_one_after_the_other() {
    for seed in 0..5 {
        let mut world = World::new(seed, Quality { bytes_per_ms: 100, ..SLOW }, None);
        let mut whole = BTreeSet::new();
        for _ in 0..300 {
            world.publish(1).await;
            world.theirs.look(|cache| {
                let first = |group: &Group| group.units().next().and_then(Unit::completed_at);
                whole.extend(cache.groups().filter(|g| first(g).is_some()).map(Group::number));
            });
        }
        assert_eq!(world.net.offences(), [""; 0], "seed {seed}");
        assert!((11..=17).contains(&whole.len()), "seed {seed}: {whole:?}");
        // Left, not reset: what was written of each has arrived.
        assert!(world.net.finished().len() + 1 >= whole.len(), "{:?}", world.net.finished());
        let (too_much, _) = world.net.misjudged();
        assert!(too_much < 2048, "seed {seed}: {too_much}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_newest_groups_bytes_leave_before_the_older_ones() {
    let mut world = World::new(3, Quality { stalls_percent: 0, ..SLOW }, None);
    world.publish(60).await;
    let left = world.net.left();
    assert!(left.iter().all(|(_, overtook)| !overtook), "{left:?}");
    // The older stream's bytes go while the newest has none, and only then.
    let steps_back = left.windows(2).filter(|pair| pair[0].0 > pair[1].0).count();
    assert!(steps_back > 0, "no older stream was ever left to finish");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_child_collects_nothing_and_sees_the_newest_when_it_wakes() {
    let mut world = World::new(1, GOOD, None);
    world.publish(15).await;
    world.net.freeze(true);
    world.publish(60).await;
    let during = world.net.written();
    world.publish(300).await;
    // A keyframe that stood still is given up in the end, and what of it had not left is taken back.
    assert!(world.net.written() <= during, "written into a stopped child");
    let before = world.received();
    world.net.freeze(false);
    sleep(200).await;
    world.publish(5).await;
    sleep(100).await;
    assert!(before < 40 && world.received() == 380, "{before}, {}", world.received());
    assert_eq!(world.net.offences(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_at_any_moment_resets_what_is_open_with_its_code() {
    for seed in 0..60 {
        let mut world = World::new(seed, SLOW, None);
        world.publish(seed % 23).await;
        sleep(seed % 7).await;
        world.cancel.cancel(StreamCode::Cancelled);
        world.cancel.cancel(StreamCode::Lost);
        let end = tokio::time::timeout(Duration::from_millis(1), &mut world.writer).await;
        let end = end.expect("at once, also inside a write").unwrap();
        assert_eq!(end, FeedEnd::Cancelled(StreamCode::Cancelled), "seed {seed}");
        assert!(world.stats.is_over());
        let over = world.net.resets().len() + world.net.finished().len();
        assert_eq!(over as u64, world.net.opened(), "seed {seed}: every stream has an end");
        let finished = world.net.finished();
        assert!(finished.len() as u64 <= seed % 23 / 10, "seed {seed}: {finished:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_writer_finishes_nothing() {
    let mut world = World::new(2, SLOW, None);
    world.publish(5).await;
    world.writer.abort();
    sleep(5).await;
    assert_eq!(world.net.resets(), [(0, StreamCode::Cancelled)]);
    assert!(world.net.finished().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_feed_ends_with_the_ticket() {
    let mut world = World::new(2, GOOD, Some(Wall::from_micros(500_000)));
    world.publish(10).await;
    assert!(!world.writer.is_finished());
    world.publish(10).await;
    assert_eq!((&mut world.writer).await.unwrap(), FeedEnd::TicketEnded);
    assert!((14..=16).contains(&world.received()), "{}", world.received());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_track_is_sent_and_ends_the_feed() {
    let mut world = World::new(4, GOOD, None);
    world.publish(15).await;
    let end = world.studio.end();
    world.ours.append(&[end], world.net.mono());
    assert_eq!((&mut world.writer).await.unwrap(), FeedEnd::Over(Over::Finished));
    sleep(50).await;
    assert_eq!(world.theirs.look(|cache| cache.over()), Some(Over::Finished));
    assert_eq!(world.net.finished(), [0, 1]);
    // A retracted one is reset.
    let mut world = World::new(5, SLOW, None);
    world.publish(5).await;
    world.ours.close(Over::Retracted, world.net.mono());
    assert_eq!((&mut world.writer).await.unwrap(), FeedEnd::Over(Over::Retracted));
    assert_eq!(world.net.resets(), [(0, StreamCode::Lost)]);
}

#[tokio::test(start_paused = true)]
async fn a_child_that_stops_a_stream_gets_the_next_group_unless_it_is_gone() {
    let mut world = World::new(6, GOOD, None);
    world.publish(5).await;
    world.net.stop_all(StreamCode::Gap);
    world.publish(10).await;
    sleep(50).await;
    assert_eq!(world.received(), 15);
    world.net.stop_all(StreamCode::Gone);
    world.publish(1).await;
    assert_eq!((&mut world.writer).await.unwrap(), FeedEnd::Unsubscribed);
}

#[tokio::test(start_paused = true)]
async fn a_late_child_asks_for_a_keyframe_once_a_second() {
    let mut world = World::new(7, GOOD, None);
    world.studio.gop = 1_000_000;
    world.publish(20).await;
    assert!(world.keyframes_wanted.try_recv().is_err());
    world.net.freeze(true);
    let mut asked = 0;
    for _ in 0..100 {
        world.publish(1).await;
        asked += u32::from(world.keyframes_wanted.try_recv().is_ok());
    }
    assert!((2..=4).contains(&asked), "{asked} in 3.3 s");
}

#[tokio::test(start_paused = true)]
async fn no_reader_outlives_the_one_that_accepts() {
    let mut world = World::new(8, GOOD, None);
    world.publish(5).await;
    assert!(world.theirs.look(|cache| cache.newest().map(|g| g.state())) == Some(GroupState::Open));
    world.stop_reading.cancel();
    assert_eq!((&mut world.accepting).await.unwrap(), 0);
    let state = world.theirs.look(|cache| cache.newest().map(|group| group.state()));
    assert!(matches!(state, Some(GroupState::Cut { .. })), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_bound_are_stopped_and_counted() {
    let mut world = World::new(9, GOOD, None);
    let mut held = Vec::new();
    for _ in 0..STREAMS_MAX + 5 {
        held.push(world.net.open().await.unwrap());
    }
    sleep(1).await;
    // The feed beside them finds every place taken, until the silent ones are given up.
    world.publish(1).await;
    assert_eq!(world.received(), 0);
    tokio::time::sleep(HEADER_TIME_MAX).await;
    world.publish(10).await;
    assert_eq!(world.received(), 11);
    world.stop_reading.cancel();
    assert_eq!((&mut world.accepting).await.unwrap(), 6);
}

#[tokio::test(start_paused = true)]
async fn two_tracks_on_one_link_share_its_gate() {
    let mut world = World::new(10, Quality { stalls_percent: 60, ..SLOW }, None);
    let second = world.another_writer();
    world.publish(60).await;
    assert_eq!(world.net.offences(), [""; 0]);
    let (first, second) = (world.stats.snapshot(), second.snapshot());
    assert!(first.bytes > 50_000 && second.bytes > 50_000, "{first:?} {second:?}");
}
