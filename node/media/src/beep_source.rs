//! The sound of the source `test`: a short beep at every whole second from the first one on, exactly
//! when the test picture flashes, and silence between. Opus, mono, a packet every 20 ms.
//!
//! **Times.** `pts` is the time of the first sample that a plain Opus decoder makes of the packet:
//! sample `i` of its 960 sounds at `pts + i`. The encoder's own delay (its look-ahead of 2.5 ms) is
//! taken out here, by handing it the sound that much early: a beep begins at sample 0 of the packet
//! with `pts` 48000. So a container that is written from these packets says a pre-skip of 0; one
//! that must say another (`OpusHead`, `dOps`) makes players drop that many samples, and moves the
//! times back by as many. Zero is `start`, as the test picture's: both run on the same clock.
//!
//! It never makes a packet late by more than [`LATEST`](super::test_source::LATEST): then packets
//! are skipped and `pts` jumps. It holds one packet of samples.

use bytes::Bytes;
use roommate_clock::Clock;
use roommate_protocol::time::Now;
use ropus::{Application, Bitrate, Channels, Encoder};

use super::pace::Pace;
use super::source::{AudioFormat, Source, SourceControl, SourceError, SourceUnit, TrackFormat};

/// Samples a second, and units of `pts`.
pub const RATE: u32 = 48_000;
/// Samples of one packet: 20 ms.
pub const PACKET_SAMPLES: u32 = 960;
/// How long a beep is, with both its ramps, in samples: 80 ms.
pub const BEEP_SAMPLES: u32 = 3_840;
/// How long a beep rises and falls, in samples: 3 ms, so that it does not click.
const RAMP_SAMPLES: f64 = 144.0;
/// The beep's pitch in Hz; it divides [`RATE`], so every beep is the same.
const PITCH: f64 = 1_000.0;
/// A quarter of full scale: heard beside speech, no fright in headphones.
const LOUDNESS: f64 = 8_192.0;
/// Bits a second for what is not silence. A pure tone needs less; silence takes 3 bytes a packet.
const BITS: u32 = 64_000;
/// The largest packet that an encoder makes (RFC 6716, 3.2.1).
const PACKET_BYTES_MAX: usize = 1_275;

/// The beep in real time: one track of sound.
pub struct BeepSource {
    format: TrackFormat,
    encoder: Encoder,
    ahead: u64,
    clock: Clock,
    pace: Pace,
    samples: Vec<i16>,
    packet: Vec<u8>,
}

impl BeepSource {
    /// Sets the encoder up. `start` is when the broadcast's clock was started, on `clock`: the same
    /// as the test picture's.
    pub fn open(clock: Clock, start: Now) -> Result<Self, SourceError> {
        let encoder = Encoder::builder(RATE, Channels::Mono, Application::RestrictedLowDelay)
            .bitrate(Bitrate::Bits(BITS))
            .build()
            .map_err(|error| failed("starting", &error))?;
        let format = TrackFormat::Audio(AudioFormat {
            codec: "opus".to_owned(),
            timescale: RATE,
            sample_rate: RATE,
            channels: 1,
            description: Bytes::new(),
        });
        let ahead = u64::from(encoder.lookahead());
        let pace = Pace::new(clock, start.mono, RATE / PACKET_SAMPLES);
        let packet = vec![0; PACKET_BYTES_MAX];
        Ok(Self { format, encoder, ahead, clock, pace, samples: Vec::new(), packet })
    }

    /// Hands packets over as fast as they are asked for, on a clock that only they drive. For tests.
    #[must_use]
    pub fn unpaced(mut self) -> Self {
        self.pace.unpace();
        self
    }
}

impl Source for BeepSource {
    fn tracks(&self) -> &[TrackFormat] {
        std::slice::from_ref(&self.format)
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        let Some((slot, captured)) = self.pace.wait(control) else { return Ok(None) };
        let began = self.clock.mono();
        let first = slot * u64::from(PACKET_SAMPLES);
        let heard = first + self.ahead;
        self.samples.clear();
        self.samples.extend((heard..heard + u64::from(PACKET_SAMPLES)).map(sample));
        let length = self
            .encoder
            .encode(&self.samples, &mut self.packet)
            .map_err(|error| failed("encoding", &error))?;
        let spent = self.clock.mono().since(began).as_micros();
        Ok(Some(SourceUnit {
            track: 0,
            pts: i64::try_from(first).unwrap_or(i64::MAX),
            decode_offset: 0,
            captured,
            keyframe: true,
            data: Bytes::copy_from_slice(&self.packet[..length]),
            encode_us: u32::try_from(spent).unwrap_or(u32::MAX),
        }))
    }
}

/// What sounds at a sample, counted from the start. Second 0 is silent: the decoder has heard
/// nothing yet and would blur the begin of its beep.
fn sample(at: u64) -> i16 {
    let (second, into) = (at / u64::from(RATE), at % u64::from(RATE));
    if second == 0 || into >= u64::from(BEEP_SAMPLES) {
        return 0;
    }
    let (into, left) = (into as f64, (u64::from(BEEP_SAMPLES) - into) as f64);
    let ramp = (into.min(left) / RAMP_SAMPLES).min(1.0);
    // A raised cosine has no corner at either end.
    let swell = 0.5 - 0.5 * (ramp * std::f64::consts::PI).cos();
    let turn = into * PITCH / f64::from(RATE) * std::f64::consts::TAU;
    (turn.sin() * swell * LOUDNESS) as i16
}

fn failed(doing: &'static str, error: &dyn std::fmt::Display) -> SourceError {
    SourceError::Sound { doing, why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beep_begins_and_ends_softly_at_whole_seconds() {
        let rate = u64::from(RATE);
        assert!((0..rate).all(|at| sample(at) == 0), "nothing in the first second");
        for second in 1..4 {
            let begin = second * rate;
            let beep: Vec<i16> = (begin..begin + u64::from(BEEP_SAMPLES)).map(sample).collect();
            assert_eq!(sample(begin - 1), 0);
            assert!(beep[..12].iter().all(|value| value.abs() < 200), "soft at the begin");
            assert!(beep[beep.len() - 12..].iter().all(|value| value.abs() < 200), "and end");
            assert!(beep.iter().any(|&value| value > 8_000));
            assert_eq!(sample(begin + u64::from(BEEP_SAMPLES)), 0);
        }
    }
}
