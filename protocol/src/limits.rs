//! Every bound of the wire and of a room, with its reason. Bounds of HTTP, encoder and bootstrap
//! stand beside their code.

use std::time::Duration;

/// Longest access unit. A 4K keyframe at 20 Mbit/s is under 1 MiB; anything above 2 MiB is a lie.
pub const ACCESS_UNIT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Size of a piece, the unit of hashing and forwarding. Pictures between keyframes are 8 to 10 KB:
/// with larger pieces each hop would store them whole before it could pass anything on.
pub const PIECE_BYTES: usize = 4 * 1024;

/// Longest vectored write of video: two pieces. More would let a stale picture block a newer one.
pub const WRITE_BYTES_MAX: usize = 8 * 1024;

/// Video is written only while less than this is accepted by QUIC and not yet on the network.
/// 16, 32 and 64 KiB measured alike; below, a fast link runs dry between two wake-ups.
pub const UNSENT_BYTES_MAX: usize = 32 * 1024;

/// Nothing is written while data is in flight and nothing was acknowledged for this long: a
/// stopped peer must not collect what will be stale when it wakes.
pub const ACK_SILENCE_MAX: Duration = Duration::from_secs(1);

/// Longest control frame, for every type and for ever. Larger news is cut by its own type.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Frames of an unknown type that a peer may send each second before it is a nuisance: a newer
/// version speaks, an attacker shouts.
pub const UNKNOWN_FRAMES_PER_S_MAX: u32 = 20;

/// The open group stays in the cache up to this size whatever its age, so that a file with one
/// keyframe in ten seconds can serve a late joiner. Above, its head leaves.
pub const OPEN_GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Groups kept for a track, the open one included: a child that blinks for one group loses
/// nothing; beyond that the newest wins.
pub const CACHE_GROUPS_MAX: usize = 3;

/// How late a picture may be before a newer group replaces it, unless the viewer says otherwise.
pub const LATENCY_BUDGET_DEFAULT: Duration = Duration::from_millis(300);

/// Longest display name, in bytes: fits every screen, and a roster of 100 fits one frame.
pub const NAME_BYTES_MAX: usize = 64;

/// Longest room title, in bytes.
pub const TITLE_BYTES_MAX: usize = 64;

/// Signatures in a ticket chain: room key, moderator, invite. More would be paperwork to check.
pub const CHAIN_SIGNATURES_MAX: usize = 3;

/// Difference between two clocks that a ticket forgives: ordinary machines are within a minute.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(120);

/// Longest invite in characters: its QR code (level M with quiet zone) fits 80 columns.
pub const INVITE_CHARS_MAX: usize = 330;

/// Longest narrowed invite (two certificates) in characters: its QR code fits at level L.
pub const NARROWED_INVITE_CHARS_MAX: usize = 425;

/// Addresses in an invite. Hints: one bootstrap, one spare and two members are plenty.
pub const INVITE_ADDRESSES_MAX: usize = 4;

/// Members of a room that keep a control stream to every other. From 20 on it would be 380
/// streams and is chosen.
pub const FULL_MESH_MEMBERS_MAX: usize = 17;

/// Ancestors that a path may name. Six hops at 50 ms are all that live can bear.
pub const PATH_HOPS_MAX: usize = 8;

/// Feeds that one node serves, one a child and track, until viewers feed viewers: 64 who see and hear.
pub const CHILDREN_MAX: usize = 128;

/// A proof of the room secret must be over in this time, in all.
pub const PROOF_TIMEOUT: Duration = Duration::from_secs(3);

/// Ping on every control stream; two unanswered mean silent.
pub const PING_INTERVAL: Duration = Duration::from_secs(1);
