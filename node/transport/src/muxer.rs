//! A QUIC connection as libp2p's stream muxer.
//!
//! Its end is the connection's end, whoever else holds a handle on it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::{BoxFuture, FutureExt};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use quinn::{ConnectionError, RecvStream, SendStream};

use crate::address;
use crate::error::Error;
use crate::native::Native;
use crate::registry::{Registration, Registry};
use crate::substream::Substream;

type Opening = BoxFuture<'static, Result<(SendStream, RecvStream), ConnectionError>>;

/// The muxer of one connection. Dropping it closes the connection.
pub struct Muxer {
    native: Native,
    /// Where the swarm believes the peer to be.
    remote: SocketAddr,
    inbound: Option<Opening>,
    outbound: Option<Opening>,
    closing: Option<BoxFuture<'static, ConnectionError>>,
    registry: Arc<Registry>,
    registration: Option<Registration>,
}

impl Muxer {
    pub(crate) fn new(native: Native, registry: Arc<Registry>) -> Self {
        Self {
            remote: native.remote_address(),
            native,
            inbound: None,
            outbound: None,
            closing: None,
            registry,
            registration: None,
        }
    }

    /// Tells who polls us, once: our handler is polled by the same task.
    fn enter(&mut self, cx: &Context<'_>) {
        let enter = || self.registry.enter(cx.waker(), self.native.clone());
        self.registration.get_or_insert_with(enter);
    }

    fn close(&self) {
        // Closing what is closed would replace the reason that others are still to read.
        if self.native.connection().close_reason().is_none() {
            self.native.close(0, b"");
        }
    }
}

impl StreamMuxer for Muxer {
    type Substream = Substream;
    type Error = Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        let accepting = this.inbound.get_or_insert_with(|| {
            let connection = this.native.connection().clone();
            async move { connection.accept_bi().await }.boxed()
        });
        let accepted = ready!(accepting.poll_unpin(cx));
        this.inbound = None;
        Poll::Ready(Ok(Substream::new(accepted?, this.native.counters())))
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        // Kept while pending: a request that timed out leaves it to the next one.
        let opening = this.outbound.get_or_insert_with(|| {
            let connection = this.native.connection().clone();
            async move { connection.open_bi().await }.boxed()
        });
        let opened = ready!(opening.poll_unpin(cx));
        this.outbound = None;
        Poll::Ready(Ok(Substream::new(opened?, this.native.counters())))
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        // quinn tells nobody that a path changed. The swarm polls here whenever a substream
        // moves, so a move is seen at the latest with the next ping.
        let this = self.get_mut();
        this.enter(cx);
        let remote = this.native.remote_address();
        if remote == this.remote {
            return Poll::Pending;
        }
        this.remote = remote;
        Poll::Ready(Ok(StreamMuxerEvent::AddressChange(address::to_multiaddr(remote))))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            this.close();
        }
        let closing = this.closing.get_or_insert_with(|| {
            let connection = this.native.connection().clone();
            async move { connection.closed().await }.boxed()
        });
        // Over is over, whichever side was first.
        let _ = ready!(closing.poll_unpin(cx));
        this.closing = Some(futures::future::ready(ConnectionError::LocallyClosed).boxed());
        Poll::Ready(Ok(()))
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.close();
    }
}
