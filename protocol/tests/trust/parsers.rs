//! Any bytes are read or refused, never a panic; what is read has one spelling.

use proptest::prelude::*;
use roommate_protocol::time::Wall;
use roommate_protocol::trust::envelope::Envelope;
use roommate_protocol::trust::id::{PeerId, RoomPk};
use roommate_protocol::trust::invite::{CertificateTerms, Invite, PREFIX};
use roommate_protocol::trust::rid::{RidKey, SEAL_BYTES, rids_now};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::ticket::{CHAIN_BYTES_MAX, Expiry, Roles, TicketChain};

use crate::cast::{Cast, NOON, SUBJECT, body, link};

fn secret() -> impl Strategy<Value = RoomSecret> {
    any::<([u8; 16], u32)>().prop_map(|(bytes, epoch)| RoomSecret { bytes, epoch })
}

fn terms() -> impl Strategy<Value = CertificateTerms> {
    (0..32u8, any::<Option<u32>>()).prop_map(|(bits, expires)| CertificateTerms {
        roles: Roles::from_bits(bits).expect("five roles are known"),
        expires: Expiry::from(expires.map(|secs| Wall::from_secs(secs.into()))),
    })
}

/// Bytes that begin as a chain does, so that more of the reader is reached.
fn chain_like() -> impl Strategy<Value = Vec<u8>> {
    (0..3u8, 0..4u8, proptest::collection::vec(any::<u8>(), 0..CHAIN_BYTES_MAX)).prop_map(
        |(version, count, tail)| {
            let mut bytes = vec![version, count];
            bytes.extend(tail);
            bytes
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_are_a_chain_or_refused(bytes in prop_oneof![any::<Vec<u8>>(), chain_like()]) {
        if let Ok(chain) = TicketChain::from_bytes(&bytes) {
            prop_assert_eq!(chain.to_bytes(), bytes);
            prop_assert!(chain.verify(&RoomPk([1; 32]), &SUBJECT, NOON).is_err());
        }
    }

    #[test]
    fn any_chain_of_the_right_length_with_known_marks_has_one_spelling(
        count in 0..3usize,
        fill in proptest::collection::vec(any::<u8>(), CHAIN_BYTES_MAX),
    ) {
        // Random bytes with version, flags and roles set to what is known.
        let certificates = 34 + if count > 0 { 32 } else { 0 };
        let ticket = certificates + count * 111;
        let mut bytes = fill[..ticket + 146].to_vec();
        bytes[..2].copy_from_slice(&[1, count as u8]);
        for place in 0..count {
            let at = certificates + place * 111;
            bytes[at..at + 2].copy_from_slice(&[1, place as u8]);
            bytes[at + 34] &= 31;
        }
        bytes[ticket] = 1;
        bytes[ticket + 65] &= 31;
        let chain = TicketChain::from_bytes(&bytes);
        prop_assert_eq!(chain.as_ref().map(TicketChain::to_bytes), Ok(bytes.clone()));
        let chain = chain.expect("just read");
        let room = RoomPk(bytes[2..34].try_into().expect("32 bytes"));
        let verdict = chain.verify(&room, &chain.claimed_subject(), NOON);
        prop_assert!(verdict.is_err(), "{:?}", verdict);
    }

    #[test]
    fn any_text_is_a_link_or_refused(text in any::<String>(), tail in "[A-Za-z0-9_-]{0,430}") {
        prop_assert!(Invite::parse(&text).is_err());
        for tail in [text, tail] {
            let verdict = Invite::parse(&[PREFIX, &tail].concat());
            prop_assert!(verdict.is_err(), "{:?}", verdict);
        }
    }

    #[test]
    fn any_bytes_with_a_right_checksum_are_a_link_or_refused(
        head in 0..2u8,
        tail in proptest::collection::vec(any::<u8>(), 0..320),
    ) {
        let mut bytes = vec![1, head];
        bytes.extend(tail);
        prop_assert!(Invite::parse(&link(&bytes)).is_err());
    }

    #[test]
    fn any_address_bytes_have_one_spelling(
        count in 0..6u8,
        addresses in proptest::collection::vec(any::<u8>(), 0..90),
        narrowed in any::<bool>(),
    ) {
        let cast = Cast::new(1);
        let invite = if narrowed { &cast.narrowed } else { &cast.invite };
        let mut bytes = body(&invite.to_string());
        bytes.truncate(bytes.len() - 40);
        bytes.push(count);
        bytes.extend(addresses);
        let text = link(&bytes);
        if let Ok(invite) = Invite::parse(&text) {
            prop_assert_eq!(invite.to_string(), text);
        }
    }

    #[test]
    fn every_link_is_read_as_it_was_made(
        key in any::<[u8; 32]>(), secret in secret(), terms in terms(), seed in any::<[u8; 32]>(),
    ) {
        let key = ed25519_dalek::SigningKey::from_bytes(&key);
        let invite = Invite::create(&key, &secret, terms, vec![], &seed).expect("it fits");
        let again = Invite::parse(&invite.to_string());
        prop_assert_eq!(again.as_ref(), Ok(&invite));
        prop_assert_eq!(invite.secret(), &secret);
        prop_assert_eq!((invite.roles(), invite.expires()), (terms.roles, terms.expires.wall()));
        prop_assert_eq!(invite.room(), RoomPk(key.verifying_key().to_bytes()));
    }

    #[test]
    fn narrowing_succeeds_exactly_where_it_narrows(
        parent in terms(), child in terms(), seed in any::<[u8; 32]>(),
    ) {
        let key = ed25519_dalek::SigningKey::from_bytes(&[1; 32]);
        let secret = RoomSecret { bytes: [1; 16], epoch: 0 };
        let invite = Invite::create(&key, &secret, parent, vec![], &[2; 32]).expect("it fits");
        let allowed = parent.roles.contains(Roles::INVITE)
            && !child.roles.contains(Roles::MODERATE)
            && child.roles.is_within(parent.roles)
            && child.expires.is_within(parent.expires);
        let narrowed = invite.narrow(child, &seed);
        prop_assert_eq!(narrowed.is_ok(), allowed);
        if let Ok(narrowed) = narrowed {
            prop_assert_eq!(Invite::parse(&narrowed.to_string()), Ok(narrowed));
        }
    }

    #[test]
    fn any_bytes_are_an_envelope_or_refused(bytes in any::<Vec<u8>>(), known in any::<bool>()) {
        let mut bytes = bytes;
        if let (Some(version), true) = (bytes.first_mut(), known) {
            *version = 1;
        }
        if let Ok(envelope) = Envelope::from_bytes(&bytes) {
            prop_assert_eq!(envelope.to_bytes(), bytes);
            prop_assert!(envelope.open("test/1", &RoomPk([1; 32])).is_err());
        }
    }

    #[test]
    fn every_envelope_is_read_as_it_was_made(
        key in any::<[u8; 32]>(), room in any::<[u8; 32]>(), payload in any::<Vec<u8>>(),
    ) {
        let key = ed25519_dalek::SigningKey::from_bytes(&key);
        let signer = PeerId(key.verifying_key().to_bytes());
        let room = RoomPk(room);
        let envelope = Envelope::seal(&key, "test/1", &room, payload.clone()).expect("short");
        let again = Envelope::from_bytes(&envelope.to_bytes()).expect("whole");
        prop_assert_eq!(again.open("test/1", &room), Ok((&signer, &payload[..])));
    }

    #[test]
    fn any_bytes_are_refused_as_sealed(bytes in any::<Vec<u8>>()) {
        let key = RidKey::derive(&RoomSecret { bytes: [1; 16], epoch: 0 }, 1);
        prop_assert!(key.open(&bytes).is_err());
    }

    #[test]
    fn every_seal_opens(
        secret in secret(), period: u32, text in any::<Vec<u8>>(), seed in any::<[u8; 32]>(),
    ) {
        let key = RidKey::derive(&secret, period);
        let sealed = key.seal(&text, &seed);
        prop_assert_eq!(sealed.len(), text.len() + SEAL_BYTES);
        prop_assert_eq!(key.open(&sealed), Ok(text));
    }

    #[test]
    fn any_time_has_one_or_two_names(micros: i64) {
        let names = rids_now(&RoomSecret { bytes: [1; 16], epoch: 0 }, Wall::from_micros(micros));
        prop_assert!((1..=2).contains(&names.len()));
    }
}
