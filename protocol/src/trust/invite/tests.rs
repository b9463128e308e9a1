//! Links: written and read again, cut short, altered, narrowed, and the tickets that they mint.

use std::time::Duration;

use super::*;
use crate::address::{Carrier, Kind};
use crate::limits::{INVITE_CHARS_MAX, NARROWED_INVITE_CHARS_MAX};
use crate::trust::ticket::{Expiry, TicketError};

const NOON: Wall = Wall::from_secs(1_800_000_000);
const SUBJECT: PeerId = PeerId([9; 32]);

fn room_key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn secret() -> RoomSecret {
    RoomSecret { bytes: [0xAB; 16], epoch: 3 }
}

fn address(host: Host, peer: bool) -> Address {
    Address {
        kind: Kind::Bootstrap,
        host,
        carrier: Carrier::Quic,
        port: 4001,
        peer: peer.then_some(PeerId([7; 32])),
    }
}

fn v4() -> Address {
    address(Host::V4([192, 0, 2, 1].into()), true)
}

fn v6() -> Address {
    address(Host::V6([0x20; 16].into()), true)
}

fn terms(roles: Roles, expires: Expiry) -> CertificateTerms {
    CertificateTerms { roles, expires }
}

fn tomorrow() -> Expiry {
    Expiry::at(NOON + Duration::from_secs(86_400))
}

fn invite(roles: Roles, addresses: Vec<Address>) -> Invite {
    Invite::create(&room_key(), &secret(), terms(roles, tomorrow()), addresses, &[5; 32]).unwrap()
}

fn inviter(addresses: Vec<Address>) -> Invite {
    invite(Roles::USUAL | Roles::INVITE, addresses)
}

/// The bytes behind a link, changed by `change`, with the checksum mended.
fn mended(invite: &Invite, change: impl FnOnce(&mut Vec<u8>)) -> String {
    use sha2::Digest;
    let mut bytes = invite.to_bytes();
    bytes.truncate(bytes.len() - 4);
    change(&mut bytes);
    let sum = sha2::Sha256::digest(&bytes);
    bytes.extend(&sum[..4]);
    format!("{PREFIX}{}", data_encoding::BASE64URL_NOPAD.encode(&bytes))
}

#[test]
fn what_is_written_is_read_again() {
    let first = inviter(vec![v4()]);
    let second = first.narrow(terms(Roles::VIEW, tomorrow()), &[6; 32]).unwrap();
    for invite in [first, second] {
        let again = Invite::parse(&invite.to_string()).unwrap();
        assert_eq!(again, invite);
        assert_eq!(again.to_string(), invite.to_string());
        assert_eq!(*again.secret(), secret());
        assert_eq!(again.addresses(), [v4()]);
    }
}

#[test]
fn links_are_as_long_as_their_qr_codes_bear() {
    assert_eq!(invite(Roles::USUAL, vec![v4()]).to_string().len(), 264);
    let two = inviter(vec![v4(), v4()]);
    assert!(two.to_string().len() <= INVITE_CHARS_MAX);
    let narrowed = inviter(vec![v6()]).narrow(terms(Roles::VIEW, tomorrow()), &[6; 32]).unwrap();
    assert_eq!(narrowed.addresses(), [v6()]);
    assert_eq!(narrowed.to_string().len(), NARROWED_INVITE_CHARS_MAX);
}

#[test]
fn too_many_addresses_are_refused_and_those_that_fit_can_be_kept() {
    let long = address(Host::Dns("a".repeat(64)), true);
    let refused = inviter(vec![]).with_addresses(vec![long.clone()]);
    assert_eq!(refused, Err(InviteError::TooManyAddresses));
    let small = address(Host::V4([192, 0, 2, 1].into()), false);
    let five = vec![small.clone(); 5];
    assert_eq!(inviter(vec![]).with_addresses(five.clone()), Err(InviteError::TooManyAddresses));
    let kept = inviter(vec![]).with_addresses_that_fit(&[v4(), long.clone(), v6(), v4()]).unwrap();
    assert_eq!(kept.addresses(), [v4(), v4()]);
    let kept = inviter(vec![]).with_addresses_that_fit(&five).unwrap();
    assert_eq!(kept.addresses().len(), INVITE_ADDRESSES_MAX);

    // Narrowing keeps what fits, and does not silently make a link that leads nowhere.
    let view = terms(Roles::VIEW, tomorrow());
    let narrowed = inviter(vec![v4(), v4()]).narrow(view, &[6; 32]).unwrap();
    assert_eq!(narrowed.addresses(), [v4()]);
    let wordy = inviter(vec![address(Host::Dns("a".repeat(40)), true)]);
    assert_eq!(wordy.narrow(view, &[6; 32]), Err(InviteError::TooManyAddresses));
    assert!(inviter(vec![]).narrow(view, &[6; 32]).is_ok());
}

#[test]
fn addresses_that_have_no_bytes_are_refused() {
    let no_port = Address { port: 0, ..v4() };
    for (bad, why) in [
        (no_port, AddressError::PortZero),
        (address(Host::Dns("UPPER".into()), false), AddressError::DnsName),
        (address(Host::Dns("x".repeat(65)), false), AddressError::DnsName),
    ] {
        assert_eq!(inviter(vec![]).with_addresses(vec![bad]), Err(InviteError::Address(why)));
    }
}

#[test]
fn any_other_character_anywhere_is_refused() {
    let link = invite(Roles::USUAL, vec![v4()]).to_string();
    for at in 0..link.len() {
        for other in "AaBZ09-_=+/ é\n".chars() {
            if link[at..].starts_with(other) {
                continue;
            }
            let altered = format!("{}{other}{}", &link[..at], &link[at + 1..]);
            assert!(Invite::parse(&altered).is_err(), "{at} {other:?}");
            let inserted = format!("{}{other}{}", &link[..at], &link[at..]);
            assert!(Invite::parse(&inserted).is_err(), "{at} {other:?}");
        }
    }
    for tail in ["A", "AA", "AAA", "AAAA", "=", " ", "\n"] {
        assert!(Invite::parse(&format!("{link}{tail}")).is_err(), "{tail:?}");
    }
}

#[test]
fn a_last_character_with_bits_to_spare_is_refused() {
    // 195 bytes leave none to spare, so add one byte of address.
    let link = invite(Roles::USUAL, vec![address(Host::Dns("a".into()), false)]).to_string();
    assert_ne!((link.len() - PREFIX.len()) % 4, 0);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = link.split_at(link.len() - 1);
    let accepted = alphabet.chars().filter(|c| Invite::parse(&format!("{head}{c}")).is_ok());
    assert_eq!(accepted.collect::<String>(), last);
}

#[test]
fn a_link_that_ends_early_is_said_to_be_cut_short() {
    for invite in [invite(Roles::USUAL, vec![v4()]), inviter(vec![]), inviter(vec![v6()])] {
        let link = invite.to_string();
        for end in PREFIX.len()..link.len() {
            assert_eq!(Invite::parse(&link[..end]), Err(InviteError::CutShort), "{end}");
        }
    }
}

#[test]
fn each_way_to_be_no_link_has_its_own_sentence() {
    let invite = invite(Roles::USUAL, vec![v4()]);
    let link = invite.to_string();
    let other = if link[60..].starts_with('x') { "y" } else { "x" };
    let mistyped = format!("{}{other}{}", &link[..60], &link[61..]);
    for (text, why) in [
        ("https://example.org".to_owned(), InviteError::NotALink),
        (link.to_uppercase(), InviteError::NotALink),
        (format!("{link}{link}"), InviteError::TooLong),
        (format!("{link}="), InviteError::Character),
        (mistyped, InviteError::Mistyped),
        (mended(&invite, |bytes| bytes[0] = 2), InviteError::Newer),
        (mended(&invite, |bytes| bytes[1] = 2), InviteError::Newer),
        (mended(&invite, |bytes| bytes[70] |= 0x80), InviteError::Newer),
        (mended(&invite, |bytes| bytes.push(0)), InviteError::Malformed),
        (mended(&invite, |bytes| bytes[6] ^= 1), InviteError::Altered),
        (mended(&invite, |bytes| bytes[70] = Roles::VIEW.bits()), InviteError::Altered),
    ] {
        assert_eq!(Invite::parse(&text), Err(why), "{text}");
    }
}

#[test]
fn narrowing_never_widens() {
    let first = inviter(vec![v4()]);
    let later = Expiry::at(NOON + Duration::from_secs(86_401));
    for (terms, why) in [
        (terms(Roles::USUAL, later), InviteError::Widened),
        (terms(Roles::USUAL, Expiry::NEVER), InviteError::Widened),
        (terms(Roles::VIEW | Roles::MODERATE, tomorrow()), InviteError::MayNotModerate),
    ] {
        assert_eq!(first.narrow(terms, &[6; 32]), Err(why));
    }
    let viewer = invite(Roles::VIEW | Roles::INVITE, vec![]);
    let wider = viewer.narrow(terms(Roles::USUAL, tomorrow()), &[6; 32]);
    assert_eq!(wider, Err(InviteError::Widened));
    let no_inviter = invite(Roles::USUAL, vec![]);
    let refused = no_inviter.narrow(terms(Roles::VIEW, tomorrow()), &[6; 32]);
    assert_eq!(refused, Err(InviteError::MayNotInvite));
    let second = first.narrow(terms(first.roles(), tomorrow()), &[6; 32]).unwrap();
    let third = second.narrow(terms(Roles::VIEW, tomorrow()), &[7; 32]);
    assert_eq!(third, Err(InviteError::TooDeep));
}

#[test]
fn a_link_that_somebody_widened_by_hand_is_refused() {
    // Made by whoever holds an inviter's link and does not ask `narrow`.
    let first = invite(Roles::VIEW | Roles::INVITE, vec![]);
    let forge = |roles, expires| {
        let own_seed = InviteSeed([8; 16]);
        let holder = (own_seed.public_key(), Serial([1; 8]));
        let (issuer, terms) = (first.seed.signing_key(), terms(roles, expires));
        let own = Certificate::issue(&issuer, &first.scope(), NARROWED, holder, terms);
        Invite { seed: own_seed, parent: Some(first.own.clone()), own, ..first.clone() }
    };
    let parsed = |invite: Invite| Invite::parse(&invite.to_string()).map(|_| ());
    assert_eq!(parsed(forge(Roles::VIEW, tomorrow())), Ok(()));
    assert_eq!(parsed(forge(Roles::USUAL, tomorrow())), Err(InviteError::Widened));
    assert_eq!(parsed(forge(Roles::VIEW, Expiry::NEVER)), Err(InviteError::Widened));
    assert_eq!(parsed(forge(Roles::MODERATE, tomorrow())), Err(InviteError::MayNotModerate));
}

#[test]
fn a_minted_ticket_admits_its_peer_and_names_every_serial() {
    let first = inviter(vec![]);
    let second = first.narrow(terms(Roles::VIEW, tomorrow()), &[6; 32]).unwrap();
    for invite in [first, second] {
        let chain = invite.mint(SUBJECT, [4; 32], NOON, &[8; 32]).unwrap();
        let grant = chain.verify(&invite.room(), &SUBJECT, NOON).unwrap();
        assert_eq!(grant.roles, invite.roles());
        assert_eq!(grant.expires, invite.expires());
        assert_eq!(grant.serials[..grant.serials.len() - 1], invite.serials());
        let other = chain.verify(&invite.room(), &PeerId([8; 32]), NOON);
        assert_eq!(other, Err(TicketError::OtherPeer));
    }
}

#[test]
fn an_expired_link_mints_nothing_and_says_so() {
    let invite = invite(Roles::USUAL, vec![]);
    let end = invite.expires().unwrap();
    let mint = |now| invite.mint(SUBJECT, [4; 32], now, &[8; 32]);
    let ago = Duration::from_secs(3 * 3_600);
    let refused = mint(end + ago).unwrap_err();
    assert_eq!(refused, InviteError::Expired { ago });
    assert!(refused.to_string().starts_with("the link expired 3 hours ago"), "{refused}");
    // Within the skew it is still good, and so is its ticket.
    let now = end + Duration::from_secs(119);
    let chain = mint(now).unwrap();
    assert!(chain.verify(&invite.room(), &SUBJECT, now).is_ok());
    assert!(chain.verify(&invite.room(), &SUBJECT, end).is_ok());
}

#[test]
fn a_link_without_end_is_good_for_decades() {
    let terms = terms(Roles::VIEW, Expiry::NEVER);
    let invite = Invite::create(&room_key(), &secret(), terms, vec![], &[5; 32]).unwrap();
    let invite = Invite::parse(&invite.to_string()).unwrap();
    assert_eq!(invite.expires(), None);
    let later = NOON + Duration::from_secs(49 * 365 * 86_400);
    let chain = invite.mint(SUBJECT, [4; 32], later, &[8; 32]).unwrap();
    assert!(chain.verify(&invite.room(), &SUBJECT, later).is_ok());
}

#[test]
fn a_clock_that_cannot_be_right_is_named() {
    let invite = invite(Roles::USUAL, vec![]);
    for now in [Wall::from_secs(0), Wall::from_micros(i64::MIN), Wall::from_micros(i64::MAX)] {
        assert_eq!(invite.check(now), Err(InviteError::Clock));
    }
    assert_eq!(invite.check(CLOCK_EARLIEST), Ok(()));
}

#[test]
fn debug_shows_no_secret() {
    let invite = inviter(vec![v4()]);
    let text = format!("{invite:?} {:#?}", Some(&invite));
    assert!(text.contains("view, forward, publish, invite"), "{text}");
    let link = invite.to_string();
    assert!(!text.contains(&link[20..40]));
    for bytes in [secret().bytes, invite.seed.0] {
        let numbers: Vec<_> = bytes[..4].iter().map(u8::to_string).collect();
        assert!(!text.contains(&numbers.join(", ")), "{text}");
        assert!(!text.to_lowercase().contains(&data_encoding::HEXLOWER.encode(&bytes[..4])));
    }
}
