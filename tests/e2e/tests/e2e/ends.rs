//! How a command ends, and what is said on the way there: a link's hour, a broadcast's end, signals.

use std::time::{Duration, Instant};

use e2e::cast::{self, Bootstrap, Roommate, START, TEST_PICTURE};
use e2e::fields::Fields;
use e2e::mp4;
use e2e::process::{Ended, Process};
use e2e::stage::Stage;
use e2e::trace::Unit;
use rustix::process::Signal;
use serde_json::Value;

use crate::room::{END, Room, SEEN, end, peer, playing};
use crate::said::{refused, speaks_to_a_user, watch};

/// Whoever came by a link is out when it ends; whoever made the room is not.
#[test]
fn a_link_that_ends_while_watching_is_warned_of_and_ends_only_who_came_by_it() {
    let stage = Stage::shared();
    let bootstrap = Bootstrap::start(&stage, None);
    let begun = Instant::now();
    let made = cast::made_room(&stage, None, &bootstrap, ["--open-until", "8s"]);
    let link = made.text("link").to_owned();

    let publisher = Roommate::bare(&stage, None, "owner").args(["publish", &link, "--json"]);
    let publisher = publisher.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]);
    let publisher = publisher.path("--data-dir", stage.path("owner"));
    let publisher = publisher.args(["--source", TEST_PICTURE]).start();
    let viewer = watch(&stage, &link).ready();
    playing(&viewer);
    let viewer = viewer.finish(START * 2);
    // A link holds whole seconds.
    assert!(begun.elapsed() >= Duration::from_secs(7), "ended early\n{}", viewer.story());
    assert_eq!(viewer.code, Some(1), "{}", viewer.story());
    let left: Vec<_> =
        viewer.lines().iter().filter_map(|line| line.value.find("ends_in_s")?.as_u64()).collect();
    assert!(matches!(left[..], [0..=8]), "one warning, not {left:?}\n{}", viewer.story());
    let said = viewer.log().join("\n");
    speaks_to_a_user(&said);
    let reasons = viewer.log().iter().filter(|line| line.contains("ask for a new link")).count();
    let last = viewer.log().last().expect("a sentence");
    assert!(last.contains("link") && last.contains("ended") && reasons == 1, "{said}");

    let live = |line: &Value| line.find("access_units").and_then(Value::as_u64);
    let then = publisher.last().as_ref().and_then(live).expect("the publisher is live");
    publisher.line("three more seconds of pictures", START, |line| live(line) >= Some(then + 90));
    let publisher = end(publisher);
    let warned = publisher.lines().iter().any(|line| line.value.find("ends_in_s").is_some());
    assert!(!warned, "the creator was warned of an end that is not theirs: {}", publisher.story());
}

#[test]
fn a_bootstrap_that_does_not_answer_is_said_and_waited_for() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    room.bootstrap.process.kill();
    let viewer = room.viewer("viewer").ready();
    viewer.says("does not answer", Duration::from_secs(15));
    end(viewer);
}

#[test]
fn nobody_publishing_and_a_publisher_that_left_are_said() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let viewer = room.viewer("viewer").ready();
    viewer.says("nobody", Duration::from_secs(10));
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    playing(&viewer);
    end(publisher);
    viewer.says("left", Duration::from_secs(5));
    end(viewer);
}

/// One recording ends ten seconds after the last broadcast; one that was told to wait does not, and
/// goes on with the next.
#[test]
fn with_out_it_ends_by_itself_after_the_broadcast_unless_it_waits() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let waiting = room.viewer("waiting").path("--out", stage.path("waiting.mp4"));
    let waiting = waiting.args(["--wait"]).ready();
    let viewer = room.viewer("viewer").path("--out", stage.path("out.mp4")).ready();
    let two = || room.publisher("publisher", TEST_PICTURE).args(["--seconds", "2"]).ready();
    let _ = two().finish(Duration::from_secs(15)).summary();
    let ended_at = Instant::now();
    let _ = viewer.finish(Duration::from_secs(15)).summary();
    let after = ended_at.elapsed();
    assert!((8.0..13.0).contains(&after.as_secs_f64()), "{after:?} after the broadcast");
    let first = waiting.next("line of who waits", SEEN, |_| true).count("received");
    assert!(first > 0, "nothing of the first broadcast");
    let _ = two().finish(Duration::from_secs(15)).summary();
    let waiting = end(waiting);
    let both = waiting.summary().count("received");
    assert!(both >= first + 30, "{both} after {first}");
    assert_eq!(mp4::packets(&stage.path("waiting.mp4")).len() as u64, both);
}

/// `live_ms` is the time of the first picture that is no older than `--latency` allows.
#[test]
fn the_latency_that_is_asked_for_decides_what_counts_as_live() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", "test:1280x720@30,2500,gop=10").ready();
    // In the middle of a long group: what comes first is seconds old.
    publisher.reaches("access_units", 120, START);
    for (name, budget) in [("hasty", 100), ("patient", 60_000)] {
        let viewer = room.viewer(name).args(["--latency", &budget.to_string()]).ready();
        viewer.reaches("received", 200, START);
        let ended = end(viewer);
        let units = room.trace(name);
        let ready = |unit: &Unit| unit.ready_us.expect("a viewer's unit");
        let live = units.iter().find(|unit| unit.latency_ms() <= f64::from(budget));
        let live = live.expect("it became live");
        let told = ended.summary().num("live_ms") - ended.summary().num("first_picture_ms");
        let traced = (ready(live) - ready(&units[0])) as f64 / 1000.0;
        assert!((told - traced).abs() <= 2.0, "{name}: told {told} ms, the trace has {traced}");
        assert_eq!(live.seq == units[0].seq, name == "patient", "{name}: {live:?}");
    }
    end(publisher);
    refused(watch(&stage, &room.link).args(["--latency", "19"]), 2, &["--latency", "20..=60000"]);
}

#[test]
fn a_second_process_on_a_data_folder_says_so_and_is_somebody_else() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("member", TEST_PICTURE).ready();
    let viewer = room.viewer("member").ready();
    viewer
        .says("Another process uses this data directory: this one takes a fresh node key.", START);
    assert_ne!(peer(&viewer), peer(&publisher));
    playing(&viewer);
    end(viewer);
    end(publisher);
}

#[test]
fn without_a_browser_the_address_is_said_and_the_page_is_there() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let viewer = Roommate::new(&stage, None, "viewer", "watch").args([&room.link, "--json"]);
    let viewer = viewer.env("PATH", "/nowhere").ready();
    viewer.says("No browser could be opened here: open that address yourself.", START);
    let said = viewer.says("The page is at http://127.0.0.1:", START);
    let first = cast::ready_line(&viewer);
    assert!(said.ends_with(first.text("viewer_url")), "{said}, but {first}");
    let host = said.split_once("http://").and_then(|(_, rest)| rest.split_once('/'));
    let (host, _) = host.expect("an address");
    std::net::TcpStream::connect(host).expect("the page is served");
    end(viewer);
}

/// Ends a program by a signal and checks that it takes at most two seconds, with a summary.
#[track_caller]
fn signalled(process: Process, signal: Signal) -> Ended {
    let asked = Instant::now();
    process.signal(signal);
    let ended = process.finish(END);
    let took = asked.elapsed();
    let _ = ended.summary();
    assert!(took <= Duration::from_secs(2), "{} took {took:?} to end", ended.name);
    ended
}

#[test]
fn both_signals_end_politely_within_two_seconds() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    for signal in [Signal::INT, Signal::TERM] {
        let publisher = room.publisher("publisher", TEST_PICTURE).ready();
        signalled(publisher, signal);
    }
}

/// As a service manager ends them.
#[test]
fn a_recording_a_demo_and_a_bootstrap_end_politely_when_they_are_terminated() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let out = stage.path("out.mp4");
    let viewer = room.viewer("viewer").path("--out", &out).ready();
    viewer.reaches("received", 30, START);
    let told = signalled(viewer, Signal::TERM).summary().count("received");
    assert_eq!(mp4::packets(&out).len() as u64, told, "the recording is whole");
    end(publisher);
    signalled(room.bootstrap.process, Signal::TERM);

    let demo = Roommate::bare(&stage, None, "demo")
        .args(["demo", "--viewers", "2", "--json", "--no-open"])
        .path("--data-dir", stage.path("demo"))
        .ready();
    demo.reaches("viewers.1.received", 30, START * 2);
    let demo = signalled(demo, Signal::TERM);
    assert_eq!(demo.summary().list("viewers").len(), 2);
}

#[test]
fn a_publisher_is_picked_by_name_and_nobody_by_nothing() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publishers = ["one", "two"].map(|name| room.publisher(name, TEST_PICTURE).ready());
    for publisher in &publishers {
        let viewer = format!("viewer-of-{}", publisher.name());
        let viewer = room.viewer(&viewer).args(["--peer", publisher.name()]).ready();
        assert_eq!(playing(&viewer).text("publisher"), peer(publisher));
        end(viewer);
    }
    refused(watch(&stage, &room.link).args(["--peer", ""]), 2, &["--peer"]);
    publishers.into_iter().for_each(|publisher| drop(end(publisher)));
}
