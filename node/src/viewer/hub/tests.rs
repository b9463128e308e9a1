//! Where pages begin, what they skip, what is kept and what is copied for them.

use super::*;

fn unit(keyframe: bool, data: &[u8]) -> ViewUnit {
    ViewUnit {
        seq: 0,
        group: 0,
        pts: 0,
        decode_offset: 0,
        captured_us: 0,
        ready_us: 0,
        keyframe,
        data: Bytes::copy_from_slice(data),
    }
}

/// A track with `groups` of `count` units, one each 33 ms; a unit is its group and number.
fn filled(groups: u8, count: u8) -> Track {
    let mut track = Track::new(90_000);
    for group in 0..groups {
        for number in 0..count {
            let at = (u64::from(group) * u64::from(count) + u64::from(number)) * 33_000;
            track.push(at, unit(number == 0, &[group, number]));
        }
    }
    track
}

/// Everything that a page gets now, without its head.
fn drain(track: &mut Track, place: &mut Place) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| track.next(place).map(|kept| kept.unit.data.to_vec())).collect()
}

#[test]
fn a_late_page_begins_with_the_running_groups_keyframe() {
    let mut track = filled(3, 4);
    let got = drain(&mut track, &mut Place::default());
    assert_eq!(got, [[2, 0], [2, 1], [2, 2], [2, 3]]);
}

#[test]
fn a_page_that_is_close_behind_gets_the_end_of_the_last_group() {
    let mut track = filled(2, 4);
    let mut place = Place { group: 1, next: 2 };
    let got = drain(&mut track, &mut place);
    assert_eq!(got, [[0, 2], [0, 3], [1, 0], [1, 1], [1, 2], [1, 3]]);
}

#[test]
fn a_slow_page_skips_to_the_newest_keyframe() {
    let mut track = filled(2, 40);
    let mut place = Place { group: 1, next: 2 };
    assert_eq!(drain(&mut track, &mut place)[0], [1, 0][..]);
    let mut track = filled(5, 4);
    assert_eq!(drain(&mut track, &mut Place { group: 2, next: 1 })[0], [4, 0][..]);
}

#[test]
fn nothing_is_kept_before_a_keyframe() {
    let mut track = Track::new(1);
    track.push(0, unit(false, b"x"));
    assert_eq!(drain(&mut track, &mut Place::default()).len(), 0);
    assert!(track.current.units.is_empty());
}

#[test]
fn a_group_without_end_is_bounded_and_running_pages_go_on() {
    let mut track = Track::new(1);
    let big = vec![0; MAX_GROUP_BYTES / 5];
    track.push(0, unit(true, &big));
    let mut running = Place::default();
    assert_eq!(drain(&mut track, &mut running).len(), 1);
    for at in 1..=20 {
        track.push(at, unit(false, &big));
        assert!(track.current.bytes <= MAX_GROUP_BYTES);
        assert_eq!(drain(&mut track, &mut running).len(), 1);
    }
    let held: usize = track.current.units.iter().map(Kept::bytes).sum();
    assert_eq!(track.current.bytes, held, "both forms count the same");
    assert_eq!(drain(&mut track, &mut Place::default()).len(), 0, "no keyframe to begin with");
    track.push(30, unit(true, &big));
    assert_eq!(drain(&mut track, &mut Place::default()).len(), 1);
}

#[test]
fn broadcasts_take_turns_and_leave_no_trace() {
    let hub = UnitHub::new(Clock::new());
    for broadcast in 0..=u32::try_from(MAX_BROADCASTS).unwrap() {
        assert_eq!(hub.open(broadcast, 1_000), broadcast < 32);
    }
    hub.close(3);
    for broadcast in 0..5 {
        hub.push(broadcast, &unit(true, b"k"));
        hub.push(broadcast, &unit(false, b"d"));
    }
    let mut places = Places::default();
    let order: Vec<_> =
        std::iter::from_fn(|| hub.next(&mut places)).map(|message| message[7]).collect();
    assert_eq!(order, [1, 2, 4, 0, 1, 2, 4, 0]);
    for broadcast in 0..32 {
        hub.close(broadcast);
    }
    assert_eq!(hub.next(&mut places), None);
    assert!(places.places.is_empty());
}

#[test]
fn a_picture_is_copied_once_for_all_pages_and_not_at_all_for_none() {
    let hub = UnitHub::new(Clock::new());
    assert!(hub.open(0, 1_000));
    let pictures: Vec<_> = (0..50_u8).map(|at| unit(at % 10 == 0, &[at; 1_000])).collect();
    pictures.iter().for_each(|picture| hub.push(0, picture));
    assert_eq!(hub.copies(), 0, "no page is open");
    let tracks = hub.lock();
    let kept = &tracks.pictures[&0].current.units[9];
    assert!(kept.message.is_none(), "it was copied");
    assert_eq!(
        kept.unit.data.as_ptr(),
        pictures[49].data.as_ptr(),
        "it shares the picture's bytes"
    );
    drop(tracks);

    let pages = [(); 3].map(|()| {
        let mut places = Places::default();
        std::iter::from_fn(|| hub.next(&mut places)).collect::<Vec<_>>()
    });
    assert!(pages.iter().all(|page| page.len() == 10 && *page == pages[0]));
    assert_eq!(hub.copies(), 10, "the running group, once");
}

#[test]
fn sound_goes_first_and_a_late_page_begins_near_its_end() {
    let hub = UnitHub::new(Clock::new());
    assert!(hub.open_sound(4, 48_000) && hub.open(4, 90_000));
    hub.push(4, &unit(true, b"picture"));
    for at in 0..30_u8 {
        hub.push_sound(4, &unit(true, &[at]));
    }
    let mut places = Places::default();
    let got: Vec<_> = std::iter::from_fn(|| hub.next(&mut places)).collect();
    assert_eq!(got.last().unwrap()[0], 1, "the picture comes last");
    assert!(got[..got.len() - 1].iter().all(|message| message[0] == 2));
    hub.push_sound(4, &unit(true, b"next"));
    assert_eq!(&hub.next(&mut places).unwrap()[48..], b"next");
    hub.close(4);
    hub.push_sound(4, &unit(true, b"gone"));
    assert_eq!(hub.next(&mut places), None);
    assert!(places.sounds.is_empty());
}
