//! Opens what `--source` names, and says what it offers.

use std::io::{IsTerminal, stderr};

use roommate_protocol::time::Now;
use roommate_protocol::trust::id::TrackId;
use roommate_protocol::wire::catalog::{Catalog, CatalogTrack, TrackKind};

use super::fail::Fail;
use super::say;
use roommate_clock::Clock;
use roommate_media::mp4::Mp4Source;
use roommate_media::openh264_raw;
use roommate_media::source::{Source, TrackFormat};
use roommate_media::spec::SourceSpec;
use roommate_media::test_source::TestSource;

/// What is ready to run: sources of one broadcast, each for a thread of its own.
pub(super) struct Opened {
    pub(super) sources: Vec<Box<dyn Source>>,
    /// When the broadcast's clock was started.
    pub(super) start: Now,
    /// What the encoder aims at; `None` for a file.
    pub(super) target_kbps: Option<u32>,
}

/// Opens `--source`, the test picture without one.
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
    let start = clock.now();
    match spec {
        SourceSpec::Test(spec) => {
            if repeat {
                return Err(Fail::usage("--loop is for files; the test picture never ends"));
            }
            if !openh264_raw::is_fast() {
                say::note(
                    "The H.264 encoder was built without nasm and is about 2.4 times slower: \
                     install nasm, run `cargo clean -p openh264-sys2`, and build again.",
                );
            }
            let source = TestSource::open(spec, clock, start).map_err(Fail::new)?;
            Ok(Opened { sources: vec![Box::new(source)], start, target_kbps: Some(spec.kbits) })
        }
        SourceSpec::File(path) => {
            let source = Mp4Source::open(&path, clock, repeat).map_err(Fail::new)?;
            source.notes().iter().for_each(|note| say::note(note));
            Ok(Opened { sources: vec![Box::new(source)], start, target_kbps: None })
        }
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
