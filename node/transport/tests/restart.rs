//! A node that died and came back on its port: its peers learn it at the first packet.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod common;

use std::thread::JoinHandle;
use std::time::Duration;

use common::{LIMIT, Node, Own, own, own_with};
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use quinn::ConnectionError;
use roommate_transport::Config;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A node in a runtime of its own that can die without a word.
struct Mortal {
    kill: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Mortal {
    /// `then` runs in that runtime and tells what it likes.
    async fn born<T, F>(key: Keypair, config: Config, address: Multiaddr, then: F) -> (Self, T)
    where
        T: Send + 'static,
        F: AsyncFnOnce(&mut Node<Own>) -> T + Send + 'static,
    {
        let (kill, killed) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            // One thread: once `block_on` returns, nothing runs any more, so nothing says goodbye.
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut node = own_with(&key, config).listen_on(address).await;
                tell.send(then(&mut node).await).ok().unwrap();
                let _ = killed.await;
            });
        });
        let told = timeout(LIMIT, told).await.unwrap().unwrap();
        (Self { kill, thread }, told)
    }

    fn die(self) {
        self.kill.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

fn anywhere() -> Multiaddr {
    "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()
}

/// The end must come from a reset, long before the idle timeout of 10 s.
async fn is_reset(up: &common::Up) {
    let end = timeout(Duration::from_secs(2), up.native().closed()).await.expect("in 2 s");
    assert!(matches!(end, ConnectionError::Reset), "{end}");
}

#[tokio::test]
async fn the_listener_restarts() {
    let key = Keypair::generate_ed25519();
    let config = Config::default();
    let (first, address) =
        Mortal::born(key.clone(), config.clone(), anywhere(), async |n| n.address.clone()).await;
    let mut peer = own(config.clone());
    peer.dial(address.clone()).await;
    let up = peer.up().await;
    peer.pings(1).await;
    first.die();
    let (second, _) = Mortal::born(key, config, address, async |_| ()).await;
    is_reset(&up).await;
    peer.down(up.id).await;
    second.die();
}

#[tokio::test]
async fn the_dialler_restarts() {
    let key = Keypair::generate_ed25519();
    // quinn's listener soon uses a connection id of the dialler's that came with a reset token.
    let config = Config::default();
    let mut peer = own(config.clone()).listen().await;
    let address = peer.address.clone();
    let (first, own_address) =
        Mortal::born(key.clone(), config.clone(), anywhere(), async move |node| {
            node.dial(address).await;
            node.up().await;
            node.address.clone()
        })
        .await;
    let up = peer.up().await;
    peer.pings(1).await;
    first.die();
    let (second, _) = Mortal::born(key, config, own_address, async |_| ()).await;
    is_reset(&up).await;
    peer.down(up.id).await;
    second.die();
}

#[tokio::test]
async fn somebody_else_on_the_port_cannot_reset() {
    let config = Config {
        idle_timeout: Duration::from_millis(1500),
        keep_alive: Duration::from_millis(500),
        ..Config::default()
    };
    let (first, address) =
        Mortal::born(Keypair::generate_ed25519(), config.clone(), anywhere(), async |n| {
            n.address.clone()
        })
        .await;
    let mut peer = own(config.clone());
    peer.dial(address.clone()).await;
    let up = peer.up().await;
    first.die();
    let (second, _) =
        Mortal::born(Keypair::generate_ed25519(), config, address, async |_| ()).await;
    let end = timeout(LIMIT, up.native().closed()).await.unwrap();
    assert!(matches!(end, ConnectionError::TimedOut), "{end}");
    second.die();
}
