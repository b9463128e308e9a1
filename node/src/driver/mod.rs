//! The one task of words: owns the swarm and the room machines, and carries inputs in and actions
//! out. It decides nothing and never sees a piece of a picture.
//!
//! It runs on a thread of its own, so that a busy moment of it holds up no task of the pictures.
//! Its queues are bounded: commands and words wait for it, and their senders wait for them.

mod bootstraps;
mod command;
mod feeds;
mod leash;
mod order;
mod perform;
mod room;
mod swarm;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::{Multiaddr, Swarm};
use roommate_protocol::media::clock::SuspendWatch;
use roommate_protocol::room::closing::Closing;
use roommate_protocol::room::proof::{FailureMeter, ProofKey};
use roommate_protocol::rooms::reach::BOOTSTRAPS_MAX;
use roommate_protocol::time::{Deadline, Mono, Now, Why, earliest};
use roommate_protocol::trust::id::RoomPk;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::bootstraps::Bootstraps;
pub(crate) use self::command::Command;
use self::feeds::{FeedNews, Feeds};
use self::room::RoomEntry;
use crate::config::{NodeConfig, StartError, Stumble};
use crate::net::behaviour::{self, Behaviour};
use crate::net::links::Links;
use crate::net::surroundings::listening;
use crate::net::words::{Desk, WORDS_MAX, Word};

/// Commands that wait for the driver.
const COMMANDS_MAX: usize = 64;

/// The driver looks at the time at least this often: the runtime's timers stand still while the
/// machine sleeps, the core's deadlines do not.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often the status is told anew though nothing happened: counts grow.
const STATUS_EVERY: Duration = Duration::from_millis(250);

/// How far apart the blocks of the test hook are.
const STUMBLE_EVERY: Duration = Duration::from_secs(1);

/// How long a listen address may take to come up.
const LISTEN_WAIT: Duration = Duration::from_secs(5);

/// What a started driver gives its node.
pub(crate) struct Started {
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) thread: std::thread::JoinHandle<()>,
}

pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    config: NodeConfig,
    desk: Desk,
    links: Links,
    bootstraps: Bootstraps,
    feeds: Feeds,
    rooms: BTreeMap<RoomPk, RoomEntry>,
    failures: FailureMeter,
    suspend: SuspendWatch,
    runtime_start: Instant,
    status_at: Mono,
    dialling: swarm::Dials,
    closing: Closing,
    words_in: mpsc::Receiver<Word>,
    /// When the test hook blocked the driver; as long as the hook was told.
    blocked: Vec<(Mono, Mono)>,
}

/// Builds the swarm, listens, and starts the driver's thread.
pub(crate) async fn start(config: NodeConfig) -> Result<Started, StartError> {
    let bootstraps: BTreeSet<_> = config.bootstraps.iter().collect();
    if bootstraps.len() > BOOTSTRAPS_MAX {
        return Err(StartError::Bootstraps(bootstraps.len()));
    }
    let key = libp2p::identity::Keypair::ed25519_from_bytes(config.key.to_bytes())
        .expect("32 bytes are an Ed25519 key");
    let transport =
        roommate_transport::Config { congestion: config.congestion, ..Default::default() };
    let mut swarm = behaviour::swarm(key, transport)?;
    let listen = swarm::listen(&mut swarm, &config.listen, LISTEN_WAIT).await?;
    let (commands, commands_in) = mpsc::channel(COMMANDS_MAX);
    let runtime = tokio::runtime::Handle::current();
    let (stay, leave) = leash::tie(&runtime);
    let thread = std::thread::Builder::new()
        .name("roommate-driver".into())
        .spawn(move || {
            // Outlives the driver: the runtime may end when this is dropped.
            let _stay = stay;
            runtime.block_on(leave.or(Driver::new(swarm, config).run(commands_in)));
        })
        .map_err(|error| StartError::Thread(error.to_string()))?;
    Ok(Started { listen, commands, thread })
}

/// What the driver's loop woke up for.
enum Input {
    Swarm(Box<libp2p::swarm::SwarmEvent<behaviour::BehaviourEvent>>),
    Command(Option<Command>),
    Word(Word),
    Feed(FeedNews),
    Deadline,
    Stumble,
}

impl Driver {
    fn new(swarm: Swarm<Behaviour>, config: NodeConfig) -> Self {
        let (words, words_in) = mpsc::channel(WORDS_MAX);
        let me = roommate_protocol::trust::id::PeerId(config.key.verifying_key().to_bytes());
        let now = config.clock.now();
        let listen = listening(&swarm);
        let bootstraps = Bootstraps::new(me, listen, config.bootstraps.clone(), now);
        Self {
            swarm,
            desk: Desk { me, clock: config.clock, words, writers: TaskTracker::new() },
            links: Links::default(),
            bootstraps,
            feeds: Feeds::new(config.clock),
            rooms: BTreeMap::new(),
            failures: FailureMeter::new(),
            suspend: SuspendWatch::new(),
            runtime_start: Instant::now(),
            status_at: now.mono,
            dialling: swarm::Dials::default(),
            closing: Closing::default(),
            config,
            words_in,
            blocked: Vec::new(),
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut stumbles = stumbles(self.config.stumble);
        loop {
            // Looked at in every turn: a flood of words must not keep deadlines waiting.
            let now = self.desk.clock.now();
            if self.next_deadline().is_some_and(|(at, _)| at <= now.mono) {
                self.on_deadline(now);
            }
            self.perform_all();
            let wake = self.wake_at();
            // Not biased: whoever floods one arm leaves the others their turn.
            let input = tokio::select! {
                command = commands.recv() => Input::Command(command),
                Some(word) = self.words_in.recv() => Input::Word(word),
                Some(news) = self.feeds.next_news() => Input::Feed(news),
                event = self.swarm.select_next_some() => Input::Swarm(Box::new(event)),
                () = tokio::time::sleep_until(wake) => Input::Deadline,
                Some(()) = stumbles.recv() => Input::Stumble,
            };
            let now = self.desk.clock.now();
            self.look_for_suspend(now);
            match input {
                Input::Swarm(event) => self.on_swarm(*event, now),
                Input::Word(word) => self.on_word(word, now),
                Input::Feed(news) => self.on_feed(news, now),
                Input::Deadline => self.on_deadline(now),
                Input::Stumble => self.stumble(),
                Input::Command(Some(Command::Shutdown { reply })) => {
                    self.close(now).await;
                    let _ = reply.send(());
                    return;
                }
                Input::Command(Some(command)) => self.on_command(command, now),
                // Every handle is gone: nobody can want anything any more.
                Input::Command(None) => return self.close(now).await,
            }
        }
    }

    /// When to wake though nothing happens.
    fn wake_at(&self) -> Instant {
        let now = self.desk.clock.now();
        let due = self.next_deadline();
        let wait = due.map_or(LOOK_EVERY, |(at, why)| {
            tracing::trace!(%why, "next deadline");
            at.since(now.mono).min(LOOK_EVERY)
        });
        Instant::now() + wait
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let rooms = self.rooms.values().map(|entry| entry.machine.poll_timeout());
        let status = (!self.rooms.is_empty()).then_some((self.status_at, Why("tell the status")));
        let closing = self.closing.poll_timeout();
        earliest(rooms.chain([self.bootstraps.poll_timeout(), closing, status]))
    }

    fn on_deadline(&mut self, now: Now) {
        self.bootstraps.handle_timeout(now);
        for (conn, code) in self.closing.overdue(now.mono) {
            self.close_connection(conn, code);
        }
        for entry in self.rooms.values_mut() {
            entry.machine.handle_timeout(now);
        }
        if self.status_at <= now.mono {
            self.status_at = now.mono + STATUS_EVERY;
            for room in self.rooms.keys().copied().collect::<Vec<_>>() {
                self.tell_status(room);
            }
        }
    }

    /// After a sleep, clock samples are worthless and every deadline may have passed.
    fn look_for_suspend(&mut self, now: Now) {
        let runtime = Instant::now().duration_since(self.runtime_start);
        let runtime = Mono::from_micros(u64::try_from(runtime.as_micros()).unwrap_or(u64::MAX));
        if self.suspend.handle_clocks(now.mono, runtime) {
            tracing::info!("this machine slept; clocks and deadlines are set anew");
            for entry in self.rooms.values_mut() {
                entry.machine.handle_resumed(now);
            }
            self.on_deadline(now);
        }
    }

    /// The keys with which a control stream may be proven to us.
    fn proof_keys(&self) -> Arc<[ProofKey]> {
        let open = self.rooms.values().filter(|entry| entry.ended.is_none());
        open.map(|entry| entry.proof.clone()).collect()
    }

    /// The test hook: a driver that is busy for a while.
    fn stumble(&mut self) {
        if let Some(stumble) = self.config.stumble {
            let from = self.desk.clock.mono();
            std::thread::sleep(stumble.length);
            self.blocked.push((from, self.desk.clock.mono()));
        }
    }

    /// Leaving, Flushing, Closing: in all at most two seconds; nothing outlives it.
    async fn close(&mut self, now: Now) {
        for entry in self.rooms.values_mut() {
            entry.machine.leave(now);
        }
        self.perform_all();
        self.bootstraps.leave(now);
        self.perform_all();
        // The goodbyes are in the stream tasks' queues: they end when those have been written.
        for entry in self.rooms.values_mut() {
            entry.streams.clear();
        }
        self.bootstraps.close();
        let written = self.flush(Duration::from_millis(700));
        if !written.await {
            tracing::debug!("some goodbyes were not written in time");
        }
        self.close_connections();
        self.feeds.close(Duration::from_millis(300)).await;
        tracing::debug!("the driver has ended");
    }
}

/// Ticks for the test hook, one second after the start.
fn stumbles(stumble: Option<Stumble>) -> mpsc::Receiver<()> {
    let (tick, ticks) = mpsc::channel(1);
    if let Some(stumble) = stumble {
        tokio::spawn(async move {
            for _ in 0..stumble.times {
                tokio::time::sleep(STUMBLE_EVERY).await;
                if tick.send(()).await.is_err() {
                    return;
                }
            }
        });
    }
    ticks
}
