//! Envelopes open for their own room and purpose, unaltered, and for nothing else.

use super::*;

const ROOM: RoomPk = RoomPk([2; 32]);

fn key() -> SigningKey {
    SigningKey::from_bytes(&[6; 32])
}

#[test]
fn an_envelope_opens_for_its_own_room_and_purpose_alone() {
    let envelope = Envelope::seal(&key(), "roster/1", &ROOM, &b"here"[..]).unwrap();
    let signer = PeerId(key().verifying_key().to_bytes());
    assert_eq!(envelope.open("roster/1", &ROOM), Ok((&signer, &b"here"[..])));
    for (domain, room) in [("roster/2", ROOM), ("roster/", ROOM), ("roster/1", RoomPk([3; 32]))] {
        assert_eq!(envelope.open(domain, &room), Err(EnvelopeError::Forged), "{domain}");
    }
}

#[test]
fn a_byte_cannot_move_between_purpose_and_what_follows() {
    // The room begins with what the longer purpose ends with.
    let shifted = |first| {
        let mut room = [2; 32];
        room[0] = first;
        RoomPk(room)
    };
    let envelope = Envelope::seal(&key(), "a", &shifted(b'b'), &b""[..]).unwrap();
    assert_eq!(envelope.open("ab", &RoomPk([2; 32])), Err(EnvelopeError::Forged));
}

#[test]
fn every_altered_byte_is_refused() {
    let bytes = Envelope::seal(&key(), "roster/1", &ROOM, &b"here"[..]).unwrap().to_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << bit;
            let opened = Envelope::from_bytes(&altered)
                .and_then(|envelope| envelope.open("roster/1", &ROOM).map(|_| ()));
            assert!(opened.is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn the_payload_is_bounded_on_both_ways() {
    let longest = vec![0; PAYLOAD_BYTES_MAX];
    let envelope = Envelope::seal(&key(), "x", &ROOM, longest).unwrap();
    let mut bytes = envelope.to_bytes();
    assert!(bytes.len() < FRAME_BYTES_MAX);
    assert_eq!(Envelope::from_bytes(&bytes).as_ref(), Ok(&envelope));
    bytes.push(0);
    assert_eq!(Envelope::from_bytes(&bytes), Err(EnvelopeError::TooLong));
    let too_long = vec![0; PAYLOAD_BYTES_MAX + 1];
    assert_eq!(Envelope::seal(&key(), "x", &ROOM, too_long), Err(EnvelopeError::TooLong));
}
