//! What the reader and the writer need of a connection, so that both run over a fake one in tests.

use std::future::Future;
use std::task::{Context, Poll};

use bytes::Bytes;
use roommate_protocol::media::gate::Sending;
use roommate_protocol::time::{Mono, Now};
use roommate_protocol::wire::code::StreamCode;

use roommate_clock::Clock;

/// Priority of a stream of sound. Below libp2p's substreams, which must never wait.
pub const PRIORITY_SOUND: i32 = -1;
/// Priority of a stream of pictures to which nothing more is written, for the keyframe that is the
/// last of it.
pub const PRIORITY_LEFT: i32 = -2;
/// Priority of the newest group's stream of pictures.
pub const PRIORITY_NEWEST: i32 = -3;
/// Priority of the stream of the group before it.
pub const PRIORITY_OLDER: i32 = -4;

/// Why a stream could not be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The child wants no more of this stream.
    #[error("the child stopped the stream with code {0}")]
    Stopped(u64),
    /// The child grants no more streams for now.
    #[error("the child grants no more streams")]
    NoCredit,
    /// The connection is over.
    #[error("the connection is over")]
    Closed,
}

/// Where streams are opened: a connection.
pub trait MediaSink: Send {
    /// A stream of it.
    type Half: SendHalf;

    /// Opens a stream. Dropped before it completes, nothing was opened.
    fn open(&self) -> impl Future<Output = Result<Self::Half, SinkError>> + Send + 'static;
}

/// The sending half of a stream. Dropped without `finish`, it is reset: an end that nobody meant
/// must not look like one.
pub trait SendHalf: Send {
    /// Writes as much of `chunks` as the stream takes now, in one go; `Pending`: nothing was
    /// written, and the task is woken when something could be.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<Result<usize, SinkError>>;

    /// Says how urgent what was written and not sent is; the larger number goes first.
    fn set_priority(&mut self, priority: i32);

    /// Gives the stream up.
    fn reset(&mut self, code: StreamCode);

    /// Everything was written.
    fn finish(&mut self);
}

/// The counters of a connection.
pub trait GateView: Send + Sync {
    /// How much was written, and how much of it has left.
    fn sending(&self) -> Sending;

    /// Completes when that has changed. Take it before looking at [`Self::sending`].
    fn notified(&self) -> impl Future<Output = ()> + Send;

    /// `bytes` that were written will never be sent: their stream was reset.
    fn take_back(&self, bytes: u64);
}

/// Why a stream ended before its FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecvError {
    /// The parent gave it up with this code.
    #[error("the parent reset the stream with code {0}")]
    Reset(u64),
    /// The connection is over.
    #[error("the connection is over")]
    Closed,
}

/// The receiving half of a stream.
pub trait RecvHalf: Send {
    /// Appends what has arrived, in order and at most some dozens of datagrams, to `batch`; false at
    /// the FIN. Cancel-safe.
    fn read(
        &mut self,
        batch: &mut Vec<Bytes>,
    ) -> impl Future<Output = Result<bool, RecvError>> + Send;

    /// Wants no more of it.
    fn stop(&mut self, code: StreamCode);
}

/// Where streams come from: a connection.
pub trait MediaSource: Send {
    /// A stream of it.
    type Half: RecvHalf + 'static;

    /// The next stream. Cancel-safe.
    fn accept(&self) -> impl Future<Output = Result<Self::Half, RecvError>> + Send;
}

/// The clocks that a task of this folder reads.
pub trait Time: Send + Sync {
    /// Both clocks.
    fn now(&self) -> Now;

    /// The steady one.
    fn mono(&self) -> Mono {
        self.now().mono
    }
}

impl Time for Clock {
    fn now(&self) -> Now {
        Clock::now(*self)
    }
}
