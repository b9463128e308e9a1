//! What is on: announced, watched, ended, and not to be brought back by anybody.

use std::time::Duration;

use roommate_protocol::media::clock::ClockView;
use roommate_protocol::room::{Event, Output, Refusal, RefuseReason, RetractedWhy};
use roommate_protocol::trust::id::{TrackId, TrackKey};
use roommate_protocol::trust::ticket::Roles;
use roommate_protocol::wire::catalog::{Catalog, CatalogTrack, TrackKind};
use roommate_protocol::wire::close::CloseCode;
use roommate_protocol::wire::message::Incoming;

use crate::stranger::Stranger;
use crate::world::{DELAY, MS, S, Who, World};

pub(crate) fn catalog() -> Catalog {
    let video = CatalogTrack {
        id: TrackId(0),
        codec: "avc1.42c01f".to_owned(),
        timescale: 30_000,
        rendition_of: None,
        kind: TrackKind::Video { width: 1280, height: 720, fps: (30, 1) },
    };
    let sound = CatalogTrack {
        id: TrackId(1),
        codec: "opus".to_owned(),
        timescale: 48_000,
        rendition_of: None,
        kind: TrackKind::Audio { sample_rate: 48_000, channels: 2, description: vec![] },
    };
    Catalog { tracks: vec![video, sound] }
}

/// Begins a broadcast, and waits until it is known; its picture track.
pub(crate) fn on_air(world: &mut World, who: Who) -> TrackKey {
    let id = world.act(who, |room, now| {
        let clock = ClockView::at_publisher(now.wall, now.mono);
        room.publish(catalog(), clock, now).unwrap()
    });
    world.run(2 * DELAY);
    TrackKey { publisher: world.nodes[who].peer, broadcast: id, track: TrackId(0) }
}

/// Watches, and waits for the parent's answer.
pub(crate) fn watch(world: &mut World, who: Who, track: TrackKey) {
    world.act(who, |room, now| room.subscribe(track, Duration::from_millis(300), now).unwrap());
    world.run(3 * DELAY);
}

fn shown(world: &World, who: Who) -> usize {
    world.see(who).broadcasts().len()
}

#[test]
fn a_viewer_is_admitted_and_fed_in_a_round_trip() {
    let mut world = World::with_members(3);
    let track = on_air(&mut world, 0);
    let asked = world.now;
    watch(&mut world, 1, track);
    let admitted = world.when(1, |event| matches!(event, Event::Admitted { .. })).unwrap();
    assert_eq!(admitted - asked, 2 * DELAY);
    let feeding = world.see(1).feeding(&track).unwrap();
    assert_eq!((feeding.parent, &feeding.path), (track.publisher, &vec![track.publisher]));
    let starts = |output: &Output| matches!(output, Output::StartFeed { lacking: None, .. });
    assert!(world.nodes[0].outputs.iter().any(|(_, output)| starts(output)));
    assert_eq!(world.see(0).children()[0].peer, world.nodes[1].peer);
    world.act(1, |room, now| room.unsubscribe(track, now));
    world.run(2 * DELAY);
    assert_eq!(world.see(0).children(), []);
    assert_eq!(world.see(1).subscriptions(), []);
}

/// A parent that keeps its connection and says neither yes nor no is asked again.
#[test]
fn a_parent_that_does_not_answer_is_asked_again() {
    let mut world = World::with_members(1);
    let mut mute = Stranger::member(&mut world, Roles::USUAL);
    mute.come_in(&mut world, 0);
    mute.announce(&mut world, 0, catalog());
    let id = world.see(0).broadcasts()[0].id;
    let track = TrackKey { publisher: mute.peer, broadcast: id, track: TrackId(0) };
    watch(&mut world, 0, track);
    for _ in 0..20 {
        mute.answer_pings(&mut world);
        world.run(S / 2);
    }
    let heard = mute.heard_messages(&mut world);
    let count = |is: fn(&Incoming) -> bool| heard.iter().filter(|heard| is(heard)).count();
    // At 0 s, 4 s and 8 s: three seconds each, and one of rest.
    assert_eq!(count(|heard| matches!(heard, Incoming::Subscribe(_))), 3);
    assert_eq!(count(|heard| matches!(heard, Incoming::Unsubscribe(_))), 2);
}

#[test]
fn a_broadcast_that_ends_is_over_everywhere_and_feeds_nobody() {
    let mut world = World::with_members(3);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    world.act(0, |room, now| room.retract(track.broadcast, now).unwrap());
    world.run(2 * DELAY);
    for who in 1..3 {
        let ended =
            |event: &Event| matches!(event, Event::Retracted { why: RetractedWhy::Ended, .. });
        assert!(world.when(who, ended).is_some());
        assert_eq!(shown(&world, who), 0);
    }
    assert_eq!((world.see(0).children().len(), world.see(1).subscriptions().len()), (0, 0));
    let newcomer = world.add_member();
    world.run(2 * S);
    assert_eq!(shown(&world, newcomer), 0);
}

#[test]
fn who_comes_late_sees_what_is_on() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 1);
    let newcomer = world.add_member();
    world.run(S);
    let broadcast = &world.see(newcomer).broadcasts()[0];
    assert_eq!((broadcast.publisher, broadcast.id), (track.publisher, track.broadcast));
    assert_eq!(broadcast.catalog, catalog());
    watch(&mut world, newcomer, track);
    assert!(world.when(newcomer, |event| matches!(event, Event::Admitted { .. })).is_some());
}

#[test]
fn a_changed_catalog_is_announced_again_and_an_older_one_does_not_come_back() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    let mut smaller = catalog();
    smaller.tracks.truncate(1);
    let changed = smaller.clone();
    world.act(0, |room, now| room.change_catalog(track.broadcast, changed, now).unwrap());
    world.run(2 * DELAY);
    let announced = |event: &&(u64, Event)| matches!(event.1, Event::Announced { .. });
    assert_eq!(world.nodes[1].events.iter().filter(announced).count(), 2);
    assert_eq!(world.see(1).broadcasts()[0].catalog, smaller);
}

#[test]
fn without_the_role_nobody_publishes_and_nobody_is_fed() {
    let mut world = World::with_members(1);
    let viewer = world.add(|world, peer| world.ticket(peer, Roles::VIEW, None));
    let publisher = world.add(|world, peer| world.ticket(peer, Roles::PUBLISH, None));
    world.start(viewer);
    world.start(publisher);
    world.run(2 * S);
    let clock = ClockView { offset_us: 0, error_us: 0 };
    let refused = world.act(viewer, |room, now| room.publish(catalog(), clock, now));
    assert_eq!(refused, Err(Refusal::Role("publish")));
    let track = on_air(&mut world, 0);
    let refused = world.act(publisher, |room, now| room.subscribe(track, Duration::ZERO, now));
    assert_eq!(refused, Err(Refusal::Role("view")));
    // And a node that does not ask itself for permission is refused by the parent.
    let mut stranger = Stranger::member(&mut world, Roles::PUBLISH);
    stranger.come_in(&mut world, 0);
    stranger.subscribe(&mut world, 0, track, 1);
    assert_eq!(stranger.refusals(&mut world), [RefuseReason::NotAllowed.number()]);
    assert_eq!(world.see(0).children(), []);
}

#[test]
fn an_announcement_by_someone_without_the_role_is_shown_nowhere() {
    let mut world = World::with_members(2);
    let mut stranger = Stranger::member(&mut world, Roles::VIEW);
    stranger.come_in(&mut world, 0);
    stranger.announce(&mut world, 0, catalog());
    world.run(S);
    assert_eq!((shown(&world, 0), shown(&world, 1)), (0, 0));
    assert_eq!(world.nodes[0].violations, [], "it is no offence: clocks differ");
}

#[test]
fn an_ended_broadcast_played_back_to_a_newcomer_shows_nothing() {
    // Everything that node 0 said is kept by a member, word by word.
    let mut world = World::with_members(1);
    let mut thief = Stranger::member(&mut world, Roles::USUAL);
    thief.come_in(&mut world, 0);
    let track = on_air(&mut world, 0);
    world.run(S);
    let kept: Vec<_> = thief.heard(&mut world);
    assert!(
        kept.iter().any(|frame| matches!(Incoming::read(frame), Ok(Some(Incoming::Announce(_)))))
    );
    world.kill(0);
    for wait in [0, 60 * S, 3600 * S] {
        world.run(wait);
        // A newcomer who meets the thief alone.
        let newcomer = world.add_member();
        world.run(100 * MS);
        thief.come_in(&mut world, newcomer);
        for frame in &kept {
            let news = matches!(
                Incoming::read(frame),
                Ok(Some(Incoming::Announce(_) | Incoming::Roster(_)))
            );
            if news {
                let _ = thief.say(&mut world, newcomer, frame);
            }
        }
        world.run(10 * S);
        assert_eq!(shown(&world, newcomer), 0, "after {wait}");
        let announced = |event: &Event| matches!(event, Event::Announced { .. });
        assert_eq!(world.when(newcomer, announced), None);
        let refused = world.act(newcomer, |room, now| room.subscribe(track, Duration::ZERO, now));
        assert_eq!(refused, Err(Refusal::Unknown));
    }
}

#[test]
fn keyframes_are_asked_for_once_for_all_children() {
    let mut world = World::with_members(4);
    let track = on_air(&mut world, 0);
    for who in 1..4 {
        watch(&mut world, who, track);
    }
    world.forget_logs();
    for _ in 0..3 {
        for who in 1..4 {
            world.act(who, |room, now| room.want_keyframe(track, now));
        }
        world.run(50 * MS);
        world.act(0, |room, now| room.handle_keyframe(track, now));
    }
    world.run(10 * S);
    let wanted = |output: &&(u64, Output)| matches!(output.1, Output::KeyframeWanted { .. });
    assert_eq!(world.nodes[0].outputs.iter().filter(wanted).count(), 1);
}

#[test]
fn a_parent_that_breaks_the_rules_of_streams_is_left() {
    let mut world = World::with_members(2);
    let track = on_air(&mut world, 0);
    watch(&mut world, 1, track);
    let fed = world.see(1).feeding(&track).unwrap();
    world.act(1, |room, now| room.handle_parent_misbehaved(fed.conn, fed.sub, now));
    assert!(world.nodes[1].outputs.iter().any(|(_, output)| {
        *output == Output::CloseConnection { conn: fed.conn, code: CloseCode::Violation }
    }));
    world.run(5 * S);
    assert_eq!(world.see(1).feeding(&track), None);
    world.run(10 * S);
    assert!(world.see(1).feeding(&track).is_some(), "it may have been a fault that is mended");
}

#[test]
fn of_two_that_ask_each_other_for_one_track_the_smaller_is_not_refused_for_the_circle() {
    let mut reasons = Vec::new();
    for _ in 0..12 {
        let mut world = World::with_members(1);
        let mut stranger = Stranger::member(&mut world, Roles::USUAL);
        for _ in 0..reasons.len() {
            stranger = Stranger::member(&mut world, Roles::USUAL);
        }
        stranger.come_in(&mut world, 0);
        stranger.announce(&mut world, 0, catalog());
        let id = world.see(0).broadcasts()[0].id;
        let track = TrackKey { publisher: stranger.peer, broadcast: id, track: TrackId(0) };
        world.act(0, |room, now| room.subscribe(track, Duration::ZERO, now).unwrap());
        stranger.subscribe(&mut world, 0, track, 1);
        let larger = stranger.peer > world.nodes[0].peer;
        reasons.push((larger, stranger.refusals(&mut world)));
    }
    let [circle, other] = [RefuseReason::Loop, RefuseReason::NotForwarded].map(|r| r.number());
    for (larger, refused) in &reasons {
        assert_eq!(*refused, [if *larger { circle } else { other }]);
    }
    assert!(reasons.iter().any(|(larger, _)| *larger) && reasons.iter().any(|(larger, _)| !larger));
}
