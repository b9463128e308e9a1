//! What a recording is written into: a file for keeping, or a pipe to a player. Says only how each
//! ends; bytes are the media crate's.

use std::path::PathBuf;

use super::recorder::{Container, Open, Stopped};
use roommate_media::ViewUnit;
use roommate_media::mp4::{Mp4Sink, SinkError};
use roommate_media::ts::{TsSink, TsSinkError};

/// `--out FILE.mp4` and `--record`: a fragmented MP4 at `path`.
pub fn mp4(path: PathBuf) -> Open {
    Box::new(move |formats| {
        Mp4Sink::create(&path, formats)
            .map(|sink| Box::new(sink) as Box<dyn Container>)
            .map_err(failed)
    })
}

/// `--out -`: MPEG-TS on standard output, flushed with every access unit.
pub fn transport_stream() -> Open {
    Box::new(|formats| {
        TsSink::new(Box::new(std::io::stdout()), formats)
            .map(|sink| Box::new(sink) as Box<dyn Container>)
            .map_err(ended)
    })
}

impl Container for Mp4Sink {
    fn push(&mut self, track: usize, unit: &ViewUnit) -> Result<(), Stopped> {
        Mp4Sink::push(self, track, unit).map_err(failed)
    }

    fn next_broadcast(&mut self) {
        Mp4Sink::next_broadcast(self);
    }

    fn finish(self: Box<Self>) -> Result<(), Stopped> {
        Mp4Sink::finish(*self).map_err(failed)
    }
}

impl Container for TsSink {
    fn push(&mut self, track: usize, unit: &ViewUnit) -> Result<(), Stopped> {
        TsSink::push(self, track, unit).map_err(ended)
    }

    /// It sees by itself that times have gone back.
    fn next_broadcast(&mut self) {}

    fn finish(self: Box<Self>) -> Result<(), Stopped> {
        TsSink::finish(*self).map_err(ended)
    }
}

fn failed(error: SinkError) -> Stopped {
    Stopped::Failed(error.to_string())
}

fn ended(error: TsSinkError) -> Stopped {
    match error {
        TsSinkError::Closed => Stopped::Closed,
        other => Stopped::Failed(other.to_string()),
    }
}
