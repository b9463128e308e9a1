//! Sound on its way: a group a second, never a request for a keyframe, whole at the other end.

use std::time::Duration;

use bytes::Bytes;
use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::cursor::Cursor;
use roommate_protocol::media::publish::TrackPublisher;
use roommate_protocol::media::pull::{Feed, Medium, Pull};
use roommate_protocol::media::track::{AccessUnit, Append};

use crate::world::{feed, ms, signer};

/// Opus packets of 20 ms, 48,000 ticks a second.
fn packet(number: i64) -> AccessUnit {
    AccessUnit {
        pts: number * 960,
        decode_offset: 0,
        captured_us: number * 20_000,
        keyframe: true,
        data: Bytes::from(vec![number as u8; 120]),
    }
}

fn groups(appends: &[Append]) -> Vec<(u64, u64)> {
    let begins = |append: &Append| match append {
        Append::Unit { group, unit } if unit.head().keyframe => Some((*group, unit.head().seq)),
        _ => None,
    };
    appends.iter().filter_map(begins).collect()
}

#[test]
fn a_group_holds_a_second_of_packets_that_all_decode_alone() {
    let mut publisher = TrackPublisher::sound(signer(), 48_000);
    let appends: Vec<Append> =
        (0..150).flat_map(|number| publisher.publish(&packet(number)).unwrap()).collect();
    assert_eq!(groups(&appends), [(0, 0), (1, 50), (2, 100)]);
    let ends = appends.iter().filter(|append| matches!(append, Append::End { .. })).count();
    assert_eq!((ends, publisher.counts().keyframes), (2, 3));
}

#[test]
fn a_pause_and_a_jump_back_begin_a_group() {
    let mut publisher = TrackPublisher::sound(signer(), 48_000);
    let numbers = [0, 1, 200, 201, 3, 4];
    let appends: Vec<Append> =
        numbers.iter().flat_map(|number| publisher.publish(&packet(*number)).unwrap()).collect();
    assert_eq!(groups(&appends), [(0, 0), (1, 2), (2, 4)]);
}

#[test]
fn a_child_that_is_late_asks_for_pictures_and_never_for_sound() {
    let mut publisher = TrackPublisher::sound(signer(), 48_000);
    let mut cache = TrackCache::new();
    let mut cursors =
        [Medium::Pictures, Medium::Sound].map(|medium| Cursor::new(Feed { medium, ..feed(None) }));
    for append in publisher.publish(&packet(0)).unwrap() {
        cache.append(&append, ms(0));
    }
    // The first lane catches up, and asks for nothing while it does: past that.
    for cursor in &mut cursors {
        while let Pull::Write(offers) = cursor.pull(&cache, ms(0)) {
            let bytes = offers[0].chunks.iter().map(Bytes::len).sum();
            cursor.wrote(offers[0].stream, bytes);
        }
    }
    for append in publisher.publish(&packet(1)).unwrap() {
        cache.append(&append, ms(1));
    }
    let late = ms(1) + Duration::from_secs(2);
    let wants = cursors.each_mut().map(|cursor| {
        cursor.pull(&cache, late);
        cursor.wants_keyframe(&cache, late)
    });
    assert_eq!(wants, [true, false]);
}
