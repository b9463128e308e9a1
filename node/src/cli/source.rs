//! Opens what `--source` names, and says what it offers.

use std::fs::File;
use std::io::{IsTerminal, Read, stderr, stdin};
use std::path::Path;
use std::sync::Arc;

use roommate_protocol::time::Now;
use roommate_protocol::trust::id::TrackId;
use roommate_protocol::wire::catalog::{Catalog, CatalogTrack, TrackKind};

use super::fail::Fail;
use super::say;
use roommate_clock::Clock;
use roommate_media::annexb_source::AnnexBSource;
use roommate_media::beep_source::BeepSource;
use roommate_media::mp4::Mp4Source;
use roommate_media::openh264_raw;
use roommate_media::sniff::{Kind, UNKNOWN, peek};
use roommate_media::source::{Source, SourceControl, TrackFormat};
use roommate_media::spec::{SourceSpec, TestSpec};
use roommate_media::test_source::TestSource;
use roommate_media::ts::TsSource;
use roommate_media::y4m_source::Y4mSource;

/// A source and the control by which it is told to end, from its opening on.
pub(super) type Controlled = (Box<dyn Source>, Arc<SourceControl>);

/// What is ready to run: sources of one broadcast, each for a thread of its own.
pub(super) struct Opened {
    pub(super) sources: Vec<Controlled>,
    /// When the broadcast's clock was started.
    pub(super) start: Now,
    /// What the encoder aims at; `None` for a file.
    pub(super) target_kbps: Option<u32>,
}

/// Opens `--source`, the test picture without one. Blocks on a pipe until something comes.
pub(super) fn open(wanted: Option<&str>, repeat: bool, clock: Clock) -> Result<Opened, Fail> {
    let spec: SourceSpec = match wanted {
        Some(text) => text.parse().map_err(Fail::usage)?,
        None => {
            if stderr().is_terminal() {
                say::note("No --source: THE TEST PICTURE IS WHAT OTHERS SEE.");
            }
            SourceSpec::default()
        }
    };
    match spec {
        SourceSpec::Test(_) if repeat => {
            Err(Fail::usage("--loop is for files; the test picture never ends"))
        }
        SourceSpec::Test(spec) => test(spec, clock),
        SourceSpec::File(path) => file(&path, repeat, clock),
        SourceSpec::Pipe if repeat => {
            Err(Fail::usage("--loop is for files; standard input comes once"))
        }
        SourceSpec::Pipe => pipe(stdin(), clock),
    }
}

/// The test picture and its beep, each on a thread of its own: an encoder that takes its time holds
/// up no packet.
fn test(spec: TestSpec, clock: Clock) -> Result<Opened, Fail> {
    warn_if_slow();
    let start = clock.now();
    let pictures = TestSource::open(spec, clock, start).map_err(Fail::new)?;
    let mut sources: Vec<Controlled> = vec![(Box::new(pictures), Arc::default())];
    if spec.sound {
        let sound = BeepSource::open(clock, start).map_err(Fail::new)?;
        sources.push((Box::new(sound), Arc::default()));
    }
    Ok(Opened { sources, start, target_kbps: Some(spec.kbits) })
}

/// A file is what its first bytes say, whatever its name.
fn file(path: &Path, repeat: bool, clock: Clock) -> Result<Opened, Fail> {
    let source: Box<dyn Source> = match first_kind(path) {
        Some(Kind::MpegTs) => Box::new(TsSource::open(path, clock, repeat).map_err(Fail::new)?),
        Some(Kind::H264 | Kind::Hevc) => {
            let source = AnnexBSource::open(path, clock, repeat).map_err(Fail::new)?;
            source.note().into_iter().for_each(say::note);
            Box::new(source)
        }
        Some(Kind::Y4m) => {
            warn_if_slow();
            let kbits = TestSpec::default().kbits;
            let source = Y4mSource::open(path, clock, repeat, kbits).map_err(Fail::new)?;
            return Ok(opened((Box::new(source), Arc::default()), clock, Some(kbits)));
        }
        // Whatever else it is: this one says what is wrong with it.
        Some(Kind::Mp4) | None => {
            let source = Mp4Source::open(path, clock, repeat).map_err(Fail::new)?;
            source.notes().iter().for_each(|note| say::note(note));
            Box::new(source)
        }
    };
    Ok(opened((source, Arc::default()), clock, None))
}

/// What a file begins with; `None` also where it cannot be read: whoever opens it says why.
fn first_kind(path: &Path) -> Option<Kind> {
    let mut file =
        File::open(path).ok().filter(|file| file.metadata().is_ok_and(|m| m.is_file()))?;
    peek(&mut file).ok()?.0
}

/// Standard input. Blocks until it is known what comes, and the formats of it.
fn pipe(mut input: impl Read + Send + 'static, clock: Clock) -> Result<Opened, Fail> {
    let failed = |why: &str| Fail::new(format!("cannot send standard input: {why}"));
    let (kind, first) = peek(&mut input).map_err(|error| failed(&error.to_string()))?;
    if first.is_empty() {
        return Err(failed(
            "it is empty: pipe something into it, as in 'ffmpeg … -f mpegts - | \
             roommate publish --source -'",
        ));
    }
    let control = Arc::new(SourceControl::new());
    let source: Box<dyn Source> = match kind {
        Some(Kind::MpegTs) => {
            Box::new(TsSource::pipe(Box::new(input), first, clock, &control).map_err(Fail::new)?)
        }
        Some(Kind::H264 | Kind::Hevc) => {
            let source = AnnexBSource::live(first, input, clock, &control).map_err(Fail::new)?;
            Box::new(source.ok_or_else(|| failed("it ended before the first picture"))?)
        }
        Some(Kind::Y4m) => {
            warn_if_slow();
            let kbits = TestSpec::default().kbits;
            let source =
                Y4mSource::live(first, input, clock, kbits, &control).map_err(Fail::new)?;
            let source = source.ok_or_else(|| failed("it ended before the first picture"))?;
            return Ok(opened((Box::new(source), control), clock, Some(kbits)));
        }
        Some(Kind::Mp4) => {
            return Err(failed(
                "an MP4 cannot be read from a pipe: use file:PATH, or '-f mpegts' in front of the \
                 output of the ffmpeg command",
            ));
        }
        None => return Err(failed(UNKNOWN)),
    };
    Ok(opened((source, control), clock, None))
}

fn opened(source: Controlled, clock: Clock, target_kbps: Option<u32>) -> Opened {
    Opened { sources: vec![source], start: clock.now(), target_kbps }
}

fn warn_if_slow() {
    if !openh264_raw::is_fast() {
        say::note(
            "The H.264 encoder was built without nasm and is about 2.4 times slower: install nasm, \
             run `cargo clean -p openh264-sys2`, and build again.",
        );
    }
}

/// The catalog of a broadcast of these sources: their tracks, numbered through.
pub(super) fn catalog<'a>(sources: impl Iterator<Item = &'a dyn Source>) -> Catalog {
    let formats = sources.flat_map(|source| source.tracks());
    Catalog { tracks: formats.zip(0..).map(|(format, id)| described(format, id)).collect() }
}

fn described(format: &TrackFormat, id: u8) -> CatalogTrack {
    let (codec, kind) = match format {
        TrackFormat::Video(video) => {
            let (width, height, fps) = (video.width, video.height, video.fps);
            (&video.codec, TrackKind::Video { width, height, fps })
        }
        TrackFormat::Audio(audio) => {
            let (sample_rate, channels) = (audio.sample_rate, audio.channels);
            let description = audio.description.to_vec();
            (&audio.codec, TrackKind::Audio { sample_rate, channels, description })
        }
    };
    CatalogTrack {
        id: TrackId(id),
        codec: codec.clone(),
        timescale: format.timescale(),
        rendition_of: None,
        kind,
    }
}
