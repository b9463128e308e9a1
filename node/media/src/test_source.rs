//! The source `test`: draws, stamps and encodes the test picture in real time.
//!
//! Paced by absolute deadlines on the steady clock, so that it neither drifts nor gathers delay. A
//! machine that slept or cannot keep up is late by [`LATEST`] at most: then deadlines are skipped,
//! which means fewer pictures, never an access unit made and dropped. Numbers stay consecutive.

use std::time::Duration;

use roommate_protocol::time::{Now, Wall};

use super::encode::{EncoderSettings, H264Encoder, codec_of};
use super::pace::Pace;
use super::pattern::{Moment, Pattern};
use super::source::{Source, SourceControl, SourceError, SourceUnit, TrackFormat, VideoFormat};
use super::spec::TestSpec;
use roommate_clock::Clock;

pub use super::pace::LATEST;

/// Units of `pts` in a second: every whole picture rate up to 60 and milliseconds divide it well.
pub const TIMESCALE: u32 = 90_000;

/// The moving test picture in real time.
pub struct TestSource {
    format: TrackFormat,
    pattern: Pattern,
    encoder: H264Encoder,
    clock: Clock,
    start: Now,
    pace: Pace,
    fps: u64,
    number: u32,
}

impl TestSource {
    /// Sets everything up and encodes one picture to know the codec's name.
    ///
    /// `start` is when the broadcast's clock was started, on `clock`: stamps are
    /// `start.wall` plus what the steady clock has run since. Pictures are due from then on.
    pub fn open(spec: TestSpec, clock: Clock, start: Now) -> Result<Self, SourceError> {
        let mut pattern = Pattern::new(spec.width as usize, spec.height as usize);
        let settings = || EncoderSettings {
            fps: spec.fps,
            kbits: spec.kbits,
            gop_pictures: spec.gop_pictures(),
        };
        let probe = Moment { number: 0, elapsed: Duration::ZERO, captured: start.wall };
        let codec = codec_of(settings(), pattern.draw(probe))?;
        let format = TrackFormat::Video(VideoFormat {
            codec,
            width: spec.width,
            height: spec.height,
            timescale: TIMESCALE,
            fps: (spec.fps, 1),
            can_force_keyframe: true,
        });
        let encoder = H264Encoder::new(settings())?;
        let fps = u64::from(spec.fps);
        let pace = Pace::new(clock, start.mono, spec.fps);
        Ok(Self { format, pattern, encoder, clock, start, pace, fps, number: 0 })
    }

    /// Hands pictures over as fast as they are asked for, on a clock that only they drive. For
    /// tests of what is in the pictures, not of when they come.
    pub fn unpaced(mut self) -> Self {
        self.pace.unpace();
        self
    }
}

impl Source for TestSource {
    fn tracks(&self) -> &[TrackFormat] {
        std::slice::from_ref(&self.format)
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        let Some((slot, captured)) = self.pace.wait(control) else { return Ok(None) };
        let elapsed = self.pace.due_after(slot);
        let pts = slot * u64::from(TIMESCALE) / self.fps;
        let shown: Wall = self.start.wall + captured.since(self.start.mono);
        if let Some(kbits) = control.target_kbps() {
            self.encoder.set_kbits(kbits);
        }
        let began = self.clock.mono();
        let picture = self.pattern.draw(Moment { number: self.number, elapsed, captured: shown });
        let at_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let encoded = self.encoder.encode(picture, at_ms, control.take_keyframe_request())?;
        let spent = self.clock.mono().since(began).as_micros();
        self.number = self.number.wrapping_add(1);
        Ok(Some(SourceUnit {
            track: 0,
            pts: i64::try_from(pts).unwrap_or(i64::MAX),
            decode_offset: 0,
            captured,
            keyframe: encoded.keyframe,
            data: encoded.data,
            encode_us: u32::try_from(spent).unwrap_or(u32::MAX),
        }))
    }
}
