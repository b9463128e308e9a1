//! `--trace FILE`: one JSON object a line for each access unit, so that every percentile that we
//! tell can be computed again from what was seen.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

/// A trace can be read while it grows; a killed program loses at most this much.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Why the trace cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the trace {path} cannot be written: {source}")]
pub struct TraceError {
    path: PathBuf,
    source: std::io::Error,
}

/// Which access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its track in the broadcast.
    pub track: u8,
    /// Its group.
    pub group: u64,
    /// Its number in the track.
    pub seq: u64,
}

/// An open trace. After the first failure it is silent, and the failure is told once.
#[derive(Debug)]
pub struct Trace {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    flushed: Instant,
}

impl Trace {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// [`TraceError`]
    pub fn create(path: &Path) -> Result<Self, TraceError> {
        let file =
            File::create(path).map_err(|source| TraceError { path: path.to_owned(), source })?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(BufWriter::new(file)),
            flushed: Instant::now(),
        })
    }

    /// What a publisher made: `encode_us` is the time from before drawing to the coded bytes.
    pub fn published(&mut self, at: Place, captured_us: i64, bytes: usize, encode_us: u32) {
        let Place { track, group, seq } = at;
        self.write(&json!({
            "track": track, "group": group, "seq": seq, "captured_us": captured_us,
            "encode_us": encode_us, "bytes": bytes,
        }));
    }

    /// What a viewer has, complete, verified and in order, at `ready_us` of the broadcast's clock.
    pub fn received(&mut self, at: Place, captured_us: i64, bytes: usize, ready_us: i64) {
        let Place { track, group, seq } = at;
        self.write(&json!({
            "track": track, "group": group, "seq": seq, "captured_us": captured_us,
            "ready_us": ready_us, "bytes": bytes,
        }));
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) {
        if let Some(Err(source)) = self.file.as_mut().map(Write::flush) {
            self.give_up(source);
        }
    }

    fn write(&mut self, object: &serde_json::Value) {
        if let Some(Err(source)) = self.file.as_mut().map(|file| writeln!(file, "{object}")) {
            self.give_up(source);
        }
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.flushed = Instant::now();
            self.flush();
        }
    }

    fn give_up(&mut self, source: std::io::Error) {
        self.file = None;
        tracing::warn!("{}; it ends here", TraceError { path: self.path.clone(), source });
    }
}

/// The file of one of several nodes: its role and number appended.
pub fn path_of(base: &Path, role: &str, number: Option<usize>) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(format!(".{role}"));
    if let Some(number) = number {
        name.push(format!("{number}"));
    }
    name.into()
}
