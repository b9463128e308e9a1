//! Where the bytes of a recording go: a file, in which every fragment is whole or not there, or a
//! pipe. Blocks on the disk. Keeps nothing.

use std::fs::{File, OpenOptions};
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

/// An open recording.
pub(super) struct Out {
    to: To,
    /// Bytes of what is whole.
    written: u64,
    synced: Instant,
}

impl Out {
    /// Opens `path`. A file that is there is not touched yet.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true);
        let (file, fresh) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(path)?, false)
            }
            opened => (opened?, true),
        };
        let regular = file.metadata()?.is_file();
        let to = if regular { To::File { file, fresh } } else { To::Stream(Box::new(file)) };
        Ok(Self::new(to))
    }

    /// Writes to a pipe.
    pub(super) fn stream(out: Box<dyn Write + Send>) -> Self {
        Self::new(To::Stream(out))
    }

    fn new(to: To) -> Self {
        Self { to, written: 0, synced: Instant::now() }
    }

    /// Bytes of what is whole.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Drops what a file held before, and writes its head.
    pub(super) fn begin(&mut self, head: &[u8]) -> io::Result<()> {
        if let To::File { file, .. } = &mut self.to {
            file.set_len(0)?;
        }
        self.append(head)
    }

    /// Nothing was ever written: removes a file of our own making.
    pub(super) fn remove(&self, path: &Path) {
        if let To::File { fresh: true, .. } = self.to {
            // It is ours and empty; that it stays, should this fail, harms nobody.
            let _ = std::fs::remove_file(path);
        }
    }

    /// Cuts off what is not whole.
    pub(super) fn cut(&mut self) {
        if let To::File { file, .. } = &mut self.to {
            // If even this fails, players still stop at the torn fragment.
            let _ = file.set_len(self.written);
        }
    }

    /// Everything is written: forces it to where it goes.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::File { file, .. } => file.sync_all(),
            To::Stream(out) => out.flush(),
        }
    }

    /// Appends bytes that are not a fragment.
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
}
