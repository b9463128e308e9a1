//! The two ends of a broadcast in this node: a source into a track, and a track into its sinks.

pub mod containers;
pub mod player;
pub mod publisher;
pub mod recorder;
