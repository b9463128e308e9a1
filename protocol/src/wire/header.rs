//! The header of a media stream: whose subscription, which group, from where on.
//!
//! A header is not signed: it says where the stream claims to begin, and every record after it
//! proves itself. At most [`HEADER_BYTES_MAX`] bytes are ever collected for one.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::limits::PATH_HOPS_MAX;
use crate::trust::id::{BroadcastId, PeerId, TrackId};

/// Longest header, its length field included: today's longest is 301 bytes, and newer versions may
/// append as much again twice over.
pub const HEADER_BYTES_MAX: usize = 1024;

/// The version that this program writes. Newer versions only append, so all of them are read.
pub const STREAM_VERSION: u8 = 1;

/// Names a subscription within one connection; chosen by the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubscriptionId(pub u32);

/// What opens every media stream.
///
/// Bytes, big-endian: length of all that follows (2), version (1), subscription (4), broadcast (16),
/// track (1), group (8), layer (1), first seq (8), first piece (2), hops (1), 32 bytes a hop; then
/// whatever a newer version appends, which is skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHeader {
    /// The child's name for this feed.
    pub subscription: SubscriptionId,
    /// Which start of which broadcast.
    pub broadcast: BroadcastId,
    /// Which track of it.
    pub track: TrackId,
    /// The group that this stream carries.
    pub group: u64,
    /// The layer; 0 until layers are built.
    pub layer: u8,
    /// Seq of the first record. Equal to the group's end when only the signed end is missing.
    pub first_seq: u64,
    /// First piece sent of the first record; its header is sent in full whatever this is.
    pub first_piece: u16,
    /// Who fed the sender, nearest first, the publisher last; at most [`PATH_HOPS_MAX`].
    pub path: Vec<PeerId>,
}

/// Why bytes are no stream header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The length is below the fixed part or above the bound.
    #[error("the stream header has an impossible length")]
    Length,
    /// Version 0 never existed.
    #[error("the stream header is of version 0, which does not exist")]
    Version,
    /// More hops than a path may have, or than the header has room for.
    #[error("the stream header's path is longer than a path may be")]
    Path,
}

const LENGTH_BYTES: usize = 2;
const FIXED_BYTES: usize = 42;
const HOP_BYTES: usize = 32;

impl StreamHeader {
    /// The header's bytes, its length field included. A path over the bound keeps its near end.
    pub fn encode(&self) -> Bytes {
        let hops = self.path.len().min(PATH_HOPS_MAX);
        let length = FIXED_BYTES + hops * HOP_BYTES;
        let mut out = Vec::with_capacity(LENGTH_BYTES + length);
        out.extend((length as u16).to_be_bytes());
        out.push(STREAM_VERSION);
        out.extend(self.subscription.0.to_be_bytes());
        out.extend(self.broadcast.0);
        out.push(self.track.0);
        out.extend(self.group.to_be_bytes());
        out.push(self.layer);
        out.extend(self.first_seq.to_be_bytes());
        out.extend(self.first_piece.to_be_bytes());
        out.push(hops as u8);
        for hop in &self.path[..hops] {
            out.extend(hop.0);
        }
        out.into()
    }

    /// Reads a header from the front of `bytes`: it and its length, or `None` while bytes are
    /// missing.
    ///
    /// # Errors
    /// [`HeaderError`], as early as it shows.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeaderError> {
        let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        if !(FIXED_BYTES..=HEADER_BYTES_MAX - LENGTH_BYTES).contains(&length) {
            return Err(HeaderError::Length);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        Self::decode_body(body).map(|header| Some((header, LENGTH_BYTES + length)))
    }

    fn decode_body(mut body: &[u8]) -> Result<Self, HeaderError> {
        let [version] = take(&mut body)?;
        if version == 0 {
            return Err(HeaderError::Version);
        }
        let subscription = SubscriptionId(u32::from_be_bytes(take(&mut body)?));
        let broadcast = BroadcastId(take(&mut body)?);
        let [track] = take(&mut body)?;
        let group = u64::from_be_bytes(take(&mut body)?);
        let [layer] = take(&mut body)?;
        let first_seq = u64::from_be_bytes(take(&mut body)?);
        let first_piece = u16::from_be_bytes(take(&mut body)?);
        let [hops] = take(&mut body)?;
        if usize::from(hops) > PATH_HOPS_MAX {
            return Err(HeaderError::Path);
        }
        let mut path = Vec::with_capacity(hops.into());
        for _ in 0..hops {
            path.push(PeerId(take(&mut body).map_err(|_| HeaderError::Path)?));
        }
        let track = TrackId(track);
        Ok(Self { subscription, broadcast, track, group, layer, first_seq, first_piece, path })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], HeaderError> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(HeaderError::Length)?;
    *bytes = rest;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_header() -> impl Strategy<Value = StreamHeader> {
        let names = (any::<u32>(), any::<[u8; 16]>(), any::<u8>());
        let place = (any::<u64>(), any::<u8>(), any::<u64>(), any::<u16>());
        let path = proptest::collection::vec(any::<[u8; 32]>().prop_map(PeerId), 0..=PATH_HOPS_MAX);
        (names, place, path).prop_map(|(names, place, path)| StreamHeader {
            subscription: SubscriptionId(names.0),
            broadcast: BroadcastId(names.1),
            track: TrackId(names.2),
            group: place.0,
            layer: place.1,
            first_seq: place.2,
            first_piece: place.3,
            path,
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_however_it_is_cut(header in any_header(), tail: Vec<u8>) {
            let mut bytes = header.encode().to_vec();
            let length = bytes.len();
            for end in 0..length {
                prop_assert_eq!(StreamHeader::decode(&bytes[..end]), Ok(None));
            }
            bytes.extend(tail);
            prop_assert_eq!(StreamHeader::decode(&bytes), Ok(Some((header, length))));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..1200)) {
            if let Ok(Some((_, length))) = StreamHeader::decode(&bytes) {
                prop_assert!(length <= bytes.len() && length <= HEADER_BYTES_MAX);
            }
        }

        #[test]
        fn what_a_newer_version_appends_is_skipped(
            header in any_header(),
            news in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut bytes = header.encode().to_vec();
            bytes[2] = 2;
            bytes.extend(&news);
            let length = (bytes.len() - 2) as u16;
            bytes[..2].copy_from_slice(&length.to_be_bytes());
            let all = bytes.len();
            bytes.push(0xAA);
            prop_assert_eq!(StreamHeader::decode(&bytes), Ok(Some((header, all))));
        }
    }

    #[test]
    fn a_lying_length_is_refused_before_its_bytes_arrive() {
        assert_eq!(StreamHeader::decode(&[0xFF, 0xFF]), Err(HeaderError::Length));
        assert_eq!(StreamHeader::decode(&[0x00, 0x29]), Err(HeaderError::Length));
        assert_eq!(StreamHeader::decode(&[0x00, 0x2A]), Ok(None));
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        let mut bytes = vec![0, 42, 1];
        bytes.resize(44, 0);
        assert!(matches!(StreamHeader::decode(&bytes), Ok(Some(_))));
        for hops in [1, 9, 255] {
            bytes[43] = hops;
            assert_eq!(StreamHeader::decode(&bytes), Err(HeaderError::Path));
        }
        bytes[2] = 0;
        assert_eq!(StreamHeader::decode(&bytes), Err(HeaderError::Version));
    }
}
