//! What comes from a hostile bootstrap, or is meant for another room.

use super::*;

#[test]
fn a_hostile_bootstrap_cannot_invent_replay_or_flood() {
    let mut world = World::new(NOON, 1);
    world.connect(0);
    world.take();
    let key = RidKey::derive(&SECRET, 80_000);
    let other = RidKey::derive(&RoomSecret { bytes: [8; 16], epoch: 0 }, 80_000);
    let now = world.now;
    let record = |key: &RidKey, n: u8, seq, port| {
        let term = (seq, now.wall + TTL);
        let addresses = [address(n, port)];
        Record::sign(key, peer(n), term, &addresses, &[3; 32]).unwrap().bytes().to_vec()
    };
    let mut joined = |record: Vec<u8>| {
        let frame = Answer::Joined { record }.encode().unwrap();
        world.nodes[0].handle_frame(&frame[4..], world.now).unwrap();
        std::iter::from_fn(|| world.nodes[0].poll_output()).collect::<Vec<_>>()
    };
    assert_eq!(joined(record(&other, 5, 1, 1)), [], "another room");
    let mut forged = record(&key, 5, 1, 1);
    forged[64] ^= 1;
    assert_eq!(joined(forged), [], "forged");
    assert_eq!(joined(record(&key, 1, 1, 1)), [], "this node itself");
    let over = (9, now.wall - Duration::from_secs(200));
    let over = Record::sign(&key, peer(5), over, &[], &[3; 32]).unwrap();
    assert_eq!(joined(over.bytes().to_vec()), [], "over");
    let newer = Output::Found { peer: peer(5), addresses: vec![address(5, 2)] };
    assert_eq!(joined(record(&key, 5, 2, 2)), [newer]);
    assert_eq!(joined(record(&key, 5, 1, 1)), [], "replayed");
    for n in 0..FOUND_PEERS_MAX + 100 {
        let mut id = [200; 32];
        id[..2].copy_from_slice(&(n as u16).to_be_bytes());
        let term = (1, now.wall + TTL);
        let record = Record::sign(&key, PeerId(id), term, &[], &[3; 32]).unwrap();
        joined(record.bytes().to_vec());
    }
    assert_eq!(world.nodes[0].found(), FOUND_PEERS_MAX);
}

#[test]
fn two_rooms_share_a_stream_and_let_pass_what_is_not_theirs() {
    let mut world = World::new(NOON, 1);
    world.connect(0);
    world.take();
    let rid = RidKey::derive(&RoomSecret { bytes: [8; 16], epoch: 0 }, 80_000).rid();
    let record = vec![0; 200];
    for foreign in [
        Answer::Registered { rid, seconds: 300 },
        Answer::Refused { rid, request: 1, reason: Reason::PeerQuota },
        Answer::Records { rid, total: 1, records: vec![record.clone()] },
        Answer::Joined { record },
        Answer::Left { rid, peer: peer(4) },
        Answer::Pong { token: 12 },
    ] {
        let frame = foreign.encode().unwrap();
        world.nodes[0].handle_frame(&frame[4..], world.now).unwrap();
        assert_eq!(world.nodes[0].poll_output(), None, "{foreign:?}");
    }
}
