//! Which QUIC connections stand behind which libp2p connections.
//!
//! The transport enters a connection when its handshake is done, before the swarm hears of it;
//! the [`Door`](crate::Door) takes it out of here by peer, address and direction; the muxer's end
//! removes it. So there are never more entries than connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::PeerId;

use crate::native::Native;

#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    /// In the order of their handshakes: the newest is last.
    entries: Vec<Entry>,
}

struct Entry {
    key: u64,
    peer: PeerId,
    remote: SocketAddr,
    dialled: bool,
    native: Native,
}

/// Removes its entry when dropped.
pub(crate) struct Registration {
    registry: Arc<Registry>,
    key: u64,
}

impl Registry {
    pub(crate) fn enter(
        self: &Arc<Self>,
        peer: PeerId,
        dialled: bool,
        native: Native,
    ) -> Registration {
        let mut inner = self.lock();
        let key = inner.next;
        inner.next += 1;
        let remote = native.remote_address();
        inner.entries.push(Entry { key, peer, remote, dialled, native });
        Registration { registry: self.clone(), key }
    }

    /// Takes the newest connection to `peer` in that direction: the one at `remote`, or, where
    /// the swarm only knows a DNS name (`None`), any.
    pub(crate) fn claim(
        &self,
        peer: &PeerId,
        dialled: bool,
        remote: Option<SocketAddr>,
    ) -> Option<Native> {
        let mut inner = self.lock();
        let found = inner.entries.iter().rposition(|e| {
            e.peer == *peer && e.dialled == dialled && remote.is_none_or(|r| r == e.remote)
        })?;
        Some(inner.entries.remove(found).native)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.lock().entries.retain(|e| e.key != self.key);
    }
}
