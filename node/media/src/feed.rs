//! Bytes of a pipe for a source that runs: what [`PipeReader`] brings, until the source is stopped.

use std::io::{self, Read};
use std::time::Duration;

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::pipe::{PipeReader, Read1};
use super::source::SourceControl;

/// What a pipe brings next.
#[derive(Debug)]
pub(super) enum Fed {
    /// Bytes, at least one, and when they came.
    Bytes(Vec<u8>, Mono),
    /// Nothing came for as long as the asker had patience.
    Pause,
    /// The pipe was closed.
    End,
    /// The pipe broke.
    Failed(io::Error),
    /// The source was told to stop.
    Stopped,
}

/// A pipe that is being read.
#[derive(Debug)]
pub(super) struct Feed {
    reader: PipeReader,
    known_to_control: bool,
}

impl Feed {
    /// Begins to read. `first` is what somebody has read off the pipe already, to tell its kind.
    pub(super) fn start(
        first: Vec<u8>,
        pipe: impl Read + Send + 'static,
        clock: Clock,
    ) -> io::Result<Self> {
        let reader = PipeReader::start(Box::new(pipe), first, clock)?;
        Ok(Self { reader, known_to_control: false })
    }

    /// Waits for what comes next, at most for `patience` where there is one.
    pub(super) fn next(&mut self, control: &SourceControl, patience: Option<Duration>) -> Fed {
        if !self.known_to_control {
            self.known_to_control = true;
            control.on_stop(self.reader.stopper());
        }
        match self.reader.next(patience) {
            Ok(Read1::Bytes(bytes, at)) => Fed::Bytes(bytes, at),
            Ok(Read1::Pause) => Fed::Pause,
            Ok(Read1::End) => Fed::End,
            Ok(Read1::Stopped) => Fed::Stopped,
            Err(error) => Fed::Failed(error),
        }
    }
}
