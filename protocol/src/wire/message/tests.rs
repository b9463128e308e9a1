//! Every message read as it was written, whatever bytes come, and the bounds of its fields.

use proptest::prelude::*;

use super::super::codec;
use super::*;

fn any_signed() -> impl Strategy<Value = Signed> {
    proptest::collection::vec(any::<u8>(), 0..300).prop_map(Signed)
}

fn any_peer() -> impl Strategy<Value = PeerId> {
    any::<[u8; 32]>().prop_map(PeerId)
}

fn peers(range: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = Vec<PeerId>> {
    proptest::collection::vec(any_peer(), range)
}

fn any_track() -> impl Strategy<Value = TrackKey> {
    use crate::trust::id::{BroadcastId, TrackId};
    (any_peer(), any::<[u8; 16]>(), any::<u8>()).prop_map(|(publisher, id, track)| TrackKey {
        publisher,
        broadcast: BroadcastId(id),
        track: TrackId(track),
    })
}

fn any_hello() -> impl Strategy<Value = Incoming> {
    let chain = proptest::collection::vec(any::<u8>(), 0..=CHAIN_BYTES_MAX);
    let title = proptest::option::of("[a-zé]{0,32}");
    (any::<(u16, u16, u64, u64, u64)>(), chain, ".{0,16}", title).prop_map(
        |((a, b, features, counter, nonce), chain, name, title)| {
            Incoming::Hello(Hello {
                version_min: a.min(b),
                version_max: a.max(b),
                features,
                incarnation: Incarnation { counter, nonce },
                chain,
                name,
                title,
            })
        },
    )
}

fn any_roster_message() -> impl Strategy<Value = Incoming> {
    let entries = proptest::collection::vec(any_signed(), 0..10);
    prop_oneof![
        any_hello(),
        any::<u16>().prop_map(|reason| Incoming::Unwelcome(Unwelcome { reason })),
        entries.prop_map(|entries| Incoming::Roster(Roster { entries })),
        any_signed().prop_map(|signed| Incoming::Lost(Lost { signed })),
        (any_signed(), peers(0..=CANDIDATES_MAX))
            .prop_map(|(signed, hint)| Incoming::Goodbye(Goodbye { signed, hint })),
        peers(0..=CANDIDATES_MAX).prop_map(|hint| Incoming::Parting(Parting { hint })),
        any_signed().prop_map(|signed| Incoming::Announce(Announce { signed })),
        any_signed().prop_map(|signed| Incoming::Retract(Retract { signed })),
    ]
}

fn any_feeding_message() -> impl Strategy<Value = Incoming> {
    let sub = || any::<u32>().prop_map(SubscriptionId);
    let lacking = proptest::option::of(any::<(u64, u64, u16)>())
        .prop_map(|l| l.map(|(group, seq, piece)| Lacking { group, seq, piece }));
    let report = || {
        any::<(i64, u64)>().prop_map(|(offset_us, error_us)| ClockReport { offset_us, error_us })
    };
    prop_oneof![
        (sub(), any_track(), lacking, 0..=LATENCY_MS_MAX).prop_map(
            |(sub, track, lacking, latency_ms)| {
                Incoming::Subscribe(Subscribe { sub, track, lacking, latency_ms })
            }
        ),
        (sub(), peers(1..=PATH_HOPS_MAX), report())
            .prop_map(|(sub, path, clock)| Incoming::Admit(Admit { sub, path, clock })),
        (sub(), peers(0..=CANDIDATES_MAX))
            .prop_map(|(sub, candidates)| Incoming::Redirect(Redirect { sub, candidates })),
        (sub(), any::<u16>()).prop_map(|(sub, reason)| Incoming::Refuse(Refuse { sub, reason })),
        sub().prop_map(|sub| Incoming::Unsubscribe(Unsubscribe { sub })),
        (sub(), peers(1..=PATH_HOPS_MAX))
            .prop_map(|(sub, path)| Incoming::Path(Path { sub, path })),
        sub().prop_map(|sub| Incoming::KeyframeWanted(KeyframeWanted { sub })),
        (sub(), report()).prop_map(|(sub, report)| Incoming::Clock(Clock { sub, report })),
        any::<(u32, u64)>().prop_map(|(seq, sent_us)| Incoming::Ping(Ping { seq, sent_us })),
        any::<(u32, u64, u64, u64)>().prop_map(|(seq, ping_sent_us, read_us, sent_us)| {
            Incoming::Pong(Pong { seq, ping_sent_us, read_us, sent_us })
        }),
        (sub(), any::<(u64, u64, u64, u64, u32)>()).prop_map(
            |(sub, (received, gaps, stale, newest_seq, kbps))| {
                let report = ReceiverReport { sub, received, gaps, stale, newest_seq, kbps };
                Incoming::ReceiverReport(report)
            }
        ),
    ]
}

fn any_message() -> impl Strategy<Value = Incoming> {
    prop_oneof![any_roster_message(), any_feeding_message()]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(message in any_message()) {
        let frame = message.encode().unwrap();
        prop_assert_eq!(Incoming::read(&frame[4..]), Ok(Some(message)));
    }

    #[test]
    fn a_byte_too_many_or_too_few_is_an_offence(message in any_message(), extra in any::<u8>()) {
        let frame = message.encode().unwrap();
        prop_assert!(Incoming::read(&frame[4..frame.len() - 1]).is_err());
        let longer = [&frame[4..], &[extra]].concat();
        prop_assert!(Incoming::read(&longer).is_err());
    }

    #[test]
    fn any_bytes_are_read_skipped_or_refused(kind in 0..60_u16, body in any::<Vec<u8>>()) {
        let _ = Incoming::read(&[kind.to_be_bytes().as_slice(), &body].concat());
    }

    #[test]
    fn altered_messages_do_not_panic(
        message in any_message(), at in any::<proptest::sample::Index>(), with in any::<u8>(),
    ) {
        let mut frame = message.encode().unwrap().to_vec();
        let at = 4 + at.index(frame.len() - 4);
        frame[at] = with;
        let _ = Incoming::read(&frame[4..]);
    }
}

#[test]
fn bounds_are_kept_by_whoever_reads() {
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    let signed = Signed(vec![0; SIGNED_BYTES_MAX + 1]);
    let many = vec![PeerId([0; 32]); CANDIDATES_MAX + 1];
    let hello = Hello {
        version_min: 1,
        version_max: 1,
        features: 0,
        incarnation: Incarnation { counter: 0, nonce: 0 },
        chain: vec![],
        name: String::new(),
        title: None,
    };
    let sub = SubscriptionId(0);
    let clock = ClockReport::default();
    for frame in [
        encode(&Hello { name: long.clone(), ..hello.clone() }),
        encode(&Hello { title: Some(long), ..hello.clone() }),
        encode(&Hello { chain: vec![0; CHAIN_BYTES_MAX + 1], ..hello.clone() }),
        encode(&Hello { version_min: 2, ..hello }),
        encode(&Lost { signed: signed.clone() }),
        encode(&Announce { signed }),
        encode(&Parting { hint: many.clone() }),
        encode(&Redirect { sub, candidates: many.clone() }),
        encode(&Admit { sub, path: vec![], clock }),
        encode(&Path { sub, path: many }),
    ] {
        assert!(Incoming::read(&frame.unwrap()[4..]).is_err());
    }
}

#[test]
fn a_lying_length_reserves_nothing() {
    // A roster of 2^63 entries, and one entry of 2^63 bytes: varint 253 announces a u64.
    for prefix in [vec![], vec![1]] {
        let lie = [prefix.as_slice(), &[253], &(u64::MAX / 2).to_le_bytes()].concat();
        assert_eq!(codec::decode::<Roster>(&lie), Err(codec::DecodeError::Malformed));
    }
}
