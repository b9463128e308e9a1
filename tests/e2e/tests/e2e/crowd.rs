//! Two publishers and four viewers, six programs at once, with sound.

use std::time::Duration;

use e2e::cast::{self, START};
use e2e::check::{self, must};
use e2e::fields::Fields;
use e2e::process::Process;
use e2e::stage::Stage;
use e2e::trace::{self, PICTURES, SOUND, Unit};

use crate::room::{Room, end, peer};

const SOURCE: &str = "test:640x360@30,800,gop=1";

#[test]
fn four_viewers_of_two_publishers_lose_nothing_whoever_leaves() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let viewers = ["anna", "ben", "cleo", "dan"].map(|name| room.viewer(name).ready());
    let one = room.publisher("one", SOURCE).ready();
    let two = room.publisher("two", SOURCE).ready();
    let first = peer(&one);
    one.reaches("access_units", 120, START);
    end(two);
    goes_on(&viewers, &first);
    // Whoever comes back does so with another broadcast, and that survives the first one's end.
    let third = room.publisher("three", SOURCE).ready();
    third.reaches("access_units", 60, START);
    end(one);
    goes_on(&viewers, &peer(&third));
    end(third);

    let names = viewers.each_ref().map(|viewer| viewer.name().to_owned());
    for (viewer, name) in viewers.into_iter().zip(names) {
        viewer.next("line of nobody who publishes", START, |line| line.at("route") == "none");
        let ended = end(viewer);
        let told = ended.summary();
        assert_eq!((told.count("gaps"), told.count("sound.gaps")), (0, 0), "{name}: {told:#}");
        for track in [PICTURES, SOUND] {
            let mut seen = trace::read_track(&cast::trace_of(&stage, &name), track);
            for publisher in ["one", "two", "three"] {
                let all = trace::read_track(&cast::trace_of(&stage, publisher), track);
                let (of, others) = parted(seen, &all);
                must(check::nothing_lost(&all, &of));
                assert_eq!(of.len(), all.len(), "{name} was there before {publisher}, {track}");
                seen = others;
            }
            assert!(seen.is_empty(), "{name}: of nobody's: {seen:?}");
        }
    }
}

/// Two more seconds of this publisher reach everybody.
#[track_caller]
fn goes_on(viewers: &[Process], publisher: &str) {
    let received = |line: &serde_json::Value| {
        (line.find("publisher").and_then(serde_json::Value::as_str) == Some(publisher))
            .then(|| line.count("received"))
    };
    for viewer in viewers {
        let now = viewer.next("line of who goes on", START, |line| received(line).is_some());
        let enough = received(&now).expect("a count") + 60;
        viewer.next("two more seconds", Duration::from_secs(8), |line| {
            received(line).is_some_and(|count| count >= enough)
        });
    }
}

/// What of a viewer's units is this publisher's, by number and time of capture; and the others.
fn parted(units: Vec<Unit>, publisher: &[Unit]) -> (Vec<Unit>, Vec<Unit>) {
    let is = |unit: &Unit| {
        let same = |other: &Unit| (other.seq, other.captured_us) == (unit.seq, unit.captured_us);
        usize::try_from(unit.seq).ok().and_then(|seq| publisher.get(seq)).is_some_and(same)
    };
    units.into_iter().partition(is)
}
