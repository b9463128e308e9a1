//! The reader's and the writer's needs, met by quinn.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, VarInt, WriteError};
use roommate_protocol::media::gate::Sending;
use roommate_protocol::wire::code::StreamCode;
use roommate_transport::{Counters, Native, NativeError};

use crate::link::sink::{
    GateView, MediaSink, MediaSource, RecvError, RecvHalf, SendHalf, SinkError,
};

/// Datagrams of one read batch: at 1,200 bytes each, a picture between keyframes is eight.
const BATCH_CHUNKS: usize = 32;

/// A connection to open streams on and to take streams from.
#[derive(Clone, Debug)]
pub struct QuicLink {
    native: Native,
}

impl QuicLink {
    /// Over this connection.
    pub fn new(native: Native) -> Self {
        Self { native }
    }

    /// The counters of this connection.
    pub fn gate(&self) -> QuicGate {
        QuicGate { counters: self.native.counters() }
    }
}

impl MediaSink for QuicLink {
    type Half = QuicSend;

    fn open(&self) -> impl Future<Output = Result<QuicSend, SinkError>> + Send + 'static {
        let native = self.native.clone();
        async move {
            let counters = native.counters();
            match native.open_uni().await {
                Ok(stream) => Ok(QuicSend { stream, counters, over: false }),
                Err(NativeError::NoCredit) => Err(SinkError::NoCredit),
                Err(NativeError::Closed(_) | NativeError::Exporter) => Err(SinkError::Closed),
            }
        }
    }
}

/// The sending half of a native stream.
#[derive(Debug)]
pub struct QuicSend {
    stream: SendStream,
    counters: Arc<Counters>,
    over: bool,
}

impl SendHalf for QuicSend {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<usize, SinkError>> {
        let bytes: usize = chunks.iter().map(Bytes::len).sum();
        // Announced before quinn can send any of it, and taken back as far as it took none.
        self.counters.add_written(bytes as u64);
        // quinn keeps the waker by stream, not in this future, so it may be made anew each time.
        let written = pin!(self.stream.write_chunks(chunks)).poll(cx);
        let taken = match &written {
            Poll::Ready(Ok(written)) => written.bytes,
            _ => 0,
        };
        self.counters.take_back((bytes - taken) as u64);
        written.map(|written| match written {
            Ok(written) => Ok(written.bytes),
            Err(WriteError::Stopped(code)) => Err(SinkError::Stopped(code.into_inner())),
            Err(_) => Err(SinkError::Closed),
        })
    }

    fn set_priority(&mut self, priority: i32) {
        let _ = self.stream.set_priority(priority);
    }

    fn reset(&mut self, code: StreamCode) {
        self.over = true;
        // Fails only when the stream is over already.
        let _ = self.stream.reset(VarInt::from_u32(code.code()));
    }

    fn finish(&mut self) {
        self.over = true;
        let _ = self.stream.finish();
    }
}

impl Drop for QuicSend {
    fn drop(&mut self) {
        // quinn would finish it, and a FIN without the signed end counts against us.
        if !self.over {
            self.reset(StreamCode::Cancelled);
        }
    }
}

/// The counters of one connection.
#[derive(Clone, Debug)]
pub struct QuicGate {
    counters: Arc<Counters>,
}

impl GateView for QuicGate {
    fn sending(&self) -> Sending {
        Sending {
            written: self.counters.written(),
            sent: self.counters.sent(),
            in_flight: self.counters.in_flight(),
            last_ack_age: self.counters.last_ack_age(),
        }
    }

    fn notified(&self) -> impl Future<Output = ()> + Send {
        self.counters.notified()
    }

    fn take_back(&self, bytes: u64) {
        self.counters.take_back(bytes);
    }
}

impl MediaSource for QuicLink {
    type Half = QuicRecv;

    async fn accept(&self) -> Result<QuicRecv, RecvError> {
        match self.native.accept_uni().await {
            Ok(stream) => Ok(QuicRecv { stream }),
            Err(_) => Err(RecvError::Closed),
        }
    }
}

/// The receiving half of a native stream.
#[derive(Debug)]
pub struct QuicRecv {
    stream: RecvStream,
}

impl RecvHalf for QuicRecv {
    async fn read(&mut self, batch: &mut Vec<Bytes>) -> Result<bool, RecvError> {
        let mut chunks = [const { Bytes::new() }; BATCH_CHUNKS];
        match self.stream.read_chunks(&mut chunks).await {
            Ok(Some(count)) => {
                batch.extend(chunks.into_iter().take(count));
                Ok(true)
            }
            Ok(None) => Ok(false),
            Err(ReadError::Reset(code)) => Err(RecvError::Reset(code.into_inner())),
            Err(_) => Err(RecvError::Closed),
        }
    }

    fn stop(&mut self, code: StreamCode) {
        let _ = self.stream.stop(VarInt::from_u32(code.code()));
    }
}
