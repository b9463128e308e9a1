//! From encoder to decoder over two hops, with writes cut anywhere and parents changed anywhere.

use std::time::Duration;

use proptest::prelude::*;
use roommate_protocol::media::cursor::Cursor;
use roommate_protocol::media::reorder::{Ordered, Reorder};
use roommate_protocol::media::track::{AccessUnit, CutWhy};

use crate::world::{Child, Studio, feed, ms, unit};

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The encoder gives an access unit.
    Publish { keyframe: bool, length: usize },
    /// The first hop takes at most so many bytes.
    Hop(usize),
    /// The second one does.
    Leaf(usize),
    /// The second hop loses its link and asks for what it lacks first.
    Reparent,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (prop::bool::weighted(0.2), 1..12_000_usize)
            .prop_map(|(keyframe, length)| Step::Publish { keyframe, length }),
        8 => (1..9000_usize).prop_map(Step::Hop),
        8 => (1..9000_usize).prop_map(Step::Leaf),
        1 => Just(Step::Reparent),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn with_time_enough_everything_arrives_in_order(
        steps in proptest::collection::vec(any_step(), 1..80),
    ) {
        let mut studio = Studio::new();
        let mut published: Vec<AccessUnit> = Vec::new();
        // Nobody is late in this world: a millisecond passes in all, and three groups fit.
        let (mut hop, mut hop_cursor) = (Child::default(), Cursor::new(feed(None)));
        let (mut leaf, mut leaf_cursor) = (Child::default(), Cursor::new(feed(None)));
        let mut groups = 0;
        for step in steps {
            match step {
                Step::Publish { keyframe, length } => {
                    let keyframe = studio.seq == 0 || (keyframe && groups < 2);
                    groups += u32::from(keyframe);
                    published.push(unit(studio.seq, keyframe, length));
                    studio.publish(keyframe, length, ms(1));
                    // Whoever is there has seen the first keyframe: nobody joins late here.
                    hop_cursor.pull(&studio.cache, ms(1));
                }
                Step::Hop(most) => {
                    let pull = hop_cursor.pull(&studio.cache, ms(1));
                    hop.perform(&mut hop_cursor, pull, most, ms(1));
                    leaf_cursor.pull(&hop.cache, ms(1));
                }
                Step::Leaf(most) => {
                    let pull = leaf_cursor.pull(&hop.cache, ms(1));
                    leaf.perform(&mut leaf_cursor, pull, most, ms(1));
                }
                Step::Reparent => {
                    let Some(lacking) = leaf.cache.lacking() else { continue };
                    leaf.cache.cut_all(CutWhy::Broken, ms(1));
                    let cache = std::mem::take(&mut leaf.cache);
                    leaf = Child::default();
                    leaf.cache = cache;
                    leaf_cursor = Cursor::new(feed(Some(lacking)));
                    leaf_cursor.pull(&hop.cache, ms(1));
                }
            }
        }
        if studio.seq > 0 {
            studio.end(ms(1));
        }
        let mut reorder = Reorder::new(Duration::from_millis(300));
        let mut out = Vec::new();
        for _ in 0..3 {
            hop.drain(&mut hop_cursor, &studio.cache, ms(1));
            leaf.drain(&mut leaf_cursor, &hop.cache, ms(1));
        }
        while let Ordered::Ready(ready) = reorder.pull(&leaf.cache, ms(1)) {
            prop_assert_eq!(ready.access_unit(), published[ready.seq as usize].clone());
            out.push(ready.seq);
        }
        prop_assert_eq!((hop.resets.len(), leaf.resets.len()), (0, 0));
        // The viewer begins with the newest group; from there on nothing is missing.
        let first = published.iter().rposition(|unit| unit.keyframe).unwrap_or_default() as u64;
        prop_assert_eq!(out, (first..studio.seq).collect::<Vec<_>>());
        for mine in leaf.cache.groups() {
            let theirs = studio.cache.group(mine.number()).unwrap();
            prop_assert_eq!(mine.next(), theirs.next());
            prop_assert_eq!((mine.state(), mine.bytes()), (theirs.state(), theirs.bytes()));
        }
    }
}
