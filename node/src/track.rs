//! A track as the rest of the node holds it: one that this node publishes, or subscribes to.

use std::sync::Arc;

use roommate_protocol::media::clock::ClockView;
use roommate_protocol::trust::id::TrackKey;

use crate::link::SharedTrack;
use crate::status::SharedClock;

/// A track that this node publishes.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Its name.
    pub key: TrackKey,
    /// Where its access units go.
    pub track: Arc<SharedTrack>,
    /// The broadcast's clock.
    pub view: ClockView,
}

/// A track that this node subscribes to.
pub struct Subscription {
    /// Its name.
    pub key: TrackKey,
    /// Where its access units arrive.
    pub track: Arc<SharedTrack>,
    /// The broadcast's clock as known here.
    pub clock: Arc<SharedClock>,
}
