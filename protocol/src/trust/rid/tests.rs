//! The rotating room id: its periods, what is sealed and signed under it, and who can.

use super::*;

const SECRET: RoomSecret = RoomSecret { bytes: *b"sixteen bytes!!!", epoch: 0 };
/// The beginning of a period.
const START: i64 = 21_600 * 80_000;

fn periods_at(secs: i64) -> Vec<u32> {
    let keys = rids_now(&SECRET, Wall::from_secs(secs));
    let near = period(Wall::from_secs(secs));
    let name = |key: &RidKey| {
        (near.saturating_sub(2)..=near + 2)
            .find(|period| RidKey::derive(&SECRET, *period).rid() == key.rid())
            .unwrap()
    };
    keys.iter().map(name).collect()
}

#[test]
fn a_room_has_another_name_in_each_period_and_secret_epoch() {
    let mut names: Vec<_> = (0..50).map(|p| RidKey::derive(&SECRET, p).rid()).collect();
    let next_epoch = RoomSecret { epoch: 1, ..SECRET };
    names.extend((0..50).map(|p| RidKey::derive(&next_epoch, p).rid()));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 100);
    // Two holders of the same link agree.
    assert_eq!(RidKey::derive(&SECRET, 7).rid(), RidKey::derive(&SECRET.clone(), 7).rid());
}

#[test]
fn the_neighbour_counts_within_ten_minutes_of_the_edge() {
    let this = 80_000;
    for (secs, expected) in [
        (START - 601, vec![this - 1]),
        (START - 600, vec![this - 1, this]),
        (START - 1, vec![this - 1, this]),
        (START, vec![this, this - 1]),
        (START + 599, vec![this, this - 1]),
        (START + 600, vec![this]),
        (START + 10_800, vec![this]),
        (START + 21_600 - 601, vec![this]),
        (START + 21_600 - 600, vec![this, this + 1]),
    ] {
        assert_eq!(periods_at(secs), expected, "{}", secs - START);
    }
}

#[test]
fn the_ends_of_time_do_not_overflow() {
    assert_eq!(period(Wall::from_micros(i64::MIN)), 0);
    assert_eq!(rids_now(&SECRET, Wall::from_micros(i64::MIN)).len(), 1);
    assert_eq!(rids_now(&SECRET, Wall::from_secs(0)).len(), 1);
    assert_eq!(rids_now(&SECRET, Wall::from_micros(i64::MAX)).len(), 1);
}

#[test]
fn what_is_sealed_shows_nothing_and_opens_for_the_same_room_and_period_alone() {
    let key = RidKey::derive(&SECRET, 5);
    let plaintext = b"/ip4/192.0.2.7/udp/4001 and a second address, all in clear words";
    let sealed = key.seal(plaintext, &[1; 32]);
    assert_eq!(sealed.len(), plaintext.len() + SEAL_BYTES);
    assert_eq!(key.open(&sealed).as_deref(), Ok(&plaintext[..]));
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|w| w == part);
    for part in plaintext.windows(4) {
        assert!(!holds(&sealed, part));
    }
    assert!(!holds(&sealed, &SECRET.bytes[..4]));
    let other_room = RoomSecret { bytes: [0; 16], epoch: 0 };
    for other in [RidKey::derive(&SECRET, 6), RidKey::derive(&other_room, 5)] {
        assert_eq!(other.open(&sealed), Err(RidError::Sealed));
    }
}

#[test]
fn every_altered_or_missing_byte_of_a_seal_is_noticed() {
    let key = RidKey::derive(&SECRET, 5);
    let sealed = key.seal(b"addresses", &[1; 32]);
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert_eq!(key.open(&altered), Err(RidError::Sealed), "{at}");
        assert_eq!(key.open(&sealed[..at]), Err(RidError::Sealed), "{at}");
    }
}

#[test]
fn a_seed_used_twice_does_not_repeat_a_nonce_for_another_text() {
    let key = RidKey::derive(&SECRET, 5);
    let nonce = |text: &[u8], seed| key.seal(text, &[seed; 32])[..NONCE_BYTES].to_vec();
    assert_ne!(nonce(b"one", 1), nonce(b"two", 1));
    assert_ne!(nonce(b"one", 1), nonce(b"one", 2));
}

#[test]
fn only_who_holds_the_link_signs_under_its_name() {
    let key = RidKey::derive(&SECRET, 5);
    let signature = key.sign(b"registration");
    assert_eq!(verify(&key.rid(), b"registration", &signature), Ok(()));
    assert_eq!(verify(&key.rid(), b"registratioN", &signature), Err(RidError::Signature));
    let next = RidKey::derive(&SECRET, 6);
    assert_eq!(verify(&next.rid(), b"registration", &signature), Err(RidError::Signature));
    assert_eq!(verify(&Rid([0; 32]), b"registration", &signature), Err(RidError::Signature));
    let mut altered = signature;
    altered[10] ^= 1;
    assert_eq!(verify(&key.rid(), b"registration", &altered), Err(RidError::Signature));
}

#[test]
fn debug_shows_the_public_name_alone() {
    let key = RidKey::derive(&SECRET, 5);
    assert_eq!(format!("{key:?}"), format!("RidKey {{ rid: {:?}, .. }}", key.rid()));
}
