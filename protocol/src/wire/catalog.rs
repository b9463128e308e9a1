//! What a broadcast offers: its tracks, sound from the first day.
//!
//! It travels inside a signed announcement, so its layout is fixed. A track of a kind that this
//! version does not know is skipped, as are fields that a newer version appends to a track.

use super::fields::{Fields, put_text};
use crate::trust::id::TrackId;

/// Tracks of one broadcast: camera, screen and sound in a few renditions each.
pub const TRACKS_MAX: usize = 16;
/// Longest codec string, in bytes: `avc1.64001f`, `av01.0.04M.08.0.110.09.16.09.0` and the like.
pub const CODEC_BYTES_MAX: usize = 48;
/// Longest decoder configuration of a track of sound: an `AudioSpecificConfig` has 2 to about 20
/// bytes, an `OpusHead` of eight channels 29.
pub const DESCRIPTION_BYTES_MAX: usize = 64;
/// Widest and highest picture: 16K, beyond any encoder that a node will meet.
pub const PICTURE_SIDE_MAX: u32 = 16_384;

/// The tracks of one broadcast.
///
/// Bytes: a count, then for each track a u16 length and that many bytes: id, kind (1 video, 2 audio),
/// timescale u32, rendition (255: none), codec (length byte and text), then for video width, height,
/// frame rate numerator and denominator (u32 each), for audio sample rate u32, channels u8 and, where it
/// has one, the decoder's configuration (length byte and bytes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// At most [`TRACKS_MAX`], each id once.
    pub tracks: Vec<CatalogTrack>,
}

/// One track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogTrack {
    /// Its id; 255 is no id.
    pub id: TrackId,
    /// Its codec as WebCodecs names it: `avc1.64001f`, `opus`.
    pub codec: String,
    /// Ticks a second of its presentation times, never 0.
    pub timescale: u32,
    /// The track of which this is another size or rate.
    pub rendition_of: Option<TrackId>,
    /// What only its kind has.
    pub kind: TrackKind,
}

/// What only one kind of track has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackKind {
    /// Pictures.
    Video {
        /// Width in pixels, 1 to [`PICTURE_SIDE_MAX`].
        width: u32,
        /// Height in pixels, 1 to [`PICTURE_SIDE_MAX`].
        height: u32,
        /// Pictures a second as a fraction (30000/1001); 0/1 where it varies.
        fps: (u32, u32),
    },
    /// Sound.
    Audio {
        /// Samples a second, never 0.
        sample_rate: u32,
        /// Channels, never 0.
        channels: u8,
        /// The decoder's configuration as WebCodecs' `description`: an `AudioSpecificConfig` for
        /// AAC, empty for Opus of one or two channels. At most [`DESCRIPTION_BYTES_MAX`] bytes.
        description: Vec<u8>,
    },
}

const VIDEO: u8 = 1;
const AUDIO: u8 = 2;
const NO_TRACK: u8 = u8::MAX;

impl Catalog {
    /// Whether it may be announced: every bound kept, every id once.
    pub fn is_sound(&self) -> bool {
        self.tracks.len() <= TRACKS_MAX
            && self.tracks.iter().all(CatalogTrack::is_sound)
            && (1..self.tracks.len())
                .all(|i| self.tracks[..i].iter().all(|t| t.id != self.tracks[i].id))
    }

    /// The track called `id`.
    pub fn track(&self, id: TrackId) -> Option<&CatalogTrack> {
        self.tracks.iter().find(|track| track.id == id)
    }

    /// Appends the bytes of a sound catalog.
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.is_sound());
        out.push(self.tracks.len() as u8);
        for track in &self.tracks {
            let mut bytes = Vec::new();
            track.encode(&mut bytes);
            out.extend((bytes.len() as u16).to_be_bytes());
            out.extend(bytes);
        }
    }

    /// Takes a catalog from the front of `fields`; `None` if it is cut short or not sound.
    pub(crate) fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let count = usize::from(fields.u8()?);
        if count > TRACKS_MAX {
            return None;
        }
        let mut tracks = Vec::new();
        for _ in 0..count {
            let length = usize::from(fields.u16()?);
            let track = CatalogTrack::decode(Fields(fields.bytes(length)?))?;
            tracks.extend(track);
        }
        Some(Self { tracks }).filter(Self::is_sound)
    }
}

impl CatalogTrack {
    fn is_sound(&self) -> bool {
        let side = |pixels: u32| (1..=PICTURE_SIDE_MAX).contains(&pixels);
        let kind = match &self.kind {
            TrackKind::Video { width, height, fps } => side(*width) && side(*height) && fps.1 != 0,
            TrackKind::Audio { sample_rate, channels, description } => {
                *sample_rate != 0 && *channels != 0 && description.len() <= DESCRIPTION_BYTES_MAX
            }
        };
        kind && self.timescale != 0
            && self.id.0 != NO_TRACK
            && self.rendition_of.is_none_or(|of| of != self.id && of.0 != NO_TRACK)
            && (1..=CODEC_BYTES_MAX).contains(&self.codec.len())
            && self.codec.bytes().all(|b| b.is_ascii_graphic())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.id.0);
        out.push(if matches!(self.kind, TrackKind::Video { .. }) { VIDEO } else { AUDIO });
        out.extend(self.timescale.to_be_bytes());
        out.push(self.rendition_of.map_or(NO_TRACK, |of| of.0));
        put_text(&self.codec, out);
        match &self.kind {
            TrackKind::Video { width, height, fps } => {
                for number in [*width, *height, fps.0, fps.1] {
                    out.extend(number.to_be_bytes());
                }
            }
            TrackKind::Audio { sample_rate, channels, description } => {
                out.extend(sample_rate.to_be_bytes());
                out.push(*channels);
                // Appended later than the rest: absent is empty.
                if !description.is_empty() {
                    out.push(description.len() as u8);
                    out.extend(description);
                }
            }
        }
    }

    /// `Some(None)` is a track of an unknown kind.
    fn decode(mut fields: Fields<'_>) -> Option<Option<Self>> {
        let id = TrackId(fields.u8()?);
        let kind = fields.u8()?;
        if kind != VIDEO && kind != AUDIO {
            return Some(None);
        }
        let timescale = fields.u32()?;
        let rendition_of = Some(fields.u8()?).filter(|of| *of != NO_TRACK).map(TrackId);
        let codec = fields.text(CODEC_BYTES_MAX)?;
        let kind = if kind == VIDEO {
            TrackKind::Video {
                width: fields.u32()?,
                height: fields.u32()?,
                fps: (fields.u32()?, fields.u32()?),
            }
        } else {
            let (sample_rate, channels) = (fields.u32()?, fields.u8()?);
            let length = usize::from(fields.u8().unwrap_or(0));
            let description = fields.bytes(length)?.to_vec();
            TrackKind::Audio { sample_rate, channels, description }
        };
        Some(Some(Self { id, codec, timescale, rendition_of, kind }))
    }
}
