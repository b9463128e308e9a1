//! Whether a pause on a pipe means that a picture is complete.
//!
//! The end of a picture is known only when the next begins, unless the producer ends it with a
//! delimiter: one picture of delay. But a live producer writes a picture at once and then is silent
//! until the next. So pauses are watched: after [`TRUSTED`] in a row behind which a new picture began,
//! the next pause ends its picture. One that turns out to lie within a picture takes all trust away;
//! the picture that it tore is lost, and the caller waits for the next keyframe.
//!
//! Bound: [`HEAD_BYTES`] after each pause.

use std::time::Duration;

use roommate_protocol::h264::nal::NalType;

/// How long nothing must come for a pause: longer than between two writes of one picture, shorter
/// than between two pictures of 60 a second.
pub(super) const PAUSE: Duration = Duration::from_millis(8);
/// Pauses in a row that must have ended a picture before one is believed.
pub(super) const TRUSTED: u32 = 30;
/// Bytes behind a pause that are looked at. Zeros may stand before a start code.
const HEAD_BYTES: usize = 64;
/// Writers with buffers write whole pages; a read that ends on one may be a part of a picture.
const PAGE: usize = 4_096;

/// What has been seen of the pauses of one pipe.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// In a row, each with a new picture behind it.
    clean: u32,
    /// What came after the pause that is being judged.
    head: Option<Vec<u8>>,
    /// That pause was believed.
    believed: bool,
    /// A pause may follow the bytes that came last.
    open: bool,
}

impl Pauses {
    /// How long to wait for bytes before it counts as a pause.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.open.then_some(PAUSE)
    }

    /// Nothing came for [`PAUSE`]. True if that ends the picture.
    pub(super) fn pause(&mut self) -> bool {
        self.open = false;
        self.believed = self.clean >= TRUSTED;
        self.head = Some(Vec::new());
        self.believed
    }

    /// Bytes came. True if they show that the pause before them tore a picture that was sent.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.open = !bytes.len().is_multiple_of(PAGE);
        let Some(head) = &mut self.head else { return false };
        let room = HEAD_BYTES - head.len();
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        match begins_picture(head) {
            None if head.len() < HEAD_BYTES => false,
            Some(true) => {
                self.head = None;
                self.clean = self.clean.saturating_add(1);
                false
            }
            _ => {
                self.head = None;
                self.clean = 0;
                std::mem::take(&mut self.believed)
            }
        }
    }
}

/// Whether a stream goes on with a new picture; `None` while too little of it is there.
fn begins_picture(bytes: &[u8]) -> Option<bool> {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    let rest = &bytes[zeros..];
    let (&one, behind) = rest.split_first()?;
    if one != 1 || zeros < 2 {
        return Some(false);
    }
    let (&header, payload) = behind.split_first()?;
    match NalType::of(header) {
        // The first macroblock of a picture has number 0, which is a single bit.
        kind if kind.is_vcl() => payload.first().map(|byte| byte & 0x80 != 0),
        kind => Some(kind.begins_unit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIMITER: &[u8] = &[0, 0, 0, 1, 9, 0xF0];
    const FIRST: &[u8] = &[0, 0, 0, 1, 0x41, 0x9A, 5];

    fn trusting() -> Pauses {
        let mut pauses = Pauses::default();
        for number in 0..TRUSTED {
            assert!(!pauses.bytes(if number % 2 == 0 { DELIMITER } else { FIRST }));
            assert!(!pauses.pause(), "not yet");
        }
        assert!(!pauses.bytes(FIRST));
        pauses
    }

    #[test]
    fn pauses_between_pictures_come_to_be_believed() {
        let mut pauses = trusting();
        assert_eq!(pauses.patience(), Some(PAUSE));
        assert!(pauses.pause());
        assert_eq!(pauses.patience(), None, "one pause is one");
        assert!(!pauses.bytes(FIRST));
    }

    #[test]
    fn a_pause_within_a_picture_takes_trust_away() {
        // The rest of a slice, another slice of the same picture, half a start code.
        for torn in [&[0x55, 0, 0, 1, 9][..], &[0, 0, 1, 0x41, 0x20], &[1, 9, 0xF0], &[0; 64]] {
            let mut pauses = trusting();
            assert!(pauses.pause());
            assert!(pauses.bytes(torn), "{torn:?}");
            assert!(!pauses.bytes(torn), "told once");
            assert!(!pauses.pause(), "{torn:?}");
        }
    }

    #[test]
    fn a_head_may_come_in_parts() {
        let mut pauses = trusting();
        assert!(pauses.pause());
        for byte in DELIMITER {
            assert!(!pauses.bytes(&[*byte]));
        }
        assert!(pauses.pause());
    }

    #[test]
    fn whole_pages_are_no_end() {
        let mut pauses = Pauses::default();
        pauses.bytes(&[7; 2 * PAGE]);
        assert_eq!(pauses.patience(), None);
        pauses.bytes(&[7; 2 * PAGE + 1]);
        assert_eq!(pauses.patience(), Some(PAUSE));
    }
}
