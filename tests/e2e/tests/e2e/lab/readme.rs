//! Every command of the README, typed in the README's order, as it stands there: on three machines
//! of a network of their own, where the suite's programs are installed. What no machine of ours has
//! (camera, microphone, screen) is replaced in one place: [`place`].

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::cast::{Roommate, START};
use e2e::fields::Fields;
use e2e::lab::Lab;
use e2e::mp4;
use e2e::process::{Ended, Process};
use e2e::stage::{Stage, fixture, readme};
use e2e::stamp;
use e2e::trace::{self, Unit};
use xtask::{Typist, commands};

use self::place::end;
use crate::room::END;

mod place;

const ROOMMATE: &str = "roommate ";
const BOOTSTRAP: &str = "roommate-bootstrap";
/// The one command before anything is installed.
const DEMO: &str = "cargo run --release -- demo";
/// Pictures that prove that it plays: two seconds.
const ENOUGH: usize = 60;
/// And so many that at most half of them waited for whoever came late, with a second of sound.
const WITH_SOUND: usize = 2 * ENOUGH;
const SOON: Duration = Duration::from_secs(20);

#[test]
fn every_command_does_what_the_readme_says() {
    let stage = Stage::shared();
    let lab = Lab::new(&["boot", "opener", "friend"]);
    let text = readme();
    place::all_devices_are_in(&commands(&text));
    let mut reader = Reader::new(&stage, &lab, &text);
    for command in commands(&text) {
        eprintln!("$ {command}");
        if Typist::of(&command).in_the_suite() {
            reader.types(&command);
        }
    }
    reader.ends();
}

/// Somebody who reads the README from top to bottom and types what it says.
struct Reader<'a> {
    stage: &'a Stage,
    lab: &'a Lab,
    text: &'a str,
    bootstrap: Option<Process>,
    /// `ADDR`: where the bootstrap can be reached, the one to take next at the front.
    addresses: Vec<String>,
    publisher: Option<Process>,
    /// `LINK`: of the room that was made last.
    link: String,
    /// Programs started so far: each has a name and files of its own.
    started: usize,
}

impl<'a> Reader<'a> {
    fn new(stage: &'a Stage, lab: &'a Lab, text: &'a str) -> Self {
        fs::copy(fixture("bbb.mp4"), stage.path("clip.mp4")).expect("a clip to publish");
        place::install(stage);
        let (bootstrap, publisher) = (None, None);
        let (addresses, link) = (Vec::new(), String::new());
        Self { stage, lab, text, bootstrap, addresses, publisher, link, started: 0 }
    }

    fn types(&mut self, command: &str) {
        let roommate = command.strip_prefix(ROOMMATE).unwrap_or_default();
        match roommate.split(' ').collect::<Vec<_>>()[..] {
            _ if command == DEMO => self.demo(&format!("{ROOMMATE}demo")),
            _ if command.starts_with("ffmpeg ") => {
                self.publish(command);
                self.both_tracks_are_recorded();
            }
            ["publish", "--bootstrap", "ADDR"] => {
                self.publish(command);
                self.test_picture_is_seen();
                self.ends_after_a_day();
            }
            ["publish", "--bootstrap", "ADDR", "--source", "file:clip.mp4", "--loop"] => {
                self.publish(command);
                self.clip_is_seen_again_and_again();
            }
            ["watch", "LINK"] => {
                self.a_page_opens(command);
                self.a_recording_plays(command);
                self.no_bootstrap_is_needed_on_a_lan(command);
            }
            ["watch", "LINK", "--out", "-", "|", "ffplay", "-"] => self.a_player_plays(command),
            ["watch", "LINK", "--record", folder] => self.a_folder_is_filled(command, folder),
            ["room", "create", ..] => self.create_kitchen(command),
            ["room", "show", "LINK"] => self.show_kitchen(command),
            ["publish", "LINK"] => self.go_live_in_the_kitchen(command),
            _ if command == BOOTSTRAP => self.run_bootstrap(command),
            _ if command.starts_with(BOOTSTRAP) => self.run_bootstrap_again(command),
            _ => panic!("the README has a command that nobody tries: {command}"),
        }
    }

    /// The command as it is typed here, on one of the three machines.
    fn typed(&mut self, machine: &str, command: &str) -> (String, Roommate) {
        // The README's own words for what everybody has another of.
        let mut line = command.replace("LINK", &self.link);
        if let [address, ..] = &self.addresses[..] {
            line = line.replace("ADDR", address);
        }
        line = place::without_devices(&line);
        if command.contains("ADDR") {
            // Each of them must do: the next command takes the next.
            self.addresses.rotate_left(1);
        }
        self.started += 1;
        let name = format!("{machine}-{}", self.started);
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.stage.path("bin").display());
        let typed = Roommate::typed(self.stage, self.lab.host(machine), &name, &line);
        let roommate = place::SCREEN
            .iter()
            .fold(typed, |typed, (variable, value)| typed.env(variable, value))
            .env("PATH", path)
            .env("OPENED", self.opened(&name).display().to_string())
            .env("ROOMMATE_DATA_DIR", self.stage.path(machine).display().to_string())
            .env("ROOMMATE_TRACE", self.trace(&name).display().to_string());
        (name, roommate)
    }

    fn start(&mut self, machine: &str, command: &str) -> Process {
        self.typed(machine, command).1.start()
    }

    /// Where the browser writes what it was told to open.
    fn opened(&self, name: &str) -> PathBuf {
        self.stage.path(&format!("{name}.opened"))
    }

    fn trace(&self, name: &str) -> PathBuf {
        self.stage.path(&format!("{name}.trace"))
    }

    fn pictures(&self, name: &str) -> Vec<Unit> {
        let path = self.trace(name);
        if path.exists() { trace::read(&path) } else { Vec::new() }
    }

    /// Waits for pictures at whoever writes no JSON: their trace grows, and nothing tells of it.
    #[track_caller]
    fn pictures_come(&self, viewer: &Process, count: usize) {
        let end = viewer.started() + SOON;
        while self.pictures(viewer.name()).len() < count {
            assert!(
                Instant::now() < end,
                "{} has {} pictures of {count} after {SOON:?}",
                viewer.name(),
                self.pictures(viewer.name()).len()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The README's command for whoever watches, on the friend's machine, until enough has come.
    #[track_caller]
    fn friend_watches(&mut self, command: &str, count: usize) -> Ended {
        let viewer = self.start("friend", command);
        self.pictures_come(&viewer, count);
        end(viewer)
    }

    fn demo(&mut self, command: &str) {
        let (name, demo) = self.typed("opener", command);
        let demo = demo.start();
        let told = demo.tells("a line of figures", SOON, |line| {
            line.split_once("latency p50 ")
                .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
        });
        for word in ["1 viewer", "pictures", "gaps", "p99", "ms"] {
            assert!(told.contains(word), "«{word}» is not in: {told}");
        }
        self.is_a_page(&name);
        end(demo);
    }

    fn run_bootstrap(&mut self, command: &str) {
        let bootstrap = self.start("boot", command);
        self.addresses = self.addresses_of(&bootstrap);
        self.bootstrap = Some(bootstrap);
    }

    /// Those that others can reach, each with its identity behind it.
    fn addresses_of(&self, bootstrap: &Process) -> Vec<String> {
        let ip = self.lab.host("boot").ip;
        let told = ["udp/4001/quic-v1", "tcp/4001"].map(|port| {
            let start = format!("/ip4/{ip}/{port}/p2p/");
            let line = bootstrap.says(&start, START);
            line.split(' ').next_back().expect("a line ends").to_owned()
        });
        told.into()
    }

    fn publish(&mut self, command: &str) {
        self.end_publisher();
        let publisher = self.start("opener", command);
        self.link = publisher.prints("roommate:", START);
        self.publisher = Some(publisher);
    }

    /// The one who types `publish` and nothing of a source sends a test picture.
    fn test_picture_is_seen(&mut self) {
        let watch = self.watch_command();
        let out = self.record(&watch, ENOUGH);
        let stamps = stamp::consecutive(&mp4::strips(&out, stamp::WIDTH, stamp::ROWS));
        assert!(stamps.expect("the test picture").len() >= ENOUGH);
    }

    /// What ffmpeg sends comes with its sound.
    fn both_tracks_are_recorded(&mut self) {
        let watch = self.watch_command();
        let out = self.record(&watch, WITH_SOUND);
        assert!(mp4::packets(&out).len() >= ENOUGH);
        assert!(mp4::packets_of_sound(&out) >= ENOUGH, "{} of sound", mp4::packets_of_sound(&out));
    }

    /// A player finds both tracks in what comes through its pipe, and Ctrl-C ends both programs.
    fn a_player_plays(&mut self, command: &str) {
        let player = self.start("friend", command);
        player.says("Video: h264", SOON);
        player.says("Audio: opus", SOON);
        self.pictures_come(&player, ENOUGH);
        player.interrupt_group();
        player.finish(END);
    }

    /// A file for the one who publishes, with both tracks.
    fn a_folder_is_filled(&mut self, command: &str, folder: &str) {
        self.friend_watches(command, WITH_SOUND);
        let files = fs::read_dir(self.stage.path(folder)).expect("a folder");
        let files: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
        let [file] = &files[..] else { panic!("not one file: {files:?}") };
        assert!(mp4::packets(file).len() >= ENOUGH);
        assert!(mp4::packets_of_sound(file) >= ENOUGH);
    }

    /// "A link ends after 24 hours".
    fn ends_after_a_day(&mut self) {
        let told = self.show_as_text();
        let left = told.iter().any(|line| line.starts_with("ends") && !line.contains("never"));
        assert!(left, "{told:?}");
        let json = format!("{ROOMMATE}room show LINK --json");
        let ended = self.start("friend", &json).finish(START);
        let ends_in = ended.lines()[0].value.num("ends_in_s");
        assert!((86_300.0..=86_400.0).contains(&ends_in), "{}", ended.story());
    }

    /// Passed through without transcoding, and begun anew at its end.
    fn clip_is_seen_again_and_again(&mut self) {
        let watch = self.watch_command();
        let source = mp4::coded(&self.stage.path("clip.mp4"));
        let length = mp4::packets(&self.stage.path("clip.mp4")).len();
        let out = self.record(&watch, length + ENOUGH);
        let seen = mp4::coded(&out);
        let other = seen.units.iter().filter(|unit| !source.units.contains(unit)).count();
        assert_eq!(other, 0, "coded pictures that are not the clip's");
        assert!(seen.units.len() > source.units.len(), "{} of the clip", seen.units.len());
    }

    fn a_page_opens(&mut self, command: &str) {
        let (name, watch) = self.typed("friend", command);
        let viewer = watch.start();
        self.pictures_come(&viewer, ENOUGH);
        self.is_a_page(&name);
        end(viewer);
    }

    /// What the browser was told to open is served on this machine alone, with its key.
    #[track_caller]
    fn is_a_page(&self, name: &str) {
        let opened = fs::read_to_string(self.opened(name)).unwrap_or_default();
        let (host, token) = opened.trim().split_once("/#").unwrap_or_default();
        assert!(host.starts_with("http://127.0.0.1:") && token.len() >= 20, "opened: {opened:?}");
    }

    fn a_recording_plays(&mut self, command: &str) {
        let out = self.record(command, ENOUGH);
        assert!(mp4::packets(&out).len() >= ENOUGH);
    }

    /// Adds the README's `--out FILE.mp4` to a watch command.
    #[track_caller]
    fn record(&mut self, command: &str, count: usize) -> PathBuf {
        assert!(self.text.contains("`--out FILE.mp4`"), "the README no longer says how to record");
        let file = self.stage.path("FILE.mp4");
        let _ = fs::remove_file(&file);
        let viewer = self.start("friend", &format!("{command} --out FILE.mp4"));
        let name = viewer.name().to_owned();
        self.pictures_come(&viewer, count);
        end(viewer);
        assert!(!self.opened(&name).exists(), "a recording opened a page");
        file
    }

    fn no_bootstrap_is_needed_on_a_lan(&mut self, watch: &str) {
        let publish = format!("{ROOMMATE}publish");
        assert!(self.text.contains("leave `--bootstrap` away"), "the README no longer says so");
        self.publish(&publish);
        let told = self.show_as_text();
        let own = format!("/ip4/{}/udp/", self.lab.host("opener").ip);
        assert!(told.iter().any(|line| line.contains(&own)), "{own} is not in {told:?}");
        assert!(told.iter().any(|line| line.contains("local network")), "{told:?}");
        self.friend_watches(watch, ENOUGH);
    }

    fn create_kitchen(&mut self, command: &str) {
        self.end_publisher();
        let ended = self.start("opener", command).finish(START);
        assert_eq!(ended.code, Some(0), "{}", ended.story());
        let [link] = ended.junk() else { panic!("not the link alone: {}", ended.story()) };
        self.link.clone_from(link);
        let log = ended.log().join("\n");
        assert!(log.contains("everyone who came by it, ends at"), "{log}");
    }

    fn show_kitchen(&mut self, command: &str) {
        let ended = self.start("opener", command).finish(START);
        let told = ended.junk();
        assert!(told.iter().any(|line| line.ends_with("Kitchen")), "{}", ended.story());
        let json = self.start("opener", &format!("{command} --json")).finish(START);
        let ends_in = json.lines()[0].value.num("ends_in_s");
        assert!((43_100.0..=43_200.0).contains(&ends_in), "twelve hours: {}", json.story());
    }

    fn go_live_in_the_kitchen(&mut self, command: &str) {
        let publisher = self.start("opener", command);
        let watch = self.watch_command();
        self.friend_watches(&watch, ENOUGH);
        end(publisher);
    }

    /// The same port, said in full; the same identity, since the folder was kept.
    fn run_bootstrap_again(&mut self, command: &str) {
        end(self.bootstrap.take().expect("a bootstrap runs"));
        let again = self.start("boot", command);
        let addresses = self.addresses_of(&again);
        assert!(addresses.iter().all(|address| self.addresses.contains(address)), "{addresses:?}");
        self.bootstrap = Some(again);
        // The link of before still leads there.
        let publisher = self.start("opener", &format!("{ROOMMATE}publish LINK"));
        let watch = self.watch_command();
        self.friend_watches(&watch, ENOUGH);
        end(publisher);
    }

    fn show_as_text(&mut self) -> Vec<String> {
        let ended = self.start("friend", &format!("{ROOMMATE}room show LINK")).finish(START);
        assert_eq!(ended.code, Some(0), "{}", ended.story());
        ended.junk().to_vec()
    }

    /// What the README tells whoever watches.
    fn watch_command(&self) -> String {
        let told = commands(self.text);
        let watch = told.into_iter().find(|line| line.starts_with(&format!("{ROOMMATE}watch")));
        watch.expect("the README says how to watch")
    }

    fn end_publisher(&mut self) {
        self.publisher.take().map(end);
    }

    fn ends(mut self) {
        self.end_publisher();
        self.bootstrap.take().map(end);
    }
}
