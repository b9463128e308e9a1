//! Hole punching as the side that will be QUIC's server.
//!
//! Both sides of a punch are told to dial. The side with the role `Listener` sends 64 random
//! bytes every 10–200 ms from its listen socket, which opens its NAT towards the other, and waits
//! for the other's inbound connection from exactly the address that was dialled. The other side
//! (role `Dialer`) simply dials. So one connection comes of it, not two.
//!
//! libp2p's `override_role()` leaves the port policy at `Reuse`; the role alone decides here.
//! Bound: [`MAX_PUNCHES`] at once, one for each address, each as long as a handshake.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::FutureExt;

use crate::error::Error;
use crate::handshake::{Shared, Upgrade};

/// Punches at once: more than peers are ever dialled at a time, few enough to send little.
const MAX_PUNCHES: usize = 64;

/// The punches under way, by the address that somebody is to come from.
#[derive(Default)]
pub(crate) struct Punches {
    waiting: HashMap<SocketAddr, oneshot::Sender<Upgrade>>,
}

impl Punches {
    /// Begins to punch towards `remote`.
    pub(crate) fn begin(
        &mut self,
        shared: &Arc<Shared>,
        socket: UdpSocket,
        remote: SocketAddr,
    ) -> Result<Upgrade, Error> {
        self.waiting.retain(|_, sender| !sender.is_canceled());
        if self.waiting.contains_key(&remote) {
            return Err(Error::PunchInProgress);
        }
        if self.waiting.len() >= MAX_PUNCHES {
            return Err(Error::TooManyPunches);
        }
        let (sender, came) = oneshot::channel();
        self.waiting.insert(remote, sender);
        let limit = shared.config.handshake_timeout;
        Ok(async move {
            let inbound = tokio::select! {
                came = came => came.map_err(|_| Error::PunchTimeout)?,
                () = knock(&socket, remote) => unreachable!("knocking never ends by itself"),
                () = tokio::time::sleep(limit) => return Err(Error::PunchTimeout),
            };
            inbound.await
        }
        .boxed())
    }

    /// Hands an inbound connection to the punch that waits for it; else gives it back.
    pub(crate) fn offer(&mut self, remote: SocketAddr, upgrade: Upgrade) -> Option<Upgrade> {
        match self.waiting.remove(&remote) {
            Some(sender) => sender.send(upgrade).err(),
            None => Some(upgrade),
        }
    }
}

async fn knock(socket: &UdpSocket, remote: SocketAddr) {
    loop {
        let noise: [u8; 64] = rand::random();
        // Best effort: the socket does not block, and a lost knock is followed by another.
        if let Err(error) = socket.send_to(&noise, remote) {
            tracing::debug!(%remote, %error, "a knock was not sent");
        }
        let pause = Duration::from_millis(rand::random_range(10..=200));
        tokio::time::sleep(pause).await;
    }
}
