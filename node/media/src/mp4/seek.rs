//! The index for seeking that ends a recording (ISO/IEC 14496-12, 8.8.9).
//!
//! Bound: [`SEEK_POINTS_MAX`] entries.

use mp4_atom::{Atom, Encode, FragmentInfo, Mfra, Tfra};

/// Places to seek to that the index names. Past it every other one is dropped, so that a recording
/// of weeks still seeks to within a minute.
const SEEK_POINTS_MAX: usize = 16_384;

/// Where fragments that begin with a keyframe lie.
#[derive(Debug, Default)]
pub(super) struct SeekIndex {
    points: Vec<FragmentInfo>,
}

impl SeekIndex {
    pub(super) fn add(&mut self, pts: u64, offset: u64) {
        if self.points.len() == SEEK_POINTS_MAX {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
        }
        self.points.push(FragmentInfo {
            time: pts,
            moof_offset: offset,
            traf_number: 1,
            trun_number: 1,
            sample_delta: 1,
        });
    }

    /// The `mfra` box that ends the file. The track must come first in its fragments.
    pub(super) fn encode(self, track: u32) -> Result<Vec<u8>, mp4_atom::Error> {
        let mut mfra =
            Mfra { tfra: vec![Tfra { track_id: track, entries: self.points }], ..Mfra::default() };
        let mut out = Vec::new();
        mfra.encode(&mut out)?;
        // Its own length, last in the file, is how players find it from the end.
        mfra.mfro.parent_size =
            u32::try_from(out.len()).map_err(|_| mp4_atom::Error::TooLarge(Mfra::KIND))?;
        out.clear();
        mfra.encode(&mut out)?;
        Ok(out)
    }
}
