//! What stands on the wire, byte for byte: framed control messages with bincode bodies, and fixed
//! big-endian layouts of what is signed. Reads and writes bytes; decides nothing.

pub mod catalog;
pub mod close;
pub mod code;
pub mod codec;
pub(crate) mod fields;
pub mod frame;
pub mod header;
pub mod message;
pub mod record;
pub mod signed;
