//! Reads both clocks, together, for the registry.

use roommate_protocol::time::{Mono, Now, Wall};
use roommate_transport::clock;

pub(crate) fn now() -> Now {
    Now {
        mono: Mono::from_micros(clock::steady_micros()),
        wall: Wall::from_micros(clock::wall_micros()),
    }
}
