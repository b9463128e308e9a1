//! An H.264 byte stream as pictures that can be sent: from the first keyframe with its parameter
//! sets on, each keyframe with the sets that it needs, nothing else changed.
//!
//! It refuses what nobody would see (HEVC, B-frames, interlaced, streams without keyframes) in a
//! sentence that says what to write instead. Bound: two access units, and the pictures that one
//! [`Units::push`] completes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use roommate_protocol::h264::access_unit::{AccessUnits, SplitError, Unit};
use roommate_protocol::h264::annexb;
use roommate_protocol::h264::nal::{BitReader, NalType, nal_type};
use roommate_protocol::h264::sets::ParameterSets;
use roommate_protocol::h264::sps::{NotPlayable, Sps};
use roommate_protocol::limits::ACCESS_UNIT_BYTES_MAX;
use roommate_protocol::time::Mono;

use super::sniff::{Kind, UNKNOWN, sniff};

/// How long a stream may go on without a keyframe before somebody is told. Long groups have one in
/// ten seconds; whoever has fewer sends none at all.
pub(super) const KEYFRAME_WITHIN: Duration = Duration::from_secs(10);

/// Why a stream cannot be sent. Each sentence stands behind "cannot send …: ".
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("its video is HEVC, not H.264: add '-c:v libx264' to the ffmpeg command")]
    Hevc,
    #[error("{UNKNOWN}")]
    Unknown,
    #[error(
        "no keyframe (IDR with parameter sets) came within 10 s, so nobody could start to watch: \
         add '-g 60 -x264-params intra-refresh=0' to the ffmpeg command"
    )]
    NoKeyframe,
    #[error("it holds no keyframe (IDR) with parameter sets, so nobody could start to watch")]
    NoPicture,
    #[error(
        "it has B-frames, whose times a bare H.264 stream does not tell: add '-bf 0' to the ffmpeg \
         command, or send it as MPEG-TS or MP4"
    )]
    BFrames,
    #[error("{0}: add '-vf yadif=deint=1 -pix_fmt yuv420p' to the ffmpeg command")]
    Interlaced(NotPlayable),
    #[error("{0}: add '-pix_fmt yuv420p' to the ffmpeg command")]
    NotPlayable(NotPlayable),
    #[error("{0}")]
    Split(#[from] SplitError),
    #[error("a picture has more than {ACCESS_UNIT_BYTES_MAX} bytes: lower its bitrate")]
    TooLong,
}

/// A picture ready to be sent.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) data: Bytes,
    pub(super) keyframe: bool,
    /// When its first bytes came.
    pub(super) arrived: Mono,
}

/// Bytes in, pictures out.
#[derive(Debug, Default)]
pub(super) struct Units {
    splitter: AccessUnits,
    sets: ParameterSets,
    /// Parameter sets and the like that came with no picture, for the next.
    carry: Vec<u8>,
    /// The head of the stream, until it is told what it is.
    head: Vec<u8>,
    told: bool,
    /// When the first bytes of the unit that is pending came.
    begun: Option<Mono>,
    /// When it began to wait for a keyframe.
    waiting: Option<Mono>,
    started: bool,
    ever_started: bool,
    skipped: u32,
    ready: VecDeque<Ready>,
}

impl Units {
    /// Takes bytes that came at `arrived`.
    pub(super) fn push(&mut self, bytes: &[u8], arrived: Mono) -> Result<(), Refused> {
        self.look(bytes)?;
        let begun = *self.begun.get_or_insert(arrived);
        if !self.started && arrived.since(*self.waiting.get_or_insert(arrived)) > KEYFRAME_WITHIN {
            return Err(Refused::NoKeyframe);
        }
        let units = self.splitter.push(bytes)?;
        let mut first = Some(begun);
        for unit in units {
            // Only the first can have begun in earlier bytes; its successors, the one that is still
            // pending among them, began in these.
            self.take(unit, first.take().unwrap_or(arrived))?;
            self.begun = Some(arrived);
        }
        Ok(())
    }

    /// Ends the picture that is pending.
    pub(super) fn flush(&mut self) -> Result<(), Refused> {
        let begun = self.begun.take().unwrap_or_default();
        for unit in self.splitter.flush()? {
            self.take(unit, begun)?;
        }
        Ok(())
    }

    /// A picture was torn: nothing more until the next keyframe.
    pub(super) fn torn(&mut self) {
        self.started = false;
        self.waiting = None;
        self.skipped = 0;
    }

    /// The next picture.
    pub(super) fn pop(&mut self) -> Option<Ready> {
        self.ready.pop_front()
    }

    /// Whether a picture is waiting to be taken.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a picture ever came out.
    pub(super) fn has_started(&self) -> bool {
        self.ever_started
    }

    /// The sequence parameter set in force.
    pub(super) fn sps(&self) -> Option<Sps> {
        self.sets.first_sps()
    }

    /// What to say of a stream that ended before its first picture.
    pub(super) fn why_nothing(&self) -> Refused {
        if self.told { Refused::NoPicture } else { Refused::Unknown }
    }

    fn look(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.told {
            return Ok(());
        }
        let room = super::sniff::SNIFF_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match sniff(&self.head) {
            Some(Kind::H264) => self.told = true,
            Some(Kind::Hevc) => return Err(Refused::Hevc),
            Some(_) => return Err(Refused::Unknown),
            None if self.head.len() == super::sniff::SNIFF_BYTES => return Err(Refused::Unknown),
            None => {}
        }
        if self.told {
            self.head = Vec::new();
        }
        Ok(())
    }

    fn take(&mut self, unit: Unit, arrived: Mono) -> Result<(), Refused> {
        for nal in annexb::nals(&unit.data) {
            check(nal)?;
            // A set that we cannot read is passed on as it is, but begins no broadcast.
            let _ = self.sets.learn_nal(nal);
        }
        let data = if self.carry.is_empty() {
            unit.data
        } else {
            let mut carried = std::mem::take(&mut self.carry);
            carried.extend_from_slice(&unit.data);
            Bytes::from(carried)
        };
        if !unit.picture {
            if data.len() > ACCESS_UNIT_BYTES_MAX {
                return Err(Refused::TooLong);
            }
            self.carry = data.to_vec();
            return Ok(());
        }
        if !self.started {
            if !(unit.keyframe && self.sets.is_complete()) {
                return self.skip();
            }
            self.started = true;
            self.ever_started = true;
        }
        let data = if unit.keyframe {
            let nals: Vec<&[u8]> = annexb::nals(&data).collect();
            Bytes::from(self.sets.assemble(&nals))
        } else {
            data
        };
        if data.len() > ACCESS_UNIT_BYTES_MAX {
            return Err(Refused::TooLong);
        }
        self.ready.push_back(Ready { data, keyframe: unit.keyframe, arrived });
        Ok(())
    }

    /// A picture before the first keyframe. In a file no time passes: its pictures are counted.
    fn skip(&mut self) -> Result<(), Refused> {
        self.skipped += 1;
        let (num, den) = rate(self.sps().as_ref());
        let most = u64::from(num) * KEYFRAME_WITHIN.as_secs() / u64::from(den);
        if u64::from(self.skipped) > most { Err(Refused::NoKeyframe) } else { Ok(()) }
    }
}

/// Pictures a second as the stream says it, else 25; never above 240, which no stream means.
pub(super) fn rate(sps: Option<&Sps>) -> (u32, u32) {
    let said = sps.and_then(Sps::frame_rate);
    said.filter(|&(num, den)| num > 0 && den > 0 && num / den <= 240 && den / num <= 10)
        .unwrap_or((25, 1))
}

fn check(nal: &[u8]) -> Result<(), Refused> {
    match nal_type(nal) {
        NalType::Sps => match Sps::parse(nal).map(|sps| sps.check_playable()) {
            Ok(Err(why @ NotPlayable::Interlaced)) => Err(Refused::Interlaced(why)),
            Ok(Err(why)) => Err(Refused::NotPlayable(why)),
            _ => Ok(()),
        },
        NalType::Slice if is_b_slice(nal) => Err(Refused::BFrames),
        _ => Ok(()),
    }
}

/// `slice_type` 1 or 6 (table 7-6).
fn is_b_slice(nal: &[u8]) -> bool {
    let mut bits = BitReader::new(nal.get(1..).unwrap_or_default());
    let kind = bits.ue().and_then(|_| bits.ue());
    matches!(kind, Ok(1 | 6))
}
