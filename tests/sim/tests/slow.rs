//! Lines slower than the stream, down to those that take seconds for one keyframe: what is seen of
//! it, and how late. Prints the table of `docs/decisions/begun-keyframe.md`.

use std::collections::BTreeSet;
use std::time::Duration;

use sim::net::Line;
use sim::viewer::Shown;
use sim::world::{Fault, Happening, Parent, World};

const MS: Duration = Duration::from_millis(1);

/// One line, and what was published over it.
struct Case {
    name: &'static str,
    /// kB a second.
    rate: u64,
    loss_ppm: u32,
    /// Between two keyframes.
    group_ms: u32,
}

/// What a viewer saw in a minute.
#[derive(Debug)]
struct Figures {
    /// Groups that were published.
    groups: usize,
    /// Of how many of them there was a picture, in percent.
    groups_seen: usize,
    /// Pictures that were shown, in percent.
    pictures_seen: usize,
    p50: Duration,
    p95: Duration,
    /// The longest time without a new picture.
    gap: Duration,
}

/// What must be seen of a case at least, and how late it may be at most.
struct Bounds {
    groups_seen: usize,
    gap: Duration,
    p95: Duration,
}

fn percentile(shown: &[Shown], percent: usize) -> Duration {
    let mut latencies: Vec<_> = shown.iter().map(Shown::latency).collect();
    latencies.sort_unstable();
    latencies.get(latencies.len() * percent / 100).copied().unwrap_or(Duration::MAX)
}

fn figures(world: &World) -> Figures {
    let shown = &world.viewers[0].shown;
    let seen: BTreeSet<_> = shown.iter().map(|shown| shown.group).collect();
    let groups = world.source.originals.values().filter(|unit| unit.keyframe).count();
    let mut last = world.link_of(0).expect("it has joined").since;
    let mut gap = Duration::ZERO;
    for ready in shown.iter().map(|shown| shown.ready).chain([world.now]) {
        gap = gap.max(ready.since(last));
        last = ready;
    }
    Figures {
        groups,
        groups_seen: 100 * seen.len() / groups,
        pictures_seen: 100 * shown.len() / world.source.originals.len(),
        p50: percentile(shown, 50),
        p95: percentile(shown, 95),
        gap,
    }
}

fn watch(case: &Case, fault: Option<Fault>) -> Figures {
    let mut world = World::new(3, 1, MS * case.group_ms, 300 * MS);
    if let Some(fault) = fault {
        world.plant(fault);
    }
    let rate = case.rate * 1_000;
    let line = Line {
        rate: Some(rate),
        queue_bytes: (rate / 10).max(6_000),
        loss_ppm: case.loss_ppm,
        ..Line::clean(20 * MS)
    };
    world.after(Duration::ZERO, Happening::Join(0, Parent::Publisher, line));
    world.run_for(60_000 * MS).expect("the oracle sees nothing wrong");
    let it = figures(&world);
    eprintln!(
        "| {} | {} % of {} | {} % | {} | {} | {} |",
        case.name,
        it.groups_seen,
        it.groups,
        it.pictures_seen,
        it.p50.as_millis(),
        it.p95.as_millis(),
        it.gap.as_millis()
    );
    it
}

fn holds(it: &Figures, least: &Bounds) -> bool {
    it.groups_seen >= least.groups_seen && it.gap <= least.gap && it.p95 <= least.p95
}

const fn case(name: &'static str, rate: u64, group_ms: u32) -> Case {
    Case { name, rate, loss_ppm: 0, group_ms }
}

fn bounds(groups_seen: usize, gap: u32, p95: u32) -> Bounds {
    Bounds { groups_seen, gap: MS * gap, p95: MS * p95 }
}

/// A keyframe takes 200 to 400 ms on the first of these lines, and 2 to 4 s on the last.
#[test]
fn however_slow_the_line_one_keyframe_after_the_other_is_seen() {
    let mut lossy = case("56 kB/s, 333 ms, 3 % loss", 56, 333);
    lossy.loss_ppm = 30_000;
    for (case, least) in [
        (case("101 kB/s, 1 s", 101, 1_000), bounds(97, 1_000, 700)),
        (case("90 kB/s, 333 ms", 90, 333), bounds(70, 1_500, 1_300)),
        (case("70 kB/s, 333 ms", 70, 333), bounds(60, 1_500, 1_600)),
        (case("56 kB/s, 333 ms", 56, 333), bounds(50, 1_200, 1_900)),
        (case("56 kB/s, 1 s", 56, 1_000), bounds(95, 1_200, 1_100)),
        (lossy, bounds(45, 1_200, 2_000)),
        (case("40 kB/s, 1 s", 40, 1_000), bounds(93, 1_500, 2_500)),
        (case("30 kB/s, 333 ms", 30, 333), bounds(28, 2_000, 3_300)),
        (case("30 kB/s, 1 s", 30, 1_000), bounds(80, 2_000, 3_700)),
        (case("10 kB/s, 1 s", 10, 1_000), bounds(28, 5_000, 9_500)),
    ] {
        let it = watch(&case, None);
        assert!(holds(&it, &least), "{}: {it:?}", case.name);
    }
}

/// Where a keyframe fits into its group's time, the rule that one under way is finished changes
/// nothing.
#[test]
fn a_line_that_has_time_for_every_keyframe_is_as_late_as_ever() {
    for (case, least) in [
        (case("300 kB/s, 333 ms", 300, 333), bounds(99, 300, 200)),
        (case("150 kB/s, 333 ms", 150, 333), bounds(95, 700, 520)),
    ] {
        let it = watch(&case, None);
        assert!(holds(&it, &least), "{}: {it:?}", case.name);
    }
}

#[test]
fn a_newest_keyframe_that_always_replaces_the_one_under_way_is_seen() {
    let case = case("56 kB/s, 333 ms", 56, 333);
    let it = watch(&case, Some(Fault::KeyframeReplaced));
    assert!(!holds(&it, &bounds(50, 1_200, 1_900)), "{it:?}");
    assert!(it.groups_seen < 5 && it.gap >= 20_000 * MS, "{it:?}");
}
