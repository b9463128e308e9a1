//! From quinn's connecting to a peer with a name and a muxer.

use std::sync::Arc;

use futures::future::BoxFuture;
use libp2p::PeerId;
use quinn::rustls::pki_types::CertificateDer;

use crate::admission::Admission;
use crate::config::Config;
use crate::counters::Counters;
use crate::error::Error;
use crate::identity::Identity;
use crate::muxer::Muxer;
use crate::native::Native;
use crate::registry::Registry;

/// A handshake under way, inbound or outbound; it takes [`Config::handshake_timeout`] at most.
pub type Upgrade = BoxFuture<'static, Result<(PeerId, Muxer), Error>>;

/// What every connection of a node has in common.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) registry: Arc<Registry>,
    pub(crate) admission: Arc<Admission>,
}

impl Shared {
    /// Waits for the handshake and reads the peer's name from its certificate.
    pub(crate) async fn finish(
        &self,
        connecting: quinn::Connecting,
        counters: Arc<Counters>,
    ) -> Result<(PeerId, Muxer), Error> {
        let connection = tokio::time::timeout(self.config.handshake_timeout, connecting)
            .await
            .map_err(|_| Error::HandshakeTimeout)??;
        let peer = peer_of(&connection)?;
        let native = Native::new(connection, counters, self.config.open_timeout);
        Ok((peer, Muxer::new(native, self.registry.clone())))
    }
}

fn peer_of(connection: &quinn::Connection) -> Result<PeerId, Error> {
    let missing = || Error::Identity("there is none".into());
    let identity = connection.peer_identity().ok_or_else(missing)?;
    let chain: Box<Vec<CertificateDer<'static>>> = identity.downcast().map_err(|_| missing())?;
    let certificate = chain.first().ok_or_else(missing)?;
    let certificate = libp2p_tls::certificate::parse(certificate)
        .map_err(|error| Error::Identity(error.to_string()))?;
    Ok(certificate.peer_id())
}
