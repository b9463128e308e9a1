//! What a node and a bootstrap say to each other, and the numbers of these frames.
//!
//! The numbers are this protocol's own. A body never changes once released; news is a new number,
//! and an unknown one is skipped. Reasons travel as numbers too: a new one must not make an older
//! node drop the stream.

use bytes::Bytes;

use super::record::RECORD_BYTES_MAX;
use crate::trust::id::PeerId;
use crate::trust::rid::Rid;
use crate::wire::codec::{self, EncodeError};
use crate::wire::frame::{self, Frame, Violation};

/// Longest frame that a bootstrap reads here: a record and what is around it. A newer message to it
/// must fit too, so that thousands of half-sent frames stay small.
pub const REQUEST_BYTES_MAX: usize = 4 * 1024;

/// Records in one answer: a frame of 33 KiB at most. A room that has more is answered with a random
/// choice of them.
pub const ANSWER_RECORDS_MAX: usize = 64;

/// From node to bootstrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Keep this record ([`Claim::bytes`](super::record::Claim::bytes)).
    Register {
        /// Its bytes.
        record: Vec<u8>,
    },
    /// Forget my record under this id, and tell those who watch it.
    Unregister {
        /// The room.
        rid: Rid,
    },
    /// Who is there?
    Lookup {
        /// The room.
        rid: Rid,
    },
    /// Who is there, and tell me when somebody comes or goes.
    Watch {
        /// The room.
        rid: Rid,
    },
    /// No longer.
    Unwatch {
        /// The room.
        rid: Rid,
    },
    /// Are you there?
    Ping {
        /// Comes back in the pong.
        token: u64,
    },
}

/// From bootstrap to node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The record is kept.
    Registered {
        /// The room.
        rid: Rid,
        /// For how many seconds.
        seconds: u32,
    },
    /// The request was not carried out.
    Refused {
        /// The room, all zero where the request named none that could be read.
        rid: Rid,
        /// The number of the request's frame.
        request: u16,
        /// Why.
        reason: Reason,
    },
    /// Answers a lookup or a watch.
    Records {
        /// The room.
        rid: Rid,
        /// How many there are; more than `records` holds where those are a choice.
        total: u32,
        /// The records, up to [`ANSWER_RECORDS_MAX`].
        records: Vec<Vec<u8>>,
    },
    /// Somebody came, or changed addresses.
    Joined {
        /// Their record.
        record: Vec<u8>,
    },
    /// Somebody unregistered, or their record was not renewed. Only a hint: the bootstrap sees no
    /// members, only records.
    Left {
        /// The room.
        rid: Rid,
        /// Who.
        peer: PeerId,
    },
    /// Answers a ping.
    Pong {
        /// The ping's.
        token: u64,
    },
}

/// Why a bootstrap refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The bytes are no record.
    #[error("the bootstrap could not read the registration: one of the two programs is too old")]
    Malformed,
    /// The record names somebody else.
    #[error("the registration names another peer than the one that sent it")]
    NotYours,
    /// The signature is not by the key of the room id.
    #[error("the registration is not signed by the room that it names")]
    Signature,
    /// The record is over already, or lasts longer than records may.
    #[error("the clocks of this machine and the bootstrap differ by more than two minutes")]
    Clock,
    /// A newer record of this peer is there.
    #[error("the bootstrap holds a newer registration of this peer")]
    Older {
        /// Its number.
        newest: u64,
    },
    /// This peer is registered in as many rooms as one may be.
    #[error("this peer is registered in as many rooms as the bootstrap allows")]
    PeerQuota,
    /// This client watches as many rooms as one may.
    #[error("this peer watches as many rooms as the bootstrap allows")]
    WatchQuota,
    /// Too many requests in a short time.
    #[error("too many requests in a short time: the bootstrap asks for patience")]
    TooFast,
    /// A reason that this version does not know.
    #[error("the bootstrap refused for a reason that this version does not know (number {0})")]
    Unknown(u8),
}

impl Reason {
    fn to_wire(self) -> (u8, u64) {
        match self {
            Self::Malformed => (1, 0),
            Self::NotYours => (2, 0),
            Self::Signature => (3, 0),
            Self::Clock => (4, 0),
            Self::Older { newest } => (5, newest),
            Self::PeerQuota => (6, 0),
            Self::WatchQuota => (7, 0),
            Self::TooFast => (8, 0),
            Self::Unknown(code) => (code, 0),
        }
    }

    fn from_wire(code: u8, detail: u64) -> Self {
        match code {
            1 => Self::Malformed,
            2 => Self::NotYours,
            3 => Self::Signature,
            4 => Self::Clock,
            5 => Self::Older { newest: detail },
            6 => Self::PeerQuota,
            7 => Self::WatchQuota,
            8 => Self::TooFast,
            code => Self::Unknown(code),
        }
    }
}

/// Numbers of the frames.
pub(super) mod kind {
    pub(in crate::rooms) const REGISTER: u16 = 1;
    pub(in crate::rooms) const UNREGISTER: u16 = 2;
    pub(in crate::rooms) const LOOKUP: u16 = 3;
    pub(in crate::rooms) const WATCH: u16 = 4;
    pub(in crate::rooms) const UNWATCH: u16 = 5;
    pub(in crate::rooms) const PING: u16 = 6;
    pub(in crate::rooms) const REGISTERED: u16 = 129;
    pub(in crate::rooms) const REFUSED: u16 = 130;
    pub(in crate::rooms) const RECORDS: u16 = 131;
    pub(in crate::rooms) const JOINED: u16 = 132;
    pub(in crate::rooms) const LEFT: u16 = 133;
    pub(in crate::rooms) const PONG: u16 = 134;
}

impl Request {
    /// The number of its frame.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Register { .. } => kind::REGISTER,
            Self::Unregister { .. } => kind::UNREGISTER,
            Self::Lookup { .. } => kind::LOOKUP,
            Self::Watch { .. } => kind::WATCH,
            Self::Unwatch { .. } => kind::UNWATCH,
            Self::Ping { .. } => kind::PING,
        }
    }

    /// The frame, length in front.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for a record that is none.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::Register { record } => frame::encode(self.kind(), &(record,)),
            Self::Unregister { rid }
            | Self::Lookup { rid }
            | Self::Watch { rid }
            | Self::Unwatch { rid } => frame::encode(self.kind(), &(rid.0,)),
            Self::Ping { token } => frame::encode(self.kind(), &(token,)),
        }
    }

    /// What `content` (type and body of a frame) says; `None` for an unknown type.
    ///
    /// # Errors
    /// [`Violation`] where the body does not have the form of its type.
    pub fn decode(content: &[u8]) -> Result<Option<Self>, Violation> {
        let (kind, body) = Frame::split(content)?;
        let rid = || read::<([u8; 32],)>(kind, body).map(|(rid,)| Rid(rid));
        Ok(Some(match kind {
            kind::REGISTER => Self::Register { record: read::<(Vec<u8>,)>(kind, body)?.0 },
            kind::UNREGISTER => Self::Unregister { rid: rid()? },
            kind::LOOKUP => Self::Lookup { rid: rid()? },
            kind::WATCH => Self::Watch { rid: rid()? },
            kind::UNWATCH => Self::Unwatch { rid: rid()? },
            kind::PING => Self::Ping { token: read::<(u64,)>(kind, body)?.0 },
            _ => return Ok(None),
        }))
    }
}

impl Answer {
    /// The frame, length in front.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] for more records than fit.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        match self {
            Self::Registered { rid, seconds } => frame::encode(kind::REGISTERED, &(rid.0, seconds)),
            Self::Refused { rid, request, reason } => {
                let (code, detail) = reason.to_wire();
                frame::encode(kind::REFUSED, &(rid.0, request, code, detail))
            }
            Self::Records { rid, total, records } => {
                frame::encode(kind::RECORDS, &(rid.0, total, records))
            }
            Self::Joined { record } => frame::encode(kind::JOINED, &(record,)),
            Self::Left { rid, peer } => frame::encode(kind::LEFT, &(rid.0, peer.0)),
            Self::Pong { token } => frame::encode(kind::PONG, &(token,)),
        }
    }

    /// What `content` (type and body of a frame) says; `None` for an unknown type.
    ///
    /// # Errors
    /// [`Violation`] where the body does not have the form of its type.
    pub fn decode(content: &[u8]) -> Result<Option<Self>, Violation> {
        let (kind, body) = Frame::split(content)?;
        Ok(Some(match kind {
            kind::REGISTERED => {
                let (rid, seconds) = read(kind, body)?;
                Self::Registered { rid: Rid(rid), seconds }
            }
            kind::REFUSED => {
                let (rid, request, code, detail) = read(kind, body)?;
                Self::Refused { rid: Rid(rid), request, reason: Reason::from_wire(code, detail) }
            }
            kind::RECORDS => {
                let (rid, total, records) = read(kind, body)?;
                Self::Records { rid: Rid(rid), total, records }
            }
            kind::JOINED => Self::Joined { record: read::<(Vec<u8>,)>(kind, body)?.0 },
            kind::LEFT => {
                let (rid, peer) = read(kind, body)?;
                Self::Left { rid: Rid(rid), peer: PeerId(peer) }
            }
            kind::PONG => Self::Pong { token: read::<(u64,)>(kind, body)?.0 },
            _ => return Ok(None),
        }))
    }
}

fn read<T: serde::de::DeserializeOwned>(kind: u16, body: &[u8]) -> Result<T, Violation> {
    codec::decode(body).map_err(|error| Violation::Body { kind, error })
}

// The longest answer must fit a frame, or the registry could not send it.
const _: () = assert!(ANSWER_RECORDS_MAX * (RECORD_BYTES_MAX + 3) + 64 < codec::BODY_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_request() -> impl Strategy<Value = Request> {
        let rid = any::<[u8; 32]>().prop_map(Rid);
        prop_oneof![
            any::<Vec<u8>>().prop_map(|record| Request::Register { record }),
            rid.clone().prop_map(|rid| Request::Unregister { rid }),
            rid.clone().prop_map(|rid| Request::Lookup { rid }),
            rid.clone().prop_map(|rid| Request::Watch { rid }),
            rid.prop_map(|rid| Request::Unwatch { rid }),
            any::<u64>().prop_map(|token| Request::Ping { token }),
        ]
    }

    fn any_answer() -> impl Strategy<Value = Answer> {
        let rid = any::<[u8; 32]>().prop_map(Rid);
        let reason = (any::<u8>(), any::<u64>()).prop_map(|(c, d)| Reason::from_wire(c, d));
        let records = proptest::collection::vec(any::<Vec<u8>>(), 0..9);
        prop_oneof![
            (rid.clone(), any::<u32>())
                .prop_map(|(rid, seconds)| Answer::Registered { rid, seconds }),
            (rid.clone(), any::<u16>(), reason)
                .prop_map(|(rid, request, reason)| Answer::Refused { rid, request, reason }),
            (rid.clone(), any::<u32>(), records)
                .prop_map(|(rid, total, records)| Answer::Records { rid, total, records }),
            any::<Vec<u8>>().prop_map(|record| Answer::Joined { record }),
            (rid, any::<[u8; 32]>()).prop_map(|(rid, p)| Answer::Left { rid, peer: PeerId(p) }),
            any::<u64>().prop_map(|token| Answer::Pong { token }),
        ]
    }

    proptest! {
        #[test]
        fn requests_are_read_as_they_were_written(request in any_request()) {
            let frame = request.encode().unwrap();
            prop_assert_eq!(Request::decode(&frame[4..]), Ok(Some(request)));
        }

        #[test]
        fn answers_are_read_as_they_were_written(answer in any_answer()) {
            let frame = answer.encode().unwrap();
            prop_assert_eq!(Answer::decode(&frame[4..]), Ok(Some(answer)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(kind in 0u16..140, bytes in any::<Vec<u8>>()) {
            let content = [&kind.to_be_bytes(), &bytes[..]].concat();
            let _ = (Request::decode(&content), Answer::decode(&content));
        }
    }

    /// Bytes that were released: an older peer sends and expects exactly these.
    #[test]
    fn the_bytes_of_version_1_stay() {
        let rid = Rid([0xab; 32]);
        let hex = |bytes: Bytes| data_encoding::HEXLOWER.encode(&bytes);
        let id = "ab".repeat(32);
        let register = Request::Register { record: vec![1, 2, 3] }.encode().unwrap();
        assert_eq!(hex(register), "00000006000103010203");
        let watch = Request::Watch { rid }.encode().unwrap();
        assert_eq!(hex(watch), format!("000000220004{id}"));
        let refused = Answer::Refused { rid, request: 1, reason: Reason::Older { newest: 9 } };
        assert_eq!(hex(refused.encode().unwrap()), format!("000000250082{id}010509"));
        let records = Answer::Records { rid, total: 300, records: vec![vec![7]] };
        assert_eq!(hex(records.encode().unwrap()), format!("000000280083{id}fb2c01010107"));
        let left = Answer::Left { rid, peer: PeerId([0xcd; 32]) };
        assert_eq!(hex(left.encode().unwrap()), format!("000000420085{id}{}", "cd".repeat(32)));
        assert_eq!(hex(Answer::Pong { token: 5 }.encode().unwrap()), "00000003008605");
    }

    #[test]
    fn an_unknown_number_is_no_offence() {
        assert_eq!(Request::decode(&[0x7f, 0, 1]), Ok(None));
        assert_eq!(Answer::decode(&[0x7f, 0, 1]), Ok(None));
    }
}
