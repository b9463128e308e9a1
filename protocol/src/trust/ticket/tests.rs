//! Chains whose every signature is right and that must be refused all the same: somebody holds a
//! key and signs more than it was given. Altered bytes are tested in `tests/trust`.

use std::time::Duration;

use super::*;
use crate::trust::certificate::CertificateTerms;

const DAY: u64 = 86_400;
const NOON: i64 = 1_800_000_000;
const SUBJECT: PeerId = PeerId([9; 32]);
const SECRET_HASH: [u8; 32] = [4; 32];

fn signing_key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn public(n: u8) -> [u8; 32] {
    signing_key(n).verifying_key().to_bytes()
}

fn room() -> RoomPk {
    RoomPk(public(0))
}

fn terms(roles: Roles, expires: Expiry) -> CertificateTerms {
    CertificateTerms { roles, expires }
}

fn until(secs: i64) -> Expiry {
    Expiry::at(Wall::from_secs(secs))
}

/// The chain in which key 0 (the room's) gives `links[0]` to key 1, that gives `links[1]` to key 2,
/// and so on, and the last key gives `last` to the subject.
fn chain(links: &[CertificateTerms], last: CertificateTerms) -> TicketChain {
    let scope = Scope { room: room(), secret_hash: SECRET_HASH };
    let certificates = links.iter().enumerate().map(|(place, terms)| {
        let n = place as u8;
        let holder = (public(n + 1), Serial([n; 8]));
        Certificate::issue(&signing_key(n), &scope, flags_at(place), holder, *terms)
    });
    let ticket = Ticket {
        subject: SUBJECT,
        x25519: [5; 32],
        roles: last.roles,
        not_before: NOON as u32,
        expires: last.expires,
        serial: Serial([0xEE; 8]),
        signature: [0; 64],
    };
    TicketChain {
        room: room(),
        secret_hash: if links.is_empty() { [0; 32] } else { SECRET_HASH },
        certificates: certificates.collect(),
        ticket: ticket.signed(&room(), &signing_key(links.len() as u8)),
    }
}

/// Verified in memory and after a journey over the wire: both must say the same.
fn verify_at(chain: &TicketChain, now: Wall) -> Result<Grant, TicketError> {
    let verdict = chain.verify(&room(), &SUBJECT, now);
    if chain.certificates.len() <= CERTIFICATES_MAX {
        let again = TicketChain::from_bytes(&chain.to_bytes()).unwrap();
        assert_eq!(again, *chain);
        assert_eq!(again.verify(&room(), &SUBJECT, now), verdict);
    }
    verdict
}

fn verify(chain: &TicketChain) -> Result<Grant, TicketError> {
    verify_at(chain, Wall::from_secs(NOON))
}

const INVITER: Roles = Roles::ALL.without(Roles::MODERATE);

#[test]
fn chains_of_one_to_three_signatures_grant_what_the_ticket_says() {
    let end = until(NOON + 60);
    let view = terms(Roles::VIEW, end);
    for links in [&[][..], &[terms(INVITER, end)], &[terms(INVITER, end), view]] {
        let grant = verify(&chain(links, view)).unwrap();
        assert_eq!(grant.roles, Roles::VIEW);
        assert_eq!(grant.expires, end.wall());
        assert_eq!(grant.not_before, Wall::from_secs(NOON));
        assert_eq!(grant.x25519, [5; 32]);
        assert_eq!(grant.serials.len(), links.len() + 1);
        assert_eq!(grant.serials.last(), Some(&Serial([0xEE; 8])));
    }
}

#[test]
fn a_fourth_signature_is_refused() {
    let all = terms(INVITER, Expiry::NEVER);
    let long = chain(&[all, all, all], all);
    assert_eq!(verify(&long), Err(TicketError::TooLong));
    assert_eq!(TicketChain::from_bytes(&long.to_bytes()), Err(TicketError::TooLong));
}

#[test]
fn a_ticket_wider_than_its_link_is_refused_whole() {
    let link = terms(Roles::USUAL, until(NOON + 60));
    for wider in [
        terms(Roles::USUAL | Roles::INVITE, until(NOON + 60)),
        terms(Roles::MODERATE, until(NOON + 60)),
        terms(Roles::VIEW, until(NOON + 61)),
        terms(Roles::VIEW, Expiry::NEVER),
    ] {
        assert_eq!(verify(&chain(&[link], wider)), Err(TicketError::Widened), "{wider:?}");
    }
    assert!(verify(&chain(&[link], link)).is_ok());
}

#[test]
fn a_wider_link_in_the_middle_spoils_a_modest_ticket() {
    let first = terms(Roles::VIEW | Roles::INVITE, until(NOON + 60));
    let modest = terms(Roles::VIEW, until(NOON + 10));
    for wider in [terms(Roles::USUAL, until(NOON + 60)), terms(Roles::VIEW, until(NOON + 61))] {
        assert_eq!(verify(&chain(&[first, wider], modest)), Err(TicketError::Widened));
    }
    assert!(verify(&chain(&[first, first], modest)).is_ok());
}

#[test]
fn only_an_inviter_narrows_and_only_the_room_key_makes_moderators() {
    let view = terms(Roles::VIEW, Expiry::NEVER);
    let usual = terms(Roles::USUAL, Expiry::NEVER);
    assert_eq!(verify(&chain(&[usual, view], view)), Err(TicketError::MayNotInvite));

    let all = terms(Roles::ALL, Expiry::NEVER);
    let moderator = terms(Roles::MODERATE, Expiry::NEVER);
    assert_eq!(verify(&chain(&[all, all], moderator)), Err(TicketError::MayNotModerate));
    assert!(verify(&chain(&[all], moderator)).is_ok());
}

#[test]
fn a_chain_counts_for_its_own_room_and_peer_alone() {
    let chain = chain(&[terms(INVITER, Expiry::NEVER)], terms(Roles::VIEW, Expiry::NEVER));
    let now = Wall::from_secs(NOON);
    let other_room = RoomPk(public(7));
    assert_eq!(chain.verify(&other_room, &SUBJECT, now), Err(TicketError::OtherRoom));
    assert_eq!(chain.verify(&room(), &PeerId([8; 32]), now), Err(TicketError::OtherPeer));
}

#[test]
fn a_chain_made_of_parts_of_others_is_refused() {
    let view = terms(Roles::VIEW, Expiry::NEVER);
    let link = terms(INVITER, Expiry::NEVER);
    let direct = chain(&[], view);
    let mut by_invite = chain(&[link], view);
    // The room key's ticket behind a certificate, and the invite's ticket without it.
    let mut stolen = direct.clone();
    std::mem::swap(&mut stolen.ticket, &mut by_invite.ticket);
    assert_eq!(verify(&stolen), Err(TicketError::Forged));
    assert_eq!(verify(&by_invite), Err(TicketError::Forged));
    // The same certificate twice, and two in the wrong order.
    let mut twice = chain(&[link], view);
    twice.certificates.push(twice.certificates[0].clone());
    assert_eq!(verify(&twice), Err(TicketError::Forged));
    let mut turned = chain(&[link, link], view);
    turned.certificates.reverse();
    assert_eq!(verify(&turned), Err(TicketError::Forged));
}

/// Offsets of the verifier's clock, and whether a time that lies at 0 has been reached for it.
const OFFSETS_S: [i64; 9] = [-(DAY as i64), -121, -120, -1, 0, 1, 120, 121, DAY as i64];

#[test]
fn skew_at_the_beginning_is_forgiven_up_to_two_minutes() {
    let chain = chain(&[], terms(Roles::VIEW, Expiry::NEVER));
    for offset in OFFSETS_S {
        let verdict = verify_at(&chain, Wall::from_secs(NOON + offset));
        if offset >= -120 {
            assert!(verdict.is_ok(), "{offset}: {verdict:?}");
        } else {
            let ahead = Duration::from_secs(offset.unsigned_abs());
            assert_eq!(verdict, Err(TicketError::NotYet { ahead }), "{offset}");
        }
    }
    let just_before = Wall::from_micros((NOON - 120) * 1_000_000 - 1);
    assert!(matches!(verify_at(&chain, just_before), Err(TicketError::NotYet { .. })));
}

#[test]
fn skew_at_the_end_is_forgiven_up_to_two_minutes() {
    let end = NOON + 10 * DAY as i64;
    let view = terms(Roles::VIEW, until(end));
    for links in [&[][..], &[terms(INVITER, until(end))]] {
        let chain = chain(links, view);
        let grant = verify(&chain).unwrap();
        for offset in OFFSETS_S {
            let now = Wall::from_secs(end + offset);
            let verdict = verify_at(&chain, now);
            assert_eq!(grant.is_over(now), offset > 120, "{offset}");
            if offset <= 120 {
                assert!(verdict.is_ok(), "{offset}: {verdict:?}");
            } else {
                let ago = Duration::from_secs(offset.unsigned_abs());
                assert_eq!(verdict, Err(TicketError::Expired { ago }), "{offset}");
            }
        }
        let just_after = Wall::from_micros((end + 120) * 1_000_000 + 1);
        assert!(matches!(verify_at(&chain, just_after), Err(TicketError::Expired { .. })));
    }
}

#[test]
fn the_creators_ticket_has_every_role_and_no_end() {
    let now = Wall::from_secs(NOON);
    let chain = TicketChain::for_creator(&signing_key(0), SUBJECT, [5; 32], now, &[1; 32]);
    let in_80_years = Wall::from_secs(NOON + 80 * 365 * DAY as i64);
    let grant = verify_at(&chain, in_80_years).unwrap();
    assert_eq!((grant.roles, grant.expires), (Roles::ALL, None));
    assert!(!grant.is_over(in_80_years));
    assert_eq!(chain.to_bytes().len(), 2 + 32 + 146);
}

#[test]
fn the_longest_chain_is_as_long_as_its_bound() {
    let all = terms(INVITER, Expiry::NEVER);
    assert_eq!(chain(&[all, all], all).to_bytes().len(), CHAIN_BYTES_MAX);
    assert_eq!(CHAIN_BYTES_MAX, 434);
}
