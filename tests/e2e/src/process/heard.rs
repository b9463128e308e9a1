//! What a program says and that it has ended, as it comes: threads that listen, and one place where
//! whoever waits is woken. Holds everything until the program is dropped.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions};
use serde_json::Value;

/// Log lines shown in a panic; the rest would hide the reason.
const LOG_LINES_SHOWN: usize = 200;

/// A JSON line, and when it came.
#[derive(Clone, Debug)]
pub struct Line {
    /// When this test read it.
    pub at: Instant,
    /// The object.
    pub value: Value,
}

#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) lines: Vec<Line>,
    /// Lines of standard output that are no JSON.
    pub(super) junk: Vec<String>,
    pub(super) log: Vec<String>,
    /// Standard output and standard error that are still open.
    open: u8,
    pub(super) exited: bool,
}

#[derive(Debug)]
pub(super) struct Ear {
    heard: Mutex<Heard>,
    news: Condvar,
}

impl Ear {
    /// Nothing heard yet, so many outputs open.
    pub(super) fn new(open: u8) -> Self {
        let heard = Heard { open, ..Heard::default() };
        Self { heard: Mutex::new(heard), news: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.lock());
        self.news.notify_all();
    }

    pub(super) fn await_news<'a>(
        &self,
        heard: MutexGuard<'a, Heard>,
        at_most: Duration,
    ) -> MutexGuard<'a, Heard> {
        self.news.wait_timeout(heard, at_most).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Heard {
    pub(super) fn over(&self) -> bool {
        self.exited && self.open == 0
    }

    pub(super) fn story(&self) -> String {
        let mut story = String::new();
        let hidden = self.log.len().saturating_sub(LOG_LINES_SHOWN);
        if hidden > 0 {
            let _ = writeln!(story, "  … {hidden} lines of the log before these");
        }
        for line in &self.log[hidden..] {
            let _ = writeln!(story, "  {line}");
        }
        for line in &self.junk {
            let _ = writeln!(story, "  not JSON: {line}");
        }
        if let Some(last) = self.lines.last() {
            let _ = writeln!(story, "  last of {} JSON lines: {}", self.lines.len(), last.value);
        }
        story
    }
}

pub(super) fn listen(
    ear: Arc<Ear>,
    from: impl Read + Send + 'static,
    mut take: impl FnMut(&mut Heard, String) + Send + 'static,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            ear.hear(|heard| take(heard, line));
        }
        ear.hear(|heard| heard.open -= 1);
    })
}

/// Notices the end without reaping, so that the process id stays ours until drop.
pub(super) fn await_exit(ear: Arc<Ear>, pid: Pid) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let how = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), how), Err(rustix::io::Errno::INTR))
        {
        }
        ear.hear(|heard| heard.exited = true);
    })
}
