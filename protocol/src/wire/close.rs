//! Why a control stream or a whole connection is closed, as the number that the other side sees.

use std::fmt;

/// A code for closing a control stream or a connection.
///
/// A stranger sees only [`Refused`](Self::Refused), whatever it did: more would tell it something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseCode {
    /// Nothing is wrong; it is no longer needed.
    Done,
    /// No proof of the room secret.
    Refused,
    /// The proof was right and the hello was not accepted: an `Unwelcome` told why.
    Unwelcome,
    /// The other side broke a rule of the protocol.
    Violation,
    /// Another connection of this pair stays.
    Duplicate,
    /// A newer start of the same peer is here.
    Superseded,
    /// Nothing was heard for as long as the network would wait.
    Silent,
    /// Over the number of streams that this member keeps.
    Crowded,
    /// The sender has left the room.
    Left,
    /// The other side's ticket has ended.
    Expired,
    /// A number of a newer version.
    Other(u32),
}

const NUMBERS: [(CloseCode, u32, &str); 10] = [
    (CloseCode::Done, 0x100, "it was no longer needed"),
    (CloseCode::Refused, 0x101, "the other side refused"),
    (CloseCode::Unwelcome, 0x102, "the hello was not accepted"),
    (CloseCode::Violation, 0x103, "a rule of the protocol was broken"),
    (CloseCode::Duplicate, 0x104, "another connection to the same member stays"),
    (CloseCode::Superseded, 0x105, "a newer start of the same member is here"),
    (CloseCode::Silent, 0x106, "nothing was heard for ten seconds"),
    (CloseCode::Crowded, 0x107, "that member has no place for another control stream"),
    (CloseCode::Left, 0x108, "that member has left the room"),
    (CloseCode::Expired, 0x109, "the ticket has ended"),
];

impl CloseCode {
    /// The number on the wire.
    pub fn code(self) -> u32 {
        match self {
            Self::Other(code) => code,
            known => NUMBERS.iter().find(|row| row.0 == known).map_or(0x100, |row| row.1),
        }
    }

    /// What a number on the wire means.
    pub fn from_code(code: u32) -> Self {
        NUMBERS.iter().find(|row| row.1 == code).map_or(Self::Other(code), |row| row.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NUMBERS.iter().find(|row| row.0 == *self) {
            Some((_, _, sentence)) => f.write_str(sentence),
            None => write!(f, "reason {}, unknown to this version", self.code()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_one_number_and_back() {
        for (code, number, _) in NUMBERS {
            assert_eq!(code.code(), number);
            assert_eq!(CloseCode::from_code(number), code);
        }
        assert_eq!(CloseCode::from_code(7), CloseCode::Other(7));
        assert_eq!(CloseCode::Other(7).code(), 7);
    }
}
