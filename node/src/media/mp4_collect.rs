//! Collects the samples of one track until they are a fragment: gives them times from 0 on and
//! durations, and says when the fragment is due.
//!
//! Knows neither the codec nor the file. Bound: one fragment of 4 MiB and one sample, which waits
//! until the next says how long it lasts.

use super::mp4_write::Picture;

/// A fragment is closed before it would hold more: half a second at 64 Mbit/s.
const FRAGMENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A sample as the broadcast has it.
pub(super) struct Coded {
    /// Decoding time of the broadcast.
    pub(super) dts: i64,
    /// From it to the presentation time.
    pub(super) offset: i32,
    pub(super) keyframe: bool,
    pub(super) sample: Vec<u8>,
}

/// What is collected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending<'a> {
    /// Decoding time at which it begins.
    pub(super) begin: u64,
    pub(super) pictures: &'a [Picture],
    pub(super) data: &'a [u8],
    /// Presentation time of its first picture, if that is a keyframe.
    pub(super) key_pts: Option<u64>,
}

/// The samples of one track.
pub(super) struct Collector {
    /// What a sample lasts when nothing says it.
    nominal: i64,
    /// Ticks that a fragment may span.
    span_max: i64,
    /// Taken from the broadcast's decoding times; `None` before the first sample.
    zero: Option<i64>,
    /// Its `dts` is the file's already.
    held: Option<Coded>,
    /// The next sample follows the last one whatever its time stamps say.
    joins: bool,
    pictures: Vec<Picture>,
    data: Vec<u8>,
    /// Decoding time at which the collected fragment begins, and that of its end.
    begin: i64,
    end: i64,
}

impl Collector {
    /// `timescale` is at least 1; a fragment spans 1/`fragments_per_s` of a second.
    pub(super) fn new(timescale: u32, fps: (u32, u32), fragments_per_s: i64) -> Self {
        let (num, den) = fps;
        let nominal = i64::from(timescale) * i64::from(den) / i64::from(num.max(1));
        Self {
            // Ten seconds at most, should a stranger's frame rate be absurd.
            nominal: nominal.clamp(1, 10 * i64::from(timescale)),
            span_max: (i64::from(timescale) / fragments_per_s).max(1),
            zero: None,
            held: None,
            joins: false,
            pictures: Vec::new(),
            data: Vec::new(),
            begin: 0,
            end: 0,
        }
    }

    /// Whether the file's zero is known.
    pub(super) fn has_begun(&self) -> bool {
        self.zero.is_some()
    }

    /// The file begins at this decoding time of the broadcast.
    pub(super) fn begin_at(&mut self, dts: i64) {
        self.zero = Some(dts);
    }

    /// The next sample follows the last one directly.
    pub(super) fn join(&mut self) {
        self.joins = self.held.is_some();
    }

    /// Takes the next sample; true if what is collected before it should be written. Decoding times
    /// that do not grow are taken to follow what came before.
    pub(super) fn push(&mut self, mut next: Coded) -> bool {
        let dts = next.dts;
        let mut at = dts.saturating_sub(self.zero.unwrap_or(dts));
        let mut due = false;
        if let Some(held) = self.held.take() {
            if std::mem::take(&mut self.joins) || at <= held.dts {
                at = held.dts + self.nominal;
                self.zero = Some(dts.saturating_sub(at));
            }
            // A duration has 32 bits: a longer gap, of hours, is cut to that.
            let duration = (at - held.dts).min(u32::MAX.into());
            let at_most = held.dts + duration;
            if at > at_most {
                self.zero = Some(dts.saturating_sub(at_most));
                at = at_most;
            }
            let full = self.collect(held, duration);
            due = full || (next.keyframe && at - self.begin >= self.span_max / 2);
        }
        next.dts = at;
        self.held = Some(next);
        due
    }

    /// Nothing more comes: what was held is collected as well.
    pub(super) fn finish(&mut self) {
        if let Some(held) = self.held.take() {
            let duration = self.pictures.last().map_or(self.nominal, |last| last.duration.into());
            self.collect(held, duration);
        }
    }

    /// What is collected, if anything is.
    pub(super) fn pending(&self) -> Option<Pending<'_>> {
        let first = self.pictures.first()?;
        let key_pts = first.keyframe.then(|| self.begin.saturating_add(first.offset.into()));
        let unsigned = |time: i64| u64::try_from(time).unwrap_or(0);
        Some(Pending {
            begin: unsigned(self.begin),
            pictures: &self.pictures,
            data: &self.data,
            key_pts: key_pts.map(unsigned),
        })
    }

    /// What is collected was written; gives the decoding time at which it ends.
    pub(super) fn clear(&mut self) -> i64 {
        self.pictures.clear();
        self.data.clear();
        self.end
    }

    /// Moves a picture into the fragment; true if that is full.
    fn collect(&mut self, held: Coded, duration: i64) -> bool {
        if self.pictures.is_empty() {
            self.begin = held.dts;
        }
        self.end = held.dts + duration;
        self.pictures.push(Picture {
            duration: u32::try_from(duration).unwrap_or(u32::MAX),
            // An access unit is at most 2 MiB.
            size: u32::try_from(held.sample.len()).unwrap_or(u32::MAX),
            offset: held.offset,
            keyframe: held.keyframe,
        });
        self.data.extend_from_slice(&held.sample);
        self.end - self.begin >= self.span_max || self.data.len() >= FRAGMENT_BYTES_MAX / 2
    }
}
