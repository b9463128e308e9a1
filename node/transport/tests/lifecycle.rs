//! Beginnings and ends: listeners, ports, punches, muxers, other transports beside.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod common;

use std::pin::Pin;
use std::time::Duration;

use common::link::{Link, Shape, to_multiaddr};
use common::{LIMIT, Node, Own, boxed, own};
use futures::AsyncWriteExt;
use futures::future::poll_fn;
use libp2p::core::Endpoint;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, Transport, TransportEvent};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::swarm::dial_opts::{self, PeerCondition};
use libp2p::{Multiaddr, dns, identify, noise, ping, tcp, yamux};
use roommate_transport::{Config, Error, Muxer, QuicTransport};
use tokio::time::timeout;

fn transport(config: Config) -> QuicTransport {
    QuicTransport::new(config, &Keypair::generate_ed25519()).unwrap().0
}

fn loopback() -> Multiaddr {
    "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()
}

const DIAL: DialOpts = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };

async fn event(
    transport: &mut QuicTransport,
) -> TransportEvent<<QuicTransport as Transport>::ListenerUpgrade, Error> {
    timeout(LIMIT, poll_fn(|cx| Pin::new(&mut *transport).poll(cx))).await.unwrap()
}

async fn listen(transport: &mut QuicTransport) -> (ListenerId, Multiaddr) {
    let id = ListenerId::next();
    transport.listen_on(id, loopback()).unwrap();
    match event(transport).await {
        TransportEvent::NewAddress { listener_id, listen_addr } if listener_id == id => {
            (id, listen_addr)
        }
        other => panic!("{other:?}"),
    }
}

/// A connection: the dialler's muxer, the listener's, and where the listener saw the dialler.
async fn connect(
    dialler: &mut QuicTransport,
    options: DialOpts,
    listener: &mut QuicTransport,
    address: &Multiaddr,
) -> (Muxer, Muxer, Multiaddr) {
    let dial = tokio::spawn(dialler.dial(address.clone(), options).unwrap());
    let TransportEvent::Incoming { upgrade, send_back_addr, .. } = event(listener).await else {
        panic!("nobody came")
    };
    let (_, theirs) = timeout(LIMIT, upgrade).await.unwrap().unwrap();
    let (_, ours) = dial.await.unwrap().unwrap();
    (ours, theirs, send_back_addr)
}

#[tokio::test]
async fn dropping_the_muxer_closes_the_connection() {
    let (mut a, mut b) = (transport(Config::default()), transport(Config::default()));
    let (_, address) = listen(&mut b).await;
    let (ours, mut theirs, _) = connect(&mut a, DIAL, &mut b, &address).await;
    drop(ours);
    let end = timeout(LIMIT, poll_fn(|cx| Pin::new(&mut theirs).poll_inbound(cx))).await.unwrap();
    let Err(Error::Connection(quinn::ConnectionError::ApplicationClosed(_))) = end else {
        panic!("{:?}", end.err())
    };
}

#[tokio::test]
async fn a_dial_leaves_from_the_listeners_port_unless_a_new_one_is_asked_for() {
    let (mut a, mut b) = (transport(Config::default()), transport(Config::default()));
    let (_, address) = listen(&mut b).await;
    let (_, own_address) = listen(&mut a).await;
    let (_m, _n, from) = connect(&mut a, DIAL, &mut b, &address).await;
    assert_eq!(from, own_address);
    let new = DialOpts { port_use: PortUse::New, ..DIAL };
    let (_m, _n, from) = connect(&mut a, new, &mut b, &address).await;
    assert_ne!(from, own_address);
}

#[tokio::test]
async fn without_a_listener_dials_share_a_port() {
    let (mut a, mut b) = (transport(Config::default()), transport(Config::default()));
    let (_, address) = listen(&mut b).await;
    let (_m, _n, first) = connect(&mut a, DIAL, &mut b, &address).await;
    let (_m, _n, second) = connect(&mut a, DIAL, &mut b, &address).await;
    assert_eq!(first, second);
}

#[tokio::test]
async fn silence_ends_a_dial_in_time() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let limit = Duration::from_millis(300);
    let mut a = transport(Config { handshake_timeout: limit, ..Config::default() });
    let address = format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap();
    let dial = a.dial(address, DIAL).unwrap();
    let end = timeout(LIMIT, dial).await.unwrap();
    assert!(matches!(end, Err(Error::HandshakeTimeout)), "{:?}", end.err());
}

#[tokio::test]
async fn nobody_comes_in_by_a_closed_listener_and_connections_live_on() {
    let mut b = own(Config::default()).listen().await;
    let mut a = own(Config::default());
    a.dial(b.address.clone()).await;
    let up = a.up().await;

    let unheard = b
        .with(|swarm| {
            let id = swarm.listen_on(loopback()).unwrap();
            assert!(swarm.remove_listener(id), "even one that has not told its address");
            id
        })
        .await;
    closed(&mut b, unheard).await;
    let id = b.listener.expect("it listens");
    assert!(b.with(move |swarm| swarm.remove_listener(id)).await);
    closed(&mut b, id).await;

    let limit = Duration::from_millis(500);
    let mut late = own(Config { handshake_timeout: limit, ..Config::default() });
    late.dial(b.address.clone()).await;
    late.wait("failure", |event| match event {
        SwarmEvent::OutgoingConnectionError { .. } => Some(()),
        _ => None,
    })
    .await;
    a.pings(2).await;
    up.native().open_uni().await.expect("the connection lives");
}

async fn closed(node: &mut Node<Own>, id: ListenerId) {
    node.wait("end of the listener", |event| match event {
        SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
            reason.unwrap();
            (listener_id == id).then_some(())
        }
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn the_swarm_hears_of_a_peer_that_moved() {
    let (mut a, mut b) = (transport(Config::default()), transport(Config::default()));
    let (_, address) = listen(&mut b).await;
    let link = Link::to(&address, Shape::default()).await;
    let (mut ours, mut theirs, from) = connect(&mut a, DIAL, &mut b, &link.address).await;
    let moved = to_multiaddr(link.move_dialler().await);
    assert_ne!(from, moved);
    let mut stream = poll_fn(|cx| Pin::new(&mut ours).poll_outbound(cx)).await.unwrap();
    stream.write_all(b"here").await.unwrap();
    timeout(LIMIT, poll_fn(|cx| Pin::new(&mut theirs).poll_inbound(cx))).await.unwrap().unwrap();
    let change = timeout(LIMIT, poll_fn(|cx| Pin::new(&mut theirs).poll(cx))).await;
    let StreamMuxerEvent::AddressChange(address) = change.unwrap().unwrap();
    assert_eq!(address, moved);
}

#[tokio::test]
async fn a_punch_makes_one_connection() {
    let mut a = own(Config::default()).listen().await;
    let mut b = own(Config::default()).listen().await;
    let options = |peer, address| {
        dial_opts::DialOpts::peer_id(peer).addresses(vec![address]).condition(PeerCondition::Always)
    };
    b.dial_opts(options(a.peer, a.address.clone()).override_role().build()).await;
    a.dial_opts(options(b.peer, b.address.clone()).build()).await;
    let (at_a, at_b) = (a.up().await, b.up().await);
    assert!(at_a.dialled && !at_b.dialled);
    assert_eq!(at_a.native().exporter(b"x").unwrap(), at_b.native().exporter(b"x").unwrap());
    a.pings(3).await;
    for node in [&a, &b] {
        let count = node.with(|s| s.network_info().connection_counters().num_established()).await;
        assert_eq!(count, 1);
    }
}

#[tokio::test]
async fn a_punch_that_nobody_answers_ends_and_does_not_block_the_next() {
    let limit = Duration::from_millis(300);
    let mut a = transport(Config { handshake_timeout: limit, ..Config::default() });
    let punch = DialOpts { role: Endpoint::Listener, port_use: PortUse::Reuse };
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let address: Multiaddr = format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap();
    assert!(a.dial(address.clone(), punch).is_err(), "there is no socket to punch from");

    listen(&mut a).await;
    let first = a.dial(address.clone(), punch).unwrap();
    assert!(a.dial(address.clone(), punch).is_err(), "one at a time");
    let end = timeout(LIMIT, first).await.unwrap();
    assert!(matches!(end, Err(Error::PunchTimeout)), "{:?}", end.err());
    let mut knock = [0; 100];
    assert_eq!(silent.recv(&mut knock).unwrap(), 64);
    assert!(a.dial(address, punch).is_ok());
}

/// How a node with TCP beside QUIC is built.
fn with_tcp() -> Node<Own> {
    let key = Keypair::generate_ed25519();
    let (quic, door) = QuicTransport::new(Config::default(), &key).unwrap();
    let swarm = libp2p::SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_other_transport(|_| quic)
        .unwrap()
        .with_dns_config(dns::ResolverConfig::default(), dns::ResolverOpts::default())
        .with_behaviour(|key| Own {
            identify: identify::Behaviour::new(identify::Config::new(
                "/test/1".into(),
                key.public(),
            )),
            ping: ping::Behaviour::default(),
            door: door.accepting([common::PROTOCOL]),
        })
        .unwrap()
        .build();
    Node::drive(swarm)
}

#[tokio::test]
async fn tcp_and_names_beside_quic() {
    let mut tcp = with_tcp().listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).await;
    let mut quic = with_tcp().listen().await;
    let mut a = with_tcp();

    a.dial(tcp.address.clone()).await;
    let (at_a, at_b) = (a.up().await, tcp.up().await);
    assert!(at_a.dialled && !at_b.dialled);
    assert!(at_a.native.is_none() && at_b.native.is_none());
    a.open(at_a.id, tcp.peer, common::PROTOCOL).await;
    a.door("substream over TCP", |event| match event {
        roommate_transport::DoorEvent::Opened { id, .. } => (id == at_a.id).then_some(()),
        _ => None,
    })
    .await;

    let port = common::link::to_socket(&quic.address).port();
    a.dial(format!("/dns4/localhost/udp/{port}/quic-v1").parse().unwrap()).await;
    let (at_a, at_b) = (a.up().await, quic.up().await);
    assert_eq!(at_a.native().exporter(b"x").unwrap(), at_b.native().exporter(b"x").unwrap());
}

#[tokio::test]
async fn other_addresses_are_left_to_other_transports() {
    let mut a = boxed(transport(Config::default()));
    for text in
        ["/ip4/127.0.0.1/tcp/1", "/ip4/0.0.0.0/udp/1/quic-v1", "/ip4/127.0.0.1/udp/0/quic-v1"]
    {
        assert!(a.dial(text.parse().unwrap(), DIAL).is_err(), "{text}");
    }
    assert!(a.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse().unwrap()).is_err());
}
