//! A transport stream, from its bytes to pictures and packets of sound on one time.
//!
//! Bound: that of its parts, and what one chunk of input brings.

use roommate_protocol::time::Mono;

use super::demux::{Demux, Event, Kind};
use super::error::TsError;
use super::pes::Pes;
use super::program::{Program, Sound};
use super::sound::{Packet, SoundTrack};
use super::timeline::Timeline;
use super::video::{Picture, Video};

/// What came out of a chunk.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) pictures: Vec<Picture>,
    pub(super) packets: Vec<Packet>,
}

/// The stream.
#[derive(Debug)]
pub(super) struct Stream {
    demux: Demux,
    tracks: Tracks,
}

#[derive(Debug)]
struct Tracks {
    program: Option<Program>,
    timeline: Timeline,
    video: Video,
    sound: Option<SoundTrack>,
}

impl Stream {
    /// A stream of which nothing is known.
    pub(super) fn new() -> Self {
        let tracks = Tracks {
            program: None,
            timeline: Timeline::default(),
            video: Video::new(),
            sound: None,
        };
        Self { demux: Demux::default(), tracks }
    }

    /// Takes bytes that came at `captured`.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        captured: Mono,
        found: &mut Found,
    ) -> Result<(), TsError> {
        let tracks = &mut self.tracks;
        tracks.video.begin_chunk();
        self.demux.push(bytes, &mut |event| tracks.take(event, captured, found))?;
        tracks.video.feed(&mut found.pictures)
    }

    /// The stream pauses: a picture that seems complete is given out now, not when the next begins.
    pub(super) fn pause(&mut self, found: &mut Found) -> Result<(), TsError> {
        if self.demux.video_looks_ended() {
            self.tracks.video.flush(true, &mut found.pictures)?;
        }
        Ok(())
    }

    /// The end of the stream.
    pub(super) fn end(&mut self, captured: Mono, found: &mut Found) -> Result<(), TsError> {
        let tracks = &mut self.tracks;
        self.demux.end(&mut |event| tracks.take(event, captured, found))?;
        tracks.video.flush(false, &mut found.pictures)
    }

    /// Whether it is a transport stream at all.
    pub(super) fn is_ts(&self) -> bool {
        self.demux.found()
    }

    /// What streams it has, once its tables came.
    pub(super) fn program(&self) -> Option<Program> {
        self.tracks.program
    }

    pub(super) fn video(&self) -> &Video {
        &self.tracks.video
    }

    pub(super) fn sound(&self) -> Option<&SoundTrack> {
        self.tracks.sound.as_ref()
    }
}

impl Tracks {
    fn take(&mut self, event: Event<'_>, captured: Mono, found: &mut Found) -> Result<(), TsError> {
        match event {
            Event::Program(program) => self.enter(program),
            Event::Discontinuity => {
                self.timeline.flag();
                Ok(())
            }
            Event::Pes(Kind::Video, pes) => {
                let video = &mut self.video;
                match pes {
                    Pes::Begin(stamps) => video.begin(stamps, captured, &mut self.timeline),
                    Pes::Data(bytes) => {
                        video.data(bytes);
                        Ok(())
                    }
                    Pes::End => {
                        video.ended();
                        Ok(())
                    }
                    Pes::Lost => video.lost(&mut found.pictures),
                }
            }
            Event::Pes(Kind::Sound, pes) => {
                let Some(sound) = &mut self.sound else { return Ok(()) };
                match pes {
                    Pes::Begin(stamps) => sound.begin(stamps, captured, &mut self.timeline),
                    Pes::Data(bytes) => sound.data(bytes),
                    Pes::End => sound.ended(&mut self.timeline, &mut found.packets)?,
                    Pes::Lost => sound.lost(),
                }
                Ok(())
            }
        }
    }

    /// Other streams are followed from here on. Those of another kind are not.
    fn enter(&mut self, program: Program) -> Result<(), TsError> {
        let known = self.program.replace(program);
        let Some((_, kind)) = program.sound else { return Ok(()) };
        match &mut self.sound {
            // A broadcast that began without sound has no track for it.
            None if known.is_none() => self.sound = Some(SoundTrack::new(kind)),
            Some(sound) if name(sound.kind()) != name(kind) => {
                let (before, now) = (name(sound.kind()), name(kind));
                return Err(TsError::SoundChanges(before.to_owned(), now.to_owned()));
            }
            _ => {}
        }
        Ok(())
    }
}

fn name(sound: Sound) -> &'static str {
    match sound {
        Sound::Aac => "AAC",
        Sound::Opus { .. } => "Opus",
    }
}
