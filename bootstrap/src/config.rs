//! What a bootstrap is told at its start.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use roommate_protocol::rooms::registry::RegistryConfig;

/// The port where nodes look for a bootstrap that nobody gave another one.
const PORT: u16 = 4001;

/// Settings of one bootstrap.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen: `/ip4|ip6/A/udp/PORT/quic-v1` or `/ip4|ip6/A/tcp/PORT`. Empty: all
    /// interfaces, port 4001, QUIC and TCP, IPv6 where the machine has it.
    pub listen: Vec<Multiaddr>,
    /// Who the bootstrap is.
    pub identity: Identity,
    /// How much it holds.
    pub registry: RegistryConfig,
}

/// Where the bootstrap's key comes from.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A fresh one, forgotten at the end.
    Fresh,
    /// The one in this directory; made there at the first start.
    Kept(PathBuf),
}

/// Where a bootstrap listens that was told nothing.
pub fn default_listen() -> Vec<Multiaddr> {
    let hosts = [Protocol::Ip4(Ipv4Addr::UNSPECIFIED), Protocol::Ip6(Ipv6Addr::UNSPECIFIED)];
    hosts
        .into_iter()
        .flat_map(|host| {
            let host = Multiaddr::empty().with(host);
            let quic = host.clone().with(Protocol::Udp(PORT)).with(Protocol::QuicV1);
            [quic, host.with(Protocol::Tcp(PORT))]
        })
        .collect()
}
