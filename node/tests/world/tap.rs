//! Keeps every byte that a peer receives on its substreams, decrypted, each substream by itself.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

/// All that was received; one row a substream or native stream.
#[derive(Clone, Debug, Default)]
pub struct Log {
    rows: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Log {
    /// A new row.
    pub fn row(&self) -> usize {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.push(Vec::new());
        rows.len() - 1
    }

    pub fn add(&self, row: usize, bytes: &[u8]) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows[row].extend_from_slice(bytes);
    }

    /// Every row so far.
    pub fn rows(&self) -> Vec<Vec<u8>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn bytes(&self) -> usize {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).iter().map(Vec::len).sum()
    }

    /// How often `words` were received.
    pub fn count(&self, words: &[u8]) -> usize {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let in_row = |row: &Vec<u8>| row.windows(words.len()).filter(|at| *at == words).count();
        rows.iter().map(in_row).sum()
    }
}

/// A muxer whose substreams are listened to; with `garbage`, what is opened on it begins with bytes
/// that are of no protocol at all.
pub struct Tap<M> {
    muxer: M,
    log: Log,
    garbage: Option<Vec<u8>>,
}

impl<M> Tap<M> {
    pub fn new(muxer: M, log: Log, garbage: Option<Vec<u8>>) -> Self {
        Self { muxer, log, garbage }
    }
}

/// A substream that is listened to.
pub struct Tapped<S> {
    stream: S,
    log: Log,
    row: usize,
    garbage: Vec<u8>,
}

impl<M: StreamMuxer + Unpin> StreamMuxer for Tap<M>
where
    M::Substream: Unpin,
{
    type Substream = Tapped<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        let tapped = |stream| Tapped {
            stream,
            row: this.log.row(),
            log: this.log.clone(),
            garbage: Vec::new(),
        };
        Pin::new(&mut this.muxer).poll_inbound(cx).map_ok(tapped)
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let this = self.get_mut();
        let tapped = |stream| Tapped {
            stream,
            row: this.log.row(),
            log: this.log.clone(),
            garbage: this.garbage.clone().unwrap_or_default(),
        };
        Pin::new(&mut this.muxer).poll_outbound(cx).map_ok(tapped)
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.get_mut().muxer).poll(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.get_mut().muxer).poll_close(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tapped<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let read = std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.log.add(this.row, &buf[..read]);
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tapped<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while !this.garbage.is_empty() {
            let stream = Pin::new(&mut this.stream);
            let written = std::task::ready!(stream.poll_write(cx, &this.garbage))?;
            this.garbage.drain(..written);
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_close(cx)
    }
}
