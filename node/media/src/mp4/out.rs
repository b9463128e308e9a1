//! Where the bytes of a recording go, and how a fragment gets there whole or not at all.
//!
//! Never buffers. A file is cut back to its last whole fragment when writing fails.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often what was written is forced to the disk. A killed process loses nothing that it has
/// written; this is for a machine that loses its power, and each costs milliseconds to seconds.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// Where the name of a box stands in it.
const NAME: Range<usize> = 4..8;

enum To {
    /// A regular file: the end of the last whole fragment is kept, so that a torn one can be cut.
    File { file: File, fresh: bool },
    /// A pipe, a device: written in order and never taken back.
    Stream(Box<dyn Write + Send>),
}

/// Where the bytes go.
pub(super) struct Out {
    to: To,
    written: u64,
    synced: Instant,
}

impl Out {
    /// A regular file; `fresh` if it was not there before.
    pub(super) fn file(file: File, fresh: bool) -> Self {
        Self { to: To::File { file, fresh }, written: 0, synced: Instant::now() }
    }

    pub(super) fn stream(out: Box<dyn Write + Send>) -> Self {
        Self { to: To::Stream(out), written: 0, synced: Instant::now() }
    }

    pub(super) fn nowhere() -> Self {
        Self::stream(Box::new(io::sink()))
    }

    /// Bytes that are there whole.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes the header; what the file held before is gone.
    pub(super) fn begin(&mut self, header: &[u8]) -> io::Result<()> {
        if let To::File { file, .. } = &mut self.to {
            file.set_len(0)?;
        }
        self.append(header)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.to {
            To::File { file, .. } => file.write_all(bytes)?,
            To::Stream(out) => {
                out.write_all(bytes)?;
                out.flush()?;
            }
        }
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Appends a fragment so that it is there whole or not at all: it is written as a `free` box,
    /// which players skip, and gets its name when all of it is there. Players refuse a file that
    /// ends within a `moof`, and a kill can come in the middle of a write.
    pub(super) fn commit(&mut self, mut fragment: Vec<u8>) -> io::Result<()> {
        let To::File { file, .. } = &mut self.to else { return self.append(&fragment) };
        fragment[NAME].copy_from_slice(b"free");
        file.write_all(&fragment)?;
        file.seek(SeekFrom::Start(self.written + NAME.start as u64))?;
        file.write_all(b"moof")?;
        file.seek(SeekFrom::End(0))?;
        self.written += fragment.len() as u64;
        if self.synced.elapsed() >= SYNC_INTERVAL {
            self.synced = Instant::now();
            file.sync_data()?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::File { file, .. } => file.sync_all(),
            To::Stream(out) => out.flush(),
        }
    }

    /// Cuts a torn fragment off. If even this fails, players still stop at it.
    pub(super) fn cut(&mut self) {
        if let To::File { file, .. } = &mut self.to {
            let _ = file.set_len(self.written);
        }
    }

    /// Removes a file that is ours and empty; that it stays, should this fail, harms nobody.
    pub(super) fn discard(&self, path: &Path) {
        if let To::File { fresh: true, .. } = self.to {
            let _ = std::fs::remove_file(path);
        }
    }
}
