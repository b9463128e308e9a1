//! 5,000 altered chains and links, their checksums mended: whatever is not a link's address is
//! held by a signature, and none of them is accepted.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::invite::{Invite, InviteError};
use roommate_protocol::trust::ticket::{TicketChain, TicketError};

use crate::cast::{Cast, NOON, SUBJECT, body, link};

const MUTANTS_OF_EACH: usize = 1_000;
const CONTROL_EVERY: usize = 100;

/// Bytes of a link before its first address, the count of addresses included.
const INVITE_HEAD: usize = 70 + 77 + 1;
const NARROWED_HEAD: usize = INVITE_HEAD + 109;

/// What became of one presentation: accepted, refused by a signature, or refused before.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Accepted,
    Signature,
    Other(String),
}

/// Something signed whose first `head` bytes are all protected.
struct Target {
    name: &'static str,
    original: Vec<u8>,
    /// The same from another room, to take parts from.
    foreign: Vec<u8>,
    head: usize,
    present: fn(&Cast, &[u8]) -> Fate,
}

/// Presented by the peer that it was made for, and by whomever the altered chain names: an attacker
/// writes its own name into it, and TLS proves that.
fn present_chain(cast: &Cast, bytes: &[u8]) -> Fate {
    let verify = |chain: &TicketChain, peer| chain.verify(&cast.room, &peer, NOON).map(|_| ());
    let verdict = TicketChain::from_bytes(bytes).and_then(|chain| {
        verify(&chain, SUBJECT).or_else(|_| verify(&chain, chain.claimed_subject()))
    });
    match verdict {
        Ok(()) => Fate::Accepted,
        Err(TicketError::Forged) => Fate::Signature,
        Err(other) => Fate::Other(format!("{other:?}")),
    }
}

fn present_invite(_: &Cast, bytes: &[u8]) -> Fate {
    match Invite::parse(&link(bytes)).map(|_| ()) {
        Ok(()) => Fate::Accepted,
        Err(InviteError::Altered) => Fate::Signature,
        Err(InviteError::Mistyped) => panic!("the checksum was mended"),
        Err(other) => Fate::Other(format!("{other:?}")),
    }
}

fn targets(cast: &Cast, foreign: &Cast) -> Vec<Target> {
    let names = ["creator's ticket", "link's ticket", "narrowed link's ticket"];
    let chains = names.iter().zip(&cast.chains).zip(&foreign.chains);
    let mut targets: Vec<_> = chains
        .map(|((name, chain), foreign)| {
            let original = chain.to_bytes();
            let head = original.len();
            Target { name, original, foreign: foreign.to_bytes(), head, present: present_chain }
        })
        .collect();
    for (name, invite, foreign, head) in [
        ("link", &cast.invite, &foreign.invite, INVITE_HEAD),
        ("narrowed link", &cast.narrowed, &foreign.narrowed, NARROWED_HEAD),
    ] {
        let (original, foreign) = (body(&invite.to_string()), body(&foreign.to_string()));
        assert_eq!(original.len(), head + 39, "one IPv4 address with a key follows the head");
        targets.push(Target { name, original, foreign, head, present: present_invite });
    }
    targets
}

/// The `n`th mutant: first every byte in turn, then whatever chance brings.
fn mutant(target: &Target, n: usize, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = target.original.clone();
    let at = if n < target.head { n } else { below(rng, target.head) };
    let kind = if n < target.head { 0 } else { below(rng, 6) };
    match kind {
        0 => bytes[at] ^= 1 + below(rng, 255) as u8,
        1 => bytes[at] ^= 1 << below(rng, 8),
        2 => {
            bytes.remove(at);
        }
        3 => bytes.insert(at, rng.next_u32() as u8),
        4 => {
            // A part of the same place in another room's credential.
            let end = (at + 1 + below(rng, 96)).min(target.head);
            bytes[at..end].copy_from_slice(&target.foreign[at..end]);
        }
        _ => {
            let other = below(rng, target.head);
            bytes.swap(at, other);
        }
    }
    if bytes == target.original {
        bytes[at] ^= 0x40;
    }
    bytes
}

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    rng.next_u32() as usize % bound
}

#[test]
fn none_of_5000_mutants_is_accepted_and_every_control_is() {
    let (cast, foreign) = (Cast::new(1), Cast::new(2));
    let mut rng = ChaCha8Rng::seed_from_u64(0x5000);
    let (mut mutants, mut controls) = (0, 0);
    for target in targets(&cast, &foreign) {
        assert!(target.head <= MUTANTS_OF_EACH, "every byte has its turn");
        let mut fates = BTreeMap::<Fate, usize>::new();
        for n in 0..MUTANTS_OF_EACH {
            if n % CONTROL_EVERY == 0 {
                assert_eq!((target.present)(&cast, &target.original), Fate::Accepted);
                controls += 1;
            }
            let bytes = mutant(&target, n, &mut rng);
            let fate = (target.present)(&cast, &bytes);
            assert_ne!(fate, Fate::Accepted, "{} mutant {n}: {bytes:02x?}", target.name);
            *fates.entry(fate).or_default() += 1;
            mutants += 1;
        }
        println!("{}: {fates:?}", target.name);
        let by_signature = fates.get(&Fate::Signature).copied().unwrap_or(0);
        assert!(by_signature > MUTANTS_OF_EACH / 4, "{}: {fates:?}", target.name);
    }
    assert_eq!((mutants, controls), (5_000, 50));
}

#[test]
fn another_rooms_credentials_are_refused_whole() {
    let (cast, foreign) = (Cast::new(1), Cast::new(2));
    for chain in &foreign.chains {
        let verdict = chain.verify(&cast.room, &SUBJECT, NOON);
        assert_eq!(verdict, Err(TicketError::OtherRoom));
    }
}

#[test]
fn altered_addresses_are_read_or_refused_and_admit_nobody() {
    let cast = Cast::new(1);
    let mut rng = ChaCha8Rng::seed_from_u64(0xADD5);
    let (mut read, mut refused) = (0, 0);
    for (invite, head) in [(&cast.invite, INVITE_HEAD), (&cast.narrowed, NARROWED_HEAD)] {
        let original = body(&invite.to_string());
        for n in 0..1_000 {
            let mut bytes = original.clone();
            let at = head + n % (bytes.len() - head);
            bytes[at] ^= 1 + below(&mut rng, 255) as u8;
            let Ok(altered) = Invite::parse(&link(&bytes)) else {
                refused += 1;
                continue;
            };
            read += 1;
            // Nothing but the hint has changed: the same room, the same secret, the same grant.
            assert_ne!(altered.addresses(), invite.addresses());
            let restored = altered.with_addresses(invite.addresses().to_vec());
            assert_eq!(restored.as_ref(), Ok(invite));
        }
    }
    assert!(read > 500 && refused > 10, "{read} read, {refused} refused");
    // Whoever answers at a wrong address has no chain for this room: not one minted for the
    // subject, nor one of a room of its own.
    let stranger = PeerId([0xEE; 32]);
    for chain in &cast.chains {
        assert_eq!(chain.verify(&cast.room, &stranger, NOON), Err(TicketError::OtherPeer));
    }
}
