//! Signed payloads: read as written, extended by newer versions, cut short, or any bytes.

use proptest::prelude::*;

use super::super::catalog::{CatalogTrack, DESCRIPTION_BYTES_MAX, TrackKind};
use super::*;
use crate::address::{Carrier, Host, Kind};
use crate::trust::id::TrackId;

fn any_incarnation() -> impl Strategy<Value = Incarnation> {
    any::<(u64, u64)>().prop_map(|(counter, nonce)| Incarnation { counter, nonce })
}

fn any_chain() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..=CHAIN_BYTES_MAX)
}

fn any_address() -> impl Strategy<Value = Address> {
    (any::<[u8; 4]>(), 1..=u16::MAX, any::<bool>()).prop_map(|(ip, port, tcp)| Address {
        kind: Kind::Member,
        host: Host::V4(ip.into()),
        carrier: if tcp { Carrier::Tcp } else { Carrier::Quic },
        port,
        peer: None,
    })
}

fn any_entry() -> impl Strategy<Value = RosterEntry> {
    let addresses = proptest::collection::vec(any_address(), 0..=ENTRY_ADDRESSES_MAX);
    let short = any::<[u8; 8]>().prop_map(ShortId);
    let neighbours = proptest::collection::vec(short, 0..=NEIGHBOURS_MAX);
    let numbers = any::<(u32, i64)>();
    (any_incarnation(), numbers, any_chain(), ".{0,16}", addresses, neighbours).prop_map(
        |(incarnation, (version, wall), chain, name, addresses, neighbours)| RosterEntry {
            incarnation,
            version,
            wall: Wall::from_micros(wall),
            chain,
            name,
            addresses,
            neighbours,
        },
    )
}

fn any_kind() -> impl Strategy<Value = TrackKind> {
    prop_oneof![
        (1..=16_384_u32, 1..=16_384_u32, any::<u32>(), 1..=u32::MAX)
            .prop_map(|(width, height, n, d)| TrackKind::Video { width, height, fps: (n, d) }),
        (
            1..=u32::MAX,
            1..=u8::MAX,
            proptest::collection::vec(any::<u8>(), 0..=DESCRIPTION_BYTES_MAX)
        )
            .prop_map(|(sample_rate, channels, description)| TrackKind::Audio {
                sample_rate,
                channels,
                description,
            }),
    ]
}

fn any_catalog() -> impl Strategy<Value = Catalog> {
    let track = (any_kind(), "[!-~]{1,48}", 1..=u32::MAX, any::<bool>());
    proptest::collection::vec(track, 0..=16).prop_map(|tracks| {
        let track = |(id, (kind, codec, timescale, other))| CatalogTrack {
            id: TrackId(id),
            codec,
            timescale,
            rendition_of: (other && id > 0).then_some(TrackId(0)),
            kind,
        };
        Catalog { tracks: (0..).zip(tracks).map(track).collect() }
    })
}

fn any_announcement() -> impl Strategy<Value = Announcement> {
    (any_incarnation(), any::<[u8; 16]>(), any::<u32>(), any_chain(), any_catalog()).prop_map(
        |(incarnation, id, revision, chain, catalog)| Announcement {
            incarnation,
            broadcast: BroadcastId(id),
            revision,
            chain,
            catalog,
        },
    )
}

proptest! {
    #[test]
    fn entries_are_read_as_written_and_what_is_appended_is_skipped(
        entry in any_entry(), tail in any::<Vec<u8>>(),
    ) {
        let bytes = [entry.encode(), tail].concat();
        prop_assert_eq!(RosterEntry::decode(&bytes), Some(entry));
    }

    #[test]
    fn announcements_are_read_as_written_and_what_is_appended_is_skipped(
        announcement in any_announcement(), tail in any::<Vec<u8>>(),
    ) {
        let bytes = [announcement.encode(), tail].concat();
        prop_assert_eq!(Announcement::decode(&bytes), Some(announcement));
    }

    #[test]
    fn small_notes_are_read_as_written(
        incarnation in any_incarnation(), peer: [u8; 32], version: u32, id: [u8; 16],
    ) {
        let note = LostNote { subject: PeerId(peer), incarnation, version };
        prop_assert_eq!(LostNote::decode(&note.encode()), Some(note));
        let leave = Leave { incarnation };
        prop_assert_eq!(Leave::decode(&leave.encode()), Some(leave));
        let retraction = Retraction { incarnation, broadcast: BroadcastId(id) };
        prop_assert_eq!(Retraction::decode(&retraction.encode()), Some(retraction));
    }

    #[test]
    fn whatever_is_cut_short_is_refused(
        entry in any_entry(), announcement in any_announcement(),
        at in any::<proptest::sample::Index>(),
    ) {
        let bytes = entry.encode();
        prop_assert_eq!(RosterEntry::decode(&bytes[..at.index(bytes.len())]), None);
        let bytes = announcement.encode();
        prop_assert_eq!(Announcement::decode(&bytes[..at.index(bytes.len())]), None);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = RosterEntry::decode(&bytes);
        let _ = LostNote::decode(&bytes);
        let _ = Leave::decode(&bytes);
        let _ = Announcement::decode(&bytes);
        let _ = Retraction::decode(&bytes);
    }
}

fn audio(sample_rate: u32, channels: u8, description: usize) -> TrackKind {
    TrackKind::Audio { sample_rate, channels, description: vec![7; description] }
}

#[test]
fn a_catalog_that_breaks_a_bound_is_not_read() {
    let track = CatalogTrack {
        id: TrackId(1),
        codec: "opus".to_owned(),
        timescale: 48_000,
        rendition_of: None,
        kind: audio(48_000, 2, DESCRIPTION_BYTES_MAX),
    };
    let one = |track: CatalogTrack| Catalog { tracks: vec![track] };
    assert!(one(track.clone()).is_sound());
    for bad in [
        CatalogTrack { timescale: 0, ..track.clone() },
        CatalogTrack { codec: String::new(), ..track.clone() },
        CatalogTrack { codec: "a b".to_owned(), ..track.clone() },
        CatalogTrack { rendition_of: Some(TrackId(1)), ..track.clone() },
        CatalogTrack { id: TrackId(255), ..track.clone() },
        CatalogTrack { kind: audio(1, 0, 0), ..track.clone() },
        CatalogTrack { kind: audio(1, 1, DESCRIPTION_BYTES_MAX + 1), ..track.clone() },
        CatalogTrack {
            kind: TrackKind::Video { width: 0, height: 1, fps: (1, 1) },
            ..track.clone()
        },
    ] {
        assert!(!one(bad).is_sound());
    }
    assert!(!Catalog { tracks: vec![track.clone(), track] }.is_sound(), "one id, one track");
}
