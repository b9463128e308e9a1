//! The sound of one broadcast as it waits for pages: about a second, whose oldest packet leaves.
//!
//! A page begins a little before the newest packet, and one that finds its next packet gone begins
//! there again: sound is of no use late. It never waits for a page; its bounds are below.

use std::collections::VecDeque;

use roommate_media::ViewUnit;

use super::Kept;

/// Sound that is older than the newest by more than this leaves.
const KEPT_US: u64 = 1_000_000;
/// And in any case what is more than this: Opus may come in packets of 2.5 ms.
const PACKETS_MAX: usize = 400;
const BYTES_MAX: usize = 1 << 20;
/// How much a page that begins is given at once: enough to start playing.
const BEGIN_US: u64 = 100_000;

#[derive(Debug)]
pub(super) struct Sound {
    pub(super) timescale: u32,
    /// Packets that have left; a place is a number of packets from the first.
    gone: u64,
    packets: VecDeque<Kept>,
    bytes: usize,
}

impl Sound {
    pub(super) fn new(timescale: u32) -> Self {
        Self { timescale, gone: 0, packets: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, node_us: u64, unit: ViewUnit) {
        let kept = Kept { node_us, unit, message: None };
        self.bytes += kept.bytes();
        self.packets.push_back(kept);
        while let Some(oldest) = self.packets.front()
            && (node_us.saturating_sub(oldest.node_us) > KEPT_US
                || self.packets.len() > PACKETS_MAX
                || self.bytes > BYTES_MAX)
        {
            self.bytes -= oldest.bytes();
            self.packets.pop_front();
            self.gone += 1;
        }
    }

    /// The packet at a place, if it is there; the place moves on. Place 0 is a page that begins.
    pub(super) fn next(&mut self, place: &mut u64) -> Option<&mut Kept> {
        let newest = self.packets.back()?.node_us;
        if *place < self.gone || *place == 0 {
            let fresh = |kept: &Kept| newest.saturating_sub(kept.node_us) <= BEGIN_US;
            let first = self.packets.partition_point(|kept| !fresh(kept));
            *place = self.gone + first as u64;
        }
        let at = usize::try_from(*place - self.gone).ok()?;
        let kept = self.packets.get_mut(at)?;
        *place += 1;
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn filled(count: u64) -> Sound {
        let mut sound = Sound::new(48_000);
        for at in 0..count {
            let unit = ViewUnit {
                seq: at,
                group: at / 50,
                pts: 0,
                decode_offset: 0,
                captured_us: 0,
                ready_us: 0,
                keyframe: true,
                data: Bytes::from(vec![0; 100]),
            };
            sound.push(at * 20_000, unit);
        }
        sound
    }

    fn numbers(sound: &mut Sound, place: &mut u64) -> Vec<u64> {
        std::iter::from_fn(|| sound.next(place).map(|kept| kept.unit.seq)).collect()
    }

    #[test]
    fn a_second_is_kept_and_a_page_begins_near_its_end() {
        let mut sound = filled(500);
        assert_eq!(sound.packets.len(), 51);
        let mut place = 0;
        assert_eq!(numbers(&mut sound, &mut place), [494, 495, 496, 497, 498, 499]);
        assert_eq!(numbers(&mut sound, &mut place), [0; 0]);
    }

    #[test]
    fn a_page_that_is_behind_by_less_misses_nothing_and_by_more_skips() {
        let mut sound = filled(500);
        assert_eq!(numbers(&mut sound, &mut 460).len(), 40);
        assert_eq!(numbers(&mut sound, &mut 100)[0], 494);
    }

    #[test]
    fn many_small_and_few_large_packets_are_bounded() {
        let mut sound = filled(0);
        for at in 0..10_000_u64 {
            let large = at > 5_000;
            let unit = ViewUnit {
                seq: at,
                group: 0,
                pts: 0,
                decode_offset: 0,
                captured_us: 0,
                ready_us: 0,
                keyframe: true,
                data: Bytes::from(vec![0; if large { 100_000 } else { 1 }]),
            };
            sound.push(0, unit);
            assert!(sound.packets.len() <= PACKETS_MAX && sound.bytes <= BYTES_MAX);
        }
        assert_eq!(sound.bytes, sound.packets.iter().map(Kept::bytes).sum::<usize>());
    }
}
