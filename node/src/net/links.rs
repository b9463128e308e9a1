//! The table of connections: the swarm's names and ours. Holds one row a connection; `behaviour`
//! bounds how many there are.

use std::collections::{BTreeMap, HashMap};

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use roommate_protocol::room::{ConnId, Route};
use roommate_protocol::trust::id::PeerId;
use roommate_transport::Native;

/// One connection.
pub(crate) struct Link {
    pub(crate) conn: ConnId,
    pub(crate) id: ConnectionId,
    pub(crate) peer: PeerId,
    pub(crate) dialled: bool,
    pub(crate) address: Multiaddr,
    pub(crate) route: Route,
    /// The QUIC connection; `None` over TCP.
    pub(crate) native: Option<Native>,
}

/// All connections.
#[derive(Default)]
pub(crate) struct Links {
    links: BTreeMap<ConnId, Link>,
    names: HashMap<ConnectionId, ConnId>,
    next: u64,
}

impl Links {
    /// Names a connection that came up.
    pub(crate) fn name(&mut self, id: ConnectionId) -> ConnId {
        let conn = ConnId(self.next);
        self.next += 1;
        self.names.insert(id, conn);
        conn
    }

    pub(crate) fn insert(&mut self, link: Link) {
        self.links.insert(link.conn, link);
    }

    pub(crate) fn remove(&mut self, id: ConnectionId) -> Option<Link> {
        let conn = self.names.remove(&id)?;
        self.links.remove(&conn)
    }

    pub(crate) fn get(&self, conn: ConnId) -> Option<&Link> {
        self.links.get(&conn)
    }

    pub(crate) fn by_id(&self, id: ConnectionId) -> Option<&Link> {
        self.links.get(self.names.get(&id)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }
}
