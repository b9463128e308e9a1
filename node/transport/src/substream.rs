//! One bidirectional stream, as libp2p wants it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use quinn::{RecvStream, SendStream, VarInt};

use crate::counters::Counters;

/// The priority of every libp2p substream: above all media, so that a saturated link never
/// starves pings and control frames.
pub const SUBSTREAM_PRIORITY: i32 = i32::MAX;

/// A libp2p substream. Dropped before it was closed, it is reset: a frame that was cut short must
/// not look complete.
pub struct Substream {
    send: SendStream,
    recv: RecvStream,
    counters: Arc<Counters>,
    closed: bool,
}

impl Substream {
    pub(crate) fn new((send, recv): (SendStream, RecvStream), counters: Arc<Counters>) -> Self {
        // Fails only on a stream that is over already.
        let _ = send.set_priority(SUBSTREAM_PRIORITY);
        Self { send, recv, counters, closed: false }
    }
}

impl AsyncRead for Substream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.recv.poll_read(cx, buf).map_err(Into::into)
    }
}

impl AsyncWrite for Substream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.send).poll_write(cx, buf))?;
        self.counters.add_written(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // quinn sends by itself
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            // Fails only if the stream is over already, for instance stopped by the peer.
            let _ = self.send.finish();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Substream {
    fn drop(&mut self) {
        if !self.closed {
            let _ = self.send.reset(VarInt::from_u32(0));
        }
    }
}
