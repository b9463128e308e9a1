//! Whoever finds a node and speaks to it learns neither the room nor a name: every byte that it
//! received is searched.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use libp2p::StreamProtocol;
use roommate_protocol::room::proof::{ProofFailed, ProofKey};
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::wire::close::CloseCode;
use roommate_protocol::wire::message::Incoming;

use crate::stage::Stage;
use crate::world::control::Control;
use crate::world::live::PICTURE;
use crate::world::peer::{CONTROL, Peer, Wire};
use crate::world::{House, Member, PUBLISHER, STRANGER, TITLE, VIEWER, any_key, hint};

/// Protocols that a node may not speak, or not to strangers.
const OTHERS: [&str; 6] = [
    "/roommate/rooms/1",
    "/roommate/kad/1",
    "/ipfs/ping/1.0.0",
    "/libp2p/circuit/relay/0.2.0/hop",
    "/libp2p/dcutr",
    "/meshsub/1.1.0",
];

/// What a member receives and nobody else may.
fn secrets(stage: &Stage) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("the room", stage.house.room().0.to_vec()),
        ("the title", TITLE.into()),
        ("the publisher's name", PUBLISHER.into()),
        ("the viewer's name", VIEWER.into()),
        ("a picture", PICTURE.to_vec()),
    ]
}

/// The same in other spellings, and what not even members receive.
fn spellings(stage: &Stage) -> Vec<(&'static str, Vec<u8>)> {
    let (room, secret) = (stage.house.room().0, stage.house.secret.bytes);
    let mut all = vec![("the secret", secret.to_vec())];
    for (what, bytes) in [("the room in letters", &room[..]), ("the secret in letters", &secret)] {
        for spell in [HEXLOWER, HEXUPPER, BASE64URL_NOPAD] {
            all.push((what, spell.encode(bytes).into()));
        }
    }
    all.push(("the viewer in letters", stage.viewer.peer().to_string().into()));
    all
}

fn found<'a>(peer: &Peer, wire: &Wire, words: &[(&'a str, Vec<u8>)]) -> Vec<&'a str> {
    let is_there = |(_, word): &&(&str, Vec<u8>)| peer.log.count(word) + wire.media.count(word) > 0;
    words.iter().filter(is_there).map(|(what, _)| *what).collect()
}

fn noise(seed: u32) -> Vec<u8> {
    (0..4_096_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_stranger_says_it_learns_neither_room_nor_name() {
    let mut stage = Stage::set().await;
    let mut strangers = Vec::new();
    for address in [stage.publisher.address(), stage.viewer.address()] {
        // By the rules, and then noise on everything that can be opened.
        let mut peer = Peer::new();
        let wire = peer.dial(&address).await;
        let mut protocols = peer.identified().await;
        assert!(protocols.contains(&CONTROL), "{protocols:?}");
        protocols.extend(OTHERS.map(StreamProtocol::new));
        let mut spoken = 0;
        for (seed, protocol) in (0..).zip(protocols) {
            let Ok(stream) = peer.open(&wire, protocol).await else { continue };
            let mut any = Control::new(stream, (peer.name(), wire.peer));
            any.raw(&noise(seed)).await;
            any.drain().await;
            spoken += 1;
        }
        assert!(spoken >= 2, "identify and control at least");
        // The steps of a proof, with a MAC of nothing.
        let wrong = RoomSecret { bytes: rand::random(), epoch: 0 };
        let mut control = peer.control(&wire).await;
        let proof = control.prove(ProofKey::new(House::new().room(), &wrong)).await;
        assert_eq!(proof, Err(ProofFailed));
        strangers.push((peer, wire));
        // Noise in place of the very first byte of every substream.
        for seed in 0..3 {
            let mut peer = Peer::with(any_key(), Some(noise(seed)));
            let wire = peer.dial(&address).await;
            assert!(peer.open(&wire, CONTROL).await.is_err());
            strangers.push((peer, wire));
        }
    }
    stage.puts_out(&strangers).await;
    for (peer, wire) in &strangers {
        assert!(peer.log.bytes() > 0, "something was recorded");
        assert_eq!(found(peer, wire, &secrets(&stage)), [""; 0]);
        assert_eq!(found(peer, wire, &spellings(&stage)), [""; 0]);
        let members = [stage.publisher.peer(), stage.viewer.peer()];
        let other = members.iter().find(|member| **member != wire.peer).unwrap();
        assert_eq!(peer.log.count(&other.0), 0, "who else is here");
    }
    // Control: the same search finds everything in what a member received.
    let mut member = Peer::new();
    let wire = member.dial(&stage.publisher.address()).await;
    let mut control = member.control(&wire).await;
    control.come_in(&stage.house, &member.key).await;
    control.subscribe(stage.broadcast.key, 1).await;
    let viewer = stage.viewer.peer();
    control.until("the viewer's entry", |message| tells_of(message, viewer)).await;
    stage.gave_pictures(&member, &wire).await;
    let all: Vec<_> = secrets(&stage).into_iter().map(|(what, _)| what).collect();
    assert_eq!(found(&member, &wire, &secrets(&stage)), all);
    assert!(member.log.count(&viewer.0) > 0);
    assert_eq!(found(&member, &wire, &spellings(&stage)), [""; 0]);
    stage.end().await;
}

fn tells_of(message: &Incoming, peer: PeerId) -> Option<()> {
    let Incoming::Roster(roster) = message else { return None };
    roster.entries.iter().any(|entry| entry.0.get(1..33) == Some(&peer.0)).then_some(())
}

/// A stale or forged address in a link leads to somebody who does not belong to the room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_dialled_by_mistake_learns_nothing_either() {
    let house = House::new();
    for named in [true, false] {
        let mut peer = Peer::new();
        let address = peer.listen().await;
        let address = hint(&address, named.then(|| peer.name()));
        let member = Member::enter(&house, VIEWER, vec![address]).await;
        let wire = peer.up().await;
        let mut control = peer.asked(&wire).await;
        let wrong = RoomSecret { bytes: rand::random(), epoch: 0 };
        let proof = control.prove_to(ProofKey::new(house.room(), &wrong)).await;
        assert_eq!(proof, Err(ProofFailed), "its MAC is of another secret than ours");
        // As if it had been right.
        let chain = house.good_ticket(peer.name()).to_bytes();
        control.raw(&[0; 38]).await;
        control.greet(&house, &peer.key, &chain).await;
        control.drain().await;
        assert_eq!(wire.closed().await, CloseCode::Refused);
        for words in [&house.room().0[..], &house.secret.bytes, TITLE.as_bytes(), VIEWER.as_bytes()]
        {
            assert_eq!(peer.log.count(words), 0);
        }
        let status = member.room.status();
        assert!(status.members.is_empty() && !format!("{status:?}").contains(STRANGER));
        member.node.shutdown().await;

        // Control: whoever proves the secret where a link leads to is told.
        let mut peer = Peer::new();
        let address = peer.listen().await;
        let address = hint(&address, named.then(|| peer.name()));
        let member = Member::enter(&house, VIEWER, vec![address]).await;
        let wire = peer.up().await;
        let mut control = peer.asked(&wire).await;
        control.prove_to(house.proof()).await.unwrap();
        let hello = |message: &Incoming| matches!(message, Incoming::Hello(_)).then_some(());
        control.until("hello", hello).await;
        for words in [&house.room().0[..], TITLE.as_bytes(), VIEWER.as_bytes()] {
            assert!(peer.log.count(words) > 0);
        }
        member.node.shutdown().await;
    }
}
