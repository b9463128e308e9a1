//! What stands on the wire, byte for byte: fixed big-endian layouts of what is signed, and the codes
//! that end a stream. Reads and writes bytes; decides nothing.

pub mod code;
pub mod header;
pub mod record;
