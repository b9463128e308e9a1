//! The JSON lines on standard output: where it listens, then one line a second, then a summary.
//! The fields are never renamed.

use std::io::Write;
use std::time::Instant;

use libp2p::Multiaddr;
use roommate_bootstrap::Status;
use serde_json::{Value, json};

#[derive(Debug)]
pub(crate) struct Report {
    start: Instant,
    wanted: bool,
}

impl Report {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { start: Instant::now(), wanted }
    }

    pub(crate) fn listening(&self, addresses: &[Multiaddr]) {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        self.write(json!({ "listen": addresses }));
    }

    pub(crate) fn second(&self, status: Status) {
        self.write(figures(status));
    }

    pub(crate) fn summary(&self, status: Status) {
        let mut line = figures(status);
        line["summary"] = true.into();
        self.write(line);
    }

    fn write(&self, body: Value) {
        if !self.wanted {
            return;
        }
        let t = (self.start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        let mut line = json!({ "t": t, "role": "bootstrap" });
        if let (Value::Object(line), Value::Object(body)) = (&mut line, body) {
            line.extend(body);
        }
        // A closed standard output (`| head`) is no error of ours.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

fn figures(status: Status) -> Value {
    let held = status.registry;
    json!({
        "registrations": held.registrations,
        "rooms": held.rooms,
        "watchers": held.watchers,
        "clients": held.clients,
        // Relayed signalling comes with a later version; until then there is none.
        "circuits": 0,
        "relay_bytes": 0,
        "media_bytes": status.media_bytes,
        "refused": held.refused,
        "rss_mib": rss_mib(),
    })
}

/// Resident memory; null where the system does not say.
fn rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some((kib / 1024.0 * 10.0).round() / 10.0)
}
