//! Who may begin a handshake.
//!
//! A handshake costs two signatures and an ML-KEM before the peer's name is known, and a spoofed
//! source address costs its sender nothing. So above one bound newcomers prove their address
//! first (Retry), above a second they are refused.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::config::Config;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Retry,
    Refuse,
}

/// Counts of inbound handshakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// Unfinished now.
    pub pending: usize,
    /// Asked to prove their address so far.
    pub retried: usize,
    /// Refused so far.
    pub refused: usize,
}

#[derive(Default)]
pub(crate) struct Admission {
    pending: AtomicUsize,
    retried: AtomicUsize,
    refused: AtomicUsize,
}

/// One unfinished handshake; over when dropped.
pub(crate) struct Pending(Arc<Admission>);

impl Admission {
    /// Judges a newcomer and counts the verdict.
    pub(crate) fn judge(&self, config: &Config, validated: bool) -> Verdict {
        let verdict = judge(config, self.pending.load(Relaxed), validated);
        match verdict {
            Verdict::Accept => {}
            Verdict::Retry => _ = self.retried.fetch_add(1, Relaxed),
            Verdict::Refuse => _ = self.refused.fetch_add(1, Relaxed),
        }
        verdict
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Pending {
        self.pending.fetch_add(1, Relaxed);
        Pending(self.clone())
    }

    pub(crate) fn counts(&self) -> Handshakes {
        Handshakes {
            pending: self.pending.load(Relaxed),
            retried: self.retried.load(Relaxed),
            refused: self.refused.load(Relaxed),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Relaxed);
    }
}

fn judge(config: &Config, pending: usize, validated: bool) -> Verdict {
    if !validated && pending > config.retry_above {
        Verdict::Retry // costs no state, whatever else is true
    } else if pending > config.refuse_above {
        Verdict::Refuse
    } else {
        Verdict::Accept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_prove_their_address_in_a_flood_and_are_refused_in_a_bigger_one() {
        let config = Config { retry_above: 2, refuse_above: 4, ..Config::default() };
        let verdicts =
            |validated| [0, 2, 3, 4, 5].map(|pending| judge(&config, pending, validated));
        use Verdict::{Accept, Refuse, Retry};
        assert_eq!(verdicts(false), [Accept, Accept, Retry, Retry, Retry]);
        assert_eq!(verdicts(true), [Accept, Accept, Accept, Accept, Refuse]);
    }

    #[test]
    fn a_handshake_is_pending_until_dropped() {
        let admission = Arc::new(Admission::default());
        let (one, two) = (admission.begin(), admission.begin());
        assert_eq!(admission.counts().pending, 2);
        drop(one);
        assert_eq!(admission.counts().pending, 1);
        drop(two);
        assert_eq!(admission.counts(), Handshakes::default());
    }
}
