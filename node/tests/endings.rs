//! How a node ends that is not shut down while all is well: dropped in the middle of its runtime's end,
//! and while a peer has begun a proof and says nothing.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod world;

use std::io;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use crate::world::peer::{CONTROL, Peer};
use crate::world::{House, LIMIT, Member, PUBLISHER, VIEWER};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts every panic of the process, and still prints it.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Relaxed);
            print(panic);
        }));
    });
}

fn driver_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
    };
    tasks.map(name).filter(|name| name.trim() == "roommate-driver").count()
}

/// What the driver logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Dropped after its runtime or with it, a node ends without a word on standard error.
fn a_node_may_be_dropped_while_its_runtime_ends() {
    for round in 0..20 {
        let mut builder = match round % 2 {
            0 => tokio::runtime::Builder::new_multi_thread(),
            _ => tokio::runtime::Builder::new_current_thread(),
        };
        let runtime = builder.enable_all().build().unwrap();
        let house = House::new();
        let (one, two) = runtime.block_on(async {
            let one = Member::enter(&house, PUBLISHER, Vec::new()).await;
            let two = Member::enter(&house, VIEWER, vec![one.hint()]).await;
            two.sees("the other", |status| status.members.len() == 1).await;
            (one, two)
        });
        if round % 3 == 0 {
            drop(runtime);
            drop((one, two));
        } else {
            drop((one, two));
            drop(runtime);
        }
    }
    let begun = Instant::now();
    // Nobody is told when a thread has ended.
    while driver_threads() > 0 {
        assert!(begun.elapsed() < LIMIT, "{} drivers go on", driver_threads());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(PANICS.load(Relaxed), 0);
}

/// Whoever asks to be let in and says nothing has no last words of ours to read.
fn an_unfinished_proof_is_not_waited_for(log: &Log) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let house = House::new();
    runtime.block_on(async {
        let member = Member::enter(&house, PUBLISHER, Vec::new()).await;
        let friend = Member::enter(&house, VIEWER, vec![member.hint()]).await;
        friend.sees("the other", |status| status.members.len() == 1).await;
        // A member, on whose connection a second proof has begun.
        let mut asking = Peer::new();
        let wire = asking.dial(&member.address()).await;
        let mut control = asking.control(&wire).await;
        control.come_in(&house, &asking.key).await;
        member.sees("both", |status| status.members.len() == 2).await;
        let _silent = asking.open(&wire, CONTROL).await.unwrap();
        member.node.shutdown().await;
        friend.sees("its end", |status| status.departed.len() == 1).await;
        friend.node.shutdown().await;
    });
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(log.matches("the driver has ended").count(), 2, "{log}");
    assert_eq!(log.matches("not written in time").count(), 0, "{log}");
}

/// One test, since panics, threads and the log are the whole process's.
#[test]
fn a_node_ends_in_silence_and_waits_for_nobody_in_vain() {
    count_panics();
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("roommate::driver=debug")
        .with_ansi(false)
        .with_writer(move || writer.clone());
    subscriber.init();
    an_unfinished_proof_is_not_waited_for(&log);
    a_node_may_be_dropped_while_its_runtime_ends();
}
