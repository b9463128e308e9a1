//! What is typed: links, ports, folders and flags that cannot be used each have their sentence and
//! their exit code.

use std::net::{TcpListener, UdpSocket};

use e2e::cast::{self, Bootstrap, Roommate, START};
use e2e::fields::Fields;
use e2e::stage::{Stage, fixture};

use crate::room::Room;
use crate::said::{refused, watch};

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

    let damaged = stage.path("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("node.key"), "short").unwrap();
    let viewer = Roommate::bare(&stage, None, "viewer").args(["watch", &room.link, "--no-open"]);
    refused(viewer.path("--data-dir", damaged), 1, &["node.key is damaged", "move it away"]);
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

/// Flags that are understood and cannot be meant.
#[test]
fn flags_that_cannot_be_meant_are_named_with_their_bounds() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let create = || Roommate::bare(&stage, None, "create").args(["room", "create", "--ephemeral"]);
    refused(
        create().args(["--role", "king"]),
        2,
        &["\"king\" is no role", "view, forward, publish"],
    );
    refused(create().args(["--open-until", "soon"]), 2, &["\"soon\" is no time", "90m, 12h"]);
    refused(create().args(["--open-until", "2001-01-01T00:00:00Z"]), 2, &["is already over"]);
    refused(create().args(["--title", &"x".repeat(65)]), 1, &["title is longer than 64 bytes"]);
    let address = room.bootstrap.quic();
    let five = (0..5).fold(create(), |line, _| line.args(["--bootstrap", address]));
    refused(five, 1, &["a link holds at most 4 addresses"]);
    let (bare, _) = address.split_once("/p2p/").expect("it ends with its identity");
    refused(create().args(["--bootstrap", bare]), 1, &["without /p2p/", "copy the whole address"]);

    let viewer = || watch(&stage, &room.link);
    let words = ["the viewer page", "192.0.2.1:80", "choose another with --viewer"];
    refused(viewer().args(["--viewer", "192.0.2.1:80"]), 1, &words);
    let words = ["the viewer page listens on one address", "0.0.0.0:80", "192.168.1.5:8080"];
    refused(viewer().args(["--viewer", "0.0.0.0:80"]), 1, &words);
    for name in ["", &"x".repeat(65)] {
        let named = Roommate::bare(&stage, None, "named").args(["watch", &room.link]);
        refused(named.args(["--name", name]), 2, &["--name takes 1 to 64 bytes"]);
    }
    for no_time in ["0", "nan", "1e12"] {
        refused(viewer().args(["--seconds", no_time]), 2, &["is no length of time"]);
    }
    refused(viewer().args(["--record", "/proc/no"]), 1, &["cannot record into /proc/no"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let words = ["the viewer page cannot listen", &taken, "in use", "--viewer"];
    refused(viewer().args(["--viewer", &taken]), 1, &words);
    let demo = Roommate::bare(&stage, None, "demo").args(["demo", "--json", "--no-open"]);
    refused(demo.args(["--viewer", &taken]), 1, &words);
    let trace = viewer().args(["--trace", "/no/such/folder/trace"]).start().finish(START);
    assert_eq!(trace.code, Some(1), "{}", trace.story());
    let [said] = trace.log() else { panic!("not one sentence\n{}", trace.story()) };
    assert!(said.contains("the trace /no/such/folder/trace cannot be written"), "{said}");
}

/// What is piped in is told by its first bytes; what cannot be sent is refused with the way out.
#[test]
fn standard_input_that_cannot_be_sent_says_why() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let fed = |bytes: &[u8]| {
        std::fs::write(stage.path("input"), bytes).expect("a file to be piped");
        let shell = ["sh", "-c", "exec \"$0\" \"$@\" <input"];
        let program = Roommate::within(&stage, &shell, "fed", "roommate");
        program.args(["publish", &room.link, "--ephemeral", "--source", "-"])
    };
    let sent = "cannot send standard input: ";
    refused(fed(b""), 1, &[sent, "it is empty", "-f mpegts - |"]);
    refused(fed(b"hello"), 1, &[sent, "it is none of MPEG-TS", "'-f mpegts'"]);
    let film = std::fs::read(fixture("bbb.mp4")).expect("a fixture");
    refused(fed(&film), 1, &[sent, "an MP4 cannot be read from a pipe", "file:PATH"]);
    let begun = b"\0\0\0\x01\x67\x42\0\x1f";
    refused(fed(begun), 1, &[sent, "it holds no keyframe (IDR)"]);
    refused(fed(b"").args(["--loop"]), 2, &["--loop is for files; standard input comes once"]);
}

/// Somebody who came by a link for viewers, and wants to publish.
#[test]
fn a_link_that_does_not_allow_publishing_is_said_to_be_one() {
    let stage = Stage::shared();
    let bootstrap = Bootstrap::start(&stage, None);
    let made = cast::made_room(&stage, None, &bootstrap, ["--role", "view"]);
    let publish = Roommate::new(&stage, None, "publisher", "publish");
    let publish = publish.args([made.text("link"), "--json"]);
    refused(publish, 1, &["this link does not allow it", "the role `publish`"]);
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
