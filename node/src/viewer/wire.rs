//! The page's side of the WebSocket `/live`.
//!
//! Text from the node, JSON with a `type`:
//! - `state`: [`super::PageState`];
//! - `pong`: `{"ping": <what the page sent>, "node_us": <the node's steady clock>}`.
//!
//! Text from the page: `{"ping": <number>}` and `{"keyframe": <broadcast>}`.
//!
//! Binary from the node, one access unit or packet each, big endian:
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 1 | kind: 1, an access unit of video; 2, a packet of sound |
//! | 1 | 1 | flags: bit 0, decoding can begin here |
//! | 2 | 2 | where the access unit begins: 48 |
//! | 4 | 4 | broadcast |
//! | 8 | 8 | number of the access unit in its track |
//! | 16 | 8 | presentation time, µs, signed |
//! | 24 | 8 | captured, µs of the broadcast's clock, signed |
//! | 32 | 8 | complete and in order here, µs of the broadcast's clock, signed |
//! | 40 | 8 | the same moment, µs of the node's steady clock |
//! | 48 | … | Annex-B; an Opus packet or a raw AAC frame |
//!
//! The page knows the node's steady clock by its pings. What it shows at `t` of that clock is
//! `t - [40] + [32] - [24]` old: no clock of another machine comes into it but the broadcast's.

use bytes::{BufMut, Bytes, BytesMut};

use roommate_media::ViewUnit;

/// What a binary message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Video = 1,
    Sound = 2,
}

const KEYFRAME: u8 = 1;
const HEADER: u16 = 48;

/// One access unit as the page gets it. `timescale` is the track's, `node_us` when it was ready.
pub(super) fn encode(
    kind: Kind,
    broadcast: u32,
    unit: &ViewUnit,
    timescale: u32,
    node_us: u64,
) -> Bytes {
    let mut out = BytesMut::with_capacity(length(unit));
    out.put_u8(kind as u8);
    out.put_u8(if unit.keyframe { KEYFRAME } else { 0 });
    out.put_u16(HEADER);
    out.put_u32(broadcast);
    out.put_u64(unit.seq);
    out.put_i64(micros(unit.pts, timescale));
    out.put_i64(unit.captured_us);
    out.put_i64(unit.ready_us);
    out.put_u64(node_us);
    out.put_slice(&unit.data);
    out.freeze()
}

/// Where the access unit begins in that.
pub(super) fn data_at() -> usize {
    usize::from(HEADER)
}

/// How long that is.
pub(super) fn length(unit: &ViewUnit) -> usize {
    usize::from(HEADER) + unit.data.len()
}

/// From a track's timescale to microseconds, saturating.
fn micros(pts: i64, timescale: u32) -> i64 {
    let micros = i128::from(pts) * 1_000_000 / i128::from(timescale.max(1));
    i64::try_from(micros).unwrap_or(if pts < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_as_drawn() {
        let unit = ViewUnit {
            seq: 0x0102_0304_0506_0708,
            group: 9,
            pts: -45_000,
            decode_offset: 0,
            captured_us: 0x1111,
            ready_us: 0x2222,
            keyframe: true,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x67]),
        };
        let mut want = vec![1, 1, 0, 48, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8];
        want.extend((-500_000_i64).to_be_bytes());
        want.extend([0, 0, 0, 0, 0, 0, 0x11, 0x11, 0, 0, 0, 0, 0, 0, 0x22, 0x22]);
        want.extend([0, 0, 0, 0, 0, 0, 0x33, 0x33, 0, 0, 0, 1, 0x67]);
        assert_eq!(encode(Kind::Video, 7, &unit, 90_000, 0x3333), want);
        want[0] = 2;
        assert_eq!(encode(Kind::Sound, 7, &unit, 90_000, 0x3333), want);
        assert_eq!(length(&unit), want.len());
        assert_eq!(micros(i64::MAX, 0), i64::MAX);
        assert_eq!(micros(i64::MIN, 1), i64::MIN);
    }
}
