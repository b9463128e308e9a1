//! What is watched, in other programs' hands: behind a pipe, and in one file a publisher.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::cast::{Roommate, START};
use e2e::fields::Fields;
use e2e::process::{Ended, Ends, Process};
use e2e::stage::{Stage, fixture};
use e2e::{mp4, sound};

use crate::room::{END, Room, end, peer};
use crate::said::{refused, speaks_to_a_user};

/// The fixture with a sound of its own, and as the source that it is.
fn source(stage: &Stage) -> String {
    let path = stage.path("source.mp4");
    mp4::make_with_sound(&fixture("bbb.mp4"), &path, "aac");
    format!("file:{}", path.display())
}

/// `watch --out -`, into this end of a pipe or file.
fn watch(room: &Room<'_>, output: impl Into<std::process::Stdio>) -> Process {
    let viewer = Roommate::new(room.stage, None, "viewer", "watch");
    viewer.args([&room.link, "--out", "-"]).traced(room.stage).writes(output).start()
}

/// A player that reads what the viewer writes.
fn player(args: &[&str]) -> (Process, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = Command::new("ffplay");
    // No window and no loudspeaker.
    command.env("SDL_VIDEODRIVER", "dummy").env("SDL_AUDIODRIVER", "dummy");
    command.args(["-v", "warning", "-nostats", "-nodisp"]).args(args).args(["-i", "-"]);
    let ends = Ends { input: Some(reader.into()), output: None };
    (Process::start_between("ffplay", command, ends), writer)
}

#[track_caller]
fn quiet(ended: &Ended) {
    assert_eq!((ended.code, ended.log().len()), (Some(0), 0), "{}", ended.story());
}

#[test]
fn what_comes_out_is_read_by_ffprobe_with_both_tracks() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let out = stage.path("out.ts");
    let viewer = watch(&room, File::create(&out).expect("a file"));
    viewer.says("waiting: nobody is publishing", START);
    let publisher = room.publisher("publisher", &source(&stage)).ready();
    let _ = publisher.finish(START).summary();
    viewer.says("ended the broadcast", START);
    viewer.interrupt();
    let ended = viewer.finish(END);
    assert_eq!(ended.code, Some(0), "{}", ended.story());
    speaks_to_a_user(&ended.log().join("\n"));

    let mut probe = Command::new("ffprobe");
    probe.args(["-v", "warning", "-show_entries", "stream=codec_name", "-of", "csv=p=0"]).arg(&out);
    let probe = Process::start("ffprobe", probe).finish(START);
    quiet(&probe);
    let tracks: Vec<_> = probe.junk().iter().filter(|line| !line.is_empty()).collect();
    assert!(tracks.contains(&&"h264".to_owned()), "{tracks:?}");
    assert!(tracks.contains(&&"aac".to_owned()), "{tracks:?}");
    assert_eq!(mp4::packets(&out).len(), room.trace("viewer").len());
    assert_eq!(sound::packets(&out).len(), room.sound("viewer").len());
}

#[test]
fn ffplay_plays_what_comes_out_and_ends_with_it() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let (ffplay, pipe) = player(&["-autoexit"]);
    let viewer = watch(&room, pipe);
    viewer.says("waiting: nobody is publishing", START);
    let publisher = room.publisher("publisher", &source(&stage)).ready();
    let _ = publisher.finish(START).summary();
    viewer.says("ended the broadcast", START);
    viewer.interrupt();
    assert_eq!(viewer.finish(END).code, Some(0));
    quiet(&ffplay.finish(START));
    assert!(!room.trace("viewer").is_empty() && !room.sound("viewer").is_empty());
}

#[test]
fn a_player_that_is_closed_ends_the_watching_without_a_word() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", "test:320x180@30,300").ready();
    publisher.reaches("access_units", 30, START);
    let (ffplay, pipe) = player(&[]);
    let viewer = watch(&room, pipe);
    publisher.line("line with pictures sent to the viewer", START, |line| {
        line.find("children.0.sent").and_then(serde_json::Value::as_u64) >= Some(60)
    });
    ffplay.kill();
    let ended = viewer.finish(END);
    assert_eq!(ended.code, Some(0), "{}", ended.story());
    let said = ended.log().join("\n");
    let loud = ["roommate:", "player", "WARN", "ERROR"];
    assert!(!loud.iter().any(|word| said.contains(word)), "{said}");
    speaks_to_a_user(&said);
    end(publisher);
}

/// Two publishers, one of whom has a name that would like to be a path.
#[test]
fn every_publisher_is_recorded_into_a_file_named_by_the_node_alone() {
    let stage = Stage::shared();
    let room = Room::open(&stage);
    let folder = stage.path("recordings");
    let [viewer, killed] = ["viewer", "killed"].map(|name| {
        let folder = folder.join(name);
        (room.viewer(name).path("--record", &folder).ready(), folder)
    });
    let source = "test:320x180@30,300,gop=1";
    let named = |stage: &Stage, name: &str, called: &str| {
        let publisher = Roommate::bare(stage, None, name).args(["publish", &room.link, "--json"]);
        let publisher = publisher.args(["--no-mdns", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]);
        let publisher = publisher.path("--data-dir", stage.path(name)).args(["--name", called]);
        publisher.args(["--source", source]).traced(stage).ready()
    };
    let publishers = [named(&stage, "one", "../../evil"), named(&stage, "two", "/etc/x.mp4")];
    publishers.iter().for_each(|one| drop(one.reaches("access_units", 120, START)));
    let peers = publishers.each_ref().map(peer);
    killed.0.kill();
    let ended = killed.0.finish(END);
    assert_eq!(ended.signal, Some(9), "{}", ended.story());
    publishers.iter().for_each(|one| drop(one.reaches("access_units", 150, START)));
    let traces = publishers.map(|one| {
        let name = one.name().to_owned();
        end(one);
        (room.trace(&name).len(), room.sound(&name).len())
    });
    end(viewer.0);
    for (folder, whole) in [(viewer.1, true), (killed.1, false)] {
        let files = files(&folder);
        assert_eq!(files.len(), 2, "{files:?}");
        for (peer, (pictures, packets)) in peers.iter().zip(traces) {
            let file = files.iter().find(|file| of(file, peer));
            let file = file.unwrap_or_else(|| panic!("no file of {peer} among {files:?}"));
            let (seen, heard) = (mp4::strips(file, 320, 16).len(), sound::beeps(file));
            assert!(heard.len() >= 2, "{heard:?}");
            let both = (seen, sound::packets(file).len());
            assert!(if whole { both == (pictures, packets) } else { seen >= 85 }, "{both:?}");
        }
    }
}

/// `YYYYMMDD-HHMMSS-PEER.mp4`
fn of(file: &Path, peer: &str) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let time = name.strip_suffix(&format!("-{peer}.mp4")).unwrap_or_default();
    let (day, clock) = time.split_once('-').unwrap_or_default();
    let digits =
        |text: &str, of: usize| text.len() == of && text.bytes().all(|b| b.is_ascii_digit());
    digits(day, 8) && digits(clock, 6)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder of the recordings");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn a_terminal_and_json_are_no_place_for_a_stream() {
    let stage = Stage::shared();
    let link = "roommate:whatever";
    let both = Roommate::bare(&stage, None, "viewer").args(["watch", link, "--json", "--out", "-"]);
    refused(both, 2, &["--json and --out - both want standard output"]);

    // `script` gives the program a terminal, and prints what it says there.
    let program = e2e::stage::program("roommate");
    let typed = format!("{} watch {link} --out -", program.display());
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &typed, "/dev/null"]).env("HOME", stage.folder());
    script.env("ROOMMATE_DATA_DIR", stage.path("viewer")).current_dir(stage.folder());
    let ended = Process::start("script", script).finish(START);
    assert_eq!(ended.code, Some(2), "{}", ended.story());
    let said = ended.junk().join("\n");
    assert!(said.contains("that is a terminal") && said.contains("| ffplay -"), "{said}");
}
