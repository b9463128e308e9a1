//! The fields of a `watch` line and the words in them: a contract with scripts, documented in the
//! README field by field. Fields are added here, never renamed.

use std::time::Duration;

use roommate_protocol::room::Route;
use roommate_protocol::trust::id::PeerId;
use serde_json::{Map, Value, json};

use super::totals::{Facts, SoundFacts};
use crate::report::ms;
use crate::status::Fed;

/// What is told of one broadcast, or of several added up; `publisher`: `None` while there is none.
pub(super) fn line(
    publisher: Option<PeerId>,
    fed: Option<&Fed>,
    facts: &Facts,
    kbps: f64,
) -> Map<String, Value> {
    let [p50, p99, max] = facts.latency.map(ms);
    let Value::Object(fields) = json!({
        "publisher": publisher.map(|publisher| publisher.to_string()),
        "route": route(publisher, fed),
        "parent": fed.and_then(|fed| fed.parent).map(|parent| parent.to_string()),
        "depth": fed.map_or(0, |fed| fed.path.len()),
        "received": facts.received,
        "caught_up": facts.caught_up,
        "decoded": null,
        "gaps": facts.gaps,
        "stalls": facts.stalls,
        "stalled_ms": facts.stalled_ms.round(),
        "kbps": kbps.round(),
        "subscribed_ms": ms(facts.subscribed_ms),
        "first_picture_ms": ms(facts.first_picture_ms),
        "live_ms": ms(facts.live_ms),
        "latency_ms": {"p50": p50, "p99": p99, "max": max},
        "clock_error_ms": ms(facts.clock_error_ms),
        "sound": facts.sound.as_ref().map(sound),
        "verified": facts.verified,
        "refused": facts.refused,
    }) else {
        unreachable!("an object was written")
    };
    fields
}

fn sound(facts: &SoundFacts) -> Value {
    let [p50, p99, max] = facts.latency.map(ms);
    json!({
        "received": facts.received,
        "caught_up": facts.caught_up,
        "gaps": facts.gaps,
        "stalls": facts.stalls,
        "bytes": facts.bytes,
        "latency_ms": {"p50": p50, "p99": p99, "max": max},
    })
}

/// Kilobits a second; 0 over no time.
pub(super) fn kbps(bytes: u64, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { bytes as f64 * 8.0 / 1000.0 / over.as_secs_f64() }
}

/// `direct` and `lan`: the publisher feeds us; `via:…`: another member does.
pub(super) fn route(publisher: Option<PeerId>, fed: Option<&Fed>) -> String {
    match fed.and_then(|fed| fed.parent.zip(fed.route)) {
        None => "none".to_owned(),
        Some((parent, route)) if Some(parent) == publisher => route_word(route).to_owned(),
        Some((parent, _)) => format!("via:{parent}"),
    }
}

/// The word for a route in JSON.
pub(super) fn route_word(route: Route) -> &'static str {
    match route {
        Route::Direct => "direct",
        Route::Lan => "lan",
        Route::Relayed => "relayed",
    }
}
