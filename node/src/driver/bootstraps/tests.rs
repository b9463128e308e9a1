//! Which bootstraps a node speaks to: those of its rooms, no longer than they are its rooms, and at
//! most as many as it may.

use roommate_protocol::address::{Carrier, Host};
use roommate_protocol::rooms::message::Answer;
use roommate_protocol::rooms::reach::BOOTSTRAPS_MAX;
use roommate_protocol::rooms::record::Record;
use roommate_protocol::time::Wall;
use roommate_protocol::trust::rid::{self, RidKey};

use super::*;
use crate::net::outgoing::{self, Waiting};

const ME: PeerId = PeerId([1; 32]);
const OTHER: PeerId = PeerId([2; 32]);

fn at(port: u16, kind: Kind) -> Address {
    let host = Host::V4([127, 0, 0, 1].into());
    Address { kind, host, carrier: Carrier::Quic, port, peer: None }
}

fn bootstrap(port: u16) -> Address {
    at(port, Kind::Bootstrap)
}

fn now() -> Now {
    Now { wall: Wall::from_secs(1_780_000_000), ..Now::default() }
}

fn secret(room: u8) -> RoomSecret {
    RoomSecret { bytes: [room; 16], epoch: 0 }
}

fn room(room: u8) -> RoomPk {
    RoomPk([room; 32])
}

fn new(configured: std::ops::Range<u16>) -> Bootstraps {
    let listen = vec![at(5_000, Kind::Member)];
    Bootstraps::new(ME, listen, configured.map(bootstrap).collect(), now())
}

fn join(bootstraps: &mut Bootstraps, number: u8, link: &[u16]) {
    let link: Vec<_> = link.iter().map(|port| bootstrap(*port)).collect();
    bootstraps.join((room(number), secret(number)), &link, now());
}

/// The bootstrap at `port` is connected, as the connection of that number.
fn connect(bootstraps: &mut Bootstraps, port: u16) -> Waiting {
    let conn = ConnId(port.into());
    assert!(bootstraps.handle_connected(conn, &bootstrap(port)));
    let (out, waiting) = outgoing::queue();
    bootstraps.handle_opened(conn, out, now());
    waiting
}

fn actions(bootstraps: &mut Bootstraps) -> Vec<Action> {
    std::iter::from_fn(|| bootstraps.poll_output()).collect()
}

fn dialled(actions: &[Action]) -> Vec<u16> {
    let port = |action: &Action| match action {
        Action::Dial(address) => Some(address.port),
        _ => None,
    };
    actions.iter().filter_map(port).collect()
}

fn ports(bootstraps: &Bootstraps) -> Vec<u16> {
    bootstraps.seats.keys().map(|address| address.port).collect()
}

#[tokio::test]
async fn the_bootstraps_of_a_room_that_was_left_are_given_up_once_they_were_told() {
    let mut bootstraps = new(1..2);
    join(&mut bootstraps, 1, &[1, 2, 3]);
    join(&mut bootstraps, 2, &[3]);
    assert_eq!(dialled(&actions(&mut bootstraps)), [1, 2, 3]);
    let mut streams = [1, 2, 3].map(|port| connect(&mut bootstraps, port));
    for stream in &mut streams {
        while !stream.is_empty() {
            stream.next().await;
        }
    }
    bootstraps.leave_room(room(1), now());
    assert_eq!(ports(&bootstraps), [1, 3], "its own, and the other room's");
    assert_eq!(bootstraps.status().len(), 2);
    let last_words = async {
        let mut count = 0;
        while streams[1].next().await.is_some() {
            count += 1;
        }
        count
    };
    assert!(last_words.await >= 2, "it is told, then its stream ends");
    bootstraps.handle_disconnected(ConnId(2), now());
    assert!(dialled(&actions(&mut bootstraps)).is_empty());
    assert_eq!(bootstraps.status().len(), 2);
    // Whoever comes back is looked for there again.
    join(&mut bootstraps, 1, &[2]);
    assert_eq!(dialled(&actions(&mut bootstraps)), [2]);
    bootstraps.leave(now());
    assert_eq!(ports(&bootstraps), [1]);
    assert!(!bootstraps.handle_connected(ConnId(9), &bootstrap(2)), "it came up too late");
}

#[test]
fn a_bootstrap_too_many_is_told_once_and_asked_when_there_is_a_place() {
    let max = u16::try_from(BOOTSTRAPS_MAX).unwrap();
    let mut bootstraps = new(0..0);
    join(&mut bootstraps, 1, &(1..=max).collect::<Vec<_>>());
    join(&mut bootstraps, 2, &[1, 90]);
    let told = actions(&mut bootstraps);
    assert_eq!(dialled(&told).len(), BOOTSTRAPS_MAX);
    let left_out = |action: &Action| {
        matches!(action, Action::LeftOut { room: who, address }
            if *who == room(2) && address.port == 90)
    };
    assert_eq!(told.iter().filter(|action| left_out(action)).count(), 1);
    join(&mut bootstraps, 3, &[2]);
    assert_eq!(actions(&mut bootstraps).len(), 0, "told once");
    bootstraps.leave_room(room(1), now());
    assert_eq!(dialled(&actions(&mut bootstraps)), [90]);
    assert_eq!(ports(&bootstraps), [1, 2, 90]);
}

#[test]
fn a_member_is_gone_when_the_last_bootstrap_that_held_it_says_so() {
    let mut bootstraps = new(1..3);
    join(&mut bootstraps, 1, &[]);
    let _streams = [1, 2].map(|port| connect(&mut bootstraps, port));
    actions(&mut bootstraps);
    let key = RidKey::derive(&secret(1), rid::period(now().wall));
    let until = now().wall + std::time::Duration::from_secs(60);
    let record = Record::sign(&key, OTHER, (1, until), &[at(6_000, Kind::Member)], &[3; 32]);
    let joined = Answer::Joined { record: record.unwrap().bytes().to_vec() };
    let left = Answer::Left { rid: key.rid(), peer: OTHER };
    let mut tell = |conn: u64, answer: &Answer| {
        let frame = answer.encode().unwrap();
        bootstraps.handle_frame(ConnId(conn), &frame[4..], now()).unwrap();
        let gone = |action: &Action| matches!(action, Action::Gone { peer, .. } if *peer == OTHER);
        let found = |action: &Action| matches!(action, Action::Found { .. });
        let told = actions(&mut bootstraps);
        (told.iter().any(found), told.iter().any(gone))
    };
    assert_eq!(tell(1, &joined), (true, false));
    assert_eq!(tell(2, &joined), (true, false));
    assert_eq!(tell(1, &left), (false, false), "the other still holds it");
    assert_eq!(tell(2, &left), (false, true));
}
