//! Says when a bootstrap does not answer, once an outage, and when it is back.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::say;

/// A restart takes less; nobody needs to hear of it.
const PATIENCE: Duration = Duration::from_secs(4);

/// The bootstraps that are not connected.
#[derive(Debug, Default)]
pub(super) struct Outages(BTreeMap<String, Outage>);

#[derive(Debug)]
struct Outage {
    since: Instant,
    said: bool,
}

impl Outages {
    /// Looks at every bootstrap and whether it is connected.
    pub(super) fn look(&mut self, bootstraps: &[(String, bool)]) {
        for (address, up) in bootstraps {
            if let Some(sentence) = self.note(address, *up, Instant::now()) {
                say::note(&sentence);
            }
        }
    }

    fn note(&mut self, address: &str, up: bool, now: Instant) -> Option<String> {
        if up {
            let outage = self.0.remove(address)?;
            return outage.said.then(|| format!("the bootstrap {address} answers again"));
        }
        let outage = self.0.entry(address.to_owned()).or_insert(Outage { since: now, said: false });
        if outage.said || now.duration_since(outage.since) < PATIENCE {
            return None;
        }
        outage.said = true;
        Some(format!(
            "the bootstrap {address} does not answer; trying again. Is it running, and does this \
             network let UDP out? Whoever is connected already stays connected."
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_said_once_after_a_while_and_so_is_its_end() {
        let mut outages = Outages::default();
        let start = Instant::now();
        assert_eq!(outages.note("a", false, start), None);
        assert_eq!(outages.note("a", false, start + PATIENCE / 2), None);
        assert!(
            outages.note("a", false, start + PATIENCE).is_some_and(|s| s.contains("not answer"))
        );
        assert_eq!(outages.note("a", false, start + PATIENCE * 2), None);
        assert!(outages.note("a", true, start + PATIENCE * 3).is_some_and(|s| s.contains("again")));
        assert_eq!(outages.note("a", true, start + PATIENCE * 4), None);
        // A short one is nobody's concern.
        assert_eq!(outages.note("a", false, start + PATIENCE * 5), None);
        assert_eq!(outages.note("a", true, start + PATIENCE * 5), None);
    }
}
