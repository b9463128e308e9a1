//! What most tests begin with: a bootstrap, a room, a publisher and viewers, all ready.

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::cast::{self, Bootstrap, START};
use e2e::check::must;
use e2e::fields::Fields;
use e2e::lab::Lab;
use e2e::process::{Ended, Process};
use e2e::stage::Stage;
use e2e::trace::{self, Unit};
use serde_json::Value;

/// Within this everybody must see again what they should.
pub(crate) const SEEN: Duration = Duration::from_secs(3);
/// A polite end, with some slack for a busy machine.
pub(crate) const END: Duration = Duration::from_secs(5);

/// A bootstrap and a room that it knows.
pub(crate) struct Room<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) lab: Option<&'a Lab>,
    pub(crate) bootstrap: Bootstrap,
    pub(crate) link: String,
}

impl<'a> Room<'a> {
    /// On loopback.
    pub(crate) fn open(stage: &'a Stage) -> Self {
        let bootstrap = Bootstrap::start(stage, None);
        let link = cast::create_room(stage, None, &bootstrap);
        Self { stage, lab: None, bootstrap, link }
    }

    /// In a lab whose hosts are `boot` and one for each member, by name.
    pub(crate) fn open_in(stage: &'a Stage, lab: &'a Lab) -> Self {
        let boot = lab.host("boot");
        let bootstrap = Bootstrap::start(stage, Some(boot));
        let link = cast::create_room(stage, Some(boot), &bootstrap);
        Self { stage, lab: Some(lab), bootstrap, link }
    }

    fn host(&self, name: &str) -> Option<&e2e::lab::Host> {
        self.lab.map(|lab| lab.host(name))
    }

    /// The command of a publisher.
    pub(crate) fn publisher(&self, name: &str, source: &str) -> cast::Roommate {
        cast::publish(self.stage, self.host(name), name, &self.link, source)
    }

    /// The command of a viewer.
    pub(crate) fn viewer(&self, name: &str) -> cast::Roommate {
        cast::watch(self.stage, self.host(name), name, &self.link)
    }

    /// The trace of a member.
    pub(crate) fn trace(&self, name: &str) -> Vec<Unit> {
        trace::read(&cast::trace_of(self.stage, name))
    }

    /// The sound in the trace of a member.
    pub(crate) fn sound(&self, name: &str) -> Vec<Unit> {
        trace::read_track(&cast::trace_of(self.stage, name), trace::SOUND)
    }

    /// Waits until `viewer` has a picture captured at or after `since_us`, and tells how long after
    /// that time it was ready.
    #[track_caller]
    pub(crate) fn sees(&self, viewer: &Process, since_us: i64) -> Duration {
        let path = cast::trace_of(self.stage, viewer.name());
        let ready = || {
            let units = if path.exists() { trace::read(&path) } else { Vec::new() };
            units.iter().filter(|unit| unit.captured_us >= since_us).find_map(|unit| unit.ready_us)
        };
        // The trace is looked at with each line, one a second.
        let ready = viewer.until("picture of after the event", SEEN + START, |_| ready());
        Duration::from_micros(u64::try_from(ready - since_us).unwrap_or_default())
    }
}

/// Interrupts a program and checks that it ends within 2 s, in good order.
#[track_caller]
pub(crate) fn end(process: Process) -> Ended {
    let asked = Instant::now();
    process.interrupt();
    let ended = process.finish(END);
    let took = asked.elapsed();
    assert!(took <= Duration::from_secs(2), "{} took {took:?} to end", ended.name);
    let _ = ended.summary();
    ended
}

/// The PeerId of a program, from its first line.
#[track_caller]
pub(crate) fn peer(process: &Process) -> String {
    cast::ready_line(process).text("peer").to_owned()
}

/// What a publisher's line says of one child.
#[track_caller]
pub(crate) fn child<'a>(line: &'a Value, peer: &str) -> &'a Value {
    let child = line.list("children").iter().find(|child| child.text("peer") == peer);
    child.unwrap_or_else(|| panic!("no child {peer} in {line:#}"))
}

/// Waits until a viewer has received something.
#[track_caller]
pub(crate) fn playing(viewer: &Process) -> Value {
    viewer.reaches("received", 1, START)
}

/// What everybody must see on a good connection, from summaries and traces.
#[track_caller]
pub(crate) fn assert_played_well(summary: &Value, publisher: &[Unit], viewer: &[Unit]) {
    must(e2e::check::watch_figures(summary, viewer));
    must(e2e::check::plays_well(summary, publisher, viewer));
    assert_eq!(summary.text("route"), "direct");
    assert_eq!(summary.count("depth"), 1);
    assert_eq!(summary.count("gaps"), 0, "{summary:#}");
    assert_eq!(summary.count("refused"), 0);
    let first = summary.num("first_picture_ms");
    assert!(first <= 1_000.0, "the first picture took {first} ms: {summary:#}");
}

/// How many access units a publisher's line has for one child, from the first group sent to it on:
/// the publisher's own count, not what the viewer believes to be its beginning.
#[track_caller]
pub(crate) fn meant_for(child: &Value) -> u64 {
    child.count("sent") + child.count("skipped") + child.count("reset")
}

/// Whether a viewer received what was meant for it, from the first group sent on.
#[track_caller]
pub(crate) fn assert_received_from_the_first_sent(child: &Value, viewer: &[Unit]) {
    let (meant, received) = (meant_for(child), viewer.len() as u64);
    assert!(meant > 0, "nothing was sent: {child:#}");
    assert!(received as f64 >= 0.995 * meant as f64, "{received} received of {child:#}");
}

/// Whether a file is there and not empty.
pub(crate) fn filled(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.len() > 0)
}
