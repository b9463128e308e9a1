//! The event loop of the virtual world: one publisher, viewers that feed viewers, lines between
//! them, and what befalls them, in virtual time.
//!
//! Time goes from event to event, rounded up to a millisecond. After every step the
//! [oracle] looks at everything; the first thing that is wrong ends the story.

use std::collections::BTreeMap;
use std::time::Duration;

use roommate_protocol::media::cache::CacheCounts;
use roommate_protocol::media::pull::{Feed as Subscription, Medium};
use roommate_protocol::media::track::Lacking;
use roommate_protocol::time::Mono;
use roommate_protocol::wire::header::SubscriptionId;

use crate::dice::Dice;
use crate::feed::{Feed, Moment};
use crate::net::Line;
use crate::oracle;
use crate::pipe::{Arrived, Pipe};
use crate::reading::{Reading, altered};
use crate::source::Source;
use crate::trace::Trace;
use crate::viewer::{Shown, Viewer};

/// How long until a child notices that its parent is silent: two pings of a second, unanswered.
pub const SILENCE: Duration = Duration::from_secs(2);
/// Rounds within one instant: a piece passes a chain of as many viewers at once.
const ROUNDS_MAX: u32 = 64;

/// What is planted to prove that the oracle sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Pieces are altered behind the reader's check.
    PieceAltered,
    /// Writers do not ask the gate.
    GateIgnored,
    /// Writers do not reset what the cursor gave up.
    StaleKept,
    /// Writers give up a keyframe that is under way as soon as a newer group is there.
    KeyframeReplaced,
    /// A viewer shows pictures in another order.
    OrderSwapped,
    /// A viewer leaves a picture out.
    PictureDropped,
}

/// Who feeds somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The publisher.
    Publisher,
    /// Another viewer, by its number.
    Viewer(usize),
}

/// What befalls the world at some time.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A viewer subscribes to a parent over a line.
    Join(usize, Parent, Line),
    /// A viewer's line becomes another.
    Change(usize, Line),
    /// A viewer stands still.
    Pause(usize),
    /// It goes on.
    Resume(usize),
    /// A viewer is gone without a word.
    Kill(usize),
    /// A viewer's parent alters what it passes on, with so many chances in a million a chunk.
    Corrupt(usize, u32),
    /// A viewer notices that the link of this number is dead, and subscribes to the publisher.
    Silent(usize),
    /// The publisher ends its broadcast.
    End,
}

/// One child's link.
#[derive(Debug)]
pub struct Edge {
    /// Who feeds.
    pub parent: Parent,
    /// Who is fed.
    pub child: usize,
    /// When it subscribed.
    pub since: Mono,
    /// The writing end.
    pub feed: Feed,
    /// The streams between.
    pub pipe: Pipe,
    /// The reading end.
    pub reading: Reading,
    /// Gone.
    pub dead: bool,
    corrupt_ppm: u32,
    /// What the writer has seen: stirs of its pipe, and what its parent's cache had counted.
    seen: Option<(u64, CacheCounts)>,
}

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// The time.
    pub now: Mono,
    /// The publisher.
    pub source: Source,
    /// The viewers, by number.
    pub viewers: Vec<Viewer>,
    /// All links there ever were.
    pub edges: Vec<Edge>,
    /// How late a picture may be before a newer group replaces it.
    pub latency: Duration,
    happenings: BTreeMap<(Mono, u32), Happening>,
    count: u32,
    dice: Dice,
    fault: Option<Fault>,
    trace: Trace,
}

impl World {
    /// A publisher that begins now, and viewers that have not come yet.
    #[must_use]
    pub fn new(seed: u64, viewers: u8, group: Duration, latency: Duration) -> Self {
        let mut dice = Dice::new(seed);
        // Not at zero, so that "never" and "at the start" differ.
        let now = Mono::from_micros(1_000_000);
        Self {
            now,
            source: Source::new(dice.split(), group, now),
            viewers: (0..viewers).map(|number| Viewer::new(number + 1, latency)).collect(),
            edges: Vec::new(),
            latency,
            happenings: BTreeMap::new(),
            count: 0,
            dice,
            fault: None,
            trace: Trace::from_env(),
        }
    }

    /// Plants a fault.
    pub fn plant(&mut self, fault: Fault) {
        self.fault = Some(fault);
    }

    /// Something will happen so long from now.
    pub fn after(&mut self, time: Duration, happening: Happening) {
        self.count += 1;
        self.happenings.insert((self.now + time, self.count), happening);
    }

    /// Lets so much time pass.
    ///
    /// # Errors
    /// What the oracle saw, with the time at which it saw it.
    pub fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let end = self.now + time;
        loop {
            let next = self.next().filter(|next| *next <= end);
            self.now = next.unwrap_or(end);
            self.step().map_err(|wrong| {
                format!("at {:.3} s: {wrong}", self.now.as_micros() as f64 / 1e6)
            })?;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// The link that feeds this viewer now.
    #[must_use]
    pub fn link_of(&self, viewer: usize) -> Option<&Edge> {
        self.edges.iter().rev().find(|edge| edge.child == viewer && !edge.dead)
    }

    fn next(&self) -> Option<Mono> {
        let edges = self.edges.iter().filter(|edge| !edge.dead);
        let edges = edges.flat_map(|edge| [edge.pipe.poll_timeout(), edge.feed.poll_timeout()]);
        let viewers = self.viewers.iter().map(Viewer::poll_timeout);
        let happening = self.happenings.keys().next().map(|(at, _)| *at);
        let all = edges.chain(viewers).chain([self.source.poll_timeout(), happening]);
        // Rounded up, and always onwards: a machine that asks for the past would stop the world.
        let tick = |at: Mono| Mono::from_micros(at.as_micros().div_ceil(1000) * 1000);
        all.flatten().min().map(|at| tick(at).max(self.now + Duration::from_millis(1)))
    }

    fn step(&mut self) -> Result<(), String> {
        while let Some(first) = self.happenings.first_entry()
            && first.key().0 <= self.now
        {
            let happening = first.remove();
            self.trace.note(self.now, || format!("{happening:?}"));
            self.happen(happening);
        }
        let captured_us = i64::try_from(self.now.as_micros()).unwrap_or(i64::MAX);
        self.source.advance(self.now, captured_us);
        for round in 0.. {
            if !self.exchange() {
                break;
            }
            if round > ROUNDS_MAX {
                return Err("something goes on for ever in one instant".to_owned());
            }
        }
        self.show()?;
        oracle::look(self)
    }

    /// Moves bytes along every link once; whether anything moved.
    fn exchange(&mut self) -> bool {
        let mut moved = false;
        let context = (self.now, self.fault);
        for edge in self.edges.iter_mut().filter(|edge| !edge.dead) {
            for (stream, arrived) in edge.pipe.advance(self.now) {
                moved = true;
                let arrived = match arrived {
                    Arrived::Bytes(bytes) if self.dice.chance(edge.corrupt_ppm) => {
                        Arrived::Bytes(altered(&bytes))
                    }
                    arrived => arrived,
                };
                let cache = &mut self.viewers[edge.child].cache;
                if let Some(code) = edge.reading.handle((stream, arrived), cache, context) {
                    self.trace.note(self.now, || format!("viewer {} stops: {code}", edge.child));
                    edge.pipe.stop(stream, self.now);
                }
            }
            let cache = match edge.parent {
                Parent::Publisher => &self.source.cache,
                Parent::Viewer(number) => &self.viewers[number].cache,
            };
            let sees = Some((edge.pipe.stirs(), cache.counts()));
            let due = edge.feed.poll_timeout().is_some_and(|at| at <= self.now);
            if sees == edge.seen && !due {
                continue;
            }
            edge.seen = sees;
            for stream in edge.pipe.take_stopped() {
                edge.feed.handle_stopped(stream, &mut edge.pipe);
            }
            let moment = Moment { world: self.now, local: self.now, fault: self.fault };
            moved |= edge.feed.run(cache, &mut edge.pipe, &mut self.dice, moment);
            if edge.feed.cursor.wants_keyframe(cache, self.now) {
                self.source.want_keyframe(self.viewers[edge.child].peer, self.now);
            }
        }
        moved
    }

    fn show(&mut self) -> Result<(), String> {
        for (number, viewer) in self.viewers.iter_mut().enumerate() {
            let mut ready = viewer.pull(self.now);
            match self.fault {
                Some(Fault::OrderSwapped) if ready.len() > 1 => ready.swap(0, 1),
                Some(Fault::PictureDropped) => ready.retain(|unit| unit.seq % 50 != 49),
                _ => {}
            }
            for unit in ready {
                let shown = unit.access_unit();
                let original = self.source.originals.get(&unit.seq);
                if original != Some(&shown) {
                    return Err(format!(
                        "viewer {number} shows {} as it was never published",
                        unit.seq
                    ));
                }
                let captured = u64::try_from(shown.captured_us).unwrap_or_default();
                let (seq, group, ready) = (unit.seq, unit.group, unit.ready_at);
                let next = Shown { seq, group, captured: Mono::from_micros(captured), ready };
                oracle::follows(number, viewer.shown.last(), &next)?;
                viewer.shown.push(next);
                self.trace
                    .note(self.now, || format!("viewer {number} shows {seq} of group {group}"));
            }
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Join(child, parent, line) => self.join(child, parent, line),
            Happening::Change(child, line) => {
                self.each_link(child, |edge| edge.pipe.set_line(line))
            }
            Happening::Pause(child) => self.each_link(child, |edge| edge.pipe.set_paused(true)),
            Happening::Resume(child) => self.each_link(child, |edge| edge.pipe.set_paused(false)),
            Happening::Corrupt(child, ppm) => self.each_link(child, |edge| edge.corrupt_ppm = ppm),
            Happening::Kill(viewer) => self.kill(viewer),
            Happening::Silent(edge) => self.fall_back(edge),
            Happening::End => self.source.end(self.now),
        }
    }

    fn each_link(&mut self, child: usize, change: impl Fn(&mut Edge)) {
        self.edges.iter_mut().filter(|edge| edge.child == child && !edge.dead).for_each(change);
    }

    fn join(&mut self, child: usize, parent: Parent, line: Line) {
        if self.viewers[child].dead {
            return;
        }
        let lacking: Option<Lacking> = self.viewers[child].cache.lacking();
        let subscription = Subscription {
            subscription: SubscriptionId(u32::try_from(self.edges.len()).unwrap_or(0)),
            track: self.source.track(),
            path: Vec::new(),
            medium: Medium::Pictures,
            latency: self.latency,
            lacking,
        };
        self.edges.push(Edge {
            parent,
            child,
            since: self.now,
            feed: Feed::new(subscription, 0),
            pipe: Pipe::new(line, &mut self.dice, self.now),
            reading: Reading::new(self.source.verifier()),
            dead: false,
            corrupt_ppm: 0,
            seen: None,
        });
    }

    fn kill(&mut self, viewer: usize) {
        self.viewers[viewer].dead = true;
        for number in 0..self.edges.len() {
            let edge = &mut self.edges[number];
            let feeds = edge.parent == Parent::Viewer(viewer);
            if edge.dead || !(feeds || edge.child == viewer) {
                continue;
            }
            edge.pipe.kill();
            if feeds {
                self.after(SILENCE, Happening::Silent(number));
            } else {
                edge.dead = true;
            }
        }
    }

    /// The child of a silent link goes on with the publisher, where it stopped.
    fn fall_back(&mut self, number: usize) {
        let edge = &mut self.edges[number];
        if std::mem::replace(&mut edge.dead, true) {
            return;
        }
        let (child, line) = (edge.child, edge.pipe.line());
        edge.reading.lose(&mut self.viewers[child].cache, self.now);
        self.join(child, Parent::Publisher, line);
    }
}
