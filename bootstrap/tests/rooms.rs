//! Nodes at a running bootstrap: they find each other over QUIC and TCP, strangers learn nothing,
//! and what does not belong there is counted and closed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, SwarmBuilder, identify, noise, ping, swarm::NetworkBehaviour, tcp, yamux};
use roommate_bootstrap::{Error, Identity, Running, Status, run};
use roommate_protocol::rooms::PROTOCOL;
use roommate_protocol::rooms::message::{Answer, Request};
use roommate_protocol::rooms::watch::Output;
use roommate_protocol::trust::rid::Rid;
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::wire::frame::{FrameReader, encode};
use roommate_transport::NativeError;

use common::{Member, QUIC, address, bootstrap, config, connect, in_time};

const SECRET: RoomSecret = RoomSecret { bytes: [5; 16], epoch: 0 };

/// The addresses by carrier: QUIC, then TCP.
fn addresses(bootstrap: &Running) -> (Multiaddr, Multiaddr) {
    match bootstrap.listen_addrs() {
        [quic, tcp] => (quic.clone(), tcp.clone()),
        other => panic!("{other:?}"),
    }
}

async fn until(bootstrap: &Running, what: &str, mut holds: impl FnMut(&Status) -> bool) {
    let mut counts = bootstrap.watch_counts();
    in_time(what, counts.wait_for(|status| holds(status))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_find_each_other_and_are_told_who_leaves() {
    let bootstrap = bootstrap().await;
    let (quic, tcp) = addresses(&bootstrap);
    let mut ann = Member::join(&quic, SECRET, 1001).await;
    ann.wait_for(&Output::Registered).await;
    let mut bob = Member::join(&tcp, SECRET, 1002).await;
    let found = |member: &Member, port| {
        let addresses = vec![address(member.peer, port)];
        Output::Found { peer: member.peer, addresses }
    };
    bob.wait_for(&found(&ann, 1001)).await;
    ann.wait_for(&found(&bob, 1002)).await;
    // Somebody in another room is told of neither.
    let other = RoomSecret { bytes: [6; 16], epoch: 0 };
    let mut eve = Member::join(&quic, other, 1003).await;
    eve.wait_for(&Output::Registered).await;
    bob.leave();
    ann.wait_for(&Output::Gone { peer: bob.peer }).await;
    assert!(eve.told.try_recv().is_err());
    // Near the edge of a period everybody is there under two ids.
    until(&bootstrap, "two registrations", |s| matches!(s.registry.registrations, 2 | 4)).await;
    assert_eq!(bootstrap.counts().media_bytes, 0);
    bootstrap.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_comes_back_is_news_to_nobody() {
    let bootstrap = bootstrap().await;
    let (quic, tcp) = addresses(&bootstrap);
    let mut ann = Member::join(&quic, SECRET, 1001).await;
    let key = Keypair::generate_ed25519();
    let bob = Member::join_as(&key, &quic, SECRET, 1002).await;
    let there = Output::Found { peer: bob.peer, addresses: vec![address(bob.peer, 1002)] };
    ann.wait_for(&there).await;
    drop(bob);
    until(&bootstrap, "bob's end", |s| s.registry.clients == 1).await;
    let mut bob = Member::join_as(&key, &tcp, SECRET, 1003).await;
    bob.wait_for(&Output::Registered).await;
    // No leave came between: the next that ann hears is the new address.
    let moved = Output::Found { peer: bob.peer, addresses: vec![address(bob.peer, 1003)] };
    let heard = in_time("bob's return", async {
        loop {
            match ann.told.recv().await.unwrap() {
                Output::Registered => {}
                told => break told,
            }
        }
    });
    assert_eq!(heard.await, moved);
    bootstrap.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_nobody_registered_gives_an_empty_answer() {
    let bootstrap = bootstrap().await;
    let (quic, _) = addresses(&bootstrap);
    let mut ann = Member::join(&quic, SECRET, 1001).await;
    ann.wait_for(&Output::Registered).await;
    let (mut stream, _, _keep, _) = connect(&Keypair::generate_ed25519(), &quic).await;
    let rid = Rid([0; 32]);
    stream.write_all(&Request::Lookup { rid }.encode().unwrap()).await.unwrap();
    stream.flush().await.unwrap();
    let (mut reader, mut chunk) = (FrameReader::new(), [0; 4096]);
    let frame = in_time("an answer", async {
        loop {
            let length = stream.read(&mut chunk).await.unwrap();
            reader.push(&chunk[..length]);
            if let Some(frame) = reader.next_content().unwrap() {
                break frame;
            }
        }
    });
    let answer = Answer::decode(&frame.await).unwrap();
    assert_eq!(answer, Some(Answer::Records { rid, total: 0, records: vec![] }));
    bootstrap.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_belong_there_is_counted_and_closed() {
    let bootstrap = bootstrap().await;
    let (quic, tcp) = addresses(&bootstrap);
    // Media has no way in: no native stream is granted.
    let (mut stream, native, _keep, ended) = connect(&Keypair::generate_ed25519(), &quic).await;
    let refused = native.unwrap().open_uni().await;
    assert!(matches!(refused, Err(NativeError::NoCredit)), "{refused:?}");
    // A type that the bootstrap does not know is counted, and the stream goes on.
    stream.write_all(&encode(4_000, &[7u8; 32]).unwrap()).await.unwrap();
    stream.flush().await.unwrap();
    until(&bootstrap, "foreign bytes", |s| s.media_bytes == 34).await;
    assert_eq!(bootstrap.counts().registry.refused, 0);
    // A length that no request has ends the connection before a byte of it is kept.
    stream.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    in_time("the end of the connection", ended).await.unwrap();
    until(&bootstrap, "a refusal", |s| s.registry.refused == 1 && s.registry.clients == 0).await;

    let (mut stream, native, _keep, ended) = connect(&Keypair::generate_ed25519(), &tcp).await;
    assert!(native.is_none());
    stream.write_all(&[0, 0, 0, 3, 0, 1, 9]).await.unwrap();
    stream.flush().await.unwrap();
    in_time("the end of the connection", ended).await.unwrap();
    bootstrap.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ends_its_connections() {
    let bootstrap = bootstrap().await;
    let (quic, tcp) = addresses(&bootstrap);
    let (_stream, _, _keep, over_quic) = connect(&Keypair::generate_ed25519(), &quic).await;
    let (_stream, _, _keep, over_tcp) = connect(&Keypair::generate_ed25519(), &tcp).await;
    let start = std::time::Instant::now();
    bootstrap.shutdown().await;
    in_time("the end over QUIC", over_quic).await.unwrap();
    in_time("the end over TCP", over_tcp).await.unwrap();
    // QUIC's idle timeout alone would take ten seconds.
    assert!(start.elapsed() < std::time::Duration::from_secs(8));
}

#[tokio::test]
async fn the_identity_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let kept = || Identity::Kept(directory.path().to_owned());
    let first = run(config(kept(), &[QUIC])).await.unwrap();
    let (peer, address) = (first.peer_id(), first.listen_addrs()[0].clone());
    first.shutdown().await;
    // The same port is free at once.
    let mut again = config(kept(), &[]);
    let mut listen = address.clone();
    listen.pop();
    again.listen = vec![listen];
    let second = run(again).await.unwrap();
    assert_eq!((second.peer_id(), &second.listen_addrs()[0]), (peer, &address));
    let other = run(config(Identity::Fresh, &[QUIC])).await.unwrap();
    assert_ne!(other.peer_id(), peer);
}

#[tokio::test]
async fn a_taken_port_is_told_in_a_sentence() {
    let bootstrap = bootstrap().await;
    for address in bootstrap.listen_addrs() {
        let mut listen = address.clone();
        listen.pop();
        let config = roommate_bootstrap::Config {
            listen: vec![listen.clone()],
            ..config(Identity::Fresh, &[])
        };
        let error = run(config).await.unwrap_err();
        assert!(matches!(&error, Error::PortTaken(taken) if *taken == listen), "{error}");
    }
    let error = run(config(Identity::Fresh, &["/ip4/127.0.0.1/udp/0"])).await.unwrap_err();
    assert!(matches!(error, Error::Address(_)), "{error}");
}

#[derive(NetworkBehaviour)]
struct Stock {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

#[tokio::test]
async fn a_stock_libp2p_node_pings_and_identifies_it_over_tcp() {
    let bootstrap = bootstrap().await;
    let (_, tcp) = addresses(&bootstrap);
    let mut stock = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|key| Stock {
            identify: identify::Behaviour::new(identify::Config::new(
                "/stock/1".into(),
                key.public(),
            )),
            ping: ping::Behaviour::default(),
        })
        .unwrap()
        .build();
    stock.dial(tcp).unwrap();
    let (mut info, mut pinged) = (None, false);
    in_time("ping and identify", async {
        while info.is_none() || !pinged {
            match stock.select_next_some().await {
                SwarmEvent::Behaviour(StockEvent::Ping(event)) => pinged |= event.result.is_ok(),
                SwarmEvent::Behaviour(StockEvent::Identify(identify::Event::Received {
                    info: told,
                    ..
                })) => info = Some(told),
                SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                _ => {}
            }
        }
    })
    .await;
    let info = info.unwrap();
    assert_eq!(info.public_key.to_peer_id(), bootstrap.peer_id());
    assert!(info.protocols.iter().any(|protocol| protocol.as_ref() == PROTOCOL));
    assert!(info.agent_version.starts_with("roommate-bootstrap/"));
    bootstrap.shutdown().await;
}

#[test]
fn a_default_bootstrap_listens_on_both_carriers_and_families() {
    let listen = roommate_bootstrap::default_listen();
    let listen: Vec<_> = listen.iter().map(ToString::to_string).collect();
    assert_eq!(
        listen,
        [
            "/ip4/0.0.0.0/udp/4001/quic-v1",
            "/ip4/0.0.0.0/tcp/4001",
            "/ip6/::/udp/4001/quic-v1",
            "/ip6/::/tcp/4001"
        ]
    );
}
