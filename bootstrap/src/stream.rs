//! One client's stream: bytes in, frames to the driver; frames of the registry out.
//!
//! It decides nothing. Bounds: one unfinished frame of [`REQUEST_BYTES_MAX`]; a full channel to the
//! driver stops the reading; what waits to be written is bounded by the registry, which counts it.

use std::io;

use bytes::Bytes;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::Stream;
use libp2p::swarm::ConnectionId;
use roommate_protocol::rooms::message::REQUEST_BYTES_MAX;
use roommate_protocol::wire::frame::{FrameReader, Violation};
use tokio::sync::mpsc;

/// What a client's stream tells the driver.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) connection: ConnectionId,
    /// Which stream of the connection: it may open another.
    pub(crate) stream: u64,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    /// Type and body of a frame.
    Frame(Bytes),
    /// Bytes that the stream took.
    Sent(usize),
    /// No more frames can be read.
    Broken(Violation),
}

/// The driver's end: frames to write. Dropping it ends the stream.
pub(crate) type Writer = mpsc::UnboundedSender<Bytes>;

/// Runs a stream in a task of its own, which ends with the stream or when the writer is dropped.
pub(crate) fn spawn(
    stream: Stream,
    connection: ConnectionId,
    number: u64,
    driver: mpsc::Sender<Told>,
) -> Writer {
    let (writer, frames) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (reading, writing) = stream.split();
        let tell = Tell { connection, stream: number, driver };
        // Whichever ends first ends both: half a stream is of no use here.
        tokio::select! {
            ended = read(reading, &tell) => {
                if let Err(Ended::Broken(violation)) = ended {
                    tell.tell(What::Broken(violation)).await;
                }
            }
            _ = write(writing, frames, &tell) => {}
        }
    });
    writer
}

struct Tell {
    connection: ConnectionId,
    stream: u64,
    driver: mpsc::Sender<Told>,
}

impl Tell {
    async fn tell(&self, what: What) {
        let (connection, stream) = (self.connection, self.stream);
        // A driver that is gone needs to be told nothing.
        let _ = self.driver.send(Told { connection, stream, what }).await;
    }
}

enum Ended {
    Io,
    Broken(Violation),
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

impl From<Violation> for Ended {
    fn from(violation: Violation) -> Self {
        Self::Broken(violation)
    }
}

async fn read(mut stream: impl AsyncRead + Unpin, tell: &Tell) -> Result<(), Ended> {
    let mut reader = FrameReader::bounded(REQUEST_BYTES_MAX);
    let mut chunk = [0; 1024];
    loop {
        let length = stream.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        reader.push(&chunk[..length]);
        while let Some(frame) = reader.next_content()? {
            tell.tell(What::Frame(frame)).await;
        }
    }
}

async fn write(
    mut stream: impl AsyncWrite + Unpin,
    mut frames: mpsc::UnboundedReceiver<Bytes>,
    tell: &Tell,
) -> io::Result<()> {
    while let Some(frame) = frames.recv().await {
        stream.write_all(&frame).await?;
        stream.flush().await?;
        tell.tell(What::Sent(frame.len())).await;
    }
    stream.close().await
}
