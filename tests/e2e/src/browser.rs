//! A headless Chromium, spoken to in the DevTools protocol over two pipes: no port, no library.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::fields::Fields;
use crate::stage::Stage;

/// For one answer of the browser: it draws in software, beside an encoder.
const ANSWER: Duration = Duration::from_secs(20);
/// Between two looks at a page: nothing tells from outside that a canvas was drawn.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A browser with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    number: u64,
    /// What the page wrote to its console, and the exceptions it threw.
    console: Vec<String>,
}

impl Browser {
    /// Starts it with an empty page.
    ///
    /// # Panics
    /// If Chromium is missing or does not answer.
    #[must_use]
    pub fn start(stage: &Stage) -> Self {
        let mut command = Command::new("sh");
        // Chromium speaks on descriptors 3 and 4; its own standard streams are of no use.
        command.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "chromium"]);
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--remote-debugging-pipe",
            "--no-first-run",
            "--mute-audio",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-quic",
            "--no-proxy-server",
            "--window-size=1280,900",
        ]);
        command.arg(format!("--user-data-dir={}", stage.path("chromium").display()));
        command.env("HOME", stage.folder()).process_group(0);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts chromium");
        let to = child.stdin.take().expect("it was piped");
        let stdout = child.stdout.take().expect("it was piped");
        let (told, from) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(stdout).split(0) {
                let Ok(message) = message else { break };
                let Ok(message) = serde_json::from_slice(&message) else { continue };
                if told.send(message).is_err() {
                    break;
                }
            }
        });
        let mut browser =
            Self { child, to, from, session: String::new(), number: 0, console: Vec::new() };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let id = page.text("targetId").to_owned();
        let session =
            browser.call("Target.attachToTarget", json!({"targetId": id, "flatten": true}));
        session.text("sessionId").clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Opens an address.
    ///
    /// # Panics
    /// If it cannot be reached.
    pub fn open(&mut self, url: &str) {
        let opened = self.call("Page.navigate", json!({"url": url}));
        assert!(opened.find("errorText").is_none(), "{url}: {opened}");
    }

    /// Runs this script before each page that is opened from now on: what a browser lacks is taken
    /// away here.
    ///
    /// # Panics
    /// If the browser refuses.
    pub fn before_pages(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
    }

    /// The value of a JavaScript expression; promises are awaited.
    ///
    /// # Panics
    /// If it throws.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let how = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", how);
        if let Some(thrown) = result.find("exceptionDetails") {
            panic!("{expression} threw {thrown}\n{}", self.console.join("\n"));
        }
        result.find("result.value").cloned().unwrap_or(Value::Null)
    }

    /// Waits until the expression gives something that `is` accepts, and returns it.
    ///
    /// # Panics
    /// After `limit`; the message shows the last value and the console.
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
            if Instant::now() > end {
                panic!(
                    "{expression} is still {value} after {limit:?}\n{}",
                    self.console.join("\n")
                );
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Writes what is to be seen as a PNG.
    ///
    /// # Panics
    /// If that fails.
    pub fn screenshot(&mut self, path: &Path) {
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let png = data_encoding::BASE64.decode(shot.text("data").as_bytes()).expect("base64");
        std::fs::write(path, png).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Clicks in the middle of the first element of a selector, as a person does.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let place = self.value(&format!(
            "(() => {{
                const box = document.querySelector({selector:?}).getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2];
            }})()"
        ));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            self.call(
                "Input.dispatchMouseEvent",
                json!({"type": kind, "x": place[0], "y": place[1], "button": button, "clickCount": 1}),
            );
        }
    }

    /// Presses and releases a key by its name: `m`, `Tab`, `Escape`.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            _ => 0,
        };
        let mut event = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if key.chars().count() == 1 {
            event["text"] = json!(key);
        }
        self.call("Input.dispatchKeyEvent", event);
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
    }

    /// Looks like a window, or a phone, of this size, in a system that is dark or light.
    pub fn dress(&mut self, (width, height): (u32, u32), phone: bool, scheme: &str) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}),
        );
        self.call("Emulation.setTouchEmulationEnabled", json!({"enabled": phone}));
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Runs a script before those of every page that is opened from now on.
    pub fn before(&mut self, script: &str) {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": script}));
    }

    /// Makes the page's own thread this many times slower; 1 is as it is.
    pub fn throttle(&mut self, times: u32) {
        self.call("Emulation.setCPUThrottlingRate", json!({"rate": times}));
    }

    /// Brings up another empty page, so that this one is hidden. Returns what
    /// [`Browser::uncover`] takes away.
    pub fn cover(&mut self) -> String {
        let page = self.call("Target.createTarget", json!({"url": "about:blank"}));
        page.text("targetId").to_owned()
    }

    /// Closes a page of [`Browser::cover`], and brings ours up again.
    pub fn uncover(&mut self, page: &str) {
        self.call("Target.closeTarget", json!({"targetId": page}));
        self.call("Page.bringToFront", json!({}));
    }

    /// What the page complained of so far.
    #[must_use]
    pub fn console(&self) -> &[String] {
        &self.console
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap_or_else(|error| {
            panic!(
                "the browser is gone ({error}): is chromium installed? cargo xtask setup does it"
            )
        });
        let end = Instant::now() + ANSWER;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut answer = match self.from.recv_timeout(left) {
                Ok(answer) => answer,
                Err(RecvTimeoutError::Timeout) => panic!("no answer to {method} in {ANSWER:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!(
                    "the browser ended before it answered {method}: is chromium installed? \
                     cargo xtask setup does it"
                ),
            };
            if answer.find("id").and_then(Value::as_u64) == Some(self.number) {
                assert!(answer.find("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let method = event.find("method").and_then(Value::as_str).unwrap_or_default();
        if matches!(
            method,
            "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" | "Log.entryAdded"
        ) {
            self.console.push(event["params"].to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_opened_asked_and_photographed() {
        let stage = Stage::new();
        let mut browser = Browser::start(&stage);
        browser.open("data:text/html,<title>here</title><h1>Hello</h1><script>console.log('loaded')</script>");
        browser.until("document.title", ANSWER, |title| title == "here");
        assert_eq!(browser.value("Promise.resolve(6 * 7)"), 42);
        browser.screenshot(&stage.path("page.png"));
        assert!(std::fs::read(stage.path("page.png")).unwrap().starts_with(b"\x89PNG"));
        assert!(browser.console().iter().any(|line| line.contains("loaded")));
    }

    #[test]
    #[should_panic(expected = "threw")]
    fn what_the_page_throws_is_a_failure() {
        let stage = Stage::new();
        Browser::start(&stage).value("nonsense()");
    }
}
