//! One loop that owns the swarm and the registry: swarm event in, registry output out. Who may stay
//! and what is answered is the registry's to decide.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, Swarm};
use roommate_clock::Clock;
use roommate_protocol::rooms::registry::{ClientId, Counts, Output, Registry};
use roommate_protocol::trust::id::PeerId as NodeId;
use roommate_transport::DoorEvent;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::error::Error;
use crate::stream::{self, Told, What, Writer};
use crate::swarm::{Behaviour, BehaviourEvent, build};
use crate::{identity, listen};

/// Events of all streams that wait for the loop; a full channel stops their reading.
const STREAM_EVENTS_MAX: usize = 1024;
/// Until every interface has named its address. Those that take longer are served all the same.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(2);
/// How long clients have to notice the goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// The registry's deadlines are on a clock that counts suspends, this task's timer is not.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// A look at a running bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// What the registry holds.
    pub registry: Counts,
    /// Bytes that are of none of the bootstrap's own protocols, counted at its streams. Native
    /// streams are never granted, so all that can come are frames of unknown types.
    pub media_bytes: u64,
}

/// A bootstrap that runs. Dropped, it ends without a goodbye.
#[derive(Debug)]
pub struct Running {
    peer: PeerId,
    listen: Vec<Multiaddr>,
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Who it is.
    pub fn peer_id(&self) -> PeerId {
        self.peer
    }

    /// Where it listens, each with `/p2p/…`: what nodes are given.
    pub fn listen_addrs(&self) -> &[Multiaddr] {
        &self.listen
    }

    /// What it holds now.
    pub fn counts(&self) -> Status {
        *self.status.borrow()
    }

    /// The same, for whoever waits for a change.
    pub fn watch_counts(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Waits until it has ended by itself, which it does only through a defect of its own.
    pub async fn ended(&mut self) {
        // Why is in the log: a task ends early by a panic alone.
        if !self.task.is_finished() {
            let _ = (&mut self.task).await;
        }
    }

    /// Ends it, within a second; clients are told by their connections' end.
    pub async fn shutdown(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        if !self.task.is_finished() {
            let _ = self.task.await;
        }
    }
}

/// Starts a bootstrap; it listens when this returns.
///
/// # Errors
/// [`Error`], a sentence that says what to do.
pub async fn run(config: Config) -> Result<Running, Error> {
    let key = identity::load(&config.identity)?;
    let peer = key.public().to_peer_id();
    let mut swarm = build(&key, config.registry.clients_max)?;
    let listeners = listen::begin(&mut swarm, &config.listen)?;
    let (status_sender, status) = watch::channel(Status::default());
    let (told, streams) = mpsc::channel(STREAM_EVENTS_MAX);
    let mut driver = Driver {
        swarm,
        registry: Registry::new(config.registry, rand::random(), Clock::new().now()),
        connections: HashMap::new(),
        clients: HashMap::new(),
        numbers: 0,
        told,
        streams,
        listening: listeners.into_iter().map(|id| (id, Vec::new())).collect(),
        status: status_sender,
    };
    let listen = driver.wait_for_addresses().await?;
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(driver.run(stopped));
    Ok(Running { peer, listen, status, stop, task })
}

struct Connection {
    client: ClientId,
    from: (NodeId, IpAddr),
    /// The newest stream and its number; none before one is opened.
    stream: Option<(u64, Writer)>,
}

struct Driver {
    swarm: Swarm<Behaviour>,
    registry: Registry,
    connections: HashMap<ConnectionId, Connection>,
    clients: HashMap<ClientId, ConnectionId>,
    /// Names clients and streams.
    numbers: u64,
    told: mpsc::Sender<Told>,
    streams: mpsc::Receiver<Told>,
    listening: HashMap<ListenerId, Vec<Multiaddr>>,
    status: watch::Sender<Status>,
}

impl Driver {
    async fn wait_for_addresses(&mut self) -> Result<Vec<Multiaddr>, Error> {
        let all_told = async {
            while self.listening.values().any(Vec::is_empty) {
                let event = self.swarm.select_next_some().await;
                self.handle_swarm(event)?;
            }
            Ok(())
        };
        // Late interfaces are served all the same, only not named in the first line.
        if let Ok(result) = timeout(LISTEN_TIMEOUT, all_told).await {
            result?;
        }
        while let Some(Some(event)) = self.swarm.next().now_or_never() {
            self.handle_swarm(event)?;
        }
        let mut addresses: Vec<_> = self.listening.values().flatten().cloned().collect();
        // QUIC first: whoever copies one address copies the first.
        let is_tcp = |address: &Multiaddr| address.iter().any(|p| matches!(p, Protocol::Tcp(_)));
        addresses.sort_by_key(|address| (is_tcp(address), address.clone()));
        let peer = *self.swarm.local_peer_id();
        if addresses.is_empty() {
            return Err(Error::NoInterface);
        }
        Ok(addresses.into_iter().map(|address| address.with(Protocol::P2p(peer))).collect())
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            self.perform();
            self.tell_status();
            let wait = match self.registry.poll_timeout() {
                Some((at, _)) => at.since(Clock::new().now().mono).min(SLEEP_MAX),
                None => SLEEP_MAX,
            };
            tokio::select! {
                event = self.swarm.select_next_some() => {
                    if let Err(error) = self.handle_swarm(event) {
                        tracing::warn!(%error, "a listener ended");
                    }
                }
                Some(told) = self.streams.recv() => self.handle_told(told),
                () = sleep(wait) => self.registry.handle_timeout(Clock::new().now()),
                _ = &mut stopped => break,
            }
        }
        self.close().await;
    }

    fn handle_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) -> Result<(), Error> {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Door(event)) => self.handle_door(event),
            SwarmEvent::NewListenAddr { listener_id, address } => {
                self.listening.entry(listener_id).or_default().push(address);
            }
            SwarmEvent::ExpiredListenAddr { listener_id, address } => {
                if let Some(addresses) = self.listening.get_mut(&listener_id) {
                    addresses.retain(|known| *known != address);
                }
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason: Err(error) } => {
                self.listening.remove(&listener_id);
                let address = addresses.into_iter().next().unwrap_or_else(Multiaddr::empty);
                return Err(Error::Listen { address, why: error.to_string() });
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "no connection came of it");
            }
            _ => {}
        }
        Ok(())
    }

    fn handle_door(&mut self, event: DoorEvent) {
        match event {
            DoorEvent::Up { id, peer, address, .. } => self.connected(id, peer, &address),
            DoorEvent::Down { id, .. } => {
                if let Some(gone) = self.connections.remove(&id) {
                    self.clients.remove(&gone.client);
                    self.registry.handle_closed(gone.client);
                }
            }
            DoorEvent::Opened { id, stream, .. } => self.opened(id, stream),
            // This side opens nothing.
            DoorEvent::OpenFailed { .. } => {}
        }
    }

    fn connected(&mut self, id: ConnectionId, peer: PeerId, address: &Multiaddr) {
        let node = NodeId::from_libp2p_bytes(&peer.to_bytes());
        let (Some(node), Some(ip)) = (node, address.iter().next().and_then(listen::ip)) else {
            // Another kind of key, or another kind of address: not a Roommate node.
            self.swarm.behaviour_mut().door.close(id);
            return;
        };
        let client = ClientId(self.number());
        self.registry.handle_opened(client, node, ip, Clock::new().now());
        self.connections.insert(id, Connection { client, from: (node, ip), stream: None });
        self.clients.insert(client, id);
    }

    fn opened(&mut self, id: ConnectionId, stream: Stream) {
        let number = self.number();
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let writer = stream::spawn(stream, id, number, self.told.clone());
        // An older stream ends with its writer.
        connection.stream = Some((number, writer));
        let (node, ip) = connection.from;
        self.registry.handle_opened(connection.client, node, ip, Clock::new().now());
    }

    fn handle_told(&mut self, told: Told) {
        let Some(connection) = self.connections.get(&told.connection) else { return };
        if connection.stream.as_ref().is_none_or(|(number, _)| *number != told.stream) {
            return;
        }
        let client = connection.client;
        match told.what {
            What::Sent(bytes) => self.registry.handle_sent(client, bytes),
            What::Frame(frame) => {
                if let Err(why) = self.registry.handle_frame(client, &frame, Clock::new().now()) {
                    tracing::debug!(%why, "closing a client");
                    self.swarm.behaviour_mut().door.close(told.connection);
                }
            }
            What::Broken(why) => {
                tracing::debug!(%why, "closing a client");
                self.registry.handle_broken(client);
                self.swarm.behaviour_mut().door.close(told.connection);
            }
        }
    }

    fn perform(&mut self) {
        while let Some(output) = self.registry.poll_output() {
            match output {
                Output::Send { client, frame } => self.send(client, frame),
                Output::Close { client, why } => {
                    if let Some(id) = self.clients.get(&client) {
                        tracing::debug!(%why, "closing a client");
                        self.swarm.behaviour_mut().door.close(*id);
                    }
                }
            }
        }
    }

    fn send(&self, client: ClientId, frame: Bytes) {
        let connection = self.clients.get(&client).and_then(|id| self.connections.get(id));
        if let Some((_, writer)) = connection.and_then(|connection| connection.stream.as_ref()) {
            // A stream that has ended takes nothing; its connection's end, or its silence, follows.
            let _ = writer.send(frame);
        }
    }

    fn tell_status(&self) {
        let registry = self.registry.counts();
        let status = Status { registry, media_bytes: registry.foreign_bytes };
        self.status.send_if_modified(|told| std::mem::replace(told, status) != status);
    }

    async fn close(mut self) {
        let ids: Vec<_> = self.connections.keys().copied().collect();
        for id in ids {
            self.swarm.behaviour_mut().door.close(id);
        }
        let all_closed = async {
            while !self.connections.is_empty() {
                let event = self.swarm.select_next_some().await;
                if let Err(error) = self.handle_swarm(event) {
                    tracing::debug!(%error, "a listener ended");
                }
            }
        };
        // Clients that do not answer find out by their own timeouts.
        let _ = timeout(CLOSE_TIMEOUT, all_closed).await;
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
