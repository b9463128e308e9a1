//! Program tables (ISO/IEC 13818-1, 2.4.4): which programs there are, and what streams each has.
//!
//! It reads and checks; which streams are taken is decided by [`super::program`]. A section with a
//! wrong checksum is as good as lost: it comes again. Bound: one section of 1 KiB for each table,
//! [`PROGRAMS_MAX`] programs, [`STREAMS_MAX`] streams.

/// Programs of a stream that are looked at.
pub(super) const PROGRAMS_MAX: usize = 16;

/// Streams of a program that are looked at.
pub(super) const STREAMS_MAX: usize = 64;

/// `section_length` of these tables is at most 1021, and three bytes stand before it.
const SECTION_BYTES_MAX: usize = 1_024;

/// Puts the sections of one table together.
#[derive(Debug, Default)]
pub(super) struct Sections {
    held: Vec<u8>,
    /// Between the begin of a section and its end.
    open: bool,
}

impl Sections {
    /// Takes a packet's payload; `each` gets every section whose checksum is right, without it.
    pub(super) fn push(&mut self, start: bool, payload: &[u8], mut each: impl FnMut(&[u8])) {
        let mut payload = payload;
        if start {
            let Some((&pointer, rest)) = payload.split_first() else { return };
            let Some((tail, begin)) = rest.split_at_checked(usize::from(pointer)) else {
                return self.lose();
            };
            if self.open {
                self.held.extend_from_slice(tail);
                self.cut(&mut each);
            }
            self.held.clear();
            self.open = true;
            payload = begin;
        }
        if self.open {
            self.held.extend_from_slice(payload);
            self.cut(&mut each);
        }
    }

    /// Forgets a section that lost a packet.
    pub(super) fn lose(&mut self) {
        self.held.clear();
        self.open = false;
    }

    fn cut(&mut self, each: &mut impl FnMut(&[u8])) {
        while let [table, high, low, ..] = self.held[..] {
            let length = 3 + (usize::from(high & 0x0f) << 8 | usize::from(low));
            // 0xff is what fills the packet behind the last section.
            if table == 0xff || length > SECTION_BYTES_MAX {
                return self.lose();
            }
            let Some(section) = self.held.get(..length) else { return };
            if let Some((body, _)) = section.split_last_chunk::<4>()
                && crc32(section) == 0
            {
                each(body);
            }
            self.held.drain(..length);
        }
    }
}

/// The body of a section of a table that is in force.
fn body(section: &[u8], table: u8) -> Option<(u16, &[u8])> {
    let (head, rest) = section.split_at_checked(8)?;
    let current = head[5] & 1 == 1;
    (head[0] == table && current).then_some((u16::from_be_bytes([head[3], head[4]]), rest))
}

/// The programs that a section of the association table lists: number and PID of its map.
pub(super) fn programs(section: &[u8]) -> Option<Vec<(u16, u16)>> {
    let (_, body) = body(section, 0)?;
    let entries = body
        .chunks_exact(4)
        .map(|entry| (u16::from_be_bytes([entry[0], entry[1]]), pid(entry[2], entry[3])));
    // Number 0 is the network's own table.
    Some(entries.filter(|(number, _)| *number != 0).take(PROGRAMS_MAX).collect())
}

/// A stream of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stream<'a> {
    pub(super) kind: u8,
    pub(super) pid: u16,
    descriptors: &'a [u8],
}

impl<'a> Stream<'a> {
    /// The content of its first descriptor with this tag.
    pub(super) fn descriptor(&self, tag: u8) -> Option<&'a [u8]> {
        let mut rest = self.descriptors;
        while let [kind, length, tail @ ..] = rest {
            let (content, next) = tail.split_at_checked(usize::from(*length))?;
            if *kind == tag {
                return Some(content);
            }
            rest = next;
        }
        None
    }
}

/// The program number and the streams that a section of a program map lists.
pub(super) fn streams(section: &[u8]) -> Option<(u16, Vec<Stream<'_>>)> {
    let (number, body) = body(section, 2)?;
    let (head, rest) = body.split_at_checked(4)?;
    let mut rest = rest.get(length(head[2], head[3])..)?;
    let mut streams = Vec::new();
    while let [kind, p1, p0, l1, l0, tail @ ..] = rest
        && streams.len() < STREAMS_MAX
    {
        let (descriptors, next) = tail.split_at_checked(length(*l1, *l0))?;
        streams.push(Stream { kind: *kind, pid: pid(*p1, *p0), descriptors });
        rest = next;
    }
    Some((number, streams))
}

fn pid(high: u8, low: u8) -> u16 {
    u16::from(high & 0x1f) << 8 | u16::from(low)
}

fn length(high: u8, low: u8) -> usize {
    usize::from(high & 0x0f) << 8 | usize::from(low)
}

/// The checksum of sections (annex A); 0 over a section that ends with its own.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As ffmpeg writes it for H.264 with Opus.
    const MAP: [u8; 36] = [
        0x02, 0xb0, 0x21, 0x00, 0x01, 0xc1, 0x00, 0x00, 0xe1, 0x00, 0xf0, 0x00, 0x1b, 0xe1, 0x00,
        0xf0, 0x00, 0x06, 0xe1, 0x01, 0xf0, 0x0a, 0x05, 0x04, 0x4f, 0x70, 0x75, 0x73, 0x7f, 0x02,
        0x80, 0x01, 0xa3, 0xea, 0x45, 0x34,
    ];

    fn collect(parts: &[(bool, &[u8])]) -> Vec<Vec<u8>> {
        let (mut sections, mut seen) = (Sections::default(), Vec::new());
        for (start, part) in parts {
            sections.push(*start, part, |section| seen.push(section.to_vec()));
        }
        seen
    }

    #[test]
    fn a_map_in_one_packet_and_over_two_and_with_a_wrong_byte() {
        let mut whole = vec![0];
        whole.extend(MAP);
        whole.extend([0xff; 100]);
        assert_eq!(collect(&[(true, &whole)]), [MAP[..32].to_vec()]);
        assert_eq!(collect(&[(true, &whole[..20]), (false, &whole[20..])]), [MAP[..32].to_vec()]);
        let mut next = vec![17];
        next.extend(&MAP[19..]);
        next.extend(MAP);
        assert_eq!(collect(&[(true, &whole[..20]), (true, &next)]).len(), 2);
        whole[15] ^= 1;
        assert!(collect(&[(true, &whole)]).is_empty());
    }

    #[test]
    fn streams_and_descriptors() {
        let (number, streams) = streams(&MAP[..32]).unwrap();
        let seen: Vec<_> = streams.iter().map(|s| (s.kind, s.pid, s.descriptor(5))).collect();
        assert_eq!(number, 1);
        assert_eq!(seen, [(0x1b, 0x100, None), (6, 0x101, Some(&b"Opus"[..]))]);
        assert_eq!(streams[1].descriptor(0x7f), Some(&[0x80, 1][..]));
    }
}
