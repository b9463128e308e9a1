//! Programs come and go in any order, and everybody ends up seeing what they should within 3 s.

use e2e::cast::TEST_PICTURE;
use e2e::fields::Fields;
use e2e::process::Process;
use e2e::stage::{Stage, wall_us};

use crate::room::{END, Room, SEEN, end, peer, playing};

#[track_caller]
fn soon(room: &Room<'_>, viewer: &Process, since_us: i64) {
    let took = room.sees(viewer, since_us);
    assert!(took <= SEEN, "{} saw it only after {took:?}", viewer.name());
}

#[test]
fn who_watches_before_anybody_publishes_sees_the_beginning() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let viewer = room.viewer("viewer").ready();
    let event = wall_us();
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    soon(&room, &viewer, event);
    end(publisher);
    end(viewer);
    assert_eq!(room.trace("viewer")[0].seq, room.trace("publisher")[0].seq);
}

#[test]
fn a_publisher_that_ends_and_comes_again_is_seen_again() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let viewer = room.viewer("viewer").ready();
    playing(&viewer);
    end(publisher);
    let event = wall_us();
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    soon(&room, &viewer, event);
    end(publisher);
    end(viewer);
}

/// Its old connection has not timed out: by key it is the same member, at another port.
#[test]
fn a_publisher_that_was_killed_comes_again_and_its_ghost_is_gone() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let viewers = ["viewer-1", "viewer-2"].map(|name| room.viewer(name).ready());
    viewers.iter().for_each(|viewer| drop(playing(viewer)));
    let first = peer(&publisher);
    publisher.kill();
    let _ = publisher.finish(END);
    let event = wall_us();
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    assert_eq!(peer(&publisher), first, "it kept its key");
    for viewer in &viewers {
        soon(&room, viewer, event);
    }
    end(publisher);
    for viewer in viewers {
        let name = viewer.name().to_owned();
        let ended = end(viewer);
        assert_eq!(ended.summary().count("refused"), 0, "{name}");
    }
}

#[test]
fn a_viewer_that_was_killed_comes_again() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let viewer = room.viewer("viewer").ready();
    playing(&viewer);
    viewer.kill();
    let _ = viewer.finish(END);
    let event = wall_us();
    let viewer = room.viewer("viewer").ready();
    soon(&room, &viewer, event);
    end(viewer);
    end(publisher);
}

#[test]
fn two_publishers_in_one_room_are_both_seen_by_who_asks_for_them() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publishers = ["one", "two"].map(|name| room.publisher(name, TEST_PICTURE).ready());
    let peers = publishers.each_ref().map(peer);
    let event = wall_us();
    let viewers = [("viewer-1", &peers[0]), ("viewer-2", &peers[1])]
        .map(|(name, peer)| room.viewer(name).args(["--peer", peer]).ready());
    for (viewer, peer) in viewers.iter().zip(&peers) {
        soon(&room, viewer, event);
        let line = playing(viewer);
        assert_eq!(line.text("publisher"), peer);
    }
    viewers.into_iter().chain(publishers).for_each(|member| drop(end(member)));
}

/// A node is in one room by its command line; two programs share a data folder, each with a key.
#[test]
fn two_rooms_from_one_data_folder_do_not_disturb_each_other() {
    let stage = Stage::shared();
    let first = Room::open(&stage);
    let link = e2e::cast::create_room(&stage, None, &first.bootstrap);
    assert_ne!(link, first.link);
    let one = first.publisher("publisher", TEST_PICTURE).ready();
    // The same data folder: it takes a fresh node key and says so.
    let two = e2e::cast::Roommate::new(&stage, None, "publisher", "publish");
    let two = two.args([&link, "--json", "--source", TEST_PICTURE]).ready();
    assert_ne!(peer(&one), peer(&two));
    let event = wall_us();
    let viewer = first.viewer("viewer").ready();
    soon(&first, &viewer, event);
    assert_eq!(playing(&viewer).text("publisher"), peer(&one));
    let event = wall_us();
    let second = e2e::cast::watch(&stage, None, "second", &link).ready();
    soon(&first, &second, event);
    assert_eq!(playing(&second).text("publisher"), peer(&two));
    end(second);
    end(viewer);
    end(two);
    end(one);
}

#[test]
fn a_bootstrap_that_restarts_introduces_people_again() {
    let stage = Stage::shared();
    let mut room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let first = room.viewer("first").ready();
    playing(&first);
    room.bootstrap = room.bootstrap.restart(&stage, None);
    let event = wall_us();
    let second = room.viewer("second").ready();
    soon(&room, &second, event);
    end(second);
    end(publisher);
    let summary = end(first);
    assert_eq!(summary.summary().count("gaps"), 0, "who was connected lost nothing");
}
