//! After `Node::shutdown` nothing of the node is left: no thread, no task; within two seconds, with
//! everything under way that a node does, and a peer that has stopped.
//!
//! Threads are counted by name in the whole process, tasks on a runtime that is this node's alone: so
//! this file holds one test. Without `Track::end` in `driver/perform.rs` the player's task and the
//! source's thread go on, and it fails.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod world;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use roommate_protocol::address::Address;
use roommate_protocol::trust::id::{PeerId, TrackKey};
use roommate_protocol::wire::message::Incoming;
use tokio::runtime::Runtime;

use crate::world::live::{Broadcast, Viewing};
use crate::world::peer::{CONTROL, Peer};
use crate::world::{House, LIMIT, Member, PUBLISHER, VIEWER, in_time};

const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

fn runtime(name: &str) -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name(name).enable_all().build().unwrap()
}

/// The threads of this process that carry a name of ours.
fn threads() -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        // One that has ended meanwhile has no name any more.
        let Ok(name) = std::fs::read_to_string(task.unwrap().path().join("comm")) else { continue };
        if name.starts_with("roommate-") {
            *names.entry(name.trim().to_owned()).or_default() += 1;
        }
    }
    names
}

/// A child that takes pictures and then stands still, sockets and all, until it is let go.
struct Stalled {
    peer: PeerId,
    go: mpsc::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Stalled {
    fn begin(house: House, parent: Address, track: TrackKey) -> Self {
        let (tell, told) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let thread = std::thread::Builder::new().name("stalled".into());
        let thread = thread.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.unwrap();
            let peer = runtime.block_on(async {
                let mut peer = Peer::new();
                let address = roommate::net::address::to_multiaddr(&parent);
                let wire = peer.dial(&address).await;
                let mut control = peer.control(&wire).await;
                control.come_in(&house, &peer.key).await;
                control.subscribe(track, 1).await;
                let admit = |m: &Incoming| matches!(m, Incoming::Admit(_)).then_some(());
                control.until("to be admitted", admit).await;
                let mut counts = wire.counts.clone();
                let some = counts.wait_for(|(_, bytes)| *bytes > 20_000);
                in_time("some pictures", some).await.unwrap();
                (peer, wire, control)
            });
            tell.send(peer.0.name()).unwrap();
            // The runtime has no other thread: nobody reads, acknowledges or answers.
            wait.recv_timeout(LIMIT).unwrap();
            drop(runtime);
        });
        let thread = thread.unwrap();
        Self { peer: told.recv_timeout(LIMIT).unwrap(), go, thread }
    }
}

#[test]
fn shutdown_leaves_no_thread_and_no_task() {
    let (ours, others) = (runtime("test-ours"), runtime("test-others"));
    let house = House::new();
    let (neighbour, mut theirs) = others.block_on(async {
        let neighbour = Member::enter(&house, PUBLISHER, Vec::new()).await;
        let theirs = Broadcast::begin(&neighbour).await;
        // Its thread has its name by then.
        theirs.is_live().await;
        (neighbour, theirs)
    });
    let (threads_before, tasks) = (threads(), ours.metrics());
    assert_eq!(tasks.num_alive_tasks(), 0);

    let (member, broadcast, viewing) = ours.block_on(async {
        let member = Member::enter(&house, VIEWER, vec![neighbour.hint()]).await;
        let mut viewing = Viewing::begin(&member, theirs.key).await;
        viewing.more(3).await;
        let broadcast = Broadcast::begin(&member).await;
        (member, broadcast, viewing)
    });
    let mut watched = others.block_on(async {
        let mut watched = Viewing::begin(&neighbour, broadcast.key).await;
        watched.more(3).await;
        watched
    });
    let stalled = Stalled::begin(house, member.hint(), broadcast.key);
    // A stranger in the middle of a proof, and one that does nothing.
    let _strangers = others.block_on(async {
        let (mut asking, mut idle) = (Peer::new(), Peer::new());
        let wire = asking.dial(&member.address()).await;
        let stream = asking.open(&wire, CONTROL).await.unwrap();
        let quiet = idle.dial(&member.address()).await;
        (asking, wire, stream, idle, quiet)
    });
    let fed = |status: &roommate::status::RoomStatus| {
        let mut children = status.children.iter();
        let is_stalled = |child: &roommate::status::Child| {
            let counters = child.counters.as_ref().unwrap();
            child.peer == stalled.peer && counters.in_flight() > 0
        };
        status.children.len() == 2 && children.any(is_stalled)
    };
    ours.block_on(member.sees("two children, one of them stalled", fed));
    // Control: all of this is counted.
    let more = |name: &str| threads().get(name).copied() > threads_before.get(name).copied();
    assert!(more("roommate-driver") && more("roommate-source"), "{:?}", threads());
    assert!(tasks.num_alive_tasks() >= 10, "{}", tasks.num_alive_tasks());

    let Member { node, room, events, .. } = member;
    let begun = Instant::now();
    ours.block_on(node.shutdown());
    let ended = begun.elapsed();
    // Nobody is told when a thread has ended, or quinn has seen its closed connections off.
    while tasks.num_alive_tasks() > 0 || threads() != threads_before {
        let (left, names) = (tasks.num_alive_tasks(), threads());
        assert!(
            begun.elapsed() < SHUTDOWN_MAX,
            "{left} tasks, {names:?}, before {threads_before:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(ended < SHUTDOWN_MAX);
    assert!(viewing.is_over(), "whoever plays is told");
    drop((room, events, broadcast, viewing));

    // The others go on without it.
    others.block_on(async {
        neighbour
            .sees("nobody", |status| status.members.iter().all(|m| m.peer == stalled.peer))
            .await;
        watched.stop().await;
        theirs.end(&neighbour).await;
        stalled.go.send(()).unwrap();
        neighbour.node.shutdown().await;
    });
    stalled.thread.join().unwrap();
}
