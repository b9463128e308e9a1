//! The receiving end of a fake stream, fed by the fake network or by hand.

use bytes::Bytes;
use roommate_protocol::wire::code::StreamCode;
use tokio::sync::mpsc;

use crate::link::sink::{RecvError, RecvHalf};

#[derive(Debug)]
pub(super) enum Arrival {
    Data(Bytes),
    Fin,
    Reset(StreamCode),
}

#[derive(Debug)]
pub(super) struct FakeRecv {
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
}

/// The far end of a [`FakeRecv`] made by hand.
#[derive(Debug)]
pub(super) struct Hand(mpsc::UnboundedSender<Arrival>);

impl FakeRecv {
    pub(super) fn by_hand() -> (Hand, Self) {
        let (out, arrivals) = mpsc::unbounded_channel();
        (Hand(out), Self { arrivals })
    }
}

impl Hand {
    pub(super) fn send(&self, bytes: &[u8]) {
        self.0.send(Arrival::Data(Bytes::copy_from_slice(bytes))).unwrap();
    }

    pub(super) fn finish(&self) {
        self.0.send(Arrival::Fin).unwrap();
    }

    pub(super) fn reset(&self, code: StreamCode) {
        self.0.send(Arrival::Reset(code)).unwrap();
    }

    /// Whether the reader still holds its end.
    pub(super) fn is_read(&self) -> bool {
        !self.0.is_closed()
    }
}

impl RecvHalf for FakeRecv {
    async fn read(&mut self, batch: &mut Vec<Bytes>) -> Result<bool, RecvError> {
        match self.arrivals.recv().await {
            Some(Arrival::Data(data)) => {
                batch.push(data);
                Ok(true)
            }
            Some(Arrival::Fin) => Ok(false),
            Some(Arrival::Reset(code)) => Err(RecvError::Reset(code.code().into())),
            None => Err(RecvError::Closed),
        }
    }

    fn stop(&mut self, _: StreamCode) {
        self.arrivals.close();
    }
}
