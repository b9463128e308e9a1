//! Pictures as they are (YUV4MPEG2, `-f yuv4mpegpipe`) from a file or a pipe, encoded here.
//!
//! Taken are 4:2:0 with 8 bits and grey (luma as it is, no colour); anything else is refused with the ffmpeg option that mends
//! it. H.264 in 4:2:0 has no odd sizes: a last odd column or row is cut off, so that nothing is shown
//! that was not there. Pictures are due by the frame rate of the header, from the first one on. A pipe
//! that is early waits, and its writer with it; one that is late moves the clock on. What this machine
//! has no time to encode is dropped **before** it is encoded, never after: pictures that lay waiting and
//! are late by more than [`LATEST`].
//!
//! Bound: one picture as it came, one to encode, and the pipe's chunks. The header is read here and
//! not by the crate `y4m`, whose reader blocks on the pipe and could not be stopped.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use roommate_clock::Clock;
use roommate_protocol::time::Mono;

use super::encode::{EncoderSettings, H264Encoder, codec_of};
use super::pace::LATEST;
use super::picture::Picture;
use super::pipe::{CHUNK_BYTES, PipeReader, Read1};
use super::source::{
    Source, SourceControl, SourceError, SourceUnit, TrackFormat, VideoFormat, open_file,
};
use super::y4m_header::{HeaderError, LINE_BYTES_MAX, Layout, StreamHeader};

/// Units of `pts` in a second.
pub const TIMESCALE: u32 = 90_000;
/// The longest time between two keyframes.
const GOP: Duration = Duration::from_secs(2);
/// Behind by this much, nothing is made up for: the machine slept.
const SLEPT: Duration = Duration::from_secs(5);

/// Raw pictures as a source.
pub struct Y4mSource {
    name: PathBuf,
    input: Input,
    header: StreamHeader,
    layout: Layout,
    format: TrackFormat,
    encoder: H264Encoder,
    picture: Picture,
    raw: Vec<u8>,
    clock: Clock,
    paced: bool,
    /// Pictures read, encoded or dropped.
    number: u64,
    dropped: u64,
    /// When picture 0 was due, after all pauses; `shift` is what pauses added to `pts`.
    anchor: Option<Mono>,
    shift: i64,
}

/// Why a picture could not be had.
enum Broken {
    Stopped,
    End,
    Failed(SourceError),
}

impl Y4mSource {
    /// Opens a file; `repeat` begins anew at its end. It is encoded at `kbits` kilobits a second.
    pub fn open(path: &Path, clock: Clock, repeat: bool, kbits: u32) -> Result<Self, SourceError> {
        let file = open_file(path)?;
        let input = Input { from: Origin::File { file, repeat }, held: Vec::new(), at: 0 };
        let opened = Self::begin(path, input, clock, kbits, &SourceControl::new())?;
        opened.ok_or_else(|| SourceError::unusable(path, &HeaderError::NotY4m))
    }

    /// Reads the header off a pipe; `None` when told to stop before it came. `first` is what
    /// [`peek`](super::sniff::peek) has read of it already.
    pub fn live(
        first: Vec<u8>,
        pipe: impl Read + Send + 'static,
        clock: Clock,
        kbits: u32,
        control: &SourceControl,
    ) -> Result<Option<Self>, SourceError> {
        let name = Path::new("standard input");
        let reader = PipeReader::start(Box::new(pipe), first, clock)
            .map_err(|source| SourceError::Read { path: name.to_owned(), source })?;
        let input = Input { from: Origin::Pipe(reader), held: Vec::new(), at: 0 };
        Self::begin(name, input, clock, kbits, control)
    }

    /// Encodes pictures as fast as they are asked for and drops none. For tests and conversions.
    #[must_use]
    pub fn unpaced(mut self) -> Self {
        self.paced = false;
        self
    }

    /// Pictures that were not encoded because this machine had no time to.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn begin(
        name: &Path,
        mut input: Input,
        clock: Clock,
        kbits: u32,
        control: &SourceControl,
    ) -> Result<Option<Self>, SourceError> {
        let line = match input.line(name, control) {
            Ok(line) => line,
            Err(Broken::Stopped) => return Ok(None),
            Err(Broken::End) => return Err(SourceError::unusable(name, &HeaderError::NotY4m)),
            Err(Broken::Failed(error)) => return Err(error),
        };
        let header = StreamHeader::parse(&line).map_err(|why| SourceError::unusable(name, &why))?;
        let layout = header.layout();
        let picture = Picture::new(layout.shown.0, layout.shown.1);
        let per_second = header.fps.0.div_ceil(header.fps.1).max(1);
        let gop_pictures = u32::try_from(GOP.as_secs()).unwrap_or(2) * per_second;
        let settings = EncoderSettings { fps: per_second, kbits, gop_pictures };
        let codec = codec_of(settings, &picture)?;
        let format = TrackFormat::Video(VideoFormat {
            codec,
            width: u32::try_from(layout.shown.0).unwrap_or(u32::MAX),
            height: u32::try_from(layout.shown.1).unwrap_or(u32::MAX),
            timescale: TIMESCALE,
            fps: header.fps,
            can_force_keyframe: true,
        });
        Ok(Some(Self {
            name: name.to_owned(),
            input,
            header,
            layout,
            format,
            encoder: H264Encoder::new(settings)?,
            picture,
            raw: Vec::new(),
            clock,
            paced: true,
            number: 0,
            dropped: 0,
            anchor: None,
            shift: 0,
        }))
    }

    /// Reads one picture into `raw`; how long its producer let it wait.
    fn read(&mut self, control: &SourceControl) -> Result<Duration, Broken> {
        let mut waited = Duration::ZERO;
        let line = self.input.line_or_end(&self.name, control, &mut waited)?;
        if line.split(|&byte| byte == b' ').next() != Some(b"FRAME") {
            let why = HeaderError::NotAFrame(self.number);
            return Err(Broken::Failed(SourceError::unusable(&self.name, &why)));
        }
        self.input.take(&self.name, &mut self.raw, self.layout.bytes, control, &mut waited)?;
        Ok(waited)
    }

    /// How long after the first picture one is due, in units of `scale` a second.
    fn after(&self, number: u64, scale: u32) -> u64 {
        let (num, den) = self.header.fps;
        let units = u128::from(number) * u128::from(scale) * u128::from(den);
        u64::try_from(units / u128::from(num)).unwrap_or(u64::MAX)
    }

    /// Waits until the picture that was just read is due; `None` when told to stop, and whether it is
    /// to be encoded at all.
    fn wait(&mut self, waited: Duration, control: &SourceControl) -> Option<bool> {
        if !self.paced {
            return (!control.is_stopped()).then_some(true);
        }
        let now = self.clock.mono();
        let anchor = *self.anchor.get_or_insert(now);
        let due = anchor + Duration::from_micros(self.after(self.number, 1_000_000));
        let late = now.since(due);
        // Even a picture that lies ready takes a moment to come through a pipe.
        let producer_is_late = waited > Duration::from_micros(self.after(1, 500_000));
        if late > LATEST && (producer_is_late || late > SLEPT) {
            // Clock and time stamps stay together: both have moved on by the same pause.
            self.anchor = Some(anchor + late);
            let lost = late.as_micros() * u128::from(TIMESCALE) / 1_000_000;
            self.shift = self.shift.saturating_add(i64::try_from(lost).unwrap_or(0));
        } else if late > LATEST {
            return (!control.is_stopped()).then_some(false);
        }
        (!control.sleep(due.since(now))).then_some(true)
    }

    fn encode(&mut self, control: &SourceControl) -> Result<SourceUnit, SourceError> {
        if let Some(kbits) = control.target_kbps() {
            self.encoder.set_kbits(kbits);
        }
        let captured = self.clock.mono();
        self.layout.copy(&self.raw, &mut self.picture);
        let ticks = self.after(self.number, TIMESCALE);
        let pts = i64::try_from(ticks).unwrap_or(i64::MAX).saturating_add(self.shift);
        let at_ms = u64::try_from(pts / 90).unwrap_or(0);
        let encoded = self.encoder.encode(&self.picture, at_ms, control.take_keyframe_request())?;
        let spent = self.clock.mono().since(captured).as_micros();
        Ok(SourceUnit {
            track: 0,
            pts,
            decode_offset: 0,
            captured,
            keyframe: encoded.keyframe,
            data: encoded.data,
            encode_us: u32::try_from(spent).unwrap_or(u32::MAX),
        })
    }
}

impl Source for Y4mSource {
    fn tracks(&self) -> &[TrackFormat] {
        std::slice::from_ref(&self.format)
    }

    fn next(&mut self, control: &SourceControl) -> Result<Option<SourceUnit>, SourceError> {
        loop {
            let waited = match self.read(control) {
                Ok(waited) => waited,
                Err(Broken::Failed(error)) => return Err(error),
                Err(Broken::End | Broken::Stopped) => return Ok(None),
            };
            let Some(wanted) = self.wait(waited, control) else { return Ok(None) };
            let unit = if wanted { Some(self.encode(control)?) } else { None };
            self.number += 1;
            match unit {
                Some(unit) => return Ok(Some(unit)),
                None => self.dropped += 1,
            }
        }
    }
}

/// Where bytes come from, with those that were read too far.
struct Input {
    from: Origin,
    held: Vec<u8>,
    at: usize,
}

enum Origin {
    File { file: File, repeat: bool },
    Pipe(PipeReader),
}

impl Input {
    /// More bytes into `held`, which was used up; whether there are any. What it waited for
    /// them is added to `waited`.
    fn more(
        &mut self,
        name: &Path,
        control: &SourceControl,
        waited: &mut Duration,
    ) -> Result<bool, Broken> {
        let failed = |source| Broken::Failed(SourceError::Read { path: name.to_owned(), source });
        self.at = 0;
        match &mut self.from {
            Origin::File { file, .. } => {
                if control.is_stopped() {
                    return Err(Broken::Stopped);
                }
                self.held.resize(CHUNK_BYTES, 0);
                let count = read_once(file, &mut self.held).map_err(failed)?;
                self.held.truncate(count);
            }
            Origin::Pipe(reader) => {
                let began = Instant::now();
                let read = reader.next(control, None);
                *waited += began.elapsed();
                self.held = match read {
                    Ok(Read1::Bytes(bytes, _)) => bytes,
                    Ok(Read1::End | Read1::Pause) => Vec::new(),
                    Err(error) => return Err(failed(error)),
                    Ok(Read1::Stopped) => return Err(Broken::Stopped),
                };
            }
        }
        Ok(!self.held.is_empty())
    }

    /// The line of the next picture. At the end of a file that repeats, its first one.
    fn line_or_end(
        &mut self,
        name: &Path,
        control: &SourceControl,
        waited: &mut Duration,
    ) -> Result<Vec<u8>, Broken> {
        if self.at == self.held.len() && !self.more(name, control, waited)? {
            let Origin::File { file, repeat: true } = &mut self.from else {
                return Err(Broken::End);
            };
            let rewound = file.seek(SeekFrom::Start(0));
            rewound.map_err(|source| {
                Broken::Failed(SourceError::Read { path: name.to_owned(), source })
            })?;
            // The header, which is known already.
            self.line(name, control)?;
        }
        self.line(name, control)
    }

    /// Up to the next line feed, without it.
    fn line(&mut self, name: &Path, control: &SourceControl) -> Result<Vec<u8>, Broken> {
        let mut line = Vec::new();
        loop {
            let rest = &self.held[self.at..];
            let found = rest.iter().position(|&byte| byte == b'\n');
            let count = found.unwrap_or(rest.len());
            if line.len() + count > LINE_BYTES_MAX {
                return Err(Broken::Failed(SourceError::unusable(name, &HeaderError::NotY4m)));
            }
            line.extend_from_slice(&rest[..count]);
            self.at += count + usize::from(found.is_some());
            if found.is_some() {
                return Ok(line);
            }
            if !self.more(name, control, &mut Duration::default())? {
                return Err(Broken::End);
            }
        }
    }

    /// The next `count` bytes. A picture that is cut short at the end is none.
    fn take(
        &mut self,
        name: &Path,
        into: &mut Vec<u8>,
        count: usize,
        control: &SourceControl,
        waited: &mut Duration,
    ) -> Result<(), Broken> {
        into.clear();
        while into.len() < count {
            if self.at == self.held.len() && !self.more(name, control, waited)? {
                return Err(Broken::End);
            }
            let rest = &self.held[self.at..];
            let some = rest.len().min(count - into.len());
            into.extend_from_slice(&rest[..some]);
            self.at += some;
        }
        Ok(())
    }
}

fn read_once(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}
