//! What every command that joins a room does first: keys, a node, the link.

use std::time::Duration;

use libp2p::Multiaddr;
use roommate_protocol::address::{Address, Kind};
use roommate_protocol::limits::NAME_BYTES_MAX;
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::invite::{Invite, InviteError};
use roommate_protocol::trust::ticket::TicketChain;

use super::args::Common;
use super::fail::Fail;
use super::say;
use crate::config::{JoinConfig, NodeConfig, Stumble};
use crate::datadir::{DataDir, Identity};
use crate::making::Scope;
use crate::net::address::from_multiaddr;
use crate::node::{Node, Room, RoomEvents};
use roommate_clock::Clock;

/// Blocks the driver once a second (`MILLISECONDSxTIMES`): for the test that pictures do not wait for
/// it.
const STUMBLE_ENV: &str = "ROOMMATE_TEST_BLOCK_DRIVER";

/// Keys and clock of one command, before any network.
pub(super) struct Desk {
    pub(super) clock: Clock,
    pub(super) data: DataDir,
    pub(super) identity: Identity,
    pub(super) me: PeerId,
}

impl Desk {
    /// Reads the data directory that the common flags mean.
    pub(super) fn open(common: &Common) -> Result<Self, Fail> {
        check(common)?;
        let clock = Clock::from_env().map_err(Fail::new)?;
        let data = data_dir(common)?;
        let identity = data.identity().map_err(Fail::new)?;
        if identity.second {
            say::note("Another process uses this data directory: this one takes a fresh node key.");
        }
        let me = PeerId(identity.key.verifying_key().to_bytes());
        Ok(Self { clock, data, identity, me })
    }

    /// Reads a link and refuses one that cannot be used now. No link ends for whoever made the room.
    pub(super) fn read_link(&self, link: &str) -> Result<Invite, Fail> {
        let invite = Invite::parse(link.trim()).map_err(Fail::new)?;
        match invite.check(self.clock.now().wall) {
            Err(InviteError::Expired { .. }) if self.owns(&invite)? => Ok(invite),
            checked => checked.map(|()| invite).map_err(Fail::new),
        }
    }

    fn owns(&self, invite: &Invite) -> Result<bool, Fail> {
        Ok(self.data.owned_room(&invite.room()).map_err(Fail::new)?.is_some())
    }

    /// Starts the node and joins the room of `invite`. Whatever can fail is done before, or shuts the
    /// node down: its driver must not outlive the runtime.
    pub(super) async fn join(
        &self,
        common: &Common,
        invite: &Invite,
    ) -> Result<(Node, Room, RoomEvents), Fail> {
        let listen = self.listen(common, invite);
        let config = NodeConfig {
            key: self.identity.key.clone(),
            incarnation: self.identity.incarnation,
            name: name(common, self.me),
            listen,
            bootstraps: bootstraps(common)?,
            congestion: roommate_transport::Congestion::default(),
            clock: self.clock,
            stumble: stumble()?,
        };
        let joining = self.join_config(invite)?;
        let node = Node::start(config).await.map_err(Fail::new)?;
        let (room, events) = node.join(joining).await.map_err(Fail::new)?;
        Ok((node, room, events))
    }

    /// Where to listen: as told; else on every interface, on the port that a LAN link of ours names.
    fn listen(&self, common: &Common, invite: &Invite) -> Vec<Multiaddr> {
        if !common.listen.is_empty() {
            return common.listen.clone();
        }
        let named = Scope::of(invite) == Scope::Lan
            && invite.addresses().iter().any(|address| address.peer == Some(self.me));
        let port = if named { self.identity.port } else { 0 };
        let mut listen = vec![everywhere("ip4/0.0.0.0", port)];
        let has_v6 = if_addrs::get_if_addrs()
            .unwrap_or_default()
            .iter()
            .any(|interface| interface.ip().is_ipv6() && !interface.is_loopback());
        if has_v6 {
            listen.push(everywhere("ip6/::", port));
        }
        listen
    }

    /// Whoever made the room holds a ticket from the room key, which no link ends.
    fn join_config(&self, invite: &Invite) -> Result<JoinConfig, Fail> {
        let now = self.clock.now();
        let x25519 = rand::random();
        let owned = self.data.owned_room(&invite.room()).map_err(Fail::new)?;
        let (tickets, title) = match owned {
            Some(room) => {
                let seed = rand::random();
                let chain = TicketChain::for_creator(&room.key, self.me, x25519, now.wall, &seed);
                (chain, room.title)
            }
            None => {
                let chain = invite.mint(self.me, x25519, now.wall, &rand::random());
                (chain.map_err(Fail::new)?, None)
            }
        };
        Ok(JoinConfig {
            room: invite.room(),
            secret: *invite.secret(),
            tickets,
            title,
            addresses: invite.addresses().to_vec(),
        })
    }
}

/// The data directory that the common flags mean.
pub(super) fn data_dir(common: &Common) -> Result<DataDir, Fail> {
    if common.ephemeral {
        return Ok(DataDir::ephemeral());
    }
    DataDir::open(common.data_dir.clone()).map_err(Fail::new)
}

fn everywhere(host: &str, port: u16) -> Multiaddr {
    format!("/{host}/udp/{port}/quic-v1").parse().expect("a constant form with a number")
}

/// The name shown to others: as told, else the end of the PeerId, which says nothing of anybody.
pub(super) fn name(common: &Common, me: PeerId) -> String {
    common.name.clone().unwrap_or_else(|| format!("guest {}", &me.short()[4..]))
}

fn bootstraps(common: &Common) -> Result<Vec<Address>, Fail> {
    common
        .bootstrap
        .iter()
        .map(|addr| from_multiaddr(addr, Kind::Bootstrap).map_err(Fail::usage))
        .collect()
}

/// Refuses what this version does not do, and what cannot be meant.
pub(super) fn check(common: &Common) -> Result<(), Fail> {
    if common.port_mapping {
        return Err(Fail::later("--port-mapping"));
    }
    if common.name.as_ref().is_some_and(|name| name.is_empty() || name.len() > NAME_BYTES_MAX) {
        return Err(Fail::usage(format!("--name takes 1 to {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn stumble() -> Result<Option<Stumble>, Fail> {
    let Ok(text) = std::env::var(STUMBLE_ENV) else { return Ok(None) };
    let numbers =
        text.split_once('x').and_then(|(ms, times)| Some((ms.parse().ok()?, times.parse().ok()?)));
    match numbers {
        Some((ms, times)) => Ok(Some(Stumble { length: Duration::from_millis(ms), times })),
        None => Err(Fail::usage(format!("{STUMBLE_ENV} is MILLISECONDSxTIMES, not {text:?}"))),
    }
}
