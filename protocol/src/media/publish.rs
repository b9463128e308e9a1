//! Turns a publisher's access units into signed records, ready to append to a cache.
//!
//! Every keyframe of a track of pictures begins a group and ends the one before with its signed end;
//! sound, whose packets decode alone, begins one a second. Hashing and signing
//! happen here, on the caller's thread and outside any lock; what comes out is handles.

use crate::limits::{ACCESS_UNIT_BYTES_MAX, PIECE_BYTES};
use crate::media::track::{AccessUnit, Append};
use crate::wire::record::{RecordError, Signer, UnitHead};

/// Why an access unit was not published. It took no seq: the next one may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefusal {
    /// Nobody could decode it.
    #[error("a broadcast begins with a keyframe, and this access unit is none")]
    NotKeyframe,
    /// An encoder does not give this.
    #[error("the access unit is empty")]
    Empty,
    /// Above the bound that every receiver keeps.
    #[error("the access unit has {bytes} bytes; {ACCESS_UNIT_BYTES_MAX} are the most")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The end was signed.
    #[error("the track has ended")]
    Ended,
}

/// Counts of what was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishCounts {
    /// Access units.
    pub access_units: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Bytes of access units.
    pub bytes: u64,
}

/// How much sound a group holds: short enough that a newcomer gets little of the past, long enough
/// that its stream's header and signed end cost nothing.
pub const SOUND_GROUP_S: i64 = 1;

/// One published track.
#[derive(Debug)]
pub struct TrackPublisher {
    signer: Signer,
    sound: Option<SoundGroups>,
    group: Option<u64>,
    next_seq: u64,
    ended: bool,
    counts: PublishCounts,
}

impl TrackPublisher {
    /// Publishes with `signer`, beginning with group 0 and seq 0.
    pub fn new(signer: Signer) -> Self {
        let counts = PublishCounts::default();
        Self { signer, sound: None, group: None, next_seq: 0, ended: false, counts }
    }

    /// Publishes sound, whose packets all decode alone: the first packet of each
    /// [`SOUND_GROUP_S`] of the track's timescale begins a group, whatever it says itself.
    pub fn sound(signer: Signer, timescale: u32) -> Self {
        let groups = SoundGroups { ticks: SOUND_GROUP_S * i64::from(timescale), begun: None };
        Self { sound: Some(groups), ..Self::new(signer) }
    }

    /// Signs the next access unit; append what comes back, in order, to the track's cache.
    ///
    /// # Errors
    /// [`PublishRefusal`]; nothing has changed then.
    pub fn publish(&mut self, unit: &AccessUnit) -> Result<Vec<Append>, PublishRefusal> {
        if self.ended {
            return Err(PublishRefusal::Ended);
        }
        let keyframe = match &self.sound {
            Some(sound) => sound.begins(unit.pts),
            None => unit.keyframe,
        };
        let group = match (keyframe, self.group) {
            (true, None) => 0,
            (true, Some(group)) => group.saturating_add(1),
            (false, Some(group)) => group,
            (false, None) => return Err(PublishRefusal::NotKeyframe),
        };
        let head = UnitHead {
            seq: self.next_seq,
            pts: unit.pts,
            decode_offset: unit.decode_offset,
            captured_us: unit.captured_us,
            keyframe,
            key_epoch: 0,
            length: 0,
        };
        let signed =
            self.signer.sign_unit(group, 0, head, &unit.data).map_err(|error| match error {
                RecordError::Length if unit.data.is_empty() => PublishRefusal::Empty,
                _ => PublishRefusal::TooLong { bytes: unit.data.len() },
            })?;
        let mut appends = Vec::with_capacity(usize::from(signed.pieces()) + 2);
        if keyframe {
            appends.extend(self.end_group(false));
            if let Some(sound) = &mut self.sound {
                sound.begun = Some(unit.pts);
            }
        }
        appends.push(Append::Unit { group, unit: signed });
        let seq = self.next_seq;
        appends.extend((0..unit.data.len()).step_by(PIECE_BYTES).zip(0..).map(|(at, index)| {
            let data = unit.data.slice(at..unit.data.len().min(at + PIECE_BYTES));
            Append::Piece { group, seq, index, data }
        }));
        self.group = Some(group);
        self.next_seq += 1;
        self.counts.access_units += 1;
        self.counts.keyframes += u64::from(keyframe);
        self.counts.bytes += unit.data.len() as u64;
        Ok(appends)
    }

    /// Signs the end of the track. Nothing if nothing was published, or it ended before.
    pub fn end(&mut self) -> Option<Append> {
        if self.ended {
            return None;
        }
        let end = self.end_group(true);
        self.ended = end.is_some();
        end
    }

    fn end_group(&self, last: bool) -> Option<Append> {
        let group = self.group?;
        Some(Append::End { group, end: self.signer.sign_end(group, 0, self.next_seq, last) })
    }

    /// What was published.
    pub fn counts(&self) -> PublishCounts {
        self.counts
    }
}

/// When a group of sound is full.
#[derive(Debug)]
struct SoundGroups {
    ticks: i64,
    /// Presentation time of the open group's first packet.
    begun: Option<i64>,
}

impl SoundGroups {
    /// Time that goes back begins a group too: it is a seam.
    fn begins(&self, pts: i64) -> bool {
        self.begun.is_none_or(|begun| !(0..self.ticks).contains(&pts.saturating_sub(begun)))
    }
}
