//! Who plays in these tests. Everything follows from fixed seeds.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use roommate_protocol::address::{Address, Carrier, Host, Kind};
use roommate_protocol::time::Wall;
use roommate_protocol::trust::id::{PeerId, RoomPk};
use roommate_protocol::trust::invite::{CertificateTerms, Invite, PREFIX};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::ticket::{Expiry, Roles, TicketChain};
use sha2::{Digest, Sha256};

/// 15 January 2027, 08:00 UTC.
pub(crate) const NOON: Wall = Wall::from_secs(1_800_000_000);
pub(crate) const SUBJECT: PeerId = PeerId([0x5b; 32]);
pub(crate) const SECRET: RoomSecret = RoomSecret { bytes: *b"a room's secret!", epoch: 2 };

const X25519: [u8; 32] = [0x25; 32];

/// A room with an inviter's link, a link made from that, and a ticket by each way.
pub(crate) struct Cast {
    pub(crate) room: RoomPk,
    pub(crate) invite: Invite,
    pub(crate) narrowed: Invite,
    /// Of one, two and three signatures.
    pub(crate) chains: [TicketChain; 3],
}

impl Cast {
    pub(crate) fn new(seed: u8) -> Self {
        let room_key = SigningKey::from_bytes(&[seed; 32]);
        let seed = |n: u8| [seed.wrapping_mul(31).wrapping_add(n); 32];
        let tomorrow = Expiry::at(NOON + Duration::from_secs(86_400));
        let terms = CertificateTerms { roles: Roles::USUAL | Roles::INVITE, expires: tomorrow };
        let addresses = vec![bootstrap()];
        let invite = Invite::create(&room_key, &SECRET, terms, addresses, &seed(1))
            .expect("one address fits");
        let terms = CertificateTerms { roles: Roles::VIEW, ..terms };
        let narrowed = invite.narrow(terms, &seed(2)).expect("it is narrower");
        let mint = |invite: &Invite, n| {
            invite.mint(SUBJECT, X25519, NOON, &seed(n)).expect("the link has not ended")
        };
        let chains = [
            TicketChain::for_creator(&room_key, SUBJECT, X25519, NOON, &seed(3)),
            mint(&invite, 4),
            mint(&narrowed, 5),
        ];
        Self { room: invite.room(), invite, narrowed, chains }
    }
}

fn bootstrap() -> Address {
    Address {
        kind: Kind::Bootstrap,
        host: Host::V4([192, 0, 2, 1].into()),
        carrier: Carrier::Quic,
        port: 4001,
        peer: Some(PeerId([0x7a; 32])),
    }
}

/// The bytes of a link without its checksum.
pub(crate) fn body(link: &str) -> Vec<u8> {
    let text = link.strip_prefix(PREFIX).expect("a link");
    let mut bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url");
    bytes.truncate(bytes.len() - 4);
    bytes
}

/// The link of these bytes, with a right checksum.
pub(crate) fn link(body: &[u8]) -> String {
    let mut bytes = body.to_vec();
    bytes.extend(&Sha256::digest(body)[..4]);
    format!("{PREFIX}{}", data_encoding::BASE64URL_NOPAD.encode(&bytes))
}
