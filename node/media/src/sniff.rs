//! What a stream is, by its first bytes: for standard input, and for files whatever their name.
//!
//! It looks, and changes nothing. Bound: [`SNIFF_BYTES`].

use std::io::{self, Read};

use roommate_protocol::h264::annexb;
use roommate_protocol::h264::nal::{NalType, nal_type, ref_idc};
use roommate_protocol::h264::sps::Sps;

/// No kind needs more bytes than these to be told.
pub const SNIFF_BYTES: usize = 4_096;

/// Bytes of a transport stream's packet (ISO/IEC 13818-1, 2.4.3.2), and its first byte.
const TS_PACKET: usize = 188;
const TS_SYNC: u8 = 0x47;

/// What comes: as a sentence for the person who sent something else, [`UNKNOWN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MPEG-TS; it may begin in the middle of a packet.
    MpegTs,
    /// MP4, also fragmented.
    Mp4,
    /// YUV4MPEG2, pictures as they are.
    Y4m,
    /// H.264 as a byte stream.
    H264,
    /// HEVC as a byte stream, which is not carried.
    Hevc,
}

/// What is said where [`sniff`] finds nothing. Behind "cannot send …: ".
pub const UNKNOWN: &str = "it is none of MPEG-TS, MP4, H.264 and y4m: add '-f mpegts' (with sound), \
     '-f h264' or '-f yuv4mpegpipe' in front of the output of the ffmpeg command";

/// What a stream is that begins with `bytes`; `None` where that is nothing we know, or they are too
/// few to tell. More than [`SNIFF_BYTES`] are not looked at.
pub fn sniff(bytes: &[u8]) -> Option<Kind> {
    let bytes = &bytes[..bytes.len().min(SNIFF_BYTES)];
    if bytes.starts_with(b"YUV4MPEG2") {
        return Some(Kind::Y4m);
    }
    let boxes: [&[u8; 4]; 8] =
        [b"ftyp", b"moov", b"styp", b"moof", b"mdat", b"free", b"skip", b"wide"];
    if bytes.get(4..8).is_some_and(|kind| boxes.iter().any(|known| *known == kind)) {
        return Some(Kind::Mp4);
    }
    if is_ts(bytes) {
        return Some(Kind::MpegTs);
    }
    byte_stream(bytes)
}

/// Reads from a pipe until it can be told what comes, or it cannot be told at all. Blocks; what was
/// read is handed back and belongs in front of the rest.
pub fn peek(pipe: &mut dyn Read) -> io::Result<(Option<Kind>, Vec<u8>)> {
    let mut bytes = vec![0; SNIFF_BYTES];
    let mut length = 0;
    loop {
        // A byte that happens to be 0x47 is not yet a transport stream, and a stream of it is one
        // only from its third packet on: the other kinds are sure as soon as they are seen.
        let kind = sniff(&bytes[..length]);
        if kind.is_some() || length == SNIFF_BYTES {
            bytes.truncate(length);
            return Ok((kind, bytes));
        }
        match pipe.read(&mut bytes[length..]) {
            Ok(0) => {
                bytes.truncate(length);
                return Ok((None, bytes));
            }
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Three packets in a row, wherever the first begins.
fn is_ts(bytes: &[u8]) -> bool {
    (0..TS_PACKET)
        .any(|first| (0..3).all(|packet| bytes.get(first + packet * TS_PACKET) == Some(&TS_SYNC)))
}

fn byte_stream(bytes: &[u8]) -> Option<Kind> {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    let at_start = zeros >= 2 && bytes.get(zeros) == Some(&1);
    let mut nals = annexb::nals(bytes);
    if at_start {
        return first_nal(nals.next()?);
    }
    // One that begins in the middle: any bytes have a start code somewhere, but hardly a parameter
    // set behind it, or a delimiter and then another start code. The last may be cut short.
    nals.find_map(|nal| match nal_type(nal) {
        _ if is_hevc_set(nal) => Some(Kind::Hevc),
        NalType::Delimiter if nal.len() == 2 && nal[1] & 0x1F == 0x10 => Some(Kind::H264),
        NalType::Sps => Sps::parse(nal).is_ok().then_some(Kind::H264),
        _ => None,
    })
}

fn first_nal(nal: &[u8]) -> Option<Kind> {
    let &[header, second, ..] = nal else { return None };
    // HEVC has two bytes, the second of which is 1 in all but layered streams. Read as H.264, the
    // first would be of types that begin no stream, or an SEI that others depend on.
    if is_hevc_set(nal) || (second == 1 && matches!(header, 0x46 | 0x4E)) {
        return Some(Kind::Hevc);
    }
    let known = match NalType::of(header) {
        NalType::Sps | NalType::Pps | NalType::Idr => ref_idc(nal) != 0,
        NalType::Delimiter | NalType::Sei | NalType::Filler => ref_idc(nal) == 0,
        NalType::Slice | NalType::Prefix => true,
        _ => false,
    };
    (header & 0x80 == 0 && known).then_some(Kind::H264)
}

/// A video, sequence or picture parameter set of HEVC.
fn is_hevc_set(nal: &[u8]) -> bool {
    matches!(nal, [0x40 | 0x42 | 0x44, 1, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(skip: usize) -> Vec<u8> {
        let mut stream = vec![0xFF; 4 * TS_PACKET];
        stream.iter_mut().step_by(TS_PACKET).for_each(|byte| *byte = TS_SYNC);
        stream.split_off(skip)
    }

    #[test]
    fn each_kind_is_told_by_its_begin() {
        let cases: [(&[u8], Option<Kind>); 16] = [
            (b"YUV4MPEG2 W2 H2\n", Some(Kind::Y4m)),
            (b"\0\0\0\x18ftypisom", Some(Kind::Mp4)),
            (b"\0\0\x01\x18moov", Some(Kind::Mp4)),
            (&ts(0), Some(Kind::MpegTs)),
            (&ts(100), Some(Kind::MpegTs)),
            (&ts(0)[..300], None),
            (&[0, 0, 0, 1, 0x67, 0x42, 0, 0x1F], Some(Kind::H264)),
            (&[0, 0, 1, 0x27, 0x42, 0, 0x1F], Some(Kind::H264)),
            (&[0, 0, 0, 1, 9, 0xF0], Some(Kind::H264)),
            (&[0, 0, 0, 1, 6, 5, 9], Some(Kind::H264)),
            (&[0, 0, 0, 1, 0x40, 1, 0x0C], Some(Kind::Hevc)),
            (&[0, 0, 0, 1, 0x46, 1, 0x50], Some(Kind::Hevc)),
            (&[0, 0, 0, 1, 0x42, 1, 1], Some(Kind::Hevc)),
            (b"", None),
            (b"OggS\0\0\0\0", None),
            (&[0; 64], None),
        ];
        for (bytes, want) in cases {
            assert_eq!(sniff(bytes), want, "{bytes:?}");
        }
    }

    #[test]
    fn a_pipe_is_read_no_further_than_needed_and_nothing_is_lost() {
        struct Slow(Vec<u8>);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let Some(byte) = (!self.0.is_empty()).then(|| self.0.remove(0)) else {
                    return Ok(0);
                };
                buffer[0] = byte;
                Ok(1)
            }
        }
        let stream = [0, 0, 0, 1, 0x67, 0x42, 0, 0x1F, 9, 9];
        let mut pipe = Slow(stream.to_vec());
        let (kind, read) = peek(&mut pipe).unwrap();
        assert_eq!(kind, Some(Kind::H264));
        assert_eq!([read, pipe.0].concat(), stream);
        let (kind, read) = peek(&mut Slow(b"hello".to_vec())).unwrap();
        assert_eq!((kind, read.as_slice()), (None, &b"hello"[..]));
        assert_eq!(peek(&mut Slow(vec![3; 9_000])).unwrap().1.len(), SNIFF_BYTES);
    }
}
