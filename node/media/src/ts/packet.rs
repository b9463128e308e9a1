//! Transport packets (ISO/IEC 13818-1, 2.4.3): where they lie in a stream of bytes, and what their
//! headers say.
//!
//! Packets of 188 bytes, also with the four bytes of a time code in front (cameras) or sixteen of
//! check bytes behind (broadcast). Where the rhythm is lost it is found again; what was skipped shows as
//! a gap of the continuity counters. Bound: borrows its input, keeps less than three packets.

/// Bytes of a packet.
pub(super) const PACKET_BYTES: usize = 188;

/// The first byte of each packet.
const SYNC: u8 = 0x47;

/// Distances between packets that occur, and how far into it the packet begins.
const STRIDES: [(usize, usize); 3] = [(188, 0), (192, 4), (204, 0)];

/// A packet, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    /// A PES packet or a section begins in the payload.
    pub(super) start: bool,
    /// The receiver that handed it on knew it to be damaged.
    pub(super) damaged: bool,
    pub(super) scrambled: bool,
    pub(super) counter: u8,
    /// Counter and time may jump here, on purpose.
    pub(super) discontinuity: bool,
    /// Bytes were stuffed in to fill the packet: as a rule, a PES packet ends in it.
    pub(super) stuffed: bool,
    /// `None`: the packet carries only an adaptation field.
    pub(super) payload: Option<&'a [u8]>,
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` if its header contradicts itself.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, body) = bytes.split_at_checked(4)?;
        if head[0] != SYNC || bytes.len() != PACKET_BYTES {
            return None;
        }
        let mut packet = Self {
            pid: u16::from(head[1] & 0x1f) << 8 | u16::from(head[2]),
            start: head[1] & 0x40 != 0,
            damaged: head[1] & 0x80 != 0,
            scrambled: head[3] & 0xc0 != 0,
            counter: head[3] & 0x0f,
            discontinuity: false,
            stuffed: false,
            payload: None,
        };
        let mut payload = body;
        if head[3] & 0x20 != 0 {
            let (field, rest) = body[1..].split_at_checked(usize::from(body[0]))?;
            let flags = field.first().copied().unwrap_or(0);
            packet.discontinuity = flags & 0x80 != 0;
            // Flags, clock references and splice count; private data and extension are so rare
            // that a packet with them just counts as not stuffed.
            let needed = 1
                + 6 * usize::from(flags & 0x10 != 0)
                + 6 * usize::from(flags & 0x08 != 0)
                + usize::from(flags & 0x04 != 0);
            packet.stuffed = flags & 0x03 == 0 && (field.is_empty() || field.len() > needed);
            // A field of flags alone can only be there to fill.
            packet.stuffed |= field.len() == 1 && flags == 0;
            payload = rest;
        }
        if head[3] & 0x10 != 0 {
            packet.payload = Some(payload);
        }
        Some(packet)
    }
}

/// Finds packets in bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Packets {
    held: Vec<u8>,
    /// Distance and begin of packets; `None` until the rhythm is found.
    stride: Option<(usize, usize)>,
    /// Bytes that were skipped before the first packet.
    pub(super) skipped: usize,
    pub(super) found: bool,
}

impl Packets {
    /// Takes bytes; `each` gets every whole packet, in order, and may end it with an error.
    pub(super) fn push<E>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Packet<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut input = std::mem::take(&mut self.held);
        input.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let Some((stride, begin)) = self.stride else {
                match find(&input[at..]) {
                    Found::At(skip, stride) => {
                        at += skip;
                        self.stride = Some(stride);
                    }
                    Found::NotIn(skip) => {
                        at += skip;
                        self.skip(skip);
                        break;
                    }
                }
                continue;
            };
            let Some(whole) = input.get(at..at + stride) else { break };
            let bytes = &whole[begin..begin + PACKET_BYTES];
            if bytes[0] != SYNC {
                self.stride = None;
                at += 1;
                continue;
            }
            self.found = true;
            if let Some(packet) = Packet::read(bytes) {
                each(packet)?;
            }
            at += stride;
        }
        input.drain(..at);
        self.held = input;
        Ok(())
    }

    /// The end of the stream: what is held may be packets too few to be sure of a rhythm. True if
    /// it ends in the middle of one.
    pub(super) fn end<E>(
        &mut self,
        mut each: impl FnMut(Packet<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        let held = std::mem::take(&mut self.held);
        let (stride, begin) = self.stride.unwrap_or(STRIDES[0]);
        for whole in held.chunks(stride) {
            // The last may lack the check bytes behind it.
            let bytes = whole.get(begin..begin + PACKET_BYTES);
            if let Some(packet) = bytes.and_then(Packet::read) {
                each(packet)?;
            }
        }
        Ok(!held.len().is_multiple_of(stride))
    }

    fn skip(&mut self, bytes: usize) {
        if !self.found {
            self.skipped += bytes;
        }
    }
}

enum Found {
    /// Packets begin here, with this stride.
    At(usize, (usize, usize)),
    /// None begins in this many bytes; what follows is too short to tell.
    NotIn(usize),
}

/// Three sync bytes at one distance are a rhythm: by chance once in 16 million places.
fn find(bytes: &[u8]) -> Found {
    for at in 0..bytes.len() {
        let mut unsure = false;
        for (stride, begin) in STRIDES {
            let beat = |n: usize| bytes.get(at + begin + n * stride).map(|&byte| byte == SYNC);
            match (beat(0), beat(1), beat(2)) {
                (Some(true), Some(true), Some(true)) => return Found::At(at, (stride, begin)),
                (Some(false), ..) | (_, Some(false), _) | (_, _, Some(false)) => {}
                _ => unsure = true,
            }
        }
        if unsure {
            return Found::NotIn(at);
        }
    }
    Found::NotIn(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(counter: u8) -> Vec<u8> {
        let mut bytes = vec![0x55; PACKET_BYTES];
        bytes[..4].copy_from_slice(&[SYNC, 0x41, 0x23, 0x10 | counter]);
        bytes
    }

    fn counters(packets: &mut Packets, bytes: &[u8], part: usize) -> Vec<u8> {
        let mut seen = Vec::new();
        for part in bytes.chunks(part) {
            packets
                .push(part, |p| -> Result<(), ()> {
                    seen.push(p.counter);
                    Ok(())
                })
                .unwrap();
        }
        packets
            .end(|p| -> Result<(), ()> {
                seen.push(p.counter);
                Ok(())
            })
            .unwrap();
        seen
    }

    #[test]
    fn every_stride_and_any_cut_and_garbage_between() {
        for (stride, begin) in STRIDES {
            let mut stream = vec![0x47, 3, 9];
            for n in 0..8u8 {
                if n == 5 {
                    stream.extend_from_slice(&[1; 77]);
                }
                stream.extend(std::iter::repeat_n(0, begin));
                stream.extend(packet(n));
                stream.extend(std::iter::repeat_n(0, stride - begin - PACKET_BYTES));
            }
            for part in [1, 100, 188, 5_000] {
                let seen = counters(&mut Packets::default(), &stream, part);
                assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7], "stride {stride} in parts of {part}");
            }
        }
    }

    #[test]
    fn a_field_longer_than_the_packet_is_no_packet() {
        let mut bytes = packet(0);
        bytes[3] = 0x30;
        bytes[4] = 184;
        assert_eq!(Packet::read(&bytes), None);
        bytes[4] = 183;
        assert_eq!(Packet::read(&bytes).unwrap().payload, Some(&[][..]));
    }
}
