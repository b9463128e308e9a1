//! Why a stream of pictures ends early: the codes of QUIC's RESET_STREAM and STOP_SENDING.
//!
//! A code is news for the other side, not proof of anything. One that this version does not know
//! means only that the stream is over.

/// Why a stream was reset by its sender or stopped by its receiver.
///
/// 0 is never sent by us: it is what a stream that was merely dropped says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(u32)]
pub enum StreamCode {
    /// A newer group is there and this one is late: news, not an error.
    #[error("a newer group of pictures replaced this one, which was late")]
    Stale = 1,
    /// The group was cut on its way to the sender, and no repair completed it.
    #[error("the sender itself did not receive the rest of this group")]
    Lost = 2,
    /// The subscription is unknown or has ended; no offence, streams may cross an unsubscribe.
    #[error("the subscription that this stream belongs to has ended")]
    Gone = 3,
    /// What comes next has left the sender's cache; the next keyframe goes on.
    #[error("what comes next in this group has left the sender's cache")]
    Evicted = 4,
    /// Unsubscribed, kicked, expired, or the link closes.
    #[error("the feeding of this track was ended")]
    Cancelled = 5,
    /// The publisher signed two different things for one place; the first one stays.
    #[error("the stream contradicts what was received before under the same number")]
    Conflict = 6,
    /// The bytes broke a rule: a bad signature, hash, length or order.
    #[error("the stream broke a rule of the protocol")]
    Violation = 7,
    /// What comes before this stream's content is not here, so it cannot be used.
    #[error("what precedes this stream's content is missing at the receiver")]
    Gap = 8,
    /// The receiver reads no more streams of this link at once.
    #[error("the receiver has too many open streams of this link")]
    TooMany = 9,
}

impl StreamCode {
    const ALL: [Self; 9] = [
        Self::Stale,
        Self::Lost,
        Self::Gone,
        Self::Evicted,
        Self::Cancelled,
        Self::Conflict,
        Self::Violation,
        Self::Gap,
        Self::TooMany,
    ];

    /// The number on the wire; fits every variable-length integer of QUIC.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The code with this number; `None` for one of a newer version, or none at all.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|known| u64::from(known.code()) == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_as_it_was_written_and_numbers_stand_for_ever() {
        let numbers: Vec<u32> = StreamCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        for code in StreamCode::ALL {
            assert_eq!(StreamCode::from_code(code.code().into()), Some(code));
        }
    }

    #[test]
    fn numbers_of_others_are_no_code_of_ours() {
        for number in [0, 10, u64::from(u32::MAX), (1 << 32) + 1, u64::MAX] {
            assert_eq!(StreamCode::from_code(number), None);
        }
    }
}
