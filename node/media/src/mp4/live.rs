//! A broadcast as a live stream of fragmented MP4: for a page's Media Source Extensions, and for
//! players that read it over HTTP.
//!
//! Bytes in, bytes out: no file, no clock, no thread. It decodes nothing and holds back nothing:
//! each access unit is a fragment of its own, there as soon as the unit is, lasting as long as the
//! one before it. Bound: the header and the parameter sets of one keyframe.

use bytes::Bytes;
use roommate_protocol::h264::sets::ParameterSets;

use super::entry::{Unwritable, leading};
use super::lane::{lasting, sample};
use super::ticks::rescaled;
use super::write::{Entry, FirstPicture, Run, fragment, header};
use crate::ViewUnit;
use crate::source::TrackFormat;

/// Seconds that [`Start::Broadcast`] adds to the broadcast's times.
pub const LEAD: u32 = 10;

/// Where time begins in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The broadcast's own time and [`LEAD`] seconds, because a file cannot have the negative times
    /// that sound before the first picture has. Muxers of the same broadcast agree, whenever each
    /// was made: one for the pictures and one for the sound feed two `SourceBuffer`s in sync, and
    /// `currentTime - LEAD` is the `pts` in seconds of what is shown.
    Broadcast,
    /// The first keyframe is decoded at 0, and sound that is heard before it is left out: for
    /// players, which expect a stream to begin near 0.
    Keyframe,
}

/// A piece of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The track of its only access unit.
    pub track: usize,
    /// Whether playing can begin here: a keyframe, or sound where there are no pictures.
    pub begins: bool,
    /// Whether [`Fmp4::init`] has changed with it and must be sent before it: with the first
    /// fragment, and when parameter sets change, as with the size of the picture.
    pub new_init: bool,
    /// `moof` and `mdat`.
    pub bytes: Bytes,
}

/// A live muxer of one broadcast: of its pictures, of its sound, or of both.
///
/// # A page by Media Source Extensions
/// One muxer a track, `Start::Broadcast`, each with a `SourceBuffer` of [`Fmp4::mime`]. Whoever
/// joins gets [`Fmp4::init`] and then fragments, the first of which must be one that
/// [`Fragment::begins`]; a `Fragment::new_init` in between is announced by sending `init` again.
/// Browsers play where *all* buffers hold something: leave the buffer of sound away until its first
/// fragment comes, or pictures wait for it.
///
/// # A player over HTTP
/// One muxer of all tracks and `Start::Keyframe` for each player: `init` when the first fragment
/// comes, and then all fragments, as one body without an end.
///
/// Fragments may be sent one by one or joined end to end, of one track or of several: what a reader
/// gets is the same. A broadcast that follows another needs a muxer of its own.
#[derive(Debug)]
pub struct Fmp4 {
    formats: Vec<TrackFormat>,
    lines: Vec<Line>,
    lead: usize,
    start: Start,
    /// Of the last keyframe.
    sets: ParameterSets,
    init: Option<Bytes>,
    /// Nothing was sent since it changed.
    new_init: bool,
    number: u32,
}

/// Where a track stands.
#[derive(Clone, Debug)]
struct Line {
    /// What is taken from the broadcast's times.
    base: i64,
    /// Presentation time before which nothing is sent.
    from: i64,
    /// Decoding time of the last unit, in the stream's.
    last: Option<i64>,
}

impl Fmp4 {
    /// A muxer of these tracks: one of pictures, one of sound, or both; `track` of [`Self::push`]
    /// is the place in here.
    ///
    /// # Errors
    /// [`Unwritable`] if a track has no place in an MP4 file.
    pub fn new(formats: &[TrackFormat], start: Start) -> Result<Self, Unwritable> {
        let lead = leading(formats)?;
        let line = |format: &TrackFormat| Line {
            base: i64::from(format.timescale().max(1)) * -i64::from(LEAD),
            from: i64::MIN,
            last: None,
        };
        let mut muxer = Self {
            formats: formats.to_vec(),
            lines: formats.iter().map(line).collect(),
            lead,
            start,
            sets: ParameterSets::new(),
            init: None,
            new_init: true,
            number: 0,
        };
        if !muxer.has_pictures() {
            muxer.init = header(formats, None).ok().map(Bytes::from);
        }
        Ok(muxer)
    }

    /// The type of the stream as `MediaSource.isTypeSupported` takes it:
    /// `video/mp4; codecs="avc1.64001f, mp4a.40.2"`.
    pub fn mime(&self) -> String {
        let codec = |format: &TrackFormat| match format {
            TrackFormat::Video(video) => video.codec.clone(),
            TrackFormat::Audio(audio) => audio.codec.clone(),
        };
        let codecs: Vec<_> = self.formats.iter().map(codec).collect();
        let kind = if self.has_pictures() { "video" } else { "audio" };
        format!("{kind}/mp4; codecs=\"{}\"", codecs.join(", "))
    }

    /// `ftyp` and `moov`, which every reader needs before its first fragment. `None` until a
    /// keyframe has brought parameter sets; there from the first if there is sound alone.
    pub fn init(&self) -> Option<Bytes> {
        self.init.clone()
    }

    /// The next access unit of a track as a fragment. `None` for what cannot be shown: what comes
    /// before the first keyframe, sound of before it with [`Start::Keyframe`], times that do not
    /// grow or lie more than [`LEAD`] seconds before the broadcast's zero, what holds no NAL unit.
    pub fn push(&mut self, track: usize, unit: &ViewUnit) -> Option<Fragment> {
        let format = self.formats.get(track)?;
        let sample = sample(format, &unit.data)?;
        let keyframe = track == self.lead && unit.keyframe;
        if keyframe && self.has_pictures() {
            self.learn(unit)?;
        }
        if self.number == 0 {
            if !keyframe {
                return None;
            }
            self.place(unit);
        }
        let dts = unit.pts.checked_sub(unit.decode_offset.into())?;
        let line = &mut self.lines[track];
        let at = dts.checked_sub(line.base).filter(|&at| at >= 0)?;
        if unit.pts < line.from || line.last.is_some_and(|last| at <= last) {
            return None;
        }
        let nominal = lasting(&self.formats[track], &unit.data);
        let before = line.last.replace(at).map(|last| at - last);
        // A gap is no measure of how long the next unit lasts.
        let duration = before.filter(|&before| before < 4 * nominal).unwrap_or(nominal);
        self.number = self.number.wrapping_add(1).max(1);
        let entry = Entry {
            duration: u32::try_from(duration).unwrap_or(u32::MAX),
            size: u32::try_from(sample.len()).ok()?,
            offset: unit.decode_offset,
            keyframe: unit.keyframe,
        };
        let run = Run { track, dts: at, entries: &[entry], data: &sample };
        let bytes = fragment(self.number, &[run]).ok()?.into();
        let new_init = std::mem::take(&mut self.new_init);
        Some(Fragment { track, begins: keyframe, new_init, bytes })
    }

    fn has_pictures(&self) -> bool {
        matches!(self.formats[self.lead], TrackFormat::Video(_))
    }

    /// Takes up the parameter sets of a keyframe; `None` if nothing can begin with them.
    fn learn(&mut self, unit: &ViewUnit) -> Option<()> {
        let mut sets = ParameterSets::new();
        sets.learn(&unit.data);
        if self.init.is_some() && sets == self.sets {
            return Some(());
        }
        // No edit list: fragments say when a picture is shown.
        let first = FirstPicture { sets: &sets, offset: 0 };
        let init = header(&self.formats, Some(first)).ok().map(Bytes::from)?;
        self.init = Some(init);
        self.new_init = true;
        self.sets = sets;
        Some(())
    }

    /// Lets time begin with this keyframe, if it is to.
    fn place(&mut self, unit: &ViewUnit) {
        if self.start == Start::Broadcast {
            return;
        }
        let scale = self.formats[self.lead].timescale().max(1);
        let base = unit.pts.saturating_sub(unit.decode_offset.into());
        for (line, format) in self.lines.iter_mut().zip(&self.formats) {
            line.base = rescaled(base, scale, format.timescale().max(1));
            line.from = rescaled(unit.pts, scale, format.timescale().max(1));
        }
        self.lines[self.lead].from = i64::MIN;
    }
}
