//! Five hundred stories, and a proof that each kind of fault would have been seen.

use std::time::Instant;

use sim::scenario::Story;
use sim::world::Fault;

const SEEDS: u64 = 500;

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
    let start = Instant::now();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let halves = seeds.chunks(seeds.len().div_ceil(2));
        let halves: Vec<_> = halves
            .map(|half| {
                scope.spawn(move || {
                    let fails = |seed: &u64| {
                        live(*seed, None).err().map(|why| format!("seed {seed}: {why}"))
                    };
                    half.iter().filter_map(fails).collect::<Vec<_>>()
                })
            })
            .collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    println!("{} stories in {:?}", seeds.len(), start.elapsed());
    assert!(
        wrong.is_empty(),
        "{} of {} went wrong:\n{}",
        wrong.len(),
        seeds.len(),
        wrong.join("\n")
    );
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
