//! Which QUIC connections stand behind which libp2p connections.
//!
//! The transport enters a connection when its handshake is done, before the swarm hears of it;
//! the [`Door`](crate::Door) takes it out of here by peer, address and direction; the muxer's end
//! removes it. So there are never more entries than connections.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::PeerId;

use crate::native::Native;

/// `H` is the handle that is handed over, [`Native`].
pub(crate) struct Registry<H = Native> {
    inner: Mutex<Inner<H>>,
}

struct Inner<H> {
    next: u64,
    /// In the order of their handshakes: the newest is last.
    entries: Vec<Entry<H>>,
}

struct Entry<H> {
    key: u64,
    peer: PeerId,
    remote: SocketAddr,
    dialled: bool,
    handle: H,
}

/// Removes its entry when dropped.
pub(crate) struct Registration<H = Native> {
    registry: Arc<Registry<H>>,
    key: u64,
}

impl<H> Registry<H> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Inner { next: 0, entries: Vec::new() }) })
    }

    pub(crate) fn enter(
        self: &Arc<Self>,
        peer: PeerId,
        remote: SocketAddr,
        dialled: bool,
        handle: H,
    ) -> Registration<H> {
        let mut inner = self.lock();
        let key = inner.next;
        inner.next += 1;
        inner.entries.push(Entry { key, peer, remote, dialled, handle });
        Registration { registry: self.clone(), key }
    }

    /// Takes the newest connection to `peer` in that direction: the one at `remote`, or, where
    /// the swarm only knows a DNS name (`None`), any.
    pub(crate) fn claim(
        &self,
        peer: &PeerId,
        remote: Option<SocketAddr>,
        dialled: bool,
    ) -> Option<H> {
        let mut inner = self.lock();
        let found = inner.entries.iter().rposition(|e| {
            e.peer == *peer && e.dialled == dialled && remote.is_none_or(|r| r == e.remote)
        })?;
        Some(inner.entries.remove(found).handle)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<H>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H> Drop for Registration<H> {
    fn drop(&mut self) {
        self.registry.lock().entries.retain(|e| e.key != self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_claimed_once_by_peer_address_and_direction() {
        let (me, other) = (PeerId::random(), PeerId::random());
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let registry = Registry::new();
        let kept = [
            registry.enter(me, at(1), true, "first"),
            registry.enter(me, at(1), true, "second"),
            registry.enter(me, at(1), false, "inbound"),
            registry.enter(me, at(2), true, "elsewhere"),
            registry.enter(other, at(1), true, "somebody else"),
        ];
        let gone = registry.enter(me, at(1), true, "over");
        drop(gone);
        assert_eq!(registry.claim(&me, Some(at(1)), true), Some("second"));
        assert_eq!(registry.claim(&me, Some(at(1)), true), Some("first"));
        assert_eq!(registry.claim(&me, Some(at(1)), true), None);
        assert_eq!(registry.claim(&me, None, true), Some("elsewhere"));
        assert_eq!(registry.claim(&me, Some(at(1)), false), Some("inbound"));
        assert_eq!(registry.claim(&PeerId::random(), None, true), None);
        drop(kept);
        assert_eq!(registry.claim(&other, Some(at(1)), true), None);
    }
}
