//! How things stand in the room, as the page is told in JSON.
//!
//! Names and titles are what strangers call themselves: the page shows them as text and nothing
//! else. Peers are PeerIds in full, as text; the page shortens them.

use serde::Serialize;

/// Everything the page shows besides pictures. The node publishes it whole whenever it changes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PageState {
    /// The room, once there is one.
    pub room: Option<PageRoom>,
    /// Our own PeerId.
    pub me: String,
    /// Everybody in the room, ourselves included.
    pub members: Vec<PageMember>,
    /// What is published.
    pub broadcasts: Vec<PageBroadcast>,
    /// A sentence that says why there is no picture, or what is about to happen; shown in the
    /// middle while there is no picture, else below the title.
    pub notice: Option<String>,
}

/// The room.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PageRoom {
    /// Its title, where we know it.
    pub title: Option<String>,
    /// A few characters of its public name, to tell rooms apart.
    pub short: String,
    /// Seconds until the link ends, where it ends.
    pub ends_in_s: Option<i64>,
}

/// Somebody in the room.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PageMember {
    /// PeerId.
    pub peer: String,
    /// What they call themselves; may be empty.
    pub name: String,
    /// `view`, `forward`, `publish`, `moderate`, `invite`.
    pub roles: Vec<String>,
}

/// Something that is published.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PageBroadcast {
    /// The node's number for it: what [`super::UnitHub`] calls it. Never used twice.
    pub index: u32,
    /// PeerId of the publisher.
    pub publisher: String,
    /// What the publisher is called.
    pub name: String,
    /// The codec as WebCodecs names it.
    pub codec: String,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Its sound, where it has any.
    pub sound: Option<PageSound>,
    /// `direct`, `lan`, `via:<peer>` or `none`.
    pub route: String,
    /// The peers by whom it comes: who feeds us first, the publisher last; empty while nobody does.
    pub path: Vec<String>,
    /// 1: fed by the publisher; 0: not fed.
    pub depth: u32,
    /// Capture to complete here, over the last seconds; none before the first picture.
    pub latency_ms: Option<PageLatency>,
    /// How wrong the broadcast's clock may be here.
    pub clock_error_ms: Option<f64>,
    /// Kilobits a second, over the last seconds.
    pub kbps: Option<f64>,
    /// Access units missing so far.
    pub gaps: u64,
    /// Times that no picture was ready when it should have been.
    pub stalls: u64,
}

/// The sound of a broadcast, as an `AudioDecoder` is configured for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PageSound {
    /// The codec as WebCodecs names it: `opus`, `mp4a.40.2`.
    pub codec: String,
    /// Samples a second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// The decoder's configuration, base64; empty where it needs none.
    pub description: String,
}

/// Percentiles of a latency in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PageLatency {
    /// Half of all are below.
    pub p50: f64,
    /// All but one in a hundred are below.
    pub p99: f64,
}
