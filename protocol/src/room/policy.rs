//! Which addresses may be dialled at all, and how a connection to one runs. A pure rule; who is
//! dialled when is `dial`'s.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::input::{Route, Source};
use crate::address::{Address, Host};

/// Subnets of our own that are remembered; more interfaces than that, and the rest is not local.
pub const SUBNETS_MAX: usize = 16;

/// What the node's own surroundings allow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DialPolicy {
    /// We listen on loopback.
    pub loopback: bool,
    /// Our own subnets: an address of ours and the length of its prefix.
    pub subnets: Vec<(IpAddr, u8)>,
}

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDialled {
    /// Multicast, unspecified, broadcast: nobody is there.
    #[error("the address belongs to nobody")]
    Nobody,
    /// Loopback, although nothing of ours is on it.
    #[error("the address is on this machine, where the room is not")]
    Loopback,
    /// Link-local (which includes the metadata service of clouds), learnt otherwise than on the LAN.
    #[error("the address is link-local and was not learnt on the link")]
    LinkLocal,
    /// A private range that is not ours.
    #[error("the address is in a private network that is not ours")]
    Private,
    /// A port below 1024: no member listens there.
    #[error("the port is below 1024")]
    Port,
    /// A name: whoever chose it chooses what it means.
    #[error("only addresses that the user gave may be names")]
    Name,
}

impl DialPolicy {
    /// What may be dialled from where we are: loopback only where we listen on it ourselves.
    pub fn new(listen: &[Address], subnets: Vec<(IpAddr, u8)>) -> Self {
        Self { loopback: listen.iter().any(|address| address.host.is_loopback()), subnets }
    }

    /// How a connection to `ip` runs; `None` where its address has none. Only a connection of QUIC
    /// has `streams` for pictures: one over TCP carries words, like a relayed one.
    pub fn route(&self, ip: Option<IpAddr>, streams: bool) -> Route {
        match streams {
            false => Route::Relayed,
            true if ip.is_some_and(|ip| self.is_ours(ip)) => Route::Lan,
            true => Route::Direct,
        }
    }

    /// Whether `address`, learnt from `source`, may be dialled.
    ///
    /// # Errors
    /// [`NotDialled`] says why not.
    pub fn check(&self, address: &Address, source: Source) -> Result<(), NotDialled> {
        let ip = match &address.host {
            Host::V4(ip) => IpAddr::V4(*ip),
            Host::V6(ip) => plain(*ip),
            Host::Dns(_) if source == Source::User => return Ok(()),
            Host::Dns(_) => return Err(NotDialled::Name),
        };
        if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err(NotDialled::Nobody);
        }
        if source == Source::User {
            return Ok(());
        }
        if address.port < 1024 {
            return Err(NotDialled::Port);
        }
        if ip.is_loopback() {
            return if self.loopback { Ok(()) } else { Err(NotDialled::Loopback) };
        }
        let near = source == Source::Lan || self.is_ours(ip);
        if is_link_local(ip) {
            // The metadata service answers on a link-local address: mDNS alone may name one.
            return if source == Source::Lan { Ok(()) } else { Err(NotDialled::LinkLocal) };
        }
        if is_private(ip) && !near {
            return Err(NotDialled::Private);
        }
        Ok(())
    }

    /// Whether `ip` is on one of our own subnets.
    pub fn is_ours(&self, ip: IpAddr) -> bool {
        self.subnets.iter().take(SUBNETS_MAX).any(|(ours, prefix)| same_prefix(*ours, ip, *prefix))
    }
}

/// An IPv4 address in IPv6's clothes is judged as what it is.
fn plain(ip: Ipv6Addr) -> IpAddr {
    ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            // 100.64/10 is what carriers give behind their NAT, 0/8 and 240/4 are nobody's.
            ip.is_private() || (a == 100 && b & 0xc0 == 64) || a == 0 || a >= 240
        }
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

fn same_prefix(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    let (a, b, bits) = match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return false,
    };
    let prefix = u32::from(prefix).min(bits);
    // A prefix of 0 would make the whole world ours.
    prefix != 0 && (a ^ b) >> (bits - prefix) == 0
}

#[cfg(test)]
mod tests;
