//! A program under test: in a process group of its own, heard line by line, ended when dropped.
//!
//! Its standard output is read as JSON lines, its standard error kept as a log. Everything that
//! waits, waits for a line or for the end, never for a time to pass.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use self::heard::{Ear, Heard, await_exit, listen};
use crate::fields::Fields;
use crate::stage::wall_us;

mod heard;

pub use self::heard::Line;

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    ear: Arc<Ear>,
    threads: Vec<JoinHandle<()>>,
    started: Instant,
    started_us: i64,
}

/// What a program reads and writes, if not nothing and JSON lines.
#[derive(Debug, Default)]
pub struct Ends {
    /// Its standard input.
    pub input: Option<Stdio>,
    /// Its standard output.
    pub output: Option<Stdio>,
}

/// A program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// Its name in this test.
    pub name: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    heard: Heard,
}

impl Process {
    /// Starts `command` under a name that messages use.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(name: &str, command: Command) -> Self {
        Self::start_between(name, command, Ends::default())
    }

    /// Starts `command` with other programs or files at its ends. Lines are read of a standard output
    /// that goes nowhere else.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_between(name: &str, mut command: Command, ends: Ends) -> Self {
        let (started, started_us) = (Instant::now(), wall_us());
        let heard = ends.output.is_none();
        command.stdin(ends.input.unwrap_or_else(Stdio::null));
        command.stdout(ends.output.unwrap_or_else(Stdio::piped));
        let mut child = command
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error} ({command:?})"));
        // What stays open here of a pipe would keep its other end waiting.
        drop(command);
        let ear = Arc::new(Ear::new(if heard { 2 } else { 1 }));
        let stderr = child.stderr.take().expect("it was piped");
        let mut threads = vec![
            await_exit(Arc::clone(&ear), pid_of(&child)),
            listen(Arc::clone(&ear), stderr, move |heard, line| {
                heard.log.push(format!("[{:8.3}] {line}", started.elapsed().as_secs_f64()));
            }),
        ];
        threads.extend(child.stdout.take().map(|stdout| {
            listen(Arc::clone(&ear), stdout, |heard, line| match serde_json::from_str(&line) {
                Ok(value) => heard.lines.push(Line { at: Instant::now(), value }),
                Err(_) => heard.junk.push(line),
            })
        }));
        Self { name: name.to_owned(), child, ear, threads, started, started_us }
    }

    /// Its name in this test.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When it was started.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    /// When its command began, in microseconds since 1970: the earliest that one of its lines, by when
    /// it came and its own `t`, allows. Later than the start of the process by what loading takes.
    ///
    /// # Panics
    /// Before its first line, or if `t` is that of another start.
    #[must_use]
    #[track_caller]
    pub fn began_us(&self) -> i64 {
        let heard = self.ear.lock();
        let after = heard.lines.iter().map(|line| {
            line.at.duration_since(self.started).as_micros() as i64
                - (line.value.num("t") * 1e6) as i64
        });
        let after = after.min().expect("a line tells of its start");
        assert!((-5_000..=1_000_000).contains(&after), "{}: `t` begins at {after} us", self.name);
        self.started_us + after
    }

    /// Waits until `find` finds what it wants among all lines so far.
    ///
    /// # Panics
    /// After `limit`, or when the program ends first; the message shows its log and last line.
    #[track_caller]
    pub fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut find: impl FnMut(&[Line]) -> Option<T>,
    ) -> T {
        self.wait(what, limit, |heard| find(&heard.lines))
    }

    /// The first of all its lines for which `is` holds.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    #[track_caller]
    pub fn line(&self, what: &str, limit: Duration, is: impl Fn(&Value) -> bool) -> Value {
        self.until(what, limit, |lines| lines.iter().map(|l| &l.value).find(|v| is(v)).cloned())
    }

    /// The first line from now on for which `is` holds.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    #[track_caller]
    pub fn next(&self, what: &str, limit: Duration, is: impl Fn(&Value) -> bool) -> Value {
        let heard = self.ear.lock().lines.len();
        self.until(what, limit, |lines| {
            lines[heard..].iter().map(|l| &l.value).find(|v| is(v)).cloned()
        })
    }

    /// The first of all its lines whose count `field` is at least `least`.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    #[track_caller]
    pub fn reaches(&self, field: &str, least: u64, limit: Duration) -> Value {
        self.line(&format!("line with {least} {field}"), limit, |line| {
            line.find(field).and_then(Value::as_u64).is_some_and(|count| count >= least)
        })
    }

    /// Waits for a line of the log that contains `part`, and returns it.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    #[track_caller]
    pub fn says(&self, part: &str, limit: Duration) -> String {
        self.tells(&format!("«{part}»"), limit, |line| line.contains(part))
    }

    /// Waits for a line on standard error for which `is` holds, and returns it.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    #[track_caller]
    pub fn tells(&self, what: &str, limit: Duration, is: impl Fn(&str) -> bool) -> String {
        let what = format!("{what} on standard error");
        self.wait(&what, limit, |heard| heard.log.iter().find(|line| is(line)).cloned())
    }

    /// Waits for a line on standard output that is no JSON and begins with `start`; returns it.
    ///
    /// # Panics
    /// As [`until`](Self::until).
    #[track_caller]
    pub fn prints(&self, start: &str, limit: Duration) -> String {
        let what = format!("«{start}» on standard output");
        self.wait(&what, limit, |heard| {
            heard.junk.iter().find(|line| line.starts_with(start)).cloned()
        })
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, limit: Duration, mut find: impl FnMut(&Heard) -> Option<T>) -> T {
        let end = Instant::now() + limit;
        let mut heard = self.ear.lock();
        loop {
            if let Some(found) = find(&heard) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            let why = match (heard.over(), left.is_zero()) {
                (true, _) => "before its end".to_owned(),
                (_, true) => format!("in {limit:?}"),
                _ => {
                    heard = self.ear.await_news(heard, left);
                    continue;
                }
            };
            let story = heard.story();
            drop(heard);
            panic!("{}: no {what} {why}\n{story}", self.name);
        }
    }

    /// The last line so far.
    #[must_use]
    pub fn last(&self) -> Option<Value> {
        self.ear.lock().lines.last().map(|line| line.value.clone())
    }

    /// Sends a signal to the program alone, not to what it started.
    pub fn signal(&self, signal: Signal) {
        if !self.ear.lock().exited {
            // It may just have ended; whoever cares waits for its end.
            let _ = rustix::process::kill_process(pid_of(&self.child), signal);
        }
    }

    /// SIGKILL: it can say nothing more.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// SIGINT, as Ctrl-C sends it: the polite end.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// SIGINT to it and to all that it started, as a terminal's Ctrl-C sends it.
    pub fn interrupt_group(&self) {
        if !self.ear.lock().exited {
            let _ = rustix::process::kill_process_group(pid_of(&self.child), Signal::INT);
        }
    }

    /// SIGSTOP: it stands still until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Resident memory in bytes.
    ///
    /// # Panics
    /// If the program has ended.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{}: {path}: {error}", self.name));
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.trim().parse::<u64>().ok());
        kib.unwrap_or_else(|| panic!("{}: {path} tells no VmRSS", self.name)) * 1024
    }

    /// Waits for the program's own end.
    ///
    /// # Panics
    /// If it is still running after `limit`.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Ended {
        let end = Instant::now() + limit;
        let mut heard = self.ear.lock();
        while !heard.over() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let story = heard.story();
                drop(heard);
                panic!("{}: still running after {limit:?}\n{story}", self.name);
            }
            heard = self.ear.await_news(heard, left);
        }
        let heard = std::mem::take(&mut *heard);
        let status = self.child.wait().expect("it has exited and nobody else waits for it");
        let (code, signal) = (status.code(), status.signal());
        Ended { name: self.name.clone(), code, signal, heard }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Not reaped before the wait below, so the number cannot have passed to another process.
        let _ = rustix::process::kill_process_group(pid_of(&self.child), Signal::KILL);
        let _ = self.child.wait();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Ended {
    /// Its summary, after checking that it ended well and wrote nothing but JSON lines.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    #[track_caller]
    pub fn summary(&self) -> &Value {
        assert_eq!(self.code, Some(0), "{} failed\n{}", self.name, self.story());
        assert!(self.junk().is_empty(), "{}: no JSON: {:?}", self.name, self.junk());
        let last = self.lines().last().map(|line| &line.value);
        let summary = last.filter(|line| line.is("summary"));
        summary.unwrap_or_else(|| panic!("{}: no summary\n{}", self.name, self.story()))
    }

    /// All its JSON lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.heard.lines
    }

    /// What it wrote to standard output that is no JSON.
    #[must_use]
    pub fn junk(&self) -> &[String] {
        &self.heard.junk
    }

    /// What it wrote to standard error, each line with the time at which it came.
    #[must_use]
    pub fn log(&self) -> &[String] {
        &self.heard.log
    }

    /// Everything it said, for messages.
    #[must_use]
    pub fn story(&self) -> String {
        self.heard.story()
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

#[cfg(test)]
mod tests;
