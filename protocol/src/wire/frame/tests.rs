//! Frames however they are cut, their bounds, and those of unknown types.

use super::*;
use proptest::prelude::*;

fn frames() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    proptest::collection::vec((any::<u16>(), proptest::collection::vec(any::<u8>(), 0..300)), 0..12)
}

fn read_all(reader: &mut FrameReader) -> Result<Vec<Frame>, Violation> {
    let mut frames = Vec::new();
    while let Some(frame) = reader.next()? {
        frames.push(frame);
    }
    Ok(frames)
}

proptest! {
    #[test]
    fn however_the_bytes_are_cut_the_frames_are_the_same(
        frames in frames(),
        cuts in proptest::collection::vec(1usize..64, 1..64),
    ) {
        let mut bytes = Vec::new();
        for (kind, value) in &frames {
            bytes.extend(encode(*kind, value).unwrap());
        }
        let (mut reader, mut read, mut rest) = (FrameReader::new(), Vec::new(), &bytes[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*cut).min(rest.len()));
            reader.push(head);
            read.extend(read_all(&mut reader).unwrap());
            rest = tail;
        }
        let read: Vec<_> = read.iter().map(|f| (f.kind, f.decode::<Vec<u8>>().unwrap())).collect();
        prop_assert_eq!(read, frames);
        prop_assert_eq!(reader.buffered(), 0);
    }

    #[test]
    fn any_bytes_are_read_or_refused_and_never_pile_up(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..40),
        bound in 0usize..400,
    ) {
        let mut reader = FrameReader::bounded(bound);
        let mut violation = None;
        for chunk in &chunks {
            reader.push(chunk);
            match (read_all(&mut reader), violation) {
                (Ok(_), Some(_)) => prop_assert!(false, "a broken stream went on"),
                (Ok(_), None) => {}
                (Err(now), Some(before)) => prop_assert_eq!(now, before),
                (Err(now), None) => violation = Some(now),
            }
            prop_assert!(reader.buffered() < LENGTH_BYTES + bound.max(1));
            prop_assert!(reader.buffer.capacity() <= 4096);
        }
    }

    #[test]
    fn split_is_the_inverse_of_a_frames_content(kind in any::<u16>(), body in any::<Vec<u8>>()) {
        let mut reader = FrameReader::new();
        reader.push(&encode(kind, &body).unwrap());
        let content = reader.next_content().unwrap().unwrap();
        let (again, rest) = Frame::split(&content).unwrap();
        prop_assert_eq!(again, kind);
        prop_assert_eq!(codec::decode::<Vec<u8>>(rest), Ok(body));
    }
}

#[test]
fn the_layout_is_the_one_that_is_written_down() {
    let bytes = encode(0x0102, &0x7fu8).unwrap();
    assert_eq!(bytes[..], [0, 0, 0, 3, 1, 2, 0x7f]);
}

#[test]
fn the_longest_frame_passes_and_a_longer_one_is_refused_before_it_arrives() {
    let mut reader = FrameReader::new();
    let longest = vec![1u8; codec::BODY_BYTES_MAX - 3];
    reader.push(&encode(9, &longest).unwrap());
    assert!(reader.next().unwrap().unwrap().decode::<Vec<u8>>() == Ok(longest));
    assert_eq!(reader.next(), Ok(None));
    assert!(reader.buffer.capacity() <= IDLE_BUFFER_BYTES_MAX, "an idle reader kept its buffer");

    reader.push(&(FRAME_BYTES_MAX as u32 + 1).to_be_bytes());
    assert_eq!(reader.next(), Err(Violation::TooLong { length: 65_537, bound: FRAME_BYTES_MAX }));
    reader.push(&[0; 100]);
    assert_eq!(reader.buffered(), 0);
}

#[test]
fn a_frame_without_a_type_is_refused() {
    for length in [0u32, 1] {
        let mut reader = FrameReader::new();
        reader.push(&length.to_be_bytes());
        assert_eq!(reader.next(), Err(Violation::NoType));
    }
    assert_eq!(Frame::split(&[1]), Err(Violation::NoType));
}

#[test]
fn twenty_unknown_frames_a_second_are_news_and_one_more_is_noise() {
    let mut meter = UnknownMeter::default();
    let mut now = Mono::from_micros(5);
    for _ in 0..3 {
        for _ in 0..20 {
            assert_eq!(meter.count(now), Ok(()));
        }
        now = now + Duration::from_secs(1);
    }
    for _ in 0..20 {
        assert_eq!(meter.count(now), Ok(()));
    }
    assert_eq!(meter.count(now), Err(Violation::UnknownFlood));
    assert_eq!(meter.total(), 81);
}
