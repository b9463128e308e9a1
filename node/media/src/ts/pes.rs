//! PES packets (ISO/IEC 13818-1, 2.4.3.6) out of transport packets: time stamps, payload, and
//! whether all of it came.
//!
//! The payload is handed on as it comes, never collected. Bound: the header, 264 bytes.

use super::packet::Packet;

/// What happened to a stream, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pes<'a> {
    /// A PES packet begins.
    Begin(Stamps),
    /// A part of its payload.
    Data(&'a [u8]),
    /// It ended and nothing of it is missing.
    End,
    /// Something is missing: what was begun will not be ended.
    Lost,
}

/// Time stamps of a PES packet: 33 bits of a clock of 90 kHz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps {
    pub(super) pts: Option<u64>,
    /// The same as `pts` where only that is written.
    pub(super) dts: Option<u64>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// Until a PES packet begins.
    #[default]
    Idle,
    /// Its header is collected.
    Header,
    Body,
}

/// Packets that carry encrypted payload, one after the other, before the stream is given up: a
/// flipped bit can make a few look so.
const SCRAMBLED_MAX: u32 = 20;

/// Follows one stream.
#[derive(Debug, Default)]
pub(super) struct PesReader {
    state: State,
    header: Vec<u8>,
    /// Payload that is still to come, where the header says it.
    left: Option<usize>,
    counter: Option<u8>,
    repeated: bool,
    scrambled: u32,
    /// The newest packet was filled up.
    stuffed: bool,
}

impl PesReader {
    /// The PES packet that was begun is whole, or seems so: all that its header promised is there,
    /// or its last packet was filled up.
    pub(super) fn looks_ended(&self) -> bool {
        match (&self.state, self.left) {
            (State::Header, _) => false,
            (State::Body, Some(left)) => left == 0,
            (State::Body, None) => self.stuffed,
            (State::Idle, _) => true,
        }
    }

    /// All of the stream is encrypted.
    pub(super) fn is_scrambled(&self) -> bool {
        self.scrambled >= SCRAMBLED_MAX
    }

    /// Takes a packet of the stream; `each` is told what it brings.
    pub(super) fn push<E>(
        &mut self,
        packet: &Packet<'_>,
        each: &mut impl FnMut(Pes<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(payload) = packet.payload else { return Ok(()) };
        if !self.follows(packet) {
            return Ok(());
        }
        let counter = self.counter.replace(packet.counter);
        let expected = counter.is_none_or(|last| (last + 1) & 0x0f == packet.counter);
        let whole = !packet.damaged && !packet.scrambled;
        let jumps = !expected && !packet.discontinuity;
        if packet.start && whole {
            // What had ended before the gap is whole; else its end is what is missing.
            if jumps && !self.looks_ended() {
                self.lose(each)?;
            } else {
                self.end(each)?;
                if jumps {
                    each(Pes::Lost)?;
                }
            }
            self.state = State::Header;
            self.header.clear();
            self.left = None;
        } else if jumps || !whole || packet.discontinuity {
            self.lose(each)?;
        }
        self.scrambled = if packet.scrambled { self.scrambled + 1 } else { 0 };
        self.stuffed = packet.stuffed;
        match self.state {
            State::Idle => Ok(()),
            State::Header => self.read_header(payload, each),
            State::Body => self.body(payload, each),
        }
    }

    /// The end of the stream: what was begun has ended, if it looks so.
    pub(super) fn end<E>(
        &mut self,
        each: &mut impl FnMut(Pes<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let ended = match self.left {
            // Of unknown length: it lasts until the next begins.
            None => self.state == State::Body,
            Some(left) => left == 0,
        };
        match std::mem::take(&mut self.state) {
            State::Idle => Ok(()),
            _ if !ended => each(Pes::Lost),
            // That of a known length was ended with its last byte.
            _ if self.left.is_some() => Ok(()),
            _ => each(Pes::End),
        }
    }

    /// False for the second of two same packets, which are allowed to be sent (2.4.3.3).
    fn follows(&mut self, packet: &Packet<'_>) -> bool {
        let same = self.counter == Some(packet.counter) && !packet.discontinuity;
        self.repeated = same && !self.repeated;
        !self.repeated
    }

    fn lose<E>(&mut self, each: &mut impl FnMut(Pes<'_>) -> Result<(), E>) -> Result<(), E> {
        self.state = State::Idle;
        self.left = None;
        each(Pes::Lost)
    }

    fn read_header<E>(
        &mut self,
        payload: &[u8],
        each: &mut impl FnMut(Pes<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.header.len();
        // A payload of a packet is at most 184 bytes, the longest header 264.
        self.header.extend_from_slice(payload);
        let header = match read(&self.header) {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(()),
            Err(Broken) => return self.lose(each),
        };
        self.state = State::Body;
        self.left = header.payload;
        each(Pes::Begin(header.stamps))?;
        let rest = payload.get(header.bytes.saturating_sub(before)..).unwrap_or_default();
        self.body(rest, each)
    }

    fn body<E>(
        &mut self,
        payload: &[u8],
        each: &mut impl FnMut(Pes<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(left) = self.left else { return each(Pes::Data(payload)) };
        let part = &payload[..payload.len().min(left)];
        each(Pes::Data(part))?;
        self.left = Some(left - part.len());
        if left == part.len() && left > 0 { each(Pes::End) } else { Ok(()) }
    }
}

struct Header {
    /// Of the header itself.
    bytes: usize,
    stamps: Stamps,
    payload: Option<usize>,
}

struct Broken;

/// Reads a header; `None` if more bytes are needed.
fn read(bytes: &[u8]) -> Result<Option<Header>, Broken> {
    let Some((head, rest)) = bytes.split_at_checked(9) else { return Ok(None) };
    let marked = head[6] & 0xc0 == 0x80;
    let (scrambled, length) = (head[6] & 0x30 != 0, usize::from(head[8]));
    // Streams without such a header (padding, tables) are none that we read.
    if head[..3] != [0, 0, 1] || !marked || scrambled {
        return Err(Broken);
    }
    let Some(fields) = rest.get(..length) else { return Ok(None) };
    let pts = (head[7] & 0x80 != 0).then(|| fields.get(..5).map(stamp)).flatten();
    let dts = (head[7] & 0xc0 == 0xc0).then(|| fields.get(5..10).map(stamp)).flatten();
    let payload = match usize::from(u16::from_be_bytes([head[4], head[5]])) {
        0 => None,
        total => Some(total.checked_sub(3 + length).ok_or(Broken)?),
    };
    Ok(Some(Header { bytes: 9 + length, stamps: Stamps { pts, dts: dts.or(pts) }, payload }))
}

/// 33 bits in five bytes, with marker bits between.
fn stamp(bytes: &[u8]) -> u64 {
    let wide = bytes.iter().fold(0u64, |wide, &byte| wide << 8 | u64::from(byte));
    (wide >> 33 & 7) << 30 | (wide >> 17 & 0x7fff) << 15 | (wide >> 1 & 0x7fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_33_bits() {
        assert_eq!(stamp(&[0x21, 0x00, 0x07, 0xdc, 0xf3]), 126_585);
        assert_eq!(stamp(&[0x2f, 0xff, 0xff, 0xff, 0xff]), (1 << 33) - 1);
    }
}
