//! A virtual world: the decisions of `roommate-protocol` lived through in milliseconds, with lines
//! that are slow, late and lossy, and with people who come, stop and die.
//!
//! No clock, socket or thread: one seed gives one story, every time. Caches, cursors, gates, stream
//! readers and reorderers are the product's own, in a [`town`] rooms, watches and the registry too;
//! only the network between them and the encoder are played.

pub mod dice;
pub mod feed;
pub mod finding;
pub mod member;
pub mod net;
pub mod oracle;
pub mod pipe;
pub mod reading;
pub mod scenario;
pub mod source;
pub mod town;
pub mod trace;
pub mod viewer;
pub mod wire;
pub mod world;
