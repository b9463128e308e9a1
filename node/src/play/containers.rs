//! What a recording is written into: a file for keeping. Says only how it ends; bytes are the media
//! crate's.

use std::path::PathBuf;

use super::recorder::{Container, Open, Stopped};
use roommate_media::ViewUnit;
use roommate_media::mp4_sink::{Mp4Sink, SinkError, SinkFormat};
use roommate_media::source::TrackFormat;

/// `--out FILE.mp4` and `--record`: a fragmented MP4 at `path`.
pub fn mp4(path: PathBuf) -> Open {
    Box::new(move |formats| {
        let video = formats.iter().enumerate().find_map(|(at, format)| match format {
            TrackFormat::Video(video) => Some((at, video)),
            TrackFormat::Audio(_) => None,
        });
        let (track, video) =
            video.ok_or_else(|| Stopped::Failed("there are no pictures to record".to_owned()))?;
        let sink = Mp4Sink::create(&path, SinkFormat::from(video)).map_err(failed)?;
        Ok(Box::new(Pictures { track, sink }))
    })
}

struct Pictures {
    track: usize,
    sink: Mp4Sink,
}

impl Container for Pictures {
    fn push(&mut self, track: usize, unit: &ViewUnit) -> Result<(), Stopped> {
        if track == self.track { self.sink.push(unit).map_err(failed) } else { Ok(()) }
    }

    fn next_broadcast(&mut self) {
        self.sink.next_broadcast();
    }

    fn finish(self: Box<Self>) -> Result<(), Stopped> {
        self.sink.finish().map_err(failed)
    }
}

fn failed(error: SinkError) -> Stopped {
    Stopped::Failed(error.to_string())
}
