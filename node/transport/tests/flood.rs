//! A flood of handshakes that are begun and never finished.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{LIMIT, link::to_socket, own};
use libp2p::identity::Keypair;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use roommate_transport::{Config, Handshakes};
use tokio::net::UdpSocket;
use tokio::time::timeout;

const RETRY_ABOVE: usize = 8;
const FLOOD: usize = 60;

/// Whether a datagram is a QUIC version 1 Retry packet.
fn is_retry(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|byte| byte & 0xf0 == 0xf0)
}

/// The first flight of an honest client, which the server's answer will never reach.
async fn first_flight(client: &Endpoint, config: &ClientConfig) -> Vec<Vec<u8>> {
    let trap = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let connecting = client.connect_with(config.clone(), trap.local_addr().unwrap(), "l").unwrap();
    let mut flight = Vec::new();
    let mut buffer = [0; 2000];
    while flight.len() < 2 {
        let length = timeout(LIMIT, trap.recv(&mut buffer)).await.unwrap().unwrap();
        flight.push(buffer[..length].to_vec());
    }
    drop(connecting);
    flight
}

#[tokio::test]
async fn newcomers_prove_their_address_and_honest_ones_come_in() {
    let config = Config {
        retry_above: RETRY_ABOVE,
        handshake_timeout: Duration::from_secs(15), // the flood stays for the whole test
        ..Config::default()
    };
    let mut target = own(config).listen().await;
    let to = to_socket(&target.address);

    let tls = libp2p_tls::make_client_config(&Keypair::generate_ed25519(), None).unwrap();
    let tls = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let client = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut attackers = Vec::new();
    for _ in 0..FLOOD {
        let attacker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for datagram in first_flight(&client, &tls).await {
            attacker.send_to(&datagram, to).await.unwrap();
        }
        attackers.push(attacker);
    }

    // Everybody is answered: by a handshake up to the bound, by a Retry above it.
    let mut retries = 0;
    for attacker in &attackers {
        let mut buffer = [0; 2000];
        let length = timeout(LIMIT, attacker.recv(&mut buffer)).await.unwrap().unwrap();
        retries += usize::from(is_retry(&buffer[..length]));
    }
    let accepted = FLOOD - retries;
    assert!(accepted <= RETRY_ABOVE + 1, "{accepted} handshakes were begun");
    let counts = target.with(|swarm| swarm.behaviour().door.handshakes()).await;
    assert_eq!(counts.pending, accepted);
    assert!(counts.retried >= retries, "{counts:?}");

    let mut honest = own(Config::default());
    honest.dial(target.address.clone()).await;
    let (up, theirs) = (honest.up().await, target.up().await);
    assert_eq!(theirs.peer, honest.peer);
    assert!(up.native().open_uni().await.is_ok());
    let after = target.with(|swarm| swarm.behaviour().door.handshakes()).await;
    assert!(after.retried > counts.retried, "the honest one was asked as well: {after:?}");
    assert_eq!(after.pending, accepted, "and has finished");
}

#[tokio::test]
async fn above_the_second_bound_newcomers_are_refused() {
    // Every newcomer validates; the bound lies below the flood that did.
    let config = Config { retry_above: usize::MAX, refuse_above: 0, ..Config::default() };
    let target = own(config).listen().await;
    let to = to_socket(&target.address);
    let tls = libp2p_tls::make_client_config(&Keypair::generate_ed25519(), None).unwrap();
    let tls = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let client = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let attacker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in first_flight(&client, &tls).await {
        attacker.send_to(&datagram, to).await.unwrap();
    }
    let mut buffer = [0; 2000];
    timeout(LIMIT, attacker.recv(&mut buffer)).await.unwrap().unwrap();

    let mut honest = own(Config::default());
    honest.dial(target.address.clone()).await;
    honest
        .wait("refusal", |event| match event {
            libp2p::swarm::SwarmEvent::OutgoingConnectionError { .. } => Some(()),
            _ => None,
        })
        .await;
    let counts = target.with(|swarm| swarm.behaviour().door.handshakes()).await;
    assert_eq!(counts, Handshakes { pending: 1, retried: 0, refused: 1 });
}
