//! What every source of access units is to the rest: how it is asked, told and woken.
//!
//! A source blocks on a thread of its own and paces itself in real time. It never drops an access
//! unit that it has made; whoever has no room for one slows down nobody but its own thread.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use roommate_protocol::time::Mono;

/// One access unit as a source hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceUnit {
    /// Which of [`Source::tracks`] it belongs to.
    pub track: usize,
    /// Presentation time in the track's timescale. All tracks of a broadcast share one zero, the
    /// first picture's (the first packet's where there is no picture): sound that begins before it
    /// has negative times. It may jump ahead where the machine slept or could not keep up; it never
    /// goes back in decoding order save for B-frames.
    pub pts: i64,
    /// Presentation time minus decoding time, in the timescale; 0 without B-frames.
    pub decode_offset: i32,
    /// When it was taken: before it was drawn, converted or encoded.
    pub captured: Mono,
    /// Whether decoding can begin here. Every packet of sound says so.
    pub keyframe: bool,
    /// Video: Annex-B with four-byte start codes; parameter sets with every keyframe. Audio: one
    /// packet as WebCodecs takes it: an Opus packet (RFC 6716), a raw AAC frame without ADTS.
    pub data: Bytes,
    /// What drawing and encoding cost, in microseconds; 0 for what was passed through.
    pub encode_us: u32,
}

/// What a source says of a track before its first access unit, and what a sink is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackFormat {
    /// Pictures.
    Video(VideoFormat),
    /// Sound.
    Audio(AudioFormat),
}

impl TrackFormat {
    /// Units of `pts` in a second.
    pub fn timescale(&self) -> u32 {
        match self {
            Self::Video(format) => format.timescale,
            Self::Audio(format) => format.timescale,
        }
    }
}

/// A track of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// As WebCodecs names it: `avc1.` and six hexadecimal digits.
    pub codec: String,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Units of `pts` in a second.
    pub timescale: u32,
    /// Pictures a second, as a fraction: `(30000, 1001)` stays exact.
    pub fps: (u32, u32),
    /// Whether a keyframe can be had on request (an encoder) or not (a file passed through).
    pub can_force_keyframe: bool,
}

/// A track of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// As WebCodecs names it: `opus`, `mp4a.40.2`.
    pub codec: String,
    /// Units of `pts` in a second. 48000 for Opus.
    pub timescale: u32,
    /// Samples a second, as decoded.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// The decoder's configuration, as WebCodecs' `description`: an `AudioSpecificConfig` (ISO/IEC
    /// 14496-3, 1.6.2.1) for AAC, empty for Opus of one or two channels. At most
    /// [`roommate_protocol::wire::catalog::DESCRIPTION_BYTES_MAX`] bytes.
    pub description: Bytes,
}

/// Something that makes access units in real time, on the thread that calls it.
///
/// A broadcast may be fed by several sources at once, each on a thread of its own: the test picture
/// and its beep are two, a file with pictures and sound is one of two tracks.
pub trait Source: Send {
    /// What it makes; the same for its whole life, at least one.
    fn tracks(&self) -> &[TrackFormat];

    /// Waits until the next access unit is due, makes it and hands it over; `None` when the source
    /// has ended or was stopped. Each track's come in decoding order, and the tracks interleaved by
    /// time.
    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError>;

    /// Its first track of pictures.
    fn video(&self) -> Option<&VideoFormat> {
        self.tracks().iter().find_map(|track| match track {
            TrackFormat::Video(format) => Some(format),
            TrackFormat::Audio(_) => None,
        })
    }
}

/// Why a source cannot go on, in words for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The encoder refused to start or gave up.
    #[error("the H.264 encoder failed while {doing}: {why}; try a smaller picture")]
    Encoder {
        /// What it was asked to do.
        doing: &'static str,
        /// What it said.
        why: String,
    },
    /// The sound encoder refused to start or gave up.
    #[error("the Opus encoder failed while {doing}: {why}; try 'nosound' in the test source")]
    Sound {
        /// What it was asked to do.
        doing: &'static str,
        /// What it said.
        why: String,
    },
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can be read, but not sent.
    #[error("cannot send {}: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
}

impl SourceError {
    /// What is at `path` cannot be sent, for this reason.
    pub(crate) fn unusable(path: &Path, why: &dyn fmt::Display) -> Self {
        Self::Unusable { path: path.to_owned(), why: why.to_string() }
    }
}

/// Opens a file for a source: one that can be read again from its beginning, so no folder, no pipe.
pub(crate) fn open_file(path: &Path) -> Result<File, SourceError> {
    let failed = |source| SourceError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_file() {
        return Ok(file);
    }
    Err(SourceError::unusable(path, &"it is not a regular file"))
}

/// How the rest of the node speaks to a running source, from any thread.
///
/// One per running source. Requests are flags: asking twice is asking once.
#[derive(Debug, Default)]
pub struct SourceControl {
    keyframe: AtomicBool,
    /// 0: as configured.
    target_kbps: AtomicU32,
    stopped: Mutex<bool>,
    wake: Condvar,
    hooks: Mutex<Vec<Hook>>,
}

/// What else is to be woken by a stop.
struct Hook(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

impl SourceControl {
    /// A control with nothing asked yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for a keyframe as the very next access unit. A source that cannot make one ignores it.
    pub fn request_keyframe(&self) {
        self.keyframe.store(true, Ordering::Release);
    }

    /// Whether a keyframe was asked for since the last call. For sources.
    pub fn take_keyframe_request(&self) -> bool {
        self.keyframe.swap(false, Ordering::AcqRel)
    }

    /// Asks an encoder for this many kilobits a second from the next picture on.
    pub fn set_target_kbps(&self, kbps: u32) {
        self.target_kbps.store(kbps, Ordering::Release);
    }

    /// The bitrate last asked for, if any was.
    pub fn target_kbps(&self) -> Option<u32> {
        Some(self.target_kbps.load(Ordering::Acquire)).filter(|&kbps| kbps != 0)
    }

    /// Ends the source: a sleeping one wakes at once, and its next answer is `None`.
    pub fn stop(&self) {
        *self.lock() = true;
        self.wake.notify_all();
        for hook in self.hooks.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            (hook.0)();
        }
    }

    /// Runs `hook` when the source is told to end, at once if it was: for sources that wait for
    /// something else than time. It must not block. A source hooks itself in once.
    pub fn on_stop(&self, hook: impl Fn() + Send + Sync + 'static) {
        // Under the lock, so that a stop at the same moment finds the hook or is found by us.
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped() {
            hook();
        }
        hooks.push(Hook(Box::new(hook)));
    }

    /// Whether the source was told to end.
    pub fn is_stopped(&self) -> bool {
        *self.lock()
    }

    /// Sleeps for `span`, or until the source is told to end; says whether it was. For sources.
    #[must_use = "a source that was told to end must end"]
    pub fn sleep(&self, span: Duration) -> bool {
        // A span beyond what the clock can hold is as good as for ever; an hour is asked again.
        let until = Instant::now() + span.min(Duration::from_secs(3_600));
        let mut stopped = self.lock();
        while !*stopped {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero())
            else {
                break;
            };
            stopped = match self.wake.wait_timeout(stopped, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        *stopped
    }

    // A bool cannot be left half-written, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_source_wakes_when_it_is_stopped() {
        let control = SourceControl::new();
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| control.sleep(Duration::from_secs(3_000)));
            control.stop();
            assert!(sleeper.join().unwrap());
        });
        assert!(control.sleep(Duration::from_secs(3_000)), "stopped stays stopped");
    }

    #[test]
    fn a_sleep_that_nobody_ends_runs_its_time() {
        let control = SourceControl::new();
        let before = Instant::now();
        assert!(!control.sleep(Duration::from_millis(20)));
        assert!(before.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_keyframe_asked_for_twice_is_asked_for_once() {
        let control = SourceControl::new();
        control.request_keyframe();
        control.request_keyframe();
        assert!(control.take_keyframe_request());
        assert!(!control.take_keyframe_request());
    }
}
