//! A headless Firefox, spoken to in its own Marionette protocol over a socket on loopback: numbered
//! commands in JSON, each with its length in front. No library.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::stage::Stage;

/// It makes a profile first, and draws in software.
const START: Duration = Duration::from_secs(40);
const ANSWER: Duration = Duration::from_secs(20);
/// Between two looks at what nothing tells of.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A Firefox with one page.
#[derive(Debug)]
pub struct Firefox {
    child: Child,
    socket: BufReader<TcpStream>,
    number: u64,
}

impl Firefox {
    /// Starts it with an empty page.
    ///
    /// # Panics
    /// If Firefox ESR is missing or does not answer.
    #[must_use]
    pub fn start(stage: &Stage) -> Self {
        let profile = stage.path("firefox");
        std::fs::create_dir_all(&profile).expect("a folder for the profile");
        let settings = [
            ("marionette.port", "0"),
            ("datareporting.policy.dataSubmissionEnabled", "false"),
            ("toolkit.telemetry.enabled", "false"),
            ("app.update.enabled", "false"),
            ("network.captive-portal-service.enabled", "false"),
            ("network.connectivity-service.enabled", "false"),
            ("browser.shell.checkDefaultBrowser", "false"),
        ];
        let lines = settings.map(|(name, value)| format!("user_pref(\"{name}\", {value});\n"));
        std::fs::write(profile.join("user.js"), lines.concat()).expect("settings");
        let mut command = Command::new("firefox-esr");
        command.args(["--headless", "--marionette", "--no-remote", "--profile"]).arg(&profile);
        command.env("HOME", stage.folder()).env("MOZ_DISABLE_CONTENT_SANDBOX", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().expect("firefox-esr starts: cargo xtask setup installs it");
        let end = Instant::now() + START;
        let port = loop {
            let told = std::fs::read_to_string(profile.join("MarionetteActivePort"));
            if let Some(port) = told.ok().and_then(|port| port.trim().parse::<u16>().ok()) {
                break port;
            }
            assert!(Instant::now() < end, "Firefox tells no port within {START:?}");
            std::thread::sleep(LOOK_AGAIN);
        };
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("Marionette listens");
        socket.set_read_timeout(Some(ANSWER)).expect("a timeout");
        let mut firefox = Self { child, socket: BufReader::new(socket), number: 0 };
        firefox.message();
        firefox.call("WebDriver:NewSession", json!({}));
        firefox
    }

    /// Opens an address.
    ///
    /// # Panics
    /// If it cannot be reached.
    pub fn open(&mut self, url: &str) {
        self.call("WebDriver:Navigate", json!({"url": url}));
    }

    /// The value of a JavaScript expression in the page.
    ///
    /// # Panics
    /// If it throws.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let script = format!(
            "const window = globalThis.window.wrappedJSObject ?? globalThis.window; return ({expression});"
        );
        self.call(
            "WebDriver:ExecuteScript",
            json!({"script": script, "args": [], "sandbox": "default", "newSandbox": false}),
        )["value"]
            .take()
    }

    /// Clicks an element, as a person does.
    ///
    /// # Panics
    /// If there is none, or it cannot be clicked.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let find = json!({"using": "css selector", "value": selector});
        let found = self.call("WebDriver:FindElement", find);
        let id = found["value"].as_object().and_then(|found| found.values().next()).cloned();
        self.call("WebDriver:ElementClick", json!({"id": id}));
    }

    /// Waits until the expression gives something that `is` accepts, and returns it.
    ///
    /// # Panics
    /// After `limit`, with the last value.
    #[track_caller]
    pub fn until(
        &mut self,
        expression: &str,
        limit: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        let end = Instant::now() + limit;
        loop {
            let value = self.value(expression);
            if is(&value) {
                return value;
            }
            assert!(Instant::now() < end, "{expression} is still {value} after {limit:?}");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Writes what is to be seen as a PNG.
    ///
    /// # Panics
    /// If that fails.
    pub fn screenshot(&mut self, path: &std::path::Path) {
        let shot = self.call("WebDriver:TakeScreenshot", json!({"full": false}));
        let text = shot["value"].as_str().expect("base64");
        let png = data_encoding::BASE64.decode(text.as_bytes()).expect("base64");
        std::fs::write(path, png).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let message = json!([0, self.number, method, params]).to_string();
        let framed = format!("{}:{message}", message.len());
        self.socket.get_mut().write_all(framed.as_bytes()).expect("Firefox reads");
        let mut answer = self.message();
        assert_eq!(answer[1], self.number, "answers come in order");
        assert!(answer[2].is_null(), "{method}: {}", answer[2]);
        answer[3].take()
    }

    /// The next message: its length in digits, a colon, JSON.
    #[track_caller]
    fn message(&mut self) -> Value {
        let mut length = 0;
        loop {
            let mut byte = [0];
            self.socket.read_exact(&mut byte).expect("Firefox answers");
            match byte[0] {
                b':' => break,
                digit => length = length * 10 + usize::from(digit - b'0'),
            }
        }
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes).expect("a whole message");
        serde_json::from_slice(&bytes).expect("JSON")
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
