//! Opens what `--source` names, and says what it offers.

use std::io::{IsTerminal, stderr};

use roommate_protocol::time::Now;
use roommate_protocol::trust::id::TrackId;
use roommate_protocol::wire::catalog::{Catalog, CatalogTrack, TrackKind};

use super::fail::Fail;
use super::say;
use roommate_clock::Clock;
use roommate_media::mp4_source::Mp4Source;
use roommate_media::openh264_raw;
use roommate_media::source::Source;
use roommate_media::spec::SourceSpec;
use roommate_media::test_source::TestSource;

/// A source that is ready to run.
pub(super) struct Opened {
    pub(super) source: Box<dyn Source>,
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
            Ok(Opened { source: Box::new(source), start, target_kbps: Some(spec.kbits) })
        }
        SourceSpec::File(path) => {
            let source = Mp4Source::open(&path, clock, repeat).map_err(Fail::new)?;
            Ok(Opened { source: Box::new(source), start, target_kbps: None })
        }
    }
}

/// The catalog of a broadcast with this one track of pictures.
pub(super) fn catalog(source: &dyn Source) -> Catalog {
    let format = source.format();
    let kind = TrackKind::Video { width: format.width, height: format.height, fps: format.fps };
    Catalog {
        tracks: vec![CatalogTrack {
            id: TrackId(0),
            codec: format.codec.clone(),
            timescale: format.timescale,
            rendition_of: None,
            kind,
        }],
    }
}
