//! Opens an MP4 file: finds its index, wherever it lies, and reads what there is to be played.
//!
//! A file that ends in the middle of a fragment is taken up to there. Bound: the `moov` and the list
//! of `moof`, a small multiple of the file's length at most.

use std::fs::File;
use std::path::Path;

use roommate_protocol::h264::avcc::Configuration;

use super::mp4_boxes::{FileBox, INDEX_BYTES_MAX, box_at, read_body};
use super::mp4_error::Mp4Error;
use super::mp4_index::{Index, Sample};
use super::mp4_track;

/// The pictures that a file holds, none of them read yet.
#[derive(Debug)]
pub(super) struct Indexed {
    /// Decoder configurations by sample entry; `None`: not H.264.
    pub(super) entries: Vec<Option<Configuration>>,
    /// In decoding order.
    pub(super) samples: Vec<Sample>,
    /// Ticks in a second, never 0.
    pub(super) timescale: u32,
    /// Decoding time at which the last picture ends, as far as the file says.
    pub(super) end_dts: i64,
}

/// Reads the index of a file; `path` stands in warnings.
pub(super) fn read(path: &Path, file: &mut File) -> Result<Indexed, Mp4Error> {
    let (moov, moofs, length) = scan(file)?;
    let track = mp4_track::find(&moov)?;
    let mut index = Index::new(length);
    index.add_tables(track.tables)?;
    for moof in &moofs {
        let body = read_body(file, moof)?;
        match index.add_fragment(&body, moof.start, &track) {
            // A recording that was killed: what is whole is played.
            Err(Mp4Error::Beyond { .. }) if !index.samples.is_empty() => {
                index.cut_short = true;
                break;
            }
            done => done?,
        }
    }
    if let Some(edit) = track.edit.filter(|_| !track.fragmented) {
        index.keep(edit);
    }
    if index.cut_short {
        tracing::warn!("{} ends in the middle of a fragment", path.display());
    }
    let (samples, end_dts) = (index.samples, index.end_dts);
    Ok(Indexed { entries: track.entries, samples, timescale: track.timescale, end_dts })
}

/// The `moov` and where each `moof` lies, and the length of the file.
fn scan(file: &mut File) -> Result<(Vec<u8>, Vec<FileBox>, u64), Mp4Error> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Err(Mp4Error::EmptyFile);
    }
    let (mut moov, mut moofs, mut at) = (None, Vec::new(), 0);
    while let Some(found) = box_at(file, at, length)? {
        if at == 0
            && !matches!(&found.kind, b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide")
        {
            return Err(Mp4Error::NotMp4);
        }
        let whole = found.end <= length;
        if matches!(&found.kind, b"moov" | b"moof") {
            let bytes = found.end - found.start;
            if whole && bytes > INDEX_BYTES_MAX {
                return Err(Mp4Error::IndexTooLong(bytes));
            }
            if whole && &found.kind == b"moof" {
                moofs.push(found);
            } else if whole && moov.is_none() {
                moov = Some(read_body(file, &found)?);
            }
        }
        at = found.end;
    }
    if at == 0 {
        return Err(Mp4Error::NotMp4);
    }
    Ok((moov.ok_or(Mp4Error::NoIndex)?, moofs, length))
}
