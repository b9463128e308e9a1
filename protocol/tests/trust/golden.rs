//! The bytes that a released version has sent must be read for ever. A change here is a change of
//! the protocol: it needs a new version, not new files.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use roommate_protocol::address::{Address, Carrier, Host, Kind};
use roommate_protocol::rooms::record::{Claim, Record};
use roommate_protocol::time::Wall;
use roommate_protocol::trust::envelope::Envelope;
use roommate_protocol::trust::id::{PeerId, RoomPk};
use roommate_protocol::trust::invite::Invite;
use roommate_protocol::trust::rid::{self, RidKey};
use roommate_protocol::trust::ticket::TicketChain;

use crate::cast::{Cast, NOON, SECRET, SUBJECT};

const WRITE: &str = "ROOMMATE_WRITE_GOLDEN";

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Compares `today` with the file `name`, and gives what the file says.
fn golden(name: &str, today: &str) -> String {
    let path = path(name);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, format!("{today}\n")).expect("the golden file can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept.trim_end() == today,
        "{name} has changed: older nodes will not understand it.\n\
         kept:  {}\ntoday: {today}\n\
         If no version with the old bytes was ever released, write them anew on purpose:\n\
         {WRITE}=1 cargo test -p roommate-protocol --test trust golden",
        kept.trim_end(),
    );
    kept.trim_end().to_owned()
}

fn golden_bytes(name: &str, today: &[u8]) -> Vec<u8> {
    let kept = golden(name, &HEXLOWER.encode(today));
    HEXLOWER.decode(kept.as_bytes()).expect("hexadecimal")
}

#[test]
fn golden_invites() {
    let cast = Cast::new(1);
    for (name, invite) in [("invite.txt", &cast.invite), ("invite-narrowed.txt", &cast.narrowed)] {
        let kept = golden(name, &invite.to_string());
        assert_eq!(Invite::parse(&kept).as_ref(), Ok(invite), "{name}");
    }
}

#[test]
fn golden_ticket_chains() {
    let cast = Cast::new(1);
    for (n, chain) in cast.chains.iter().enumerate() {
        let kept = golden_bytes(&format!("ticket-chain-{}.hex", n + 1), &chain.to_bytes());
        let read = TicketChain::from_bytes(&kept).expect("it was read when it was written");
        let grant = read.verify(&cast.room, &SUBJECT, NOON).expect("it was good then");
        assert_eq!(grant.serials.len(), n + 1);
    }
}

#[test]
fn golden_envelope() {
    let key = SigningKey::from_bytes(&[3; 32]);
    let room = RoomPk([0x60; 32]);
    let envelope =
        Envelope::seal(&key, "golden/1", &room, &b"what somebody said"[..]).expect("it is short");
    let kept = golden_bytes("envelope.hex", &envelope.to_bytes());
    let read = Envelope::from_bytes(&kept).expect("it was read when it was written");
    let signer = PeerId(key.verifying_key().to_bytes());
    assert_eq!(read.open("golden/1", &room), Ok((&signer, &b"what somebody said"[..])));
}

#[test]
fn golden_rid() {
    let key = RidKey::derive(&SECRET, rid::period(NOON));
    golden_bytes("rid.hex", &key.rid().0);
    let signature = golden_bytes("rid-signature.hex", &key.sign(b"a registration"));
    let signature = signature.try_into().expect("64 bytes");
    assert_eq!(rid::verify(&key.rid(), b"a registration", &signature), Ok(()));
    let sealed = golden_bytes("rid-sealed.hex", &key.seal(b"addresses", &[9; 32]));
    assert_eq!(key.open(&sealed).as_deref(), Ok(&b"addresses"[..]));
}

/// The fields where they stand, that the signature is right, and what the room's link opens.
#[test]
fn golden_registration() {
    let key = RidKey::derive(&SECRET, rid::period(NOON));
    let address = |host, carrier, port| Address {
        kind: Kind::Member,
        host,
        carrier,
        port,
        peer: Some(SUBJECT),
    };
    let addresses = [
        address(Host::V4([192, 0, 2, 7].into()), Carrier::Quic, 4001),
        address(
            Host::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7].into()),
            Carrier::Tcp,
            4002,
        ),
    ];
    let expires = Wall::from_secs(NOON.as_secs() + 7_200);
    let today = Record::sign(&key, SUBJECT, (5, expires), &addresses, &[9; 32]).expect("it fits");
    let kept = golden_bytes("registration.hex", today.bytes());
    assert_eq!((&kept[..32], &kept[32..64]), (&key.rid().0[..], &SUBJECT.0[..]));
    assert_eq!(kept[64..72], 5u64.to_be_bytes());
    assert_eq!(kept[72..80], expires.as_secs().to_be_bytes());
    let read = Claim::parse(kept).and_then(Claim::verify).expect("it was good then");
    assert_eq!((read.peer(), read.seq(), read.expires()), (SUBJECT, 5, expires));
    assert_eq!(read.addresses(&key).as_deref(), Ok(&addresses[..]));
}
