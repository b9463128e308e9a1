//! Writes transport packets: program tables, PES packets, clock references.
//!
//! One program with at most one video and one sound stream. Bound: appends to the caller's buffer,
//! a hundredth more than what is put in, plus one packet.

use super::opus;
use super::packet::PACKET_BYTES;
use super::psi::crc32;

const TRANSPORT_ID: u16 = 1;
const PROGRAM: u16 = 1;
const MAP_PID: u16 = 0x1000;
/// PID of the pictures, and of the clock where there are pictures.
pub(super) const VIDEO_PID: u16 = 0x100;
/// PID of the sound.
pub(super) const SOUND_PID: u16 = 0x101;

/// Stamps have 33 bits.
const STAMP_MASK: i64 = (1 << 33) - 1;

/// How a sound stream is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SoundStream {
    Aac,
    Opus { channels: u8 },
}

/// One PES packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct PesPacket<'a> {
    pub(super) pid: u16,
    pub(super) stream_id: u8,
    /// Times in units of 1/90000 s.
    pub(super) pts: i64,
    pub(super) dts: i64,
    /// Decoding can begin here.
    pub(super) random_access: bool,
    /// Clock reference that its first packet carries.
    pub(super) clock: Option<i64>,
    pub(super) payload: &'a [u8],
}

/// The multiplexer.
#[derive(Debug)]
pub(super) struct Mux {
    association: [u8; PACKET_BYTES],
    map: [u8; PACKET_BYTES],
    table_counter: u8,
    video_counter: u8,
    sound_counter: u8,
    pub(super) clock_pid: u16,
}

impl Mux {
    pub(super) fn new(video: bool, sound: Option<SoundStream>) -> Self {
        let clock_pid = if video { VIDEO_PID } else { SOUND_PID };
        let mut body = Vec::new();
        body.extend(PROGRAM.to_be_bytes());
        body.extend((0xe000 | MAP_PID).to_be_bytes());
        let association = table(0, 0x00, TRANSPORT_ID, &body);
        body.clear();
        body.extend((0xe000 | clock_pid).to_be_bytes());
        body.extend([0xf0, 0x00]);
        if video {
            body.extend([0x1b, 0xe0 | (VIDEO_PID >> 8) as u8, VIDEO_PID as u8, 0xf0, 0x00]);
        }
        let sound_pid = [0xe0 | (SOUND_PID >> 8) as u8, SOUND_PID as u8];
        match sound {
            Some(SoundStream::Aac) => {
                body.push(0x0f);
                body.extend(sound_pid);
                body.extend([0xf0, 0x00]);
            }
            Some(SoundStream::Opus { channels }) => {
                body.push(0x06);
                body.extend(sound_pid);
                body.extend([0xf0, 10, 0x05, 4]);
                body.extend(b"Opus");
                body.extend([0x7f, 2, 0x80, channels]);
            }
            None => {}
        }
        let map = table(MAP_PID, 0x02, PROGRAM, &body);
        Self { association, map, table_counter: 0, video_counter: 0, sound_counter: 0, clock_pid }
    }

    /// Appends both program tables.
    pub(super) fn tables(&mut self, out: &mut Vec<u8>) {
        for mut packet in [self.association, self.map] {
            packet[3] |= self.table_counter;
            out.extend_from_slice(&packet);
        }
        self.table_counter = (self.table_counter + 1) & 0x0f;
    }

    /// Appends a packet that carries nothing but the clock.
    pub(super) fn clock(&self, at: i64, out: &mut Vec<u8>) {
        let [high, low] = self.clock_pid.to_be_bytes();
        // Without payload the counter stays (2.4.3.3): that of the packet before.
        let counter = (self.counter(self.clock_pid) + 15) & 0x0f;
        out.extend([0x47, high, low, 0x20 | counter, (PACKET_BYTES - 5) as u8, 0x10]);
        out.extend(clock_bytes(at));
        out.resize(out.len() + PACKET_BYTES - 12, 0xff);
    }

    /// Appends a PES packet.
    pub(super) fn pes(&mut self, pes: &PesPacket<'_>, out: &mut Vec<u8>) {
        let header = header(pes);
        let [high, low] = pes.pid.to_be_bytes();
        let mut field = Vec::with_capacity(8);
        if pes.random_access || pes.clock.is_some() {
            let flags = u8::from(pes.random_access) << 6 | u8::from(pes.clock.is_some()) << 4;
            field.push(flags);
            field.extend(pes.clock.into_iter().flat_map(clock_bytes));
        }
        let mut rest = pes.payload;
        let mut first = true;
        while first || !rest.is_empty() {
            let head: &[u8] = if first { &header } else { &[] };
            let has_field = !field.is_empty();
            let room = PACKET_BYTES - 4 - head.len() - if has_field { 1 + field.len() } else { 0 };
            let part = &rest[..rest.len().min(room)];
            rest = &rest[part.len()..];
            let start = if first { 0x40 } else { 0 };
            let fill = room - part.len();
            let control = if has_field || fill > 0 { 0x30 } else { 0x10 };
            out.extend([0x47, start | high, low, control | self.next(pes.pid)]);
            // The field grows to fill the last packet: by its length byte, then flags, then bytes.
            let end = out.len() + fill + if has_field { 1 + field.len() } else { 0 };
            if has_field || fill > 0 {
                out.push((end - out.len() - 1) as u8);
                if has_field {
                    out.extend_from_slice(&field);
                } else if fill > 1 {
                    out.push(0);
                }
                out.resize(end, 0xff);
            }
            out.extend_from_slice(head);
            out.extend_from_slice(part);
            field.clear();
            first = false;
        }
    }

    fn counter(&self, pid: u16) -> u8 {
        if pid == VIDEO_PID { self.video_counter } else { self.sound_counter }
    }

    fn next(&mut self, pid: u16) -> u8 {
        let counter =
            if pid == VIDEO_PID { &mut self.video_counter } else { &mut self.sound_counter };
        let now = *counter;
        *counter = (now + 1) & 0x0f;
        now
    }
}

/// A packet with a table of one short section.
fn table(pid: u16, id: u8, number: u16, body: &[u8]) -> [u8; PACKET_BYTES] {
    // Behind the length: five bytes of header, the body, four of checksum.
    let mut section = vec![id, 0xb0, (body.len() + 9) as u8];
    section.extend(number.to_be_bytes());
    section.extend([0xc1, 0, 0]);
    section.extend_from_slice(body);
    section.extend(crc32(&section).to_be_bytes());
    let mut packet = [0xff; PACKET_BYTES];
    let [high, low] = pid.to_be_bytes();
    packet[..5].copy_from_slice(&[0x47, 0x40 | high, low, 0x10, 0]);
    packet[5..5 + section.len()].copy_from_slice(&section);
    packet
}

fn header(pes: &PesPacket<'_>) -> Vec<u8> {
    let both = pes.pts != pes.dts;
    let fields = if both { 10 } else { 5 };
    // A length is not needed for video, and does not hold more than 64 KiB.
    let length = u16::try_from(3 + fields + pes.payload.len()).unwrap_or(0);
    let [high, low] = length.to_be_bytes();
    let stamps = if both { 0xc0 } else { 0x80 };
    let mut header = vec![0, 0, 1, pes.stream_id, high, low, 0x84, stamps, fields as u8];
    header.extend(stamp_bytes(if both { 3 } else { 2 }, pes.pts));
    if both {
        header.extend(stamp_bytes(1, pes.dts));
    }
    header
}

fn stamp_bytes(prefix: u8, stamp: i64) -> [u8; 5] {
    let stamp = stamp & STAMP_MASK;
    [
        prefix << 4 | (stamp >> 29) as u8 & 0x0e | 1,
        (stamp >> 22) as u8,
        (stamp >> 14) as u8 | 1,
        (stamp >> 7) as u8,
        (stamp << 1) as u8 | 1,
    ]
}

/// A clock reference: 33 bits of 90 kHz, six of reserve, nine of 27 MHz that stay 0.
fn clock_bytes(at: i64) -> [u8; 6] {
    let wide = (at & STAMP_MASK) << 15 | 0x3f << 9;
    let [_, _, bytes @ ..] = wide.to_be_bytes();
    bytes
}

/// Appends a packet of Opus as a PES packet carries it.
pub(super) fn opus_payload(packet: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(packet.len() + 8);
    opus::append_header(&mut payload, packet.len());
    payload.extend_from_slice(packet);
    payload
}
