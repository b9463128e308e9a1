//! Version 1 of the control protocol, frozen as bytes, and a version 2 that does not exist yet:
//! both must be able to talk to today's.

use std::fs;
use std::path::Path;

use roommate_protocol::room::{Event, LeftWhy, UnwelcomeReason};
use roommate_protocol::trust::id::{BroadcastId, Incarnation, PeerId, TrackId, TrackKey};
use roommate_protocol::trust::ticket::Roles;
use roommate_protocol::wire::header::SubscriptionId;
use roommate_protocol::wire::message::{self as m, Incoming, Signed};
use roommate_protocol::wire::signed::{
    Announcement, Leave, LostNote, Payload, Retraction, RosterEntry, ShortId,
};

use crate::broadcasts::{catalog, on_air};
use crate::stranger::Stranger;
use crate::world::{S, World, address};

/// Stands for a track's publisher and broadcast in the frozen Subscribe.
const SOMEBODY: PeerId = PeerId([0xCC; 32]);
const SOMETHING: BroadcastId = BroadcastId([0xBB; 16]);

fn peer(world: &mut World) -> Stranger {
    Stranger::member(world, Roles::USUAL)
}

/// Every message of version 1, made by today's code from the first second of the world.
fn all_messages(world: &mut World) -> Vec<(&'static str, Vec<u8>)> {
    let frozen = peer(world);
    let incarnation = Incarnation { counter: 1, nonce: 7 };
    let entry = RosterEntry {
        incarnation,
        version: 1,
        wall: world.now_of_new(),
        chain: frozen.chain.clone(),
        name: "frozen".to_owned(),
        addresses: vec![address(9, None)],
        neighbours: vec![ShortId([5; 8])],
    };
    let announcement = Announcement {
        incarnation,
        broadcast: BroadcastId([6; 16]),
        revision: 1,
        chain: frozen.chain.clone(),
        catalog: catalog(),
    };
    let note = LostNote { subject: SOMEBODY, incarnation, version: 3 };
    let retraction = Retraction { incarnation, broadcast: BroadcastId([6; 16]) };
    let seal = |world: &World| -> [Signed; 5] {
        [
            frozen.seal(world, &entry),
            frozen.seal(world, &announcement),
            frozen.seal(world, &note),
            frozen.seal(world, &retraction),
            frozen.seal(world, &Leave { incarnation }),
        ]
    };
    let [entry, announcement, note, retraction, leave] = seal(world);
    let (sub, path) = (SubscriptionId(7), vec![PeerId([1; 32]), PeerId([2; 32])]);
    let track = TrackKey { publisher: SOMEBODY, broadcast: SOMETHING, track: TrackId(0) };
    let lacking = Some(m::Lacking { group: 300, seq: 9_000, piece: 2 });
    let clock = m::ClockReport { offset_us: -5_000_000, error_us: 250 };
    let hello =
        m::Hello { name: "frozen".to_owned(), title: Some("den".to_owned()), ..frozen.hello() };
    let report =
        m::ReceiverReport { sub, received: 900, gaps: 1, stale: 2, newest_seq: 901, kbps: 2_500 };
    vec![
        ("hello", bytes(&hello)),
        ("unwelcome", bytes(&m::Unwelcome { reason: 2 })),
        ("roster", bytes(&m::Roster { entries: vec![entry] })),
        ("lost", bytes(&m::Lost { signed: note })),
        ("goodbye", bytes(&m::Goodbye { signed: leave, hint: path.clone() })),
        ("parting", bytes(&m::Parting { hint: path.clone() })),
        ("announce", bytes(&m::Announce { signed: announcement })),
        ("retract", bytes(&m::Retract { signed: retraction })),
        ("subscribe", bytes(&m::Subscribe { sub, track, lacking, latency_ms: 300 })),
        ("admit", bytes(&m::Admit { sub, path: path.clone(), clock })),
        ("redirect", bytes(&m::Redirect { sub, candidates: path.clone() })),
        ("refuse", bytes(&m::Refuse { sub, reason: 4 })),
        ("unsubscribe", bytes(&m::Unsubscribe { sub })),
        ("path", bytes(&m::Path { sub, path })),
        ("keyframe-wanted", bytes(&m::KeyframeWanted { sub })),
        ("receiver-report", bytes(&report)),
        ("ping", bytes(&m::Ping { seq: 70_000, sent_us: 1 << 40 })),
        ("pong", bytes(&m::Pong { seq: 3, ping_sent_us: 1, read_us: 1 << 33, sent_us: 250 })),
        ("clock", bytes(&m::Clock { sub, report: clock })),
    ]
}

fn bytes(message: &impl m::Message) -> Vec<u8> {
    m::encode(message).unwrap().to_vec()
}

/// The frozen frame of this name, its length in front.
fn frozen(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/control-1");
    let hex = fs::read_to_string(folder.join(format!("{name}.hex"))).unwrap_or_default();
    data_encoding::HEXLOWER.decode(hex.split_whitespace().collect::<String>().as_bytes()).unwrap()
}

#[test]
fn every_message_of_version_1_is_written_as_it_was() {
    for (name, today) in all_messages(&mut World::new()) {
        let hex = data_encoding::HEXLOWER.encode(&today);
        assert!(today == frozen(name), "{name} is now {hex}");
    }
}

#[test]
fn every_message_of_version_1_is_read_as_it_was() {
    for (name, today) in all_messages(&mut World::new()) {
        let then = Incoming::read(&frozen(name)[4..]).unwrap().expect("a type that is known");
        let now = Incoming::read(&today[4..]).unwrap().unwrap();
        assert_eq!(then, now, "{name}");
    }
}

#[test]
fn a_frozen_version_1_joins_publishes_watches_and_leaves() {
    let mut world = World::new();
    world.add_member();
    let track = on_air(&mut world, 0);
    let mut old = peer(&mut world);
    old.prove(&mut world, 0);
    for name in ["hello", "roster", "announce"] {
        old.say(&mut world, 0, &frozen(name)[4..]).unwrap();
    }
    assert_eq!(world.see(0).members()[0].name, "frozen");
    assert_eq!(world.see(0).broadcasts()[0].catalog, catalog());

    let mut subscribe = frozen("subscribe");
    put(&mut subscribe, &SOMEBODY.0, &track.publisher.0);
    put(&mut subscribe, &SOMETHING.0, &track.broadcast.0);
    old.say(&mut world, 0, &subscribe[4..]).unwrap();
    for name in ["ping", "pong", "receiver-report", "keyframe-wanted", "lost", "redirect"] {
        old.say(&mut world, 0, &frozen(name)[4..]).unwrap();
    }
    let child = &world.see(0).children()[0];
    assert_eq!(child.report.map(|report| report.received), Some(900));
    let heard = old.heard_messages(&mut world);
    let admitted = |said: &Incoming| matches!(said, Incoming::Admit(admit) if admit.sub.0 == 7);
    assert!(heard.iter().any(admitted), "{heard:?}");
    let answered = |said: &Incoming| matches!(said, Incoming::Pong(pong) if pong.seq == 70_000);
    assert!(heard.iter().any(answered));

    for name in ["unsubscribe", "retract", "goodbye"] {
        old.say(&mut world, 0, &frozen(name)[4..]).unwrap();
    }
    assert_eq!((world.see(0).children(), world.see(0).broadcasts()), (vec![], vec![]));
    let left = |event: &Event| matches!(event, Event::PeerLeft { why: LeftWhy::Goodbye, .. });
    assert!(world.when(0, left).is_some());
    assert_eq!(world.nodes[0].violations, []);
}

fn put(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("it stands there");
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// A payload of a later version: today's, and more behind it.
struct Later<P>(P);

impl<P: Payload> Payload for Later<P> {
    const PURPOSE: &'static str = P::PURPOSE;
    fn encode(&self) -> Vec<u8> {
        [self.0.encode(), b"and what version 2 has to say".to_vec()].concat()
    }
    fn decode(_: &[u8]) -> Option<Self> {
        None
    }
}

#[test]
fn an_invented_version_2_joins_publishes_and_watches() {
    let mut world = World::new();
    world.add_member();
    let track = on_air(&mut world, 0);
    let mut newer = peer(&mut world);
    newer.prove(&mut world, 0);
    let hello = m::Hello { version_max: 2, features: u64::MAX, ..newer.hello() };
    newer.tell(&mut world, 0, &hello).unwrap();
    let entry = RosterEntry {
        incarnation: newer.incarnation,
        version: 1,
        wall: world.now_of_new(),
        chain: newer.chain.clone(),
        name: "newer".to_owned(),
        addresses: vec![],
        neighbours: vec![],
    };
    let entry = newer.seal(&world, &Later(entry));
    // An envelope of a later layout travels beside it and is skipped.
    let envelope = Signed(vec![2; 200]);
    newer.tell(&mut world, 0, &m::Roster { entries: vec![envelope.clone(), entry] }).unwrap();
    newer.tell(&mut world, 0, &m::Announce { signed: envelope }).unwrap();
    for kind in 100..115_u16 {
        newer.say(&mut world, 0, &[kind.to_be_bytes().as_slice(), &[7; 99]].concat()).unwrap();
    }
    let announcement = Announcement {
        incarnation: newer.incarnation,
        broadcast: SOMETHING,
        revision: 1,
        chain: newer.chain.clone(),
        catalog: catalog(),
    };
    let mut announcement = announcement.encode();
    // A third track, of a kind that does not exist yet: id 9, kind 77, and some bytes.
    let count = announcement.len() - catalog_bytes();
    announcement[count] += 1;
    announcement.extend([0, 6, 9, 77, 1, 2, 3, 4]);
    let signed = newer.seal(&world, &Raw(announcement));
    newer.tell(&mut world, 0, &m::Announce { signed }).unwrap();
    newer.subscribe(&mut world, 0, track, 1);

    assert_eq!(world.see(0).members()[0].name, "newer");
    assert_eq!(world.see(0).broadcasts()[0].catalog, catalog(), "what is known of it");
    assert_eq!(world.see(0).children().len(), 1);
    assert_eq!(world.see(0).unknown_frames(), 15);
}

fn catalog_bytes() -> usize {
    let mut bytes = Vec::new();
    catalog().encode(&mut bytes);
    bytes.len()
}

/// Bytes passed off as an announcement.
struct Raw(Vec<u8>);

impl Payload for Raw {
    const PURPOSE: &'static str = Announcement::PURPOSE;
    fn encode(&self) -> Vec<u8> {
        self.0.clone()
    }
    fn decode(_: &[u8]) -> Option<Self> {
        None
    }
}

#[test]
fn without_a_common_version_both_are_told_who_must_upgrade() {
    for (min, max, reason, words) in [
        (
            2,
            9,
            UnwelcomeReason::WeMustUpgrade,
            "turned the other away speaks only an older version",
        ),
        (0, 0, UnwelcomeReason::TheyMustUpgrade, "was turned away speaks only an older version"),
    ] {
        let mut world = World::with_members(1);
        let mut other = peer(&mut world);
        other.prove(&mut world, 0);
        let hello = m::Hello { version_min: min, version_max: max, ..other.hello() };
        other.tell(&mut world, 0, &hello).unwrap();
        let told = m::Unwelcome { reason: reason.number() };
        assert_eq!(other.heard_messages(&mut world).last(), Some(&Incoming::Unwelcome(told)));
        let event = Event::TurnedAway { peer: other.peer, reason };
        assert!(world.when(0, |said| *said == event).is_some());
        assert!(reason.to_string().contains(words) && reason.to_string().contains("upgrade"));
        world.run(S);
        assert_eq!(world.see(0).members(), []);
    }
}
