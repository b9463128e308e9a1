//! What must be true of the world after every step, and at the end of its story. Says the first
//! thing that is not.
//!
//! That nothing is shown but what was published is checked where it is shown.

use std::time::Duration;

use roommate_protocol::limits::{
    ACCESS_UNIT_BYTES_MAX, CACHE_GROUPS_MAX, UNSENT_BYTES_MAX, WRITE_BYTES_MAX,
};
use roommate_protocol::media::cache::{CACHE_BYTES_MAX, TrackCache};
use roommate_protocol::time::Mono;

use crate::feed::Feed;
use crate::source::{BYTES_PER_S, KEYFRAME_BYTES_MAX};
use crate::viewer::{Shown, Viewer};
use crate::world::{Edge, Parent, World};

/// Streams that a cursor may have open.
const STREAMS_MAX: usize = 2;

/// Looks at everything that holds always.
///
/// # Errors
/// The first thing that does not.
pub fn look(world: &World) -> Result<(), String> {
    cache_is_bounded("the publisher", &world.source.cache)?;
    for (number, viewer) in world.viewers.iter().enumerate() {
        cache_is_bounded(&format!("viewer {number}"), &viewer.cache)?;
    }
    for edge in &world.edges {
        writer_keeps_bounds(&edge.feed, edge.child)?;
    }
    Ok(())
}

/// Whether a cache keeps its bounds.
///
/// # Errors
/// How it does not.
pub fn cache_is_bounded(whose: &str, cache: &TrackCache) -> Result<(), String> {
    let (bytes, groups) = (cache.bytes(), cache.groups().count());
    if bytes > CACHE_BYTES_MAX + ACCESS_UNIT_BYTES_MAX {
        return Err(format!("the cache of {whose} holds {bytes} bytes"));
    }
    if groups > CACHE_GROUPS_MAX {
        return Err(format!("the cache of {whose} holds {groups} groups"));
    }
    Ok(())
}

/// Looks at what a viewer is about to show, behind what it showed last.
///
/// # Errors
/// How it is out of order.
pub fn follows(number: usize, last: Option<&Shown>, next: &Shown) -> Result<(), String> {
    let Some(last) = last else { return Ok(()) };
    if next.seq <= last.seq {
        return Err(format!("viewer {number} shows {} after {}", next.seq, last.seq));
    }
    if next.ready < last.ready {
        return Err(format!("viewer {number}: {} was ready before {}", next.seq, last.seq));
    }
    Ok(())
}

/// Whether the writer of this child has kept its bounds so far.
///
/// # Errors
/// How it has not.
pub fn writer_keeps_bounds(feed: &Feed, child: usize) -> Result<(), String> {
    let facts = feed.facts;
    if facts.open_max > STREAMS_MAX || feed.cursor.streams().count() > STREAMS_MAX {
        return Err(format!("{} streams are open to viewer {child}", facts.open_max));
    }
    if facts.unsent_max >= UNSENT_BYTES_MAX as u64 {
        return Err(format!(
            "{} bytes were unsent when viewer {child} was written to",
            facts.unsent_max
        ));
    }
    if facts.write_max > WRITE_BYTES_MAX {
        return Err(format!("a write of {} bytes to viewer {child}", facts.write_max));
    }
    if facts.endless > 0 {
        return Err(format!("the cursor of viewer {child} turns in a circle"));
    }
    Ok(())
}

/// What a story's viewer was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Every picture from the first one on, and soon: nothing befell it or who feeds it.
    Everything,
    /// Live pictures in the end, and none out of all proportion late.
    Live,
    /// Nothing but what holds always: it was killed, or fed by a liar.
    Nothing,
}

/// Looks at a viewer at the end of a story that ended in a calm of at least `calm`.
///
/// # Errors
/// How the promise was broken.
pub fn judge(world: &World, viewer: usize, promise: Promise, calm: Duration) -> Result<(), String> {
    if promise == Promise::Nothing {
        return Ok(());
    }
    let it = &world.viewers[viewer];
    let link = world.link_of(viewer).ok_or(format!("viewer {viewer} has no link"))?;
    let late_max = latency_max(world, link);
    let last = it.shown.last().ok_or(format!("viewer {viewer} saw nothing"))?;
    let silence = world.now.since(last.captured);
    // Where a group was given up, nothing can be shown before the next keyframe.
    let skipped = match promise {
        Promise::Live => world.source.group_time() + world.latency,
        _ => Duration::ZERO,
    };
    if silence > (late_max + skipped).min(calm) {
        return Err(format!(
            "viewer {viewer} saw nothing of the last {silence:?} (at most {late_max:?})"
        ));
    }
    if promise == Promise::Live {
        return Ok(());
    }
    let live = |shown: &&Shown| shown.captured >= link.since;
    if let Some(late) = it.shown.iter().filter(live).find(|shown| shown.latency() > late_max) {
        return Err(format!("viewer {viewer}: {} came after {:?}", late.seq, late.latency()));
    }
    if it.gaps() > 0 {
        return Err(format!("viewer {viewer} misses {} pictures", it.gaps()));
    }
    everything_came(world, it).map_err(|wrong| format!("viewer {viewer}: {wrong}"))
}

fn everything_came(world: &World, viewer: &Viewer) -> Result<(), String> {
    let first = viewer.shown.first().map_or(0, |shown| shown.seq);
    let opens = world.source.originals.get(&first).is_some_and(|unit| unit.keyframe);
    if !opens {
        return Err(format!("it began with {first}, which is no keyframe"));
    }
    let last = viewer.shown.last().map_or(0, |shown| shown.seq);
    let came = viewer.shown.len() as u64;
    if came != last - first + 1 {
        return Err(format!("{came} of {first} to {last} came"));
    }
    Ok(())
}

/// The longest that a picture may take to a child on this link, whatever befell single packets.
#[must_use]
pub fn latency_max(world: &World, link: &Edge) -> Duration {
    let line = link.pipe.line();
    // A packet lost four times in a row is the end of a long chance; three of them one behind the
    // other are beyond all stories told here.
    let network = link.pipe.patience() * 6 + line.longest();
    let before = match link.parent {
        Parent::Publisher => Duration::ZERO,
        Parent::Viewer(parent) => {
            world.link_of(parent).map_or(Duration::ZERO, |link| latency_max(world, link))
        }
    };
    let own = match line.rate {
        // Slower than the stream: a group is given up when the next one is there and it is late.
        Some(rate) if rate < BYTES_PER_S * 2 => {
            let keyframe = Duration::from_micros(KEYFRAME_BYTES_MAX * 1_000_000 / rate);
            world.source.group_time() + world.latency + keyframe * 3 + network
        }
        _ => network + Duration::from_millis(200),
    };
    before + own
}

/// How long after its subscription a viewer's first picture was ready.
#[must_use]
pub fn first_picture(world: &World, viewer: usize) -> Option<Duration> {
    let since: Mono = world.edges.iter().find(|edge| edge.child == viewer)?.since;
    world.viewers[viewer].shown.first().map(|shown| shown.ready.since(since))
}
