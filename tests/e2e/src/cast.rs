//! Who acts in a test: bootstraps, rooms, publishers and viewers, as the command line starts them.
//!
//! Everybody lives on loopback or on a host of a [`Lab`](crate::lab::Lab), without mDNS, with a
//! data folder of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::fields::Fields;
use crate::lab::Host;
use crate::process::{Ends, Process};
use crate::stage::{Stage, program};

/// How long a program may take to its first line: debug builds on a busy machine.
pub const START: Duration = Duration::from_secs(10);

/// The stream of most tests.
pub const TEST_PICTURE: &str = "test:1280x720@30,2500,gop=2";

/// A command line of `roommate`, being written.
#[derive(Debug)]
pub struct Roommate {
    name: String,
    command: Command,
    ends: Ends,
}

impl Roommate {
    /// `roommate VERB`, for a member called `name`; on loopback if there is no host.
    #[must_use]
    pub fn new(stage: &Stage, host: Option<&Host>, name: &str, verb: &str) -> Self {
        let mut roommate = Self::bare(stage, host, name);
        roommate.command.args(verb.split(' ')).arg("--data-dir").arg(stage.path(name));
        roommate.command.args(["--name", name, "--no-mdns", "--listen", &listen(host)]);
        roommate
    }

    /// `roommate` without any argument yet.
    #[must_use]
    pub fn bare(stage: &Stage, host: Option<&Host>, name: &str) -> Self {
        let program = program("roommate");
        let command = host.map_or_else(|| Command::new(&program), |host| host.command(&program));
        let mut roommate = Self { name: name.to_owned(), command, ends: Ends::default() };
        clean(&mut roommate.command, stage);
        roommate
    }

    /// A line as somebody types it into a shell, with a data folder of their own; of a pipeline the
    /// last program's end counts. Listens where the line says: give it a host.
    #[must_use]
    pub fn typed(stage: &Stage, host: &Host, name: &str, line: &str) -> Self {
        let command = host.command(Path::new("/bin/sh"));
        let mut roommate = Self { name: name.to_owned(), command, ends: Ends::default() };
        clean(&mut roommate.command, stage);
        // The shell of a pipeline outlives an interrupt, to tell how the last program ended; what it
        // starts does not inherit that.
        let script = if line.contains(" | ") {
            format!("trap : INT; {line}")
        } else {
            format!("exec {line}")
        };
        roommate.command.args(["-c", &script]);
        roommate.command.env("ROOMMATE_DATA_DIR", stage.path(name));
        roommate
    }

    /// One of the two programs without any argument yet, started by `wrapper`, which becomes it.
    ///
    /// # Panics
    /// If `wrapper` is empty.
    #[must_use]
    pub fn within(stage: &Stage, wrapper: &[&str], name: &str, of: &str) -> Self {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(program(of));
        let mut roommate = Self { name: name.to_owned(), command, ends: Ends::default() };
        clean(&mut roommate.command, stage);
        roommate
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<const N: usize>(mut self, args: [&str; N]) -> Self {
        self.command.args(args);
        self
    }

    /// Adds `--trace` with the file [`trace_of`].
    #[must_use]
    pub fn traced(mut self, stage: &Stage) -> Self {
        self.command.arg("--trace").arg(trace_of(stage, &self.name));
        self
    }

    /// Adds an option with a path.
    #[must_use]
    pub fn path(mut self, option: &str, path: impl Into<PathBuf>) -> Self {
        self.command.arg(option).arg(path.into());
        self
    }

    /// Sets an environment variable, such as a test hook.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.command.env(name, value.as_ref());
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// What it reads from standard input, which is nothing otherwise.
    #[must_use]
    pub fn reads(mut self, input: impl Into<Stdio>) -> Self {
        self.ends.input = Some(input.into());
        self
    }

    /// Where its standard output goes, which is read as JSON lines otherwise.
    #[must_use]
    pub fn writes(mut self, output: impl Into<Stdio>) -> Self {
        self.ends.output = Some(output.into());
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If the program is missing.
    #[must_use]
    pub fn start(self) -> Process {
        Process::start_between(&self.name, self.command, self.ends)
    }

    /// Starts it and waits for its first line.
    ///
    /// # Panics
    /// If that does not come.
    #[must_use]
    #[track_caller]
    pub fn ready(self) -> Process {
        let process = self.start();
        let _ = ready_line(&process);
        process
    }
}

/// The first line of whoever joins a room.
///
/// # Panics
/// If it does not come.
#[must_use]
#[track_caller]
pub fn ready_line(process: &Process) -> Value {
    process.line("ready line", START, |line| line.is("ready"))
}

/// The file that [`Roommate::traced`] names.
#[must_use]
pub fn trace_of(stage: &Stage, name: &str) -> PathBuf {
    stage.path(&format!("{name}.trace"))
}

/// A running bootstrap.
#[derive(Debug)]
pub struct Bootstrap {
    /// The program.
    pub process: Process,
    /// Where it listens, with its PeerId.
    pub addresses: Vec<String>,
}

impl Bootstrap {
    /// Starts one; on loopback if there is no host.
    ///
    /// # Panics
    /// If its first line does not come.
    #[must_use]
    #[track_caller]
    pub fn start(stage: &Stage, host: Option<&Host>) -> Self {
        let tcp = listen(host).replace("/udp/0/quic-v1", "/tcp/0");
        Self::listening(stage, host, &[listen(host), tcp])
    }

    /// Ends it by SIGKILL and starts it again at the same addresses and with the same key.
    ///
    /// # Panics
    /// If its first line does not come.
    #[must_use]
    #[track_caller]
    pub fn restart(self, stage: &Stage, host: Option<&Host>) -> Self {
        self.process.kill();
        let _ = self.process.finish(START);
        let bare = |address: &String| {
            address.split_once("/p2p/").map_or(address.clone(), |(bare, _)| bare.to_owned())
        };
        let addresses: Vec<String> = self.addresses.iter().map(bare).collect();
        let again = Self::listening(stage, host, &addresses);
        assert_eq!(again.addresses, self.addresses, "a bootstrap keeps its key and addresses");
        again
    }

    #[track_caller]
    fn listening(stage: &Stage, host: Option<&Host>, addresses: &[String]) -> Self {
        let program = program("roommate-bootstrap");
        let mut command =
            host.map_or_else(|| Command::new(&program), |host| host.command(&program));
        clean(&mut command, stage);
        command.arg("--json").arg("--data-dir").arg(stage.path("bootstrap"));
        for address in addresses {
            command.args(["--listen", address]);
        }
        let process = Process::start("bootstrap", command);
        let line = process.line("listen line", START, |line| line.find("listen").is_some());
        let mut addresses: Vec<String> =
            line.list("listen").iter().filter_map(Value::as_str).map(str::to_owned).collect();
        addresses.sort();
        assert!(addresses.iter().all(|address| address.contains("/p2p/")), "{addresses:?}");
        Self { process, addresses }
    }

    /// Its QUIC address.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn quic(&self) -> &str {
        let quic = self.addresses.iter().find(|address| address.contains("/quic-v1"));
        quic.expect("a bootstrap listens on QUIC")
    }
}

/// Creates a room that is known to this bootstrap and returns its link.
///
/// # Panics
/// If `room create` fails.
#[must_use]
#[track_caller]
pub fn create_room(stage: &Stage, host: Option<&Host>, bootstrap: &Bootstrap) -> String {
    let made = made_room(stage, host, bootstrap, ["--title", "A test"]);
    assert_eq!(made.text("title"), "A test");
    made.text("link").to_owned()
}

/// `room create` with these arguments besides; what it prints. The data folder is `owner`.
///
/// # Panics
/// If it fails.
#[must_use]
#[track_caller]
pub fn made_room<const N: usize>(
    stage: &Stage,
    host: Option<&Host>,
    bootstrap: &Bootstrap,
    more: [&str; N],
) -> Value {
    let room = Roommate::bare(stage, host, "owner").args(["room", "create"]);
    let room = room.path("--data-dir", stage.path("owner")).args(more);
    let ended = room.args(["--bootstrap", bootstrap.quic(), "--json"]).start().finish(START);
    assert_eq!(ended.code, Some(0), "{}", ended.story());
    let [line] = ended.lines() else { panic!("not one object\n{}", ended.story()) };
    assert_eq!(line.value.text("scope"), "internet");
    line.value.clone()
}

/// `roommate publish LINK --source SOURCE --json`, with a trace.
#[must_use]
pub fn publish(
    stage: &Stage,
    host: Option<&Host>,
    name: &str,
    link: &str,
    source: &str,
) -> Roommate {
    Roommate::new(stage, host, name, "publish")
        .args([link, "--json", "--source", source])
        .traced(stage)
}

/// `roommate watch LINK --json`, with a trace.
#[must_use]
pub fn watch(stage: &Stage, host: Option<&Host>, name: &str, link: &str) -> Roommate {
    Roommate::new(stage, host, name, "watch").args([link, "--json", "--no-open"]).traced(stage)
}

fn listen(host: Option<&Host>) -> String {
    let ip = host.map_or_else(|| "127.0.0.1".to_owned(), |host| host.ip.to_string());
    format!("/ip4/{ip}/udp/0/quic-v1")
}

/// Nothing of the developer's own settings or data reaches a test, and nothing of a test them.
fn clean(command: &mut Command, stage: &Stage) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOMMATE_") {
            command.env_remove(name);
        }
    }
    command.env("HOME", stage.folder()).env_remove("XDG_DATA_HOME").env("NO_COLOR", "1");
    // A folder of the test's, so that a program that writes where it stands does no harm.
    command.current_dir(stage.folder());
}
