//! Where a node can be reached, in the compact form of invites and registrations.
//!
//! Only what Roommate dials has a form here: IPv4, IPv6 or a DNS name, with QUIC over UDP or TCP.
//! Whether an address may be dialled is decided elsewhere.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::trust::id::PeerId;

/// Longest DNS name that an address carries. Longer ones exist and do not belong in a QR code.
pub const DNS_BYTES_MAX: usize = 64;

/// The host part of an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// A DNS name, 1 to [`DNS_BYTES_MAX`] bytes of lower-case letters, digits, `-` and `.`.
    Dns(String),
}

impl Host {
    /// Whether it is this machine alone, as far as the address tells: a name may be anything.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::V4(ip) => ip.is_loopback(),
            Self::V6(ip) => ip.is_loopback(),
            Self::Dns(_) => false,
        }
    }
}

/// How the node listens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carrier {
    /// QUIC version 1 over UDP.
    Quic,
    /// TCP.
    Tcp,
}

/// What is expected to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A member of the room.
    Member,
    /// A bootstrap node.
    Bootstrap,
}

/// One address.
///
/// Bytes: a head (bits 0–1 host: 0 IPv4, 1 IPv6, 2 DNS; bit 2 TCP; bit 3 bootstrap; bit 4 a peer
/// follows; bits 5–7 zero), the host (4 bytes, 16 bytes, or a length byte and the name), the port
/// big-endian, and the 32 bytes of the peer's key where bit 4 says so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Who answers there.
    pub kind: Kind,
    /// The host.
    pub host: Host,
    /// QUIC or TCP.
    pub carrier: Carrier,
    /// The port, never 0.
    pub port: u16,
    /// Who must answer there, where known.
    pub peer: Option<PeerId>,
}

/// Why bytes are no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// The bytes end inside an address.
    #[error("the address is cut short")]
    CutShort,
    /// A bit that this version does not know, or a host kind that it does not know.
    #[error("the address is of a kind that this version does not know")]
    Unknown,
    /// Port 0 cannot be dialled.
    #[error("the address has port 0")]
    PortZero,
    /// The DNS name is empty, too long, or has other characters than letters, digits, `-` and `.`.
    #[error("the address has a DNS name that is none")]
    DnsName,
}

const HOST_MASK: u8 = 0b11;
const TCP: u8 = 1 << 2;
const BOOTSTRAP: u8 = 1 << 3;
const PEER: u8 = 1 << 4;
const KNOWN: u8 = HOST_MASK | TCP | BOOTSTRAP | PEER;

impl Address {
    /// Appends the bytes of this address.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut head = match self.host {
            Host::V4(_) => 0,
            Host::V6(_) => 1,
            Host::Dns(_) => 2,
        };
        if self.carrier == Carrier::Tcp {
            head |= TCP;
        }
        if self.kind == Kind::Bootstrap {
            head |= BOOTSTRAP;
        }
        if self.peer.is_some() {
            head |= PEER;
        }
        out.push(head);
        match &self.host {
            Host::V4(ip) => out.extend(ip.octets()),
            Host::V6(ip) => out.extend(ip.octets()),
            Host::Dns(name) => {
                debug_assert!(dns_name_is_sound(name.as_bytes()));
                out.push(name.len() as u8);
                out.extend(name.as_bytes());
            }
        }
        out.extend(self.port.to_be_bytes());
        if let Some(peer) = self.peer {
            out.extend(peer.0);
        }
    }

    /// Takes one address from the front of `bytes`, which then begin after it.
    ///
    /// # Errors
    /// [`AddressError`]; `bytes` is then unspecified.
    pub fn decode(bytes: &mut &[u8]) -> Result<Self, AddressError> {
        let [head] = take::<1>(bytes)?;
        if head & !KNOWN != 0 {
            return Err(AddressError::Unknown);
        }
        let host = match head & HOST_MASK {
            0 => Host::V4(Ipv4Addr::from(take::<4>(bytes)?)),
            1 => Host::V6(Ipv6Addr::from(take::<16>(bytes)?)),
            2 => Host::Dns(take_dns(bytes)?),
            _ => return Err(AddressError::Unknown),
        };
        let port = u16::from_be_bytes(take(bytes)?);
        if port == 0 {
            return Err(AddressError::PortZero);
        }
        let peer = if head & PEER != 0 { Some(PeerId(take(bytes)?)) } else { None };
        Ok(Self {
            kind: if head & BOOTSTRAP != 0 { Kind::Bootstrap } else { Kind::Member },
            host,
            carrier: if head & TCP != 0 { Carrier::Tcp } else { Carrier::Quic },
            port,
            peer,
        })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], AddressError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(AddressError::CutShort)?;
    *bytes = rest;
    Ok(*head)
}

fn take_dns(bytes: &mut &[u8]) -> Result<String, AddressError> {
    let [length] = take::<1>(bytes)?;
    let (name, rest) = bytes.split_at_checked(length.into()).ok_or(AddressError::CutShort)?;
    *bytes = rest;
    if !dns_name_is_sound(name) {
        return Err(AddressError::DnsName);
    }
    String::from_utf8(name.to_vec()).map_err(|_| AddressError::DnsName)
}

/// Whether `name` may stand in [`Host::Dns`].
pub fn dns_name_is_sound(name: &[u8]) -> bool {
    (1..=DNS_BYTES_MAX).contains(&name.len())
        && name.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_address() -> impl Strategy<Value = Address> {
        let host = prop_oneof![
            any::<[u8; 4]>().prop_map(|ip| Host::V4(ip.into())),
            any::<[u8; 16]>().prop_map(|ip| Host::V6(ip.into())),
            "[a-z0-9.-]{1,64}".prop_map(Host::Dns),
        ];
        let peer = proptest::option::of(any::<[u8; 32]>().prop_map(PeerId));
        (host, any::<(bool, bool)>(), 1..=u16::MAX, peer).prop_map(
            |(host, (tcp, bootstrap), port, peer)| Address {
                kind: if bootstrap { Kind::Bootstrap } else { Kind::Member },
                host,
                carrier: if tcp { Carrier::Tcp } else { Carrier::Quic },
                port,
                peer,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(address in any_address(), tail in any::<Vec<u8>>()) {
            let mut bytes = Vec::new();
            address.encode(&mut bytes);
            bytes.extend(&tail);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(Address::decode(&mut rest), Ok(address));
            prop_assert_eq!(rest, tail.as_slice());
        }

        #[test]
        fn any_bytes_are_read_or_refused_and_have_one_spelling(bytes in any::<Vec<u8>>()) {
            let mut rest = bytes.as_slice();
            if let Ok(address) = Address::decode(&mut rest) {
                let mut again = Vec::new();
                address.encode(&mut again);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - rest.len()]);
            }
        }
    }
}
