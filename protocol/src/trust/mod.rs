//! Names, keys and credentials: who somebody is, and what a room lets them do. Fixed layouts,
//! signed; never bincode.

mod certificate;
pub mod envelope;
pub mod id;
pub mod invite;
mod key;
pub mod rid;
pub mod secret;
pub mod terms;
pub mod ticket;
