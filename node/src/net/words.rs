//! The tasks of control streams and of streams to a bootstrap: proof, then frames in and out.
//!
//! Stamps are taken here, where the bytes are read, not in the driver. A task holds at most one
//! unfinished frame of the peer; what it read waits for the driver, and then the peer waits for
//! us. What waits to be written is bounded by `outgoing`: a peer that does not read is closed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use libp2p::Stream;
use roommate_protocol::limits::PROOF_TIMEOUT;
use roommate_protocol::room::ConnId;
use roommate_protocol::room::proof::{
    PROOF_FRAME_BYTES_MAX, ProofDialler, ProofFailed, ProofKey, ProofListener, Step,
};
use roommate_protocol::time::Now;
use roommate_protocol::trust::id::{PeerId, RoomPk};
use roommate_protocol::wire::frame::{FrameReader, Violation};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use super::outgoing::{self, Outgoing, Waiting};
use roommate_clock::Clock;

/// Frames of all peers that wait for the driver.
pub(crate) const WORDS_MAX: usize = 256;

/// How long a stream that we end waits for the peer to have read our last words.
const GOODBYE_WAIT: Duration = Duration::from_millis(300);

const READ_BYTES: usize = 4 * 1024;

/// What a stream task tells the driver.
#[derive(Debug)]
pub(crate) enum Word {
    /// The proof has passed: the stream speaks for this room. `asked`: we opened it.
    ControlUp { conn: ConnId, peer: PeerId, room: RoomPk, asked: bool, out: Outgoing },
    /// The proof failed or took too long. `room` is known to the side that opened the stream, and to
    /// no other.
    ControlFailed { conn: ConnId, peer: PeerId, room: Option<RoomPk> },
    /// A control frame.
    Control { conn: ConnId, room: RoomPk, content: Bytes, read_at: Now },
    /// The control stream has ended.
    ControlDown { conn: ConnId, room: RoomPk, violation: Option<Violation> },
    /// A frame of a bootstrap.
    Rooms { conn: ConnId, content: Bytes },
    /// The stream to a bootstrap has ended.
    RoomsDown { conn: ConnId },
}

/// What the tasks share.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) me: PeerId,
    pub(crate) clock: Clock,
    pub(crate) words: mpsc::Sender<Word>,
    /// Counts the tasks that may have words of ours to write.
    pub(crate) writers: TaskTracker,
}

/// Who proves what on a control stream.
pub(crate) enum Side {
    /// We opened it, for this room.
    Dialler(ProofKey),
    /// The peer did; these are the keys of all our rooms.
    Listener(Arc<[ProofKey]>),
}

/// Runs a control stream to its end. The driver ends it by dropping its [`Outgoing`]; what waits in
/// it is written first.
pub(crate) async fn control(desk: Desk, stream: Stream, conn: ConnId, peer: PeerId, side: Side) {
    let asked = match &side {
        Side::Dialler(key) => Some(key.room()),
        Side::Listener(_) => None,
    };
    let (read, mut write) = stream.split();
    let mut frames = Frames::new(read, FrameReader::bounded(PROOF_FRAME_BYTES_MAX));
    let proof = prove(&desk, &mut frames, &mut write, peer, side);
    let Ok(Ok(room)) = tokio::time::timeout(PROOF_TIMEOUT, proof).await else {
        let word = Word::ControlFailed { conn, peer, room: asked };
        let _ = desk.words.send(word).await;
        return;
    };
    frames.grow();
    let _writer = desk.writers.token();
    let (out, waiting) = outgoing::queue();
    let up = Word::ControlUp { conn, peer, room, asked: asked.is_some(), out };
    if desk.words.send(up).await.is_err() {
        return;
    }
    let reading = async {
        loop {
            match frames.next().await {
                Ok(Some(content)) => {
                    let read_at = desk.clock.now();
                    let word = Word::Control { conn, room, content, read_at };
                    if desk.words.send(word).await.is_err() {
                        return None;
                    }
                }
                Ok(None) => return None,
                Err(violation) => return Some(violation),
            }
        }
    };
    let violation = run(reading, waiting, write).await;
    let _ = desk.words.send(Word::ControlDown { conn, room, violation }).await;
}

/// Runs a stream to a bootstrap to its end.
pub(crate) async fn rooms(desk: Desk, stream: Stream, conn: ConnId, outgoing: Waiting) {
    let _writer = desk.writers.token();
    let (read, write) = stream.split();
    let mut frames = Frames::new(read, FrameReader::new());
    let reading = async {
        while let Ok(Some(content)) = frames.next().await {
            let word = Word::Rooms { conn, content };
            if desk.words.send(word).await.is_err() {
                break;
            }
        }
        None
    };
    run(reading, outgoing, write).await;
    let _ = desk.words.send(Word::RoomsDown { conn }).await;
}

/// Until the peer ends the stream, or the driver does.
async fn run(
    reading: impl Future<Output = Option<Violation>>,
    outgoing: Waiting,
    mut write: WriteHalf<Stream>,
) -> Option<Violation> {
    tokio::pin!(reading);
    tokio::select! {
        violation = &mut reading => {
            let _ = write.close().await;
            return violation;
        }
        () = pass_on(outgoing, &mut write) => {}
    }
    let _ = write.close().await;
    // What was written is on its way, and lost if the connection ends now: the peer closes its side
    // when it has read it.
    tokio::time::timeout(GOODBYE_WAIT, reading).await.unwrap_or(None)
}

async fn pass_on(mut outgoing: Waiting, write: &mut WriteHalf<Stream>) {
    while let Some(frame) = outgoing.next().await {
        if write.write_all(&frame).await.is_err() {
            return;
        }
        // What is there goes out together.
        if outgoing.is_empty() && write.flush().await.is_err() {
            return;
        }
    }
}

async fn prove(
    desk: &Desk,
    frames: &mut Frames,
    write: &mut WriteHalf<Stream>,
    peer: PeerId,
    side: Side,
) -> Result<RoomPk, ProofFailed> {
    let nonce = rand::random();
    match side {
        Side::Dialler(key) => {
            let (mut proof, first) = ProofDialler::new(key, desk.me, peer, nonce);
            send(write, &first).await?;
            steps(frames, write, |content| proof.handle_frame(content)).await
        }
        Side::Listener(keys) => {
            let mut proof = ProofListener::new(keys.to_vec(), desk.me, peer, nonce);
            steps(frames, write, |content| proof.handle_frame(content)).await
        }
    }
}

async fn steps(
    frames: &mut Frames,
    write: &mut WriteHalf<Stream>,
    mut handle: impl FnMut(&[u8]) -> Result<Step, ProofFailed>,
) -> Result<RoomPk, ProofFailed> {
    loop {
        let Ok(Some(content)) = frames.next().await else { return Err(ProofFailed) };
        match handle(&content)? {
            Step::Send(frame) => send(write, &frame).await?,
            Step::Passed { send: last, room } => {
                if let Some(frame) = last {
                    send(write, &frame).await?;
                }
                return Ok(room);
            }
        }
    }
}

async fn send(write: &mut WriteHalf<Stream>, frame: &[u8]) -> Result<(), ProofFailed> {
    write.write_all(frame).await.map_err(|_| ProofFailed)?;
    write.flush().await.map_err(|_| ProofFailed)
}

/// Reads frames off a stream.
struct Frames {
    read: ReadHalf<Stream>,
    reader: FrameReader,
    buffer: Box<[u8; READ_BYTES]>,
}

impl Frames {
    fn new(read: ReadHalf<Stream>, reader: FrameReader) -> Self {
        Self { read, reader, buffer: Box::new([0; READ_BYTES]) }
    }

    /// Takes frames of any permitted length from now on.
    fn grow(&mut self) {
        self.reader.set_bound(roommate_protocol::limits::FRAME_BYTES_MAX);
    }

    /// The next frame, type and body; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<Bytes>, Violation> {
        loop {
            if let Some(content) = self.reader.next_content()? {
                return Ok(Some(content));
            }
            match self.read.read(&mut self.buffer[..]).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(count) => self.reader.push(&self.buffer[..count]),
            }
        }
    }
}
