//! Which QUIC connection stands behind which libp2p connection.
//!
//! The swarm tells its behaviours a connection's peer and address, and two connections may share
//! both. But one task polls a connection's muxer and its handlers: they find each other here by the
//! waker of that task. A muxer enters with its first poll and leaves with its end, or when its
//! handler has claimed it: so there are never more entries than connections.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use crate::native::Native;

/// `H` is the handle that is handed over, [`Native`].
pub(crate) struct Registry<H = Native> {
    inner: Mutex<Inner<H>>,
}

struct Inner<H> {
    next: u64,
    entries: Vec<Entry<H>>,
}

struct Entry<H> {
    key: u64,
    waker: Waker,
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

    /// The muxer of `handle` is polled by the task of `waker`, which is woken: its handler can claim
    /// it now.
    pub(crate) fn enter(self: &Arc<Self>, waker: &Waker, handle: H) -> Registration<H> {
        let mut inner = self.lock();
        let key = inner.next;
        inner.next += 1;
        inner.entries.push(Entry { key, waker: waker.clone(), handle });
        drop(inner);
        waker.wake_by_ref();
        Registration { registry: self.clone(), key }
    }

    /// Takes the connection that is polled by the task of `waker`.
    pub(crate) fn claim(&self, waker: &Waker) -> Option<H> {
        let mut inner = self.lock();
        let found = inner.entries.iter().position(|entry| entry.waker.will_wake(waker))?;
        Some(inner.entries.swap_remove(found).handle)
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
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicU32);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_connection_is_claimed_once_by_the_task_that_polls_it() {
        let tasks = [(); 3].map(|()| Arc::new(Task::default()));
        let [first, second, third] = [0, 1, 2].map(|n: usize| Waker::from(tasks[n].clone()));
        let registry = Registry::new();
        assert_eq!(registry.claim(&first), None);
        let kept = [registry.enter(&first, "first"), registry.enter(&second, "second")];
        assert_eq!(tasks[0].0.load(Ordering::Relaxed), 1, "its handler is to look again");
        drop(registry.enter(&third, "over"));
        assert_eq!(registry.claim(&third), None);
        assert_eq!(registry.claim(&second), Some("second"));
        assert_eq!(registry.claim(&second), None);
        assert_eq!(registry.claim(&first.clone()), Some("first"));
        drop(kept);
    }
}
