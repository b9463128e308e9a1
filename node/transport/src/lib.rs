//! A libp2p [`Transport`](libp2p::Transport) over quinn, and the door to the QUIC connections
//! underneath it.
//!
//! libp2p keeps its bidirectional substreams; media takes native unidirectional streams of the
//! very same connection, with priorities, resets and path statistics ([`Native`]). It is wire
//! compatible with the libp2p QUIC specification: stock peers dial it and are dialled. It knows
//! nothing of rooms, and it reads or writes no stream that libp2p did not open.
//!
//! Beside it, for whoever is above: the machine's clocks ([`clock`]).
//!
//! Priorities on one connection: libp2p's substreams have [`SUBSTREAM_PRIORITY`]; whoever writes
//! media stays at zero or below, or pings and control frames starve behind pictures.
//!
//! With TCP beside it, for networks that block UDP:
//!
//! ```no_run
//! use libp2p::{StreamProtocol, SwarmBuilder, identity::Keypair, noise, tcp, yamux};
//! use roommate_transport::{Config, QuicTransport};
//!
//! # fn build() -> Result<(), Box<dyn std::error::Error>> {
//! let key = Keypair::generate_ed25519();
//! let (quic, door) = QuicTransport::new(Config::default(), &key)?;
//! let door = door.accepting([StreamProtocol::new("/roommate/control/1")]);
//! let swarm = SwarmBuilder::with_existing_identity(key)
//!     .with_tokio()
//!     .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
//!     .with_other_transport(|_| quic)?
//!     .with_dns()?
//!     .with_behaviour(|_| door)? // or a struct that derives NetworkBehaviour and holds the door
//!     .build();
//! # drop(swarm);
//! # Ok(())
//! # }
//! ```

mod address;
mod admission;
pub mod clock;
mod config;
mod congestion;
mod counters;
mod dial;
mod door;
mod error;
mod handshake;
mod identity;
mod listen;
mod muxer;
mod native;
mod punch;
mod registry;
mod substream;
mod transport;

pub use admission::Handshakes;
pub use config::{Config, Congestion};
pub use counters::Counters;
pub use door::{Door, DoorEvent, OpenError};
pub use error::Error;
pub use handshake::Upgrade;
pub use muxer::Muxer;
pub use native::{Native, NativeError};
pub use substream::{SUBSTREAM_PRIORITY, Substream};
pub use transport::QuicTransport;
