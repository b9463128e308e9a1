//! A peer that a test plays by hand: a swarm in a task, with every byte that it receives kept.

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use futures::StreamExt;
use libp2p::core::Transport;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::upgrade::Version;
use libp2p::futures::future::Either;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{Config as SwarmConfig, ConnectionId, NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Stream, StreamProtocol, Swarm, identify, noise, ping, tcp, yamux};
use quinn::{ConnectionError, VarInt};
use roommate::net::address::from_libp2p;
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::wire::close::CloseCode;
use roommate_transport::{Door, DoorEvent, Native, OpenError, QuicTransport};
use tokio::sync::{mpsc, watch};

use super::control::Control;
use super::tap::{Log, Tap};
use super::{any_key, in_time, name_of};

pub const CONTROL: StreamProtocol = StreamProtocol::new("/roommate/control/1");

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: Toggle<ping::Behaviour>,
    door: Door,
}

type Command = Box<dyn FnOnce(&mut Swarm<Behaviour>) + Send>;

/// The peer. Its swarm ends when this is dropped.
pub struct Peer {
    pub key: SigningKey,
    /// What came on substreams and in reasons of closed connections.
    pub log: Log,
    commands: mpsc::UnboundedSender<Command>,
    events: mpsc::UnboundedReceiver<SwarmEvent<BehaviourEvent>>,
}

/// One connection.
pub struct Wire {
    pub id: ConnectionId,
    pub peer: PeerId,
    pub native: Option<Native>,
    /// What came on native streams, a row each.
    pub media: Log,
    /// Streams and bytes of them.
    pub counts: watch::Receiver<(u64, u64)>,
    log: Log,
}

impl Peer {
    pub fn new() -> Self {
        Self::with(any_key(), None)
    }

    /// With `garbage`, every substream that it opens begins with that.
    pub fn with(key: SigningKey, garbage: Option<Vec<u8>>) -> Self {
        let log = Log::default();
        let mut swarm = swarm(&key, log.clone(), garbage);
        let (tell, events) = mpsc::unbounded_channel();
        let (commands, mut orders) = mpsc::unbounded_channel::<Command>();
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
        Self { key, log, commands, events }
    }

    pub fn name(&self) -> PeerId {
        name_of(&self.key)
    }

    fn order(&self, order: impl FnOnce(&mut Swarm<Behaviour>) + Send + 'static) {
        self.commands.send(Box::new(order)).ok().unwrap();
    }

    async fn wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(SwarmEvent<BehaviourEvent>) -> Option<T>,
    ) -> T {
        let found = async {
            loop {
                if let Some(found) = self.events.recv().await.and_then(&mut pick) {
                    return found;
                }
            }
        };
        in_time(what, found).await
    }

    async fn door<T>(&mut self, what: &str, mut pick: impl FnMut(DoorEvent) -> Option<T>) -> T {
        self.wait(what, |event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Door(event)) => pick(event),
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("no connection: {error}"),
            _ => None,
        })
        .await
    }

    pub async fn listen(&mut self) -> Multiaddr {
        self.order(|swarm| _ = swarm.listen_on(super::QUIC.parse().unwrap()).unwrap());
        self.wait("an address to listen on", |event| match event {
            SwarmEvent::NewListenAddr { address, .. } => Some(address),
            _ => None,
        })
        .await
    }

    pub async fn dial(&mut self, address: &Multiaddr) -> Wire {
        let opts = DialOpts::unknown_peer_id().address(address.clone()).build();
        self.order(move |swarm| swarm.dial(opts).unwrap());
        self.up().await
    }

    /// The next connection, whoever dialled.
    pub async fn up(&mut self) -> Wire {
        let (id, peer, native) = self
            .door("a connection", |event| match event {
                DoorEvent::Up { id, peer, native, .. } => Some((id, peer, native)),
                _ => None,
            })
            .await;
        let media = Log::default();
        let (tell, counts) = watch::channel((0, 0));
        if let Some(native) = native.clone() {
            tokio::spawn(take_streams(native, media.clone(), tell));
        }
        Wire { id, peer: from_libp2p(&peer).unwrap(), native, media, counts, log: self.log.clone() }
    }

    /// Waits until the other side has identified itself; the protocols that it names.
    pub async fn identified(&mut self) -> Vec<StreamProtocol> {
        self.wait("identify", |event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                info,
                ..
            })) => Some(info.protocols),
            _ => None,
        })
        .await
    }

    /// Opens a substream of any protocol.
    pub async fn open(
        &mut self,
        wire: &Wire,
        protocol: StreamProtocol,
    ) -> Result<Stream, OpenError> {
        let (id, peer) = (wire.id, roommate::net::address::to_libp2p(&wire.peer));
        self.order(move |swarm| swarm.behaviour_mut().door.open(id, peer, protocol));
        self.door("a substream or its refusal", |event| match event {
            DoorEvent::Opened { id: on, stream, dialled: true, .. } if on == id => Some(Ok(stream)),
            DoorEvent::OpenFailed { id: on, why, .. } if on == id => Some(Err(why)),
            _ => None,
        })
        .await
    }

    /// Opens a control stream.
    pub async fn control(&mut self, wire: &Wire) -> Control {
        self.try_control(wire).await.unwrap()
    }

    /// Opens a control stream, if the other side does not reset it as soon as it is negotiated.
    pub async fn try_control(&mut self, wire: &Wire) -> Option<Control> {
        match self.open(wire, CONTROL).await {
            Ok(stream) => Some(Control::new(stream, (self.name(), wire.peer))),
            Err(OpenError::Broken(_)) => None,
            Err(other) => panic!("no control stream: {other}"),
        }
    }

    /// Takes the next control stream in that the other side opens.
    pub async fn asked(&mut self, wire: &Wire) -> Control {
        let id = wire.id;
        let stream = self
            .door("a control stream of the other side", |event| match event {
                DoorEvent::Opened { id: on, stream, dialled: false, .. } if on == id => {
                    Some(stream)
                }
                _ => None,
            })
            .await;
        Control::new(stream, (self.name(), wire.peer))
    }
}

impl Wire {
    pub fn native(&self) -> &Native {
        self.native.as_ref().expect("it is a QUIC connection")
    }

    /// Waits until the other side has closed the connection; why.
    pub async fn closed(&self) -> CloseCode {
        match in_time("the end of the connection", self.native().closed()).await {
            ConnectionError::ApplicationClosed(close) => {
                self.log.add(self.log.row(), &close.reason);
                let code = u32::try_from(close.error_code.into_inner()).unwrap();
                CloseCode::from_code(code)
            }
            other => panic!("the connection did not end by the other side's will: {other}"),
        }
    }

    pub fn is_open(&self) -> bool {
        futures::FutureExt::now_or_never(self.native().closed()).is_none()
    }

    /// All that the network brought, headers of packets included.
    pub fn network_bytes(&self) -> u64 {
        self.native().stats().udp_rx.bytes
    }

    /// Opens a native stream and writes `bytes`, with a FIN behind them where `ends`.
    pub async fn send(&self, bytes: &[u8], ends: bool) -> quinn::SendStream {
        let mut stream = in_time("a native stream", self.native().open_uni()).await.unwrap();
        // The other side may stop it before all is written: that is what tests look for.
        let _ = in_time("room in the stream", stream.write_all(bytes)).await;
        if ends {
            let _ = stream.finish();
        }
        stream
    }
}

/// What the other side stopped a stream with; `None`: it took it whole.
pub async fn stopped(stream: quinn::SendStream) -> Option<u64> {
    let code = in_time("what becomes of a stream", stream.stopped()).await.unwrap();
    code.map(VarInt::into_inner)
}

async fn take_streams(native: Native, media: Log, tell: watch::Sender<(u64, u64)>) {
    let tell = Arc::new(tell);
    while let Ok(mut stream) = native.accept_uni().await {
        tell.send_modify(|counts| counts.0 += 1);
        let (row, media, tell) = (media.row(), media.clone(), tell.clone());
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(Some(count)) = stream.read(&mut buffer).await {
                media.add(row, &buffer[..count]);
                tell.send_modify(|counts| counts.1 += count as u64);
            }
        });
    }
}

fn swarm(key: &SigningKey, log: Log, garbage: Option<Vec<u8>>) -> Swarm<Behaviour> {
    let key = Keypair::ed25519_from_bytes(key.to_bytes()).unwrap();
    let (quic, door) = QuicTransport::new(roommate_transport::Config::default(), &key).unwrap();
    let tcp = tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default());
    // A ping that fails is tried again at once, for ever.
    let pings = garbage.is_none();
    let transport = quic.or_transport(tcp).map(move |connection, _| {
        let (log, garbage) = (log.clone(), garbage.clone());
        match connection {
            Either::Left((peer, muxer)) => {
                (peer, StreamMuxerBox::new(Tap::new(muxer, log, garbage)))
            }
            Either::Right((peer, muxer)) => {
                (peer, StreamMuxerBox::new(Tap::new(muxer, log, garbage)))
            }
        }
    });
    let every = std::time::Duration::from_millis(100);
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify::Config::new("/x/1".into(), key.public())),
        ping: pings.then(|| ping::Behaviour::new(ping::Config::new().with_interval(every))).into(),
        door: door.accepting([CONTROL]),
    };
    let peer = key.public().to_peer_id();
    Swarm::new(transport.boxed(), behaviour, peer, SwarmConfig::with_tokio_executor())
}
