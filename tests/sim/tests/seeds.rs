//! Five hundred stories, and a proof that each kind of fault would have been seen.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use sim::scenario::Story;
use sim::world::Fault;

const SEEDS: u64 = 500;
/// What they may cost. Time of the processor, not of the day: a busy machine makes no difference.
const CPU_MAX: Duration = Duration::from_secs(60);

/// What this thread has had of the processor.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

fn live(seed: u64, fault: Option<Fault>) -> Result<(), String> {
    let mut story = Story::new(seed);
    if let Some(fault) = fault {
        story.plant(fault);
    }
    story.live().map(drop)
}

/// `SEED=17 TRACE=1 cargo test -p sim one_story` prints the timeline of one.
#[test]
fn five_hundred_stories_end_well() {
    let chosen = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds: Vec<u64> = chosen.map_or_else(|| (0..SEEDS).collect(), |seed| vec![seed]);
    let halves: Vec<(Vec<String>, Duration)> = std::thread::scope(|scope| {
        let halves = seeds.chunks(seeds.len().div_ceil(2));
        let halves: Vec<_> = halves
            .map(|half| {
                scope.spawn(move || {
                    let fails = |seed: &u64| {
                        live(*seed, None).err().map(|why| format!("seed {seed}: {why}"))
                    };
                    (half.iter().filter_map(fails).collect(), cpu_time())
                })
            })
            .collect();
        halves.into_iter().map(|half| half.join().unwrap()).collect()
    });
    let cpu: Duration = halves.iter().map(|(_, cpu)| *cpu).sum();
    let wrong: Vec<String> = halves.into_iter().flat_map(|(wrong, _)| wrong).collect();
    println!("{} stories in {cpu:.1?} of one processor", seeds.len());
    assert!(
        wrong.is_empty(),
        "{} of {} went wrong:\n{}",
        wrong.len(),
        seeds.len(),
        wrong.join("\n")
    );
    assert!(cpu < CPU_MAX, "{} stories took {cpu:.1?} of one processor", seeds.len());
}

#[track_caller]
fn is_seen(fault: Fault, words: &str) {
    let seen =
        (0..40).filter_map(|seed| live(seed, Some(fault)).err()).find(|why| why.contains(words));
    assert!(seen.is_some(), "{fault:?} went unseen in forty stories");
}

#[test]
fn an_altered_piece_is_seen() {
    is_seen(Fault::PieceAltered, "never published");
}

#[test]
fn writing_ahead_of_the_network_is_seen() {
    is_seen(Fault::GateIgnored, "unsent");
}

#[test]
fn a_third_open_stream_is_seen() {
    is_seen(Fault::StaleKept, "streams are open");
}

#[test]
fn another_order_is_seen() {
    is_seen(Fault::OrderSwapped, "after");
}

#[test]
fn a_missing_picture_is_seen() {
    is_seen(Fault::PictureDropped, "came");
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    let tell = |seed| {
        let mut story = Story::new(seed);
        let world = story.live().unwrap();
        world.viewers.iter().flat_map(|viewer| viewer.shown.clone()).collect::<Vec<_>>()
    };
    assert!(!tell(11).is_empty());
    assert_eq!(tell(11), tell(11));
    assert_ne!(tell(11), tell(12));
}
