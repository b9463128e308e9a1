//! Names, keys and credentials: who somebody is, and what a room lets them do. Fixed layouts,
//! signed; never bincode.

pub mod id;
