//! One track of a file that is being written: where it stands in the file's time, and what of it
//! waits for the next fragment.
//!
//! Bound: one access unit, and what the sink lets pile up before it asks for a run.

use roommate_protocol::h264::avcc::{LengthSize, from_annexb};

use super::audio::packet_ticks;
use super::write::{Entry, Run};
use crate::ViewUnit;
use crate::source::TrackFormat;

/// What a unit costs beside its own bytes, here and in the file, about.
const ENTRY_BYTES: usize = 64;

/// A unit that waits until the next says how long it lasts.
#[derive(Debug)]
struct Held {
    dts: i64,
    offset: i32,
    keyframe: bool,
    sample: Vec<u8>,
    /// How long it lasts if no other says it.
    lasting: i64,
}

/// One track.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) format: TrackFormat,
    /// What is taken from the broadcast's times to get the file's.
    pub(super) base: i64,
    /// Presentation time, in the broadcast's, before which nothing is written.
    pub(super) from: i64,
    /// Decoding time of the last unit.
    pub(super) last: Option<i64>,
    held: Option<Held>,
    entries: Vec<Entry>,
    data: Vec<u8>,
    /// Decoding time at which what was collected begins, and that of its end.
    pub(super) begin: i64,
    pub(super) end: i64,
    /// When the last of all units has been shown: with B-frames it need not be the last one.
    pub(super) shown: i64,
}

impl Lane {
    pub(super) fn new(format: &TrackFormat) -> Self {
        Self {
            format: format.clone(),
            base: 0,
            from: i64::MIN,
            last: None,
            held: None,
            entries: Vec::new(),
            data: Vec::new(),
            begin: 0,
            end: 0,
            shown: 0,
        }
    }

    /// Ticks in a second, at least 1.
    pub(super) fn scale(&self) -> u32 {
        self.format.timescale().max(1)
    }

    /// Whether a unit waits for the next.
    pub(super) fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Where the next unit can begin.
    pub(super) fn free(&self) -> i64 {
        self.held.as_ref().map_or(self.end, |held| held.dts.saturating_add(held.lasting))
    }

    /// Ticks that are collected.
    pub(super) fn span(&self) -> i64 {
        if self.entries.is_empty() { 0 } else { self.end.saturating_sub(self.begin) }
    }

    /// What the units that are collected cost.
    pub(super) fn bytes(&self) -> usize {
        self.data.len() + self.entries.len() * ENTRY_BYTES
    }

    /// Takes a unit that is decoded at `dts` of the file, later than the last one, which is
    /// collected. True if what is collected cannot go on in one piece.
    pub(super) fn push(&mut self, dts: i64, offset: i32, unit: &ViewUnit) -> bool {
        let Some(sample) = sample(&self.format, &unit.data) else {
            tracing::warn!("unit {} of a track has nothing that fits a file; left out", unit.seq);
            return false;
        };
        let whole = self.collect(|held| dts.saturating_sub(held.dts));
        let lasting = lasting(&self.format, &unit.data);
        self.last = Some(dts);
        self.shown = self.shown.max(dts.saturating_add(offset.into()).saturating_add(lasting));
        self.held = Some(Held { dts, offset, keyframe: unit.keyframe, sample, lasting });
        !whole
    }

    /// Collects the last unit without waiting for a next one.
    pub(super) fn release(&mut self) {
        let before = self.entries.last().map(|entry| i64::from(entry.duration));
        let pictures = matches!(self.format, TrackFormat::Video(_));
        self.collect(|held| before.filter(|_| pictures).unwrap_or(held.lasting));
    }

    /// False if the unit lasts longer than a file can say: what follows needs a time of its own.
    fn collect(&mut self, lasts: impl FnOnce(&Held) -> i64) -> bool {
        let Some(held) = self.held.take() else { return true };
        let lasts = lasts(&held);
        let duration = u32::try_from(lasts).unwrap_or(u32::MAX);
        if self.entries.is_empty() {
            self.begin = held.dts;
        }
        self.end = held.dts.saturating_add(duration.into());
        // An access unit is at most 2 MiB.
        let size = u32::try_from(held.sample.len()).unwrap_or(u32::MAX);
        let (offset, keyframe) = (held.offset, held.keyframe);
        self.entries.push(Entry { duration, size, offset, keyframe });
        self.data.extend_from_slice(&held.sample);
        i64::from(duration) == lasts
    }

    /// What is collected, if anything is.
    pub(super) fn run(&self, track: usize) -> Option<Run<'_>> {
        let (entries, data) = (&self.entries[..], &self.data[..]);
        (!entries.is_empty()).then_some(Run { track, dts: self.begin, entries, data })
    }

    /// Forgets what was collected: it is written.
    pub(super) fn written(&mut self) {
        self.entries.clear();
        self.data.clear();
    }
}

/// A unit as it stands in a file; `None` if nothing is left of it.
pub(super) fn sample(format: &TrackFormat, data: &[u8]) -> Option<Vec<u8>> {
    let sample = match format {
        TrackFormat::Video(_) => from_annexb(data, LengthSize::Four, |_| true).ok()?,
        TrackFormat::Audio(_) => data.to_vec(),
    };
    (!sample.is_empty()).then_some(sample)
}

/// How long a unit lasts if nothing else says it, in ticks, at least 1.
pub(super) fn lasting(format: &TrackFormat, data: &[u8]) -> i64 {
    let scale = i64::from(format.timescale().max(1));
    let ticks = match format {
        TrackFormat::Video(video) => match video.fps {
            (0, _) => scale / 25,
            (num, den) => scale * i64::from(den) / i64::from(num),
        },
        TrackFormat::Audio(audio) => packet_ticks(audio, data),
    };
    // Ten seconds at most, should a stranger's frame rate be absurd.
    ticks.clamp(1, 10 * scale)
}
