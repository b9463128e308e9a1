//! Members that find each other at a real bootstrap, each a swarm in a task of its own. Only on
//! 127.0.0.1.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::upgrade::Version;
use libp2p::futures::future::Either;
use libp2p::identity::Keypair;
use libp2p::swarm::{Config as SwarmConfig, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Stream, StreamProtocol, Swarm, identify, noise, ping, tcp, yamux};
use roommate_bootstrap::{Config, Identity, Running, run};
use roommate_protocol::address::{Address, Carrier, Host, Kind};
use roommate_protocol::rooms::PROTOCOL;
use roommate_protocol::rooms::watch::{Output, Watch, WatchConfig};
use roommate_protocol::time::{Mono, Now, Wall};
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::wire::frame::FrameReader;
use roommate_transport::{Door, DoorEvent, Native, QuicTransport};
use tokio::sync::{mpsc, oneshot};

/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
pub const LIMIT: Duration = Duration::from_secs(20);

pub const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
pub const TCP: &str = "/ip4/127.0.0.1/tcp/0";

pub fn config(identity: Identity, listen: &[&str]) -> Config {
    let listen = listen.iter().map(|address| address.parse().unwrap()).collect();
    Config { listen, identity, registry: Default::default() }
}

pub async fn bootstrap() -> Running {
    run(config(Identity::Fresh, &[QUIC, TCP])).await.unwrap()
}

pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(LIMIT, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {LIMIT:?} in vain for {what}"),
    }
}

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub door: Door,
}

pub fn node_id(key: &Keypair) -> PeerId {
    PeerId::from_libp2p_bytes(&key.public().to_peer_id().to_bytes()).unwrap()
}

/// A node's swarm: our QUIC transport and stock TCP.
pub fn swarm(key: &Keypair) -> Swarm<Behaviour> {
    let config = roommate_transport::Config {
        open_timeout: Duration::from_millis(300),
        ..Default::default()
    };
    let (quic, door) = QuicTransport::new(config, key).unwrap();
    let tcp = tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(key).unwrap())
        .multiplex(yamux::Config::default());
    let transport = quic.or_transport(tcp).map(|connection, _| match connection {
        Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
        Either::Right((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
    });
    let identify = identify::Config::new("/roommate/1".into(), key.public());
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::default(),
        door,
    };
    let peer = key.public().to_peer_id();
    Swarm::new(transport.boxed(), behaviour, peer, SwarmConfig::with_tokio_executor())
}

/// Dials, opens the rooms stream, and keeps the swarm running in a task until the sender is dropped.
/// The receiver ends with the connection.
pub async fn connect(
    key: &Keypair,
    bootstrap: &Multiaddr,
) -> (Stream, Option<Native>, oneshot::Sender<()>, oneshot::Receiver<()>) {
    let mut swarm = swarm(key);
    swarm.dial(bootstrap.clone()).unwrap();
    let mut connection = None;
    let stream = in_time("the rooms stream", async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::Behaviour(BehaviourEvent::Door(DoorEvent::Up {
                    id,
                    peer,
                    native,
                    ..
                })) => {
                    connection = native;
                    let protocol = StreamProtocol::new(PROTOCOL);
                    swarm.behaviour_mut().door.open(id, peer, protocol);
                }
                SwarmEvent::Behaviour(BehaviourEvent::Door(DoorEvent::Opened {
                    stream, ..
                })) => break stream,
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                SwarmEvent::Behaviour(BehaviourEvent::Door(DoorEvent::OpenFailed {
                    why, ..
                })) => panic!("{why}"),
                _ => {}
            }
        }
    })
    .await;
    let (keep, mut kept) = oneshot::channel();
    let (ended, end) = oneshot::channel();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                event = swarm.select_next_some() => {
                    if let SwarmEvent::ConnectionClosed { .. } = event {
                        let _ = ended.send(());
                        return;
                    }
                }
                _ = &mut kept => return,
            }
        }
    });
    (stream, connection, keep, end)
}

/// A member that watches a room and is registered in it.
pub struct Member {
    pub peer: PeerId,
    pub told: mpsc::UnboundedReceiver<Output>,
    leave: Option<oneshot::Sender<()>>,
    _keep: oneshot::Sender<()>,
}

impl Member {
    pub async fn join(bootstrap: &Multiaddr, secret: RoomSecret, port: u16) -> Self {
        Self::join_as(&Keypair::generate_ed25519(), bootstrap, secret, port).await
    }

    pub async fn join_as(
        key: &Keypair,
        bootstrap: &Multiaddr,
        secret: RoomSecret,
        port: u16,
    ) -> Self {
        let (stream, _, keep, _) = connect(key, bootstrap).await;
        let peer = node_id(key);
        let config = WatchConfig { secret, peer, addresses: vec![address(peer, port)] };
        let (tell, told) = mpsc::unbounded_channel();
        let (leave, leaving) = oneshot::channel();
        tokio::spawn(drive(stream, Watch::new(config, rand::random(), now()), tell, leaving));
        Self { peer, told, leave: Some(leave), _keep: keep }
    }

    pub async fn wait_for(&mut self, wanted: &Output) {
        in_time(&format!("{wanted:?}"), async {
            while self.told.recv().await.unwrap() != *wanted {}
        })
        .await;
    }

    pub fn leave(&mut self) {
        self.leave.take().unwrap().send(()).unwrap();
    }
}

pub fn address(peer: PeerId, port: u16) -> Address {
    let host = Host::V4([192, 0, 2, 1].into());
    Address { kind: Kind::Member, host, carrier: Carrier::Quic, port, peer: Some(peer) }
}

async fn drive(
    stream: Stream,
    mut watch: Watch,
    tell: mpsc::UnboundedSender<Output>,
    mut leaving: oneshot::Receiver<()>,
) {
    let (mut reading, mut writing) = stream.split();
    let (mut reader, mut chunk) = (FrameReader::new(), [0; 4096]);
    let mut left = false;
    watch.handle_opened(now());
    loop {
        while let Some(output) = watch.poll_output() {
            match output {
                Output::Send(frame) => {
                    if writing.write_all(&frame).await.is_err() {
                        return;
                    }
                }
                told => _ = tell.send(told),
            }
        }
        if writing.flush().await.is_err() {
            return;
        }
        let wait = watch.poll_timeout().map_or(LIMIT, |(at, _)| at.since(now().mono));
        tokio::select! {
            read = reading.read(&mut chunk) => match read {
                Ok(length) if length > 0 => {
                    reader.push(&chunk[..length]);
                    while let Some(frame) = reader.next_content().unwrap() {
                        watch.handle_frame(&frame, now()).unwrap();
                    }
                }
                _ => return,
            },
            () = tokio::time::sleep(wait) => watch.handle_timeout(now()),
            Ok(()) = &mut leaving, if !left => {
                left = true;
                watch.leave();
            }
        }
    }
}

fn now() -> Now {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let mono = START.get_or_init(Instant::now).elapsed().as_micros() as u64;
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as i64;
    Now { mono: Mono::from_micros(mono), wall: Wall::from_micros(wall) }
}
