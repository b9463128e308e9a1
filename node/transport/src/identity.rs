//! What is derived from the node key: TLS, stateless resets, connection ids.
//!
//! quinn draws the keys of resets and connection ids at random for each process. Here they come
//! from the node key and the local address: a node that restarts on its port recognises packets
//! of connections it has forgotten and resets them at the first one, instead of leaving its peers
//! to their idle timeouts. The address is part of it because a reset token must be learnt from
//! no second endpoint: two endpoints with one key would give away each other's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use libp2p::identity::Keypair;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator, EndpointConfig, rustls};
use quinn_proto::InvalidCid;
use sha2::Sha256;

use crate::error::Error;

const RESET_DOMAIN: &[u8] = b"roommate/quic-reset/1/";
const CONNECTION_ID_DOMAIN: &[u8] = b"roommate/quic-connection-id/1/";

/// Random bytes of a connection id: too many for a stranger to collect the reset tokens of ids
/// that will be given to somebody else.
const NONCE: usize = 8;
/// Bytes of a connection id that say "made here": one in 4 billion stray packets is answered.
const TAG: usize = 4;

/// The node's TLS identity and the root of its derived keys.
pub(crate) struct Identity {
    keypair: Keypair,
    pub(crate) client: Arc<QuicClientConfig>,
    pub(crate) server: Arc<QuicServerConfig>,
}

impl Identity {
    pub(crate) fn new(keypair: &Keypair) -> Result<Self, Error> {
        let certificate = |error: &dyn std::fmt::Display| Error::Certificate(error.to_string());
        let mut client =
            libp2p_tls::make_client_config(keypair, None).map_err(|e| certificate(&e))?;
        let mut server = libp2p_tls::make_server_config(keypair).map_err(|e| certificate(&e))?;
        // libp2p-tls writes session keys to the file that SSLKEYLOGFILE names. An environment
        // variable must not open everybody's calls.
        client.key_log = Arc::new(rustls::NoKeyLog);
        server.key_log = Arc::new(rustls::NoKeyLog);
        let client = QuicClientConfig::try_from(client).map_err(|e| certificate(&e))?;
        let server = QuicServerConfig::try_from(server).map_err(|e| certificate(&e))?;
        keypair.derive_secret(RESET_DOMAIN).ok_or(Error::KeyKind)?;
        Ok(Self { keypair: keypair.clone(), client: Arc::new(client), server: Arc::new(server) })
    }

    /// The configuration of an endpoint bound to `local`.
    pub(crate) fn endpoint(&self, local: SocketAddr) -> Result<EndpointConfig, Error> {
        let reset = self.derive(RESET_DOMAIN, local)?;
        let key = self.derive(CONNECTION_ID_DOMAIN, local)?;
        let mut config = EndpointConfig::new(Arc::new(ResetKey(reset)));
        config.cid_generator(move || Box::new(ConnectionIds(key.clone())));
        config.supported_versions(vec![1]);
        Ok(config)
    }

    fn derive(&self, domain: &[u8], local: SocketAddr) -> Result<Hmac<Sha256>, Error> {
        let info = [domain, local.to_string().as_bytes()].concat();
        let secret = self.keypair.derive_secret(&info).ok_or(Error::KeyKind)?;
        Ok(Hmac::new_from_slice(&secret).expect("HMAC takes a key of any length"))
    }
}

struct ResetKey(Hmac<Sha256>);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let mac = self.0.clone().chain_update(data).finalize().into_bytes();
        signature_out.copy_from_slice(&mac);
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        self.0.clone().chain_update(data).verify_slice(signature).map_err(|_| CryptoError)
    }
}

struct ConnectionIds(Hmac<Sha256>);

impl ConnectionIds {
    fn tag(&self, nonce: &[u8]) -> [u8; TAG] {
        let mac = self.0.clone().chain_update(nonce).finalize().into_bytes();
        std::array::from_fn(|i| mac[i])
    }
}

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let nonce: [u8; NONCE] = rand::random();
        ConnectionId::new(&[&nonce[..], &self.tag(&nonce)].concat())
    }

    fn validate(&self, cid: &ConnectionId) -> Result<(), InvalidCid> {
        match cid.split_at_checked(NONCE) {
            Some((nonce, tag)) if tag == self.tag(nonce) => Ok(()),
            _ => Err(InvalidCid),
        }
    }

    fn cid_len(&self) -> usize {
        NONCE + TAG
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(key: &Keypair, local: &str) -> (ResetKey, ConnectionIds) {
        let identity = Identity::new(key).unwrap();
        let local = local.parse().unwrap();
        (
            ResetKey(identity.derive(RESET_DOMAIN, local).unwrap()),
            ConnectionIds(identity.derive(CONNECTION_ID_DOMAIN, local).unwrap()),
        )
    }

    fn sign(key: &ResetKey) -> [u8; 32] {
        let mut out = [0; 32];
        key.sign(b"connection id", &mut out);
        key.verify(b"connection id", &out).unwrap();
        key.verify(b"another", &out).unwrap_err();
        out
    }

    #[test]
    fn a_restarted_node_on_its_port_knows_its_ids_and_tokens_again() {
        let key = Keypair::generate_ed25519();
        let (reset, mut ids) = derived(&key, "127.0.0.1:4001");
        let (again, ids_again) = derived(&key, "127.0.0.1:4001");
        assert_eq!(sign(&reset), sign(&again));
        ids_again.validate(&ids.generate_cid()).unwrap();
    }

    #[test]
    fn another_port_or_another_node_knows_neither() {
        let key = Keypair::generate_ed25519();
        let (reset, mut ids) = derived(&key, "127.0.0.1:4001");
        let cid = ids.generate_cid();
        for (other, other_ids) in [
            derived(&key, "127.0.0.1:4002"),
            derived(&Keypair::generate_ed25519(), "127.0.0.1:4001"),
        ] {
            assert_ne!(sign(&reset), sign(&other));
            other_ids.validate(&cid).unwrap_err();
        }
        ids.validate(&ConnectionId::new(&[0; 3])).unwrap_err();
    }
}
