//! The program as people and scripts run it: lines, exit codes, signals.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const TCP: &str = "/ip4/127.0.0.1/tcp/0";

fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roommate-bootstrap"));
    command.arg("--data-dir").arg(directory).args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ROOMMATE_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A program that runs; killed when the test ends.
struct Run {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Run {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> Option<Value> {
        Some(serde_json::from_str(&self.lines.next()?.unwrap()).unwrap())
    }

    /// Sends a signal; exit code, how long it took to end, and its last line.
    fn end(mut self, signal: &str) -> (Option<i32>, Duration, Value) {
        let start = Instant::now();
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let mut last = Value::Null;
        while let Some(line) = self.line() {
            last = line;
        }
        let code = self.child.wait().unwrap().code();
        (code, start.elapsed(), last)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failed(mut command: Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(stdout, b"", "text for people on standard output");
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn it_prints_where_it_listens_then_figures_and_a_summary_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut peers = Vec::new();
    for signal in ["-TERM", "-INT"] {
        let arguments = ["--json", "--listen", QUIC, "--listen", TCP];
        let mut run = Run::start(program(directory.path(), &arguments));
        let first = run.line().unwrap();
        assert_eq!(first["role"], "bootstrap");
        assert!(first["t"].is_number());
        let listen: Vec<_> = first["listen"].as_array().unwrap().iter().collect();
        assert_eq!(listen.len(), 2);
        assert!(listen.iter().all(|address| address.as_str().unwrap().contains("/p2p/12D3KooW")));
        let peer = listen[0].as_str().unwrap().rsplit('/').next().unwrap();
        peers.push(peer.to_owned());

        let second = run.line().unwrap();
        for field in ["registrations", "rooms", "watchers", "circuits", "relay_bytes", "refused"] {
            assert_eq!(second[field], 0, "{field}");
        }
        assert_eq!(second["media_bytes"], 0);
        assert!(second["rss_mib"].as_f64().unwrap() > 1.0);
        assert!(second.get("summary").is_none());

        let (code, took, last) = run.end(signal);
        assert_eq!(code, Some(0), "{signal}");
        assert!(took < Duration::from_secs(2), "{signal} took {took:?}");
        assert_eq!(last["summary"], true);
        assert_eq!(last["media_bytes"], 0);
    }
    assert_eq!(peers[0], peers[1], "a restart gave another identity");
}

#[test]
fn the_environment_stands_for_options() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = program(directory.path(), &[]);
    command.env("ROOMMATE_LISTEN", format!("{QUIC},{TCP}")).env("ROOMMATE_JSON", "true");
    let mut run = Run::start(command);
    assert_eq!(run.line().unwrap()["listen"].as_array().unwrap().len(), 2);
    assert_eq!(run.end("-TERM").0, Some(0));
}

#[test]
fn a_taken_port_is_one_sentence_and_exit_code_1() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["--json", "--listen", QUIC, "--listen", TCP];
    let mut run = Run::start(program(directory.path(), &arguments));
    let first = run.line().unwrap();
    for address in first["listen"].as_array().unwrap() {
        let (listen, _) = address.as_str().unwrap().split_once("/p2p/").unwrap();
        let (code, text) = failed(program(directory.path(), &["--json", "--listen", listen]));
        assert_eq!(code, 1);
        assert_eq!(text.trim().lines().count(), 1, "{text}");
        assert!(text.contains("already listens") && text.contains("--listen"), "{text}");
    }
    assert_eq!(run.end("-TERM").0, Some(0));
}

/// An address of the documentation's own, which no machine has: nothing is sent.
#[test]
fn an_address_of_somebody_else_is_one_sentence_and_exit_code_1() {
    let directory = tempfile::tempdir().unwrap();
    for listen in ["/ip4/192.0.2.1/udp/0/quic-v1", "/ip4/192.0.2.1/tcp/0"] {
        let (code, text) = failed(program(directory.path(), &["--json", "--listen", listen]));
        assert_eq!((code, text.trim().lines().count()), (1, 1), "{text}");
        assert!(text.contains(&format!("cannot listen on {listen}")), "{text}");
        assert!(text.contains("name another address with --listen"), "{text}");
    }
}

#[test]
fn what_cannot_be_meant_is_exit_code_2_in_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 3] = [
        (&["--config", "file.toml"], "not in this version yet"),
        (&["--metrics", "127.0.0.1:9000"], "not in this version yet"),
        (&["--listen", "/ip4/127.0.0.1/udp/4001"], "no address to listen on"),
    ];
    for (arguments, sentence) in cases {
        let (code, text) = failed(program(directory.path(), arguments));
        assert_eq!((code, text.trim().lines().count()), (2, 1), "{text}");
        assert!(text.contains(sentence), "{text}");
    }
    assert_eq!(failed(program(directory.path(), &["--nonsense"])).0, 2);
}

#[test]
fn an_identity_that_cannot_be_kept_is_exit_code_1() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (code, text) = failed(program(&file.path().join("below"), &["--listen", QUIC]));
    assert_eq!((code, text.trim().lines().count()), (1, 1), "{text}");
    assert!(text.contains("--data-dir"), "{text}");
}

#[test]
fn the_version_names_the_wire_versions() {
    let directory = tempfile::tempdir().unwrap();
    let output = program(directory.path(), &["--version"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(env!("CARGO_PKG_VERSION")) && text.contains("rooms 1"), "{text}");
}
