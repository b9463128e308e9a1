//! Every way to fail that a user meets has its sentence and its exit code.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use e2e::cast::{Bootstrap, Roommate, START, TEST_PICTURE};
use e2e::fields::Fields;
use e2e::mp4;
use e2e::process::Ended;
use e2e::stage::Stage;
use rustix::process::Signal;
use serde_json::Value;

use crate::room::{END, Room, end, playing};

/// Checks the exit code and that standard error is one sentence with these words.
#[track_caller]
fn refused(roommate: Roommate, code: i32, words: &[&str]) -> Ended {
    let ended = roommate.start().finish(START);
    assert_eq!(ended.code, Some(code), "{}", ended.story());
    let said: Vec<_> =
        ended.log().iter().filter_map(|line| line.split_once("] ")).map(|(_, said)| said).collect();
    let text = said.join("\n");
    for word in words {
        assert!(
            text.to_lowercase().contains(&word.to_lowercase()),
            "«{word}» is not said in: {text}"
        );
    }
    speaks_to_a_user(&text);
    if code == 1 {
        assert_eq!(
            said.iter().filter(|line| !line.trim().is_empty()).count(),
            1,
            "not one sentence: {text}"
        );
    }
    ended
}

#[track_caller]
fn speaks_to_a_user(text: &str) {
    for leak in ["panicked", "Error {", "Err(", "os error", "RUST_BACKTRACE"] {
        assert!(!text.contains(leak), "that is no sentence for a user: {text}");
    }
}

fn watch(stage: &Stage, link: &str) -> Roommate {
    Roommate::new(stage, None, "viewer", "watch").args([link, "--json", "--no-open"])
}

fn publish(stage: &Stage, link: &str, source: &str) -> Roommate {
    Roommate::new(stage, None, "publisher", "publish").args([link, "--json", "--source", source])
}

#[test]
fn a_link_that_is_mistyped_expired_or_read_by_a_wrong_clock_is_refused_before_a_packet_leaves() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let mut letters: Vec<char> = room.link.chars().collect();
    let middle = letters.len() / 2;
    letters[middle] = if letters[middle] == 'A' { 'B' } else { 'A' };
    let mistyped: String = letters.into_iter().collect();
    refused(watch(&stage, &mistyped), 1, &["link"]);
    refused(watch(&stage, "roommate:"), 1, &["link"]);
    refused(watch(&stage, "https://example.org/"), 1, &["link"]);
    let shortened = &room.link[..room.link.len() - 1];
    refused(watch(&stage, shortened), 1, &["link"]);
    let day = "90000000";
    refused(watch(&stage, &room.link).env("ROOMMATE_TEST_WALL_OFFSET_MS", day), 1, &["expired"]);
    let in_1990 = format!("-{}", 1_000_000_000_000_u64 + 150_000_000_000);
    refused(watch(&stage, &room.link).env("ROOMMATE_TEST_WALL_OFFSET_MS", in_1990), 1, &["clock"]);
}

#[test]
fn a_port_in_use_and_a_folder_that_cannot_be_written_are_named() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let listen = format!("/ip4/127.0.0.1/udp/{port}/quic-v1");
    let viewer =
        Roommate::bare(&stage, None, "viewer").args(["watch", &room.link, "--json", "--no-open"]);
    refused(
        viewer.path("--data-dir", stage.path("v")).args(["--listen", &listen, "--no-mdns"]),
        1,
        &[&port, "in use"],
    );

    std::fs::write(stage.path("file"), "").unwrap();
    let viewer = Roommate::bare(&stage, None, "viewer").args([
        "watch",
        &room.link,
        "--json",
        "--no-open",
        "--no-mdns",
    ]);
    refused(viewer.path("--data-dir", stage.path("file/below")), 1, &["data", "file/below"]);
}

#[test]
fn a_file_that_is_missing_or_not_h264_is_named() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    refused(publish(&stage, &room.link, "file:/no/such/file.mp4"), 1, &["/no/such/file.mp4"]);
    let other = stage.path("other.mp4");
    mp4::make_without_h264(&other);
    let source = format!("file:{}", other.display());
    refused(publish(&stage, &room.link, &source), 1, &["H.264", "other.mp4"]);
    let garbage = stage.path("garbage.mp4");
    std::fs::write(&garbage, [7; 5000]).unwrap();
    refused(
        publish(&stage, &room.link, &format!("file:{}", garbage.display())),
        1,
        &["garbage.mp4"],
    );
}

/// Whoever came by a link is out when it ends; whoever made the room is not.
#[test]
fn a_link_that_ends_while_watching_is_warned_of_and_ends_only_who_came_by_it() {
    let stage = Stage::shared();
    let bootstrap = Bootstrap::start(&stage, None);
    let create = Roommate::bare(&stage, None, "owner").args(["room", "create", "--json"]);
    let create = create.args(["--bootstrap", bootstrap.quic(), "--open-until", "8s"]);
    let begun = Instant::now();
    let made = create.path("--data-dir", stage.path("owner")).start().finish(START);
    let link = made.lines()[0].value.text("link").to_owned();

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
fn wrong_usage_ends_with_two() {
    let stage = Stage::shared();
    let line = |args: &[&'static str]| {
        let bare = Roommate::bare(&stage, None, "usage");
        args.iter().fold(bare, |line, arg| line.args([*arg]))
    };
    refused(line(&["watch"]), 2, &["LINK"]);
    refused(line(&["watch", "x", "--no-such-flag"]), 2, &["--no-such-flag"]);
    refused(line(&["watch", "x", "--json", "--out", "-"]), 2, &["--json", "--out"]);
    refused(line(&["publish", "--source", "nonsense"]), 2, &["nonsense"]);
    refused(line(&["no-such-verb"]), 2, &["no-such-verb"]);
}

/// What a later version brings is refused in a sentence, never ignored.
#[test]
fn what_is_not_built_yet_is_refused_in_words() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    for (what, args) in [
        ("call", vec!["call"]),
        ("camera", vec!["publish", &room.link, "--source", "camera"]),
        ("port-mapping", vec!["watch", &room.link, "--port-mapping"]),
        ("forward", vec!["forward", &room.link]),
        ("doctor", vec!["doctor"]),
        ("room members", vec!["room", "members", &room.link]),
        ("room invite", vec!["room", "invite", &room.link]),
        ("room kick", vec!["room", "kick", &room.link, "x"]),
        ("room close", vec!["room", "close", &room.link]),
    ] {
        let line = Roommate::bare(&stage, None, "later");
        let line = args.iter().fold(line, |line, arg| line.args([*arg]));
        let ended = line.path("--data-dir", stage.path("later")).start().finish(START);
        let text = ended.log().join("\n");
        assert!(matches!(ended.code, Some(1 | 2)), "{what}: {}", ended.story());
        assert!(text.contains(what), "{what} is not named: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_full_disk_under_a_recording_is_said() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let small = stage.path("small");
    std::fs::create_dir(&small).unwrap();
    // A file system of 300 KiB that only this program sees: a second of pictures.
    let mut command = std::process::Command::new("unshare");
    let script = r#"mount -t tmpfs -o size=300k none "$1" && shift && exec "$@""#;
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(&small);
    command.arg(e2e::stage::program("roommate")).args(["watch", &room.link, "--json", "--no-mdns"]);
    command.args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]);
    command.arg("--data-dir").arg(stage.path("viewer")).arg("--out").arg(small.join("out.mp4"));
    let viewer = e2e::process::Process::start("viewer", command);
    let ended = viewer.finish(Duration::from_secs(20));
    assert_eq!(ended.code, Some(1), "{}", ended.story());
    let text = ended.log().join("\n");
    assert!(text.contains("full") && text.contains("out.mp4"), "{text}");
    end(publisher);
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

#[test]
fn with_out_it_ends_by_itself_after_the_broadcast() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let viewer = room.viewer("viewer").path("--out", stage.path("out.mp4")).ready();
    let publisher = room.publisher("publisher", TEST_PICTURE).args(["--seconds", "2"]).ready();
    let _ = publisher.finish(Duration::from_secs(15)).summary();
    let ended_at = Instant::now();
    let _ = viewer.finish(Duration::from_secs(15)).summary();
    let after = ended_at.elapsed();
    assert!((8.0..13.0).contains(&after.as_secs_f64()), "{after:?} after the broadcast");
}

#[test]
fn both_signals_end_politely_within_two_seconds() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    for signal in [Signal::INT, Signal::TERM] {
        let publisher = room.publisher("publisher", TEST_PICTURE).ready();
        let asked = Instant::now();
        publisher.signal(signal);
        let _ = publisher.finish(END).summary();
        assert!(asked.elapsed() < Duration::from_millis(2_500), "{:?}", asked.elapsed());
    }
}

#[test]
fn the_version_is_told() {
    let stage = Stage::shared();
    let ended = Roommate::bare(&stage, None, "version").args(["--version"]).start().finish(START);
    assert_eq!(ended.code, Some(0));
    let text = ended.junk().join(" ");
    assert!(text.contains(env!("CARGO_PKG_VERSION")) && text.contains("wire"), "{text}");
}

#[test]
fn room_show_tells_what_is_in_a_link() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let show = Roommate::bare(&stage, None, "show").args(["room", "show", &room.link, "--json"]);
    let ended = show.path("--data-dir", stage.path("show")).start().finish(START);
    assert_eq!(ended.code, Some(0), "{}", ended.story());
    let told = &ended.lines()[0].value;
    assert_eq!(told.text("scope"), "internet");
    assert!((86_000.0..=86_400.0).contains(&told.num("ends_in_s")), "{told}");
    let roles: Vec<_> = told.list("roles").iter().filter_map(|role| role.as_str()).collect();
    assert_eq!(roles, ["view", "forward", "publish"]);
    assert_eq!(told.list("addresses").len(), 1, "{told}");
}
