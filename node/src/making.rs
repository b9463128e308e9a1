//! Makes rooms and their links. No packet is sent: a room exists as soon as its key does.

use std::net::{IpAddr, Ipv6Addr};

use ed25519_dalek::SigningKey;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use roommate_protocol::address::{Address, Carrier, Host, Kind};
use roommate_protocol::limits::{INVITE_ADDRESSES_MAX, TITLE_BYTES_MAX};
use roommate_protocol::time::Wall;
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::invite::{CertificateTerms, Invite, InviteError};
use roommate_protocol::trust::secret::RoomSecret;
use roommate_protocol::trust::terms::{Expiry, Roles};

use crate::datadir::{DataDir, DataDirError, OwnedRoom};
use crate::net::address::{UnknownForm, from_multiaddr};

/// Why no room can be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A title that does not fit a hello.
    #[error("the title is longer than {TITLE_BYTES_MAX} bytes")]
    Title,
    /// An address of another form.
    #[error(transparent)]
    Address(#[from] UnknownForm),
    /// A bootstrap whose identity the link could not vouch for.
    #[error(
        "the bootstrap {0} is named without /p2p/…: copy the whole address that roommate-bootstrap \
         prints"
    )]
    NoPeer(Multiaddr),
    /// More bootstraps than a link holds.
    #[error("a link holds at most {INVITE_ADDRESSES_MAX} addresses")]
    TooMany,
    /// This machine has no address that others could reach.
    #[error(
        "this machine has no network address to put into a LAN link: connect it to a network, or \
         name a bootstrap with --bootstrap"
    )]
    NoAddress,
    /// A port that the system would draw anew at each start.
    #[error(
        "{0} leaves the port to the system, and a LAN link must name one: write a port other than 0 \
         behind --listen, or leave --listen out"
    )]
    NoPort(Multiaddr),
    /// The key cannot be kept.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The link cannot be made.
    #[error(transparent)]
    Invite(#[from] InviteError),
}

/// How far a link reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// It names addresses of this node only.
    Lan,
    /// It names a bootstrap.
    Internet,
}

impl Scope {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Internet => "internet",
        }
    }

    /// The reach of `invite`.
    pub fn of(invite: &Invite) -> Self {
        let bootstrap = |address: &Address| address.kind == Kind::Bootstrap;
        if invite.addresses().iter().any(bootstrap) { Self::Internet } else { Self::Lan }
    }
}

/// What a new room shall be.
#[derive(Debug)]
pub struct Wish<'a> {
    /// What people call it.
    pub title: Option<String>,
    /// Bootstraps to name in the link; none: a LAN link.
    pub bootstraps: &'a [Multiaddr],
    /// Where this node will listen, for a LAN link; empty: the port given beside it.
    pub listen: &'a [Multiaddr],
    /// What whoever comes by the link may do.
    pub roles: Roles,
    /// When the link ends; `None`: never.
    pub expires: Option<Wall>,
}

/// Makes a room, keeps its key in `data` and returns its link. A LAN link names the node `me`, on
/// `port` where it was not told where to listen.
///
/// # Errors
/// [`MakeError`]
pub fn make_room(
    data: &DataDir,
    (me, port): (PeerId, u16),
    wish: Wish<'_>,
) -> Result<Invite, MakeError> {
    if wish.title.as_ref().is_some_and(|title| title.len() > TITLE_BYTES_MAX) {
        return Err(MakeError::Title);
    }
    let addresses = if wish.bootstraps.is_empty() {
        lan_addresses(me, port, wish.listen)?
    } else {
        bootstrap_addresses(wish.bootstraps)?
    };
    let key = SigningKey::from_bytes(&rand::random());
    let secret = RoomSecret { bytes: rand::random(), epoch: 0 };
    let expires = wish.expires.map_or(Expiry::NEVER, Expiry::at);
    let terms = CertificateTerms { roles: wish.roles, expires };
    let invite = Invite::create(&key, &secret, terms, Vec::new(), &rand::random())?
        .with_addresses_that_fit(&addresses)?;
    data.keep_room(&OwnedRoom { key, secret, title: wish.title })?;
    Ok(invite)
}

fn bootstrap_addresses(bootstraps: &[Multiaddr]) -> Result<Vec<Address>, MakeError> {
    if bootstraps.len() > INVITE_ADDRESSES_MAX {
        return Err(MakeError::TooMany);
    }
    let mut addresses = Vec::new();
    for bootstrap in bootstraps {
        let address = from_multiaddr(bootstrap, Kind::Bootstrap)?;
        if address.peer.is_none() {
            return Err(MakeError::NoPeer(bootstrap.clone()));
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// Where this node will be found on its LAN: the addresses given, else every address of its
/// interfaces with `port`.
fn lan_addresses(me: PeerId, port: u16, listen: &[Multiaddr]) -> Result<Vec<Address>, MakeError> {
    let mut addresses = Vec::new();
    for addr in listen {
        if names_no_port(addr) {
            return Err(MakeError::NoPort(addr.clone()));
        }
        let address = Address { peer: Some(me), ..from_multiaddr(addr, Kind::Member)? };
        match unspecified_port(&address) {
            Some(port) => addresses.extend(on_every_interface(me, port)),
            None => addresses.push(address),
        }
    }
    if listen.is_empty() {
        addresses = on_every_interface(me, port);
    }
    if addresses.is_empty() { Err(MakeError::NoAddress) } else { Ok(addresses) }
}

fn names_no_port(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| matches!(part, Protocol::Udp(0) | Protocol::Tcp(0)))
}

fn unspecified_port(address: &Address) -> Option<u16> {
    let everywhere = match &address.host {
        Host::V4(ip) => ip.is_unspecified(),
        Host::V6(ip) => ip.is_unspecified(),
        Host::Dns(_) => false,
    };
    everywhere.then_some(address.port)
}

/// IPv4 first: it is what two machines of a LAN have in common, and four bytes long.
fn on_every_interface(me: PeerId, port: u16) -> Vec<Address> {
    let mut hosts: Vec<Host> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .into_iter()
        .filter(|interface| !interface.is_loopback())
        .filter_map(|interface| match interface.ip() {
            IpAddr::V4(ip) if !ip.is_link_local() => Some(Host::V4(ip)),
            IpAddr::V6(ip) if !is_link_local(&ip) => Some(Host::V6(ip)),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
        .collect();
    hosts.sort();
    hosts.dedup();
    let address =
        |host| Address { kind: Kind::Member, host, carrier: Carrier::Quic, port, peer: Some(me) };
    hosts.into_iter().map(address).collect()
}

fn is_link_local(ip: &Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(title: Option<&str>) -> Wish<'static> {
        Wish {
            title: title.map(str::to_owned),
            bootstraps: &[],
            listen: &[],
            roles: Roles::USUAL,
            expires: None,
        }
    }

    #[test]
    fn a_lan_link_names_this_node_where_it_will_listen() {
        let listen = ["/ip4/127.0.0.1/udp/4009/quic-v1".parse().unwrap()];
        let me = PeerId([8; 32]);
        let wish = Wish { listen: &listen, ..wish(None) };
        let invite = make_room(&DataDir::ephemeral(), (me, 61_000), wish).unwrap();
        assert_eq!(Scope::of(&invite), Scope::Lan);
        assert_eq!(invite.addresses()[0].peer, Some(me));
        assert_eq!(invite.addresses()[0].port, 4009);
        assert_eq!(Invite::parse(&invite.to_string()).unwrap(), invite);
    }

    #[test]
    fn a_lan_link_without_a_port_is_refused_as_such() {
        let listen = ["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
        let wish = Wish { listen: &listen, ..wish(None) };
        let refused = make_room(&DataDir::ephemeral(), (PeerId([8; 32]), 61_000), wish);
        assert!(refused.unwrap_err().to_string().contains("write a port other than 0"));
    }

    #[test]
    fn a_link_for_the_internet_names_its_bootstrap_whole() {
        let peer = PeerId([6; 32]);
        let whole = [format!("/ip4/31.7.1.2/udp/4001/quic-v1/p2p/{peer}").parse().unwrap()];
        let data = DataDir::ephemeral();
        let wanted = Wish { bootstraps: &whole, ..wish(None) };
        let invite = make_room(&data, (PeerId([8; 32]), 61_000), wanted).unwrap();
        assert_eq!(Scope::of(&invite), Scope::Internet);

        let nameless = ["/ip4/31.7.1.2/udp/4001/quic-v1".parse().unwrap()];
        let wanted = Wish { bootstraps: &nameless, ..wish(None) };
        let refused = make_room(&data, (PeerId([8; 32]), 61_000), wanted).unwrap_err();
        assert!(matches!(refused, MakeError::NoPeer(_)), "{refused}");
    }

    #[test]
    fn a_title_that_does_not_fit_is_refused() {
        let refused = make_room(
            &DataDir::ephemeral(),
            (PeerId([8; 32]), 61_000),
            wish(Some(&"ä".repeat(33))),
        );
        assert!(matches!(refused, Err(MakeError::Title)));
    }
}
