//! Whoever does not belong to a room gets nothing of it: not a byte of media, no place in anybody's
//! list, no name. On real sockets of 127.0.0.1, against nodes as the programs run them.

#![allow(clippy::unwrap_used, reason = "the helpers of a test are tests")]

mod crowd;
mod nothing;
mod silence;
mod stage;
#[path = "../world/mod.rs"]
mod world;
