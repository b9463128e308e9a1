//! The proof of the room's secret: who passes, what is not told to who does not, and its bounds.

use super::*;
use proptest::prelude::*;

const ANNA: PeerId = PeerId([1; 32]);
const BERT: PeerId = PeerId([2; 32]);

fn key(room: u8, secret: u8, epoch: u32) -> ProofKey {
    ProofKey::new(RoomPk([room; 32]), &RoomSecret { bytes: [secret; 16], epoch })
}

/// A frame without its length, as the machines take it.
fn content(frame: &Bytes) -> Bytes {
    frame.slice(4..)
}

/// Plays the whole proof: what the listener said after the dialler's MAC, and whether each passed.
fn play(dialler: ProofKey, listener: Vec<ProofKey>) -> (Option<Bytes>, bool, bool) {
    let (mut dialler, first) = ProofDialler::new(dialler, ANNA, BERT, [7; 32]);
    let mut listener = ProofListener::new(listener, BERT, ANNA, [8; 32]);
    let Ok(Step::Send(nonce)) = listener.handle_frame(&content(&first)) else { panic!() };
    let Ok(Step::Send(mac)) = dialler.handle_frame(&content(&nonce)) else { panic!() };
    let Ok(Step::Passed { send: Some(reply), .. }) = listener.handle_frame(&content(&mac)) else {
        return (None, false, false);
    };
    let passed = matches!(dialler.handle_frame(&content(&reply)), Ok(Step::Passed { .. }));
    (Some(reply), true, passed)
}

#[test]
fn who_knows_the_secret_passes_on_both_sides() {
    let keys = vec![key(9, 9, 0), key(1, 5, 3), key(1, 5, 2)];
    assert!(matches!(play(key(1, 5, 3), keys.clone()), (Some(_), true, true)));
    assert!(matches!(play(key(1, 5, 2), keys), (Some(_), true, true)));
}

#[test]
fn another_secret_epoch_or_room_gets_not_one_byte_after_the_nonce() {
    for wrong in [key(1, 6, 3), key(1, 5, 4), key(2, 5, 3)] {
        assert_eq!(play(wrong, vec![key(1, 5, 3)]), (None, false, false));
    }
    assert_eq!(play(key(1, 5, 3), vec![]), (None, false, false));
}

#[test]
fn a_listener_that_answers_with_the_diallers_own_mac_is_found_out() {
    let (mut dialler, _) = ProofDialler::new(key(1, 5, 3), ANNA, BERT, [7; 32]);
    let Ok(Step::Send(mac)) = dialler.handle_frame(&content(&proof_frame(NONCE, &[8; 32]))) else {
        panic!()
    };
    assert_eq!(dialler.handle_frame(&content(&mac)), Err(ProofFailed));
}

#[test]
fn a_mac_heard_on_one_connection_is_worth_nothing_on_another() {
    let (mut dialler, first) = ProofDialler::new(key(1, 5, 3), ANNA, BERT, [7; 32]);
    let mut listener = ProofListener::new(vec![key(1, 5, 3)], BERT, ANNA, [8; 32]);
    let Ok(Step::Send(nonce)) = listener.handle_frame(&content(&first)) else { panic!() };
    let Ok(Step::Send(mac)) = dialler.handle_frame(&content(&nonce)) else { panic!() };
    // The same peers, another nonce; the same nonces, another dialler.
    let mut again = ProofListener::new(vec![key(1, 5, 3)], BERT, ANNA, [9; 32]);
    again.handle_frame(&content(&first)).unwrap();
    assert_eq!(again.handle_frame(&content(&mac)), Err(ProofFailed));
    let mut other = ProofListener::new(vec![key(1, 5, 3)], BERT, PeerId([3; 32]), [8; 32]);
    other.handle_frame(&content(&first)).unwrap();
    assert_eq!(other.handle_frame(&content(&mac)), Err(ProofFailed));
    assert!(listener.handle_frame(&content(&mac)).is_ok());
}

#[test]
fn only_so_many_keys_are_tried() {
    let mut keys: Vec<_> = (0..PROOF_KEYS_MAX as u32).map(|epoch| key(3, 3, epoch)).collect();
    keys.push(key(1, 5, 3));
    assert_eq!(play(key(1, 5, 3), keys.clone()), (None, false, false));
    keys.swap(0, PROOF_KEYS_MAX);
    assert!(matches!(play(key(1, 5, 3), keys), (Some(_), true, true)));
}

#[test]
fn the_proofs_bytes_stand_for_ever() {
    let (_, first) = ProofDialler::new(key(1, 5, 3), ANNA, BERT, [7; 32]);
    assert_eq!(first[..6], [0, 0, 0, 34, 0, 1]);
    assert_eq!(first[6..], [7; 32]);
    let (reply, ..) = play(key(1, 5, 3), vec![key(1, 5, 3)]);
    let hex = data_encoding::HEXLOWER.encode(&reply.unwrap());
    assert_eq!(hex, include_str!("../../../tests/golden/control-1/proof-listener.hex").trim());
}

#[test]
fn three_failures_a_minute_and_the_peer_is_not_listened_to() {
    let mut meter = FailureMeter::new();
    let at = |secs: u64| Mono::from_micros(secs * 1_000_000);
    for secs in [0, 1, 2] {
        assert!(meter.begin(ANNA, 1, at(secs)));
        meter.handle_failed(ANNA, at(secs));
    }
    assert!(!meter.begin(ANNA, 1, at(3)));
    assert!(meter.begin(BERT, 1, at(3)));
    assert!(meter.begin(ANNA, 1, at(60)));
}

#[test]
fn proofs_under_way_count_until_they_pass() {
    let mut meter = FailureMeter::new();
    let now = Mono::from_micros(0);
    let begun = |meter: &mut FailureMeter, rooms| {
        (0..100).filter(|_| meter.begin(ANNA, rooms, now)).count()
    };
    assert_eq!(begun(&mut meter, 0), 0, "without a room there is nothing to prove");
    assert_eq!(begun(&mut meter, 1), 3);
    meter.handle_passed(&ANNA);
    assert!(meter.begin(ANNA, 1, now) && !meter.begin(ANNA, 1, now));
    // Whoever is in all of our rooms proves each of them at the same time.
    assert_eq!(begun(&mut meter, 20), 22 - 3);
    (0..22).for_each(|_| meter.handle_passed(&ANNA));
    assert!(meter.peers.is_empty(), "nothing is kept of those who belong here");
}

#[test]
fn the_meter_holds_no_more_than_its_bound() {
    let mut meter = FailureMeter::new();
    for number in 0..5_000_u32 {
        let mut peer = PeerId([0; 32]);
        peer.0[..4].copy_from_slice(&number.to_be_bytes());
        meter.handle_failed(peer, Mono::from_micros(number.into()));
    }
    assert_eq!(meter.peers.len(), METERED_PEERS_MAX);
}

proptest! {
    #[test]
    fn no_bytes_pass_or_panic(frames in proptest::collection::vec(any::<Vec<u8>>(), 1..4)) {
        let mut listener = ProofListener::new(vec![key(1, 5, 3)], BERT, ANNA, [8; 32]);
        let (mut dialler, _) = ProofDialler::new(key(1, 5, 3), ANNA, BERT, [7; 32]);
        for frame in frames {
            let passed = |step| matches!(step, Ok(Step::Passed { .. }));
            prop_assert!(!passed(listener.handle_frame(&frame)));
            prop_assert!(!passed(dialler.handle_frame(&frame)));
        }
    }
}
