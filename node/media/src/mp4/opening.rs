//! Reads the index of a file once: which units of its tracks are played, and how they lie to each
//! other in time.
//!
//! Bound: as the index.

use std::fs::File;

use super::boxes::FileBox;
use super::error::Mp4Error;
use super::index::{Budget, Index, Sample, What};
use super::pace::Line;
use super::pictures::{Begun, Pictures};
use super::ticks::{Ticks, rescaled};
use super::track::{Edit, Sound, Track, Video};
use crate::source::AudioFormat;

/// Sound that a file hides by an edit list is sent as far as a decoder needs it to warm up (AAC: at
/// most 120 ms, Opus: 80 ms), and no further: somebody may have cut it for a reason. By so much may
/// sound also be longer than the pictures without a repeat waiting for it.
const SLACK_NS: i128 = 250_000_000;

/// A file whose index is being read.
pub(super) struct Opening<'a> {
    pub(super) file: &'a mut File,
    pub(super) moofs: &'a [FileBox],
    pub(super) budget: Budget,
    /// The file ends in the middle of a fragment.
    pub(super) cut_short: bool,
}

/// The pictures that are played, and when the file presents their first and their end.
pub(super) struct Shown {
    pub(super) begun: Begun,
    from_ns: i128,
    until_ns: i128,
}

/// The sound that is played.
pub(super) struct Heard {
    pub(super) format: AudioFormat,
    /// At least one packet.
    samples: Vec<Sample>,
    /// Added to the file's times so that the first picture (or packet) is at 0.
    shift: i64,
    /// Decoding time at which a next packet would follow.
    end_dts: i64,
}

impl Opening<'_> {
    fn index(&mut self, what: What, track: &Track<'_>) -> Result<Index, Mp4Error> {
        let mut index = Index::new(what, self.budget);
        index.fill(track, self.moofs, self.file)?;
        self.budget = index.budget;
        self.cut_short |= index.cut_short;
        Ok(index)
    }

    pub(super) fn pictures(&mut self, video: Video<'_>) -> Result<Shown, Mp4Error> {
        let Video { track, entries } = video;
        let mut index = self.index(What::Picture, &track)?;
        if let Some(edit) = track.edit.filter(|_| !track.fragmented) {
            index.keep(edit);
        }
        let begun = Pictures::begin(self.file, entries, index, track.timescale)?;
        let first = begun.samples[0].pts();
        let from_ns = track.presented_ns(first);
        let until_ns = track.presented_ns(first.saturating_add(begun.span));
        Ok(Shown { begun, from_ns, until_ns })
    }

    pub(super) fn sound(
        &mut self,
        sound: Sound<'_>,
        shown: Option<&Shown>,
    ) -> Result<Heard, Mp4Error> {
        let Sound { track, format, entry } = sound;
        let mut index = self.index(What::Packet, &track)?;
        index.samples.retain(|sample| sample.entry == entry);
        if let Some(Edit { start, end }) = track.edit.filter(|_| !track.fragmented) {
            let (start, end) = (track.presented_ns(start), end.map(|end| track.presented_ns(end)));
            let from = shown.map_or(start, |shown| start.min(shown.from_ns)) - SLACK_NS;
            let until = end.map(|end| shown.map_or(end, |shown| end.max(shown.until_ns)));
            let until = until.map_or(i64::MAX, |until| track.media_time(until + SLACK_NS));
            index.keep_between(track.media_time(from), until);
        }
        let first = index.samples.first().ok_or(Mp4Error::NoSound)?.pts();
        let zero = shown.map_or(first, |shown| track.media_time(shown.from_ns));
        // Opus has a timescale of its own, whatever the file counts in.
        index.rescale(track.timescale, format.timescale);
        let shift = rescaled(zero, track.timescale, format.timescale).saturating_neg();
        let Index { samples, end_dts, .. } = index;
        Ok(Heard { format, samples, shift, end_dts })
    }
}

/// What is repeated: from when to when, in ticks of a track, its first picture (or packet) being 0.
pub(super) struct Span {
    from: i64,
    until: i64,
    scale: u32,
}

impl Span {
    /// What each repeat adds.
    pub(super) fn length(&self) -> Ticks {
        Ticks { ticks: self.until.saturating_sub(self.from).max(1), scale: self.scale }
    }

    /// The pictures decide, so that they follow each other as in the file, unless the sound is
    /// longer than what encoders put around it.
    pub(super) fn of(shown: Option<&Shown>, heard: Option<&Heard>) -> Self {
        let (from, until) = heard.map_or((0, 1), Heard::reach);
        let scale = heard.map_or(1, |heard| heard.format.timescale);
        let Some(Begun { span, format, .. }) = shown.map(|shown| &shown.begun) else {
            return Self { from, until, scale };
        };
        let (from, until) =
            (rescaled(from, scale, format.timescale), rescaled(until, scale, format.timescale));
        let slack = i64::try_from(SLACK_NS * i128::from(format.timescale) / 1_000_000_000);
        let slack = slack.unwrap_or(i64::MAX);
        Self {
            from: if heard.is_some() && from < -slack { from } else { 0 },
            until: if until > span.saturating_add(slack) { until } else { *span },
            scale: format.timescale,
        }
    }
}

impl Heard {
    /// How long a packet is: the last may be said to be shorter, and gaps are longer.
    fn packet(&self) -> i64 {
        let lasts = self.samples.windows(2).map(|pair| pair[1].dts.saturating_sub(pair[0].dts));
        lasts.take(32).filter(|&lasts| lasts > 0).min().unwrap_or_else(|| self.tail())
    }

    /// How long the last packet is said to be.
    fn tail(&self) -> i64 {
        let last = self.samples.last().map_or(0, |sample| sample.dts);
        self.end_dts.saturating_sub(last).max(1)
    }

    fn at(&self, sample: &Sample) -> i64 {
        sample.pts().saturating_add(self.shift)
    }

    /// When it begins and ends, at 0 the first picture.
    fn reach(&self) -> (i64, i64) {
        let first = self.samples.first().map_or(0, |sample| self.at(sample));
        let last = self.samples.last().map_or(0, |sample| self.at(sample));
        (first, last.saturating_add(self.tail()))
    }

    /// The track as it is played. Where it repeats, whole packets are left out at the seam so that
    /// sound neither goes back in time nor away from the pictures: what the last packet covers is
    /// not covered again by the first, and at most half a packet is lacking or too much.
    pub(super) fn line(self, span: &Span) -> (AudioFormat, Line) {
        let scale = self.format.timescale;
        let period = rescaled(span.length().ticks, span.scale, scale);
        let over = rescaled(span.from, span.scale, scale).saturating_add(period);
        let (packet, half) = (self.packet(), self.packet() / 2);
        let until = self.samples.partition_point(|it| self.at(it).saturating_add(half) < over);
        let end = match self.samples.get(until.wrapping_sub(1)) {
            Some(last) => self.at(last).saturating_add(packet),
            None => i64::MIN,
        };
        let again = |it: &Sample| self.at(it).saturating_add(period).saturating_add(half) < end;
        let from = self.samples.partition_point(again).min(until);
        let mut line = Line::new(self.samples, scale, self.shift);
        line.again = from..until;
        (self.format, line)
    }
}
