//! Why a recording ended or never began, in words.

use std::io;
use std::path::PathBuf;

use super::entry::Unwritable;

/// Why a recording ended or never began.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The file cannot be created or opened.
    #[error("cannot write to {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No room is left.
    #[error("the disk is full: {} ends at {seconds:.1} s, and plays to there", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// Seconds that were written.
        seconds: f64,
    },
    /// The file cannot be written any more.
    #[error("cannot go on writing {}, it ends at {seconds:.1} s: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Seconds that were written.
        seconds: f64,
        /// What the system said.
        source: io::Error,
    },
    /// A track that an MP4 file has no place for.
    #[error("cannot record to {}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Which track, and why.
        source: Unwritable,
    },
    /// Nothing came that could be written.
    #[error("{} was not written: no picture came to begin it with", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// An earlier error has ended it.
    #[error("{} was ended by an earlier error", path.display())]
    Ended {
        /// The file.
        path: PathBuf,
    },
}
