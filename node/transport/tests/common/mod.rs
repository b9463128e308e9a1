//! Swarms that run in tasks of their own, and a UDP link between them. Only on 127.0.0.1.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses a part of it")]

pub mod link;

use std::time::Duration;

use futures::StreamExt;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, ListenerId, Transport};
use libp2p::identity::Keypair;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, identify, ping, quic};
use roommate_transport::{Config, Door, DoorEvent, Native, QuicTransport};
use tokio::sync::{mpsc, oneshot};

/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
pub const LIMIT: Duration = Duration::from_secs(20);
pub const PROTOCOL: StreamProtocol = StreamProtocol::new("/test/control/1");
const PING_EVERY: Duration = Duration::from_millis(100);

#[derive(NetworkBehaviour)]
pub struct Own {
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub door: Door,
}

#[derive(NetworkBehaviour)]
pub struct Stock {
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
}

fn parts(key: &Keypair) -> (identify::Behaviour, ping::Behaviour) {
    (
        identify::Behaviour::new(identify::Config::new("/test/1".into(), key.public())),
        ping::Behaviour::new(ping::Config::new().with_interval(PING_EVERY)),
    )
}

type Command<B> = Box<dyn FnOnce(&mut Swarm<B>) + Send>;

/// A swarm in a task; it ends when this is dropped.
pub struct Node<B: NetworkBehaviour> {
    pub peer: PeerId,
    pub address: Multiaddr,
    pub listener: Option<ListenerId>,
    pub events: mpsc::UnboundedReceiver<SwarmEvent<B::ToSwarm>>,
    commands: mpsc::UnboundedSender<Command<B>>,
}

pub fn own(config: Config) -> Node<Own> {
    own_with(&Keypair::generate_ed25519(), config)
}

pub fn own_with(key: &Keypair, config: Config) -> Node<Own> {
    let (transport, door) = QuicTransport::new(config, key).unwrap();
    let (identify, ping) = parts(key);
    let behaviour = Own { identify, ping, door: door.accepting([PROTOCOL]) };
    Node::new(key, boxed(transport), behaviour)
}

pub fn stock() -> Node<Stock> {
    let key = Keypair::generate_ed25519();
    let (identify, ping) = parts(&key);
    let transport = quic::tokio::Transport::new(quic::Config::new(&key))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    Node::new(&key, transport, Stock { identify, ping })
}

pub fn boxed(transport: QuicTransport) -> Boxed<(PeerId, StreamMuxerBox)> {
    transport.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed()
}

impl<B> Node<B>
where
    B: NetworkBehaviour + Send,
    B::ToSwarm: std::fmt::Debug,
{
    fn new(key: &Keypair, transport: Boxed<(PeerId, StreamMuxerBox)>, behaviour: B) -> Self {
        let peer = key.public().to_peer_id();
        let config = libp2p::swarm::Config::with_tokio_executor();
        Self::drive(Swarm::new(transport, behaviour, peer, config))
    }

    pub fn drive(mut swarm: Swarm<B>) -> Self {
        let peer = *swarm.local_peer_id();
        let (tell, events) = mpsc::unbounded_channel();
        let (commands, mut orders) = mpsc::unbounded_channel::<Command<B>>();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => { let _ = tell.send(event); }
                    order = orders.recv() => match order {
                        Some(order) => order(&mut swarm),
                        None => return,
                    },
                }
            }
        });
        Self { peer, address: Multiaddr::empty(), listener: None, events, commands }
    }

    /// Does something with the swarm and returns what came of it.
    pub async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Swarm<B>) -> T + Send + 'static,
    ) -> T {
        let (done, result) = oneshot::channel();
        let order: Command<B> = Box::new(move |swarm| _ = done.send(act(swarm)));
        self.commands.send(order).ok().unwrap();
        result.await.unwrap()
    }

    /// Waits for an event that `pick` takes; earlier ones are lost.
    pub async fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(SwarmEvent<B::ToSwarm>) -> Option<T>,
    ) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the swarm runs");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        };
        tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| panic!("no {what}"))
    }

    pub async fn listen(self) -> Self {
        self.listen_on("/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()).await
    }

    pub async fn listen_on(mut self, address: Multiaddr) -> Self {
        let id = self.with(move |swarm| swarm.listen_on(address).unwrap()).await;
        self.listener = Some(id);
        self.address = self
            .wait("listen address", |event| match event {
                SwarmEvent::NewListenAddr { address, .. } => Some(address),
                _ => None,
            })
            .await;
        self
    }

    pub async fn dial(&self, address: Multiaddr) -> ConnectionId {
        self.dial_opts(DialOpts::unknown_peer_id().address(address).build()).await
    }

    pub async fn dial_opts(&self, opts: DialOpts) -> ConnectionId {
        let id = opts.connection_id();
        self.with(move |swarm| swarm.dial(opts).unwrap()).await;
        id
    }
}

/// A connection that came up.
#[derive(Debug)]
pub struct Up {
    pub id: ConnectionId,
    pub peer: PeerId,
    pub dialled: bool,
    pub native: Option<Native>,
}

impl Up {
    pub fn native(&self) -> &Native {
        self.native.as_ref().expect("it is a QUIC connection")
    }
}

impl Node<Own> {
    pub async fn door<T>(&mut self, what: &str, mut pick: impl FnMut(DoorEvent) -> Option<T>) -> T {
        self.wait(what, |event| match event {
            SwarmEvent::Behaviour(OwnEvent::Door(event)) => pick(event),
            _ => None,
        })
        .await
    }

    pub async fn up(&mut self) -> Up {
        self.door("connection", |event| match event {
            DoorEvent::Up { id, peer, dialled, native, .. } => {
                Some(Up { id, peer, dialled, native })
            }
            _ => None,
        })
        .await
    }

    pub async fn down(&mut self, connection: ConnectionId) {
        self.door("end of the connection", |event| match event {
            DoorEvent::Down { id, .. } => (id == connection).then_some(()),
            _ => None,
        })
        .await;
    }

    pub async fn open(&self, id: ConnectionId, peer: PeerId, protocol: StreamProtocol) {
        self.with(move |swarm| swarm.behaviour_mut().door.open(id, peer, protocol)).await;
    }

    /// Waits for `count` more pings that were answered.
    pub async fn pings(&mut self, count: usize) {
        for _ in 0..count {
            self.wait("ping", |event| match event {
                SwarmEvent::Behaviour(OwnEvent::Ping(ping)) => {
                    Some(ping.result.expect("the ping was answered"))
                }
                _ => None,
            })
            .await;
        }
    }
}

/// Two nodes of ours and the connection between them, dialled by the first.
pub async fn pair(dialler: Config, listener: Config) -> (Node<Own>, Up, Node<Own>, Up) {
    let mut b = own(listener).listen().await;
    let mut a = own(dialler);
    a.dial(b.address.clone()).await;
    let (at_a, at_b) = (a.up().await, b.up().await);
    (a, at_a, b, at_b)
}
