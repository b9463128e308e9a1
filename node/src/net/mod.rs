//! Connections and the words on them: the swarm's behaviour, the table of connections, and the
//! tasks that read and write control streams. Decides nothing.

pub mod address;
pub(crate) mod behaviour;
pub(crate) mod links;
pub(crate) mod outgoing;
pub(crate) mod surroundings;
pub(crate) mod words;

pub use behaviour::SwarmError;
