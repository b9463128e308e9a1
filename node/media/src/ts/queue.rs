//! Pictures and packets between the demultiplexer and whoever takes them, in the order in which
//! they are to go out.
//!
//! Live, that is the order in which they came. In a file the tracks may lie far apart, so there the
//! earlier of both goes first. Bound: in a file, [`SPREAD_MAX`] of time or [`BYTES_MAX`]; live,
//! what the caller lets come in before the formats are known.

use std::collections::VecDeque;

use super::sound::Packet;
use super::stream::Found;
use super::timeline::TICKS_PER_S;
use super::video::Picture;

/// Tracks further apart than this are not waited for.
const SPREAD_MAX: i64 = 3 * TICKS_PER_S;

/// More than this is not held back for the sake of order.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Sound may begin this long before the first picture, no longer.
const LEAD_MAX: i64 = TICKS_PER_S;

/// One of either.
#[derive(Debug)]
pub(super) enum Item {
    Picture(Picture),
    Packet(Packet),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pictures: VecDeque<(u64, Picture)>,
    packets: VecDeque<(u64, Packet)>,
    count: u64,
    bytes: usize,
}

impl Queue {
    /// Takes what came out of a chunk.
    pub(super) fn add(&mut self, found: &mut Found) {
        for picture in found.pictures.drain(..) {
            self.count += 1;
            self.bytes += picture.data.len();
            self.pictures.push_back((self.count, picture));
        }
        for packet in found.packets.drain(..) {
            self.count += 1;
            self.bytes += packet.data.len();
            self.packets.push_back((self.count, packet));
        }
    }

    pub(super) fn pictures(&self) -> impl Iterator<Item = &Picture> {
        self.pictures.iter().map(|(_, picture)| picture)
    }

    /// The newest packet of sound.
    pub(super) fn last_packet(&self) -> Option<&Packet> {
        self.packets.back().map(|(_, packet)| packet)
    }

    pub(super) fn first_packet(&self) -> Option<&Packet> {
        self.packets.front().map(|(_, packet)| packet)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// From the first to the last decoding time of each track; the longer one.
    pub(super) fn span(&self) -> i64 {
        let pictures = match (self.pictures.front(), self.pictures.back()) {
            (Some((_, first)), Some((_, last))) => last.dts - first.dts,
            _ => 0,
        };
        let packets = match (self.packets.front(), self.packets.back()) {
            (Some((_, first)), Some((_, last))) => last.time() - first.time(),
            _ => 0,
        };
        pictures.max(packets)
    }

    /// Drops sound that nobody will hear: long before the first picture, or, while that has not
    /// come, before the newest sound.
    pub(super) fn trim(&mut self) {
        let newest = self.packets.back().map(|(_, packet)| packet.time() - LEAD_MAX);
        let Some(from) = self.pictures.front().map(|(_, p)| p.pts).or(newest) else { return };
        while let Some((_, packet)) = self.packets.front()
            && (packet.time() < from - LEAD_MAX || self.bytes > BYTES_MAX)
        {
            self.bytes -= packet.data.len();
            self.packets.pop_front();
        }
    }

    /// The next one live: the one that came first.
    pub(super) fn pop_live(&mut self) -> Option<Item> {
        let sound_first = match (self.pictures.front(), self.packets.front()) {
            (Some((picture, _)), Some((packet, _))) => packet < picture,
            (None, _) => true,
            (_, None) => false,
        };
        self.take(sound_first)
    }

    /// The next one of a file; `None` while the other track may still bring an earlier one.
    /// `both`: the file has two tracks.
    pub(super) fn pop_file(&mut self, both: bool, ended: bool) -> Option<Item> {
        let enough = ended || !both || self.span() > SPREAD_MAX || self.bytes > BYTES_MAX;
        let sound_first = match (self.pictures.front(), self.packets.front()) {
            (Some((_, picture)), Some((_, packet))) => packet.time() < picture.dts,
            (None, Some(_)) if enough => true,
            (Some(_), None) if enough => false,
            _ => return None,
        };
        self.take(sound_first)
    }

    fn take(&mut self, sound_first: bool) -> Option<Item> {
        let item = if sound_first {
            Item::Packet(self.packets.pop_front()?.1)
        } else {
            Item::Picture(self.pictures.pop_front()?.1)
        };
        self.bytes -= match &item {
            Item::Picture(picture) => picture.data.len(),
            Item::Packet(packet) => packet.data.len(),
        };
        Some(item)
    }
}
