//! What stands on the wire, byte for byte: framed control messages with bincode bodies, and fixed
//! big-endian layouts of what is signed. Reads and writes bytes; decides nothing.

pub mod code;
pub mod codec;
pub mod frame;
pub mod header;
pub mod record;
