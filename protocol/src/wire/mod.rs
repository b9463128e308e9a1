//! Bytes between nodes: how words are framed and coded.

pub mod codec;
pub mod frame;
