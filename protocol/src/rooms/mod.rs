//! `/roommate/rooms/1`: how members of a room find each other at a bootstrap.
//!
//! A bootstrap knows a room by its rotating id alone and a record by who brought it; it can read
//! neither. [`registry::Registry`] is its whole brain, [`watch::Watch`] the node's view of one
//! bootstrap. Nothing here can list rooms: whoever does not know an id gets no answer about it.

mod clients;
mod found;
pub mod message;
mod pings;
mod quota;
pub mod reach;
pub mod record;
pub mod registry;
mod shelf;
pub mod telling;
pub mod watch;

pub use quota::{
    CLIENTS_PER_PREFIX_MAX, Prefix, REGISTRATIONS_PER_PEER_MAX, REGISTRATIONS_PER_PREFIX_MAX,
    REGISTRATIONS_PER_ROOM_MAX, WATCHES_PER_CLIENT_MAX,
};

use std::time::Duration;

/// The name of the protocol.
pub const PROTOCOL: &str = "/roommate/rooms/1";

/// How long a bootstrap remembers a registration that is not renewed. It is the bootstrap's own
/// memory, measured by its own clock: members leave by other means, and sooner.
pub const TTL: Duration = Duration::from_secs(300);

/// How often a node renews: one renewal may be lost.
pub const REFRESH: Duration = Duration::from_secs(120);
