//! The publisher: an encoder that is played, and behind it the product's own signing, cache and
//! keyframe policy. Remembers every access unit, so that a viewer's can be compared byte for byte.

use std::collections::BTreeMap;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::keyframe::KeyframePolicy;
use roommate_protocol::media::publish::TrackPublisher;
use roommate_protocol::media::track::AccessUnit;
use roommate_protocol::time::Mono;
use roommate_protocol::trust::id::{BroadcastId, PeerId, RoomPk, TrackId, TrackKey};
use roommate_protocol::wire::record::{Signer, Verifier};

use crate::dice::Dice;

/// Between two pictures: 30 a second.
pub const PICTURE_TIME: Duration = Duration::from_micros(33_333);
/// The longest keyframe.
pub const KEYFRAME_BYTES_MAX: u64 = 40_000;
const KEYFRAME_BYTES_MIN: u64 = 20_000;
const PICTURE_BYTES_MIN: u64 = 1_000;
const PICTURE_BYTES_MAX: u64 = 5_000;
/// Bytes per second of such a stream with a keyframe each second, at most.
pub const BYTES_PER_S: u64 = 150_000;

/// One publisher of one track.
#[derive(Debug)]
pub struct Source {
    /// What its children are fed from.
    pub cache: TrackCache,
    /// Everything that was published, by number.
    pub originals: BTreeMap<u64, AccessUnit>,
    room: RoomPk,
    track: TrackKey,
    publisher: TrackPublisher,
    policy: KeyframePolicy,
    dice: Dice,
    group_pictures: u64,
    in_group: u64,
    next_at: Option<Mono>,
    force: bool,
    forced: u64,
}

impl Source {
    /// A publisher that begins at `start`, with a keyframe every `group`.
    ///
    /// # Panics
    /// Never: the signing key is the publisher's.
    #[must_use]
    pub fn new(mut dice: Dice, group: Duration, start: Mono) -> Self {
        let mut bytes = [0; 32];
        dice.fill(&mut bytes);
        let key = SigningKey::from_bytes(&bytes);
        let track = TrackKey {
            publisher: PeerId(key.verifying_key().to_bytes()),
            broadcast: BroadcastId([9; 16]),
            track: TrackId(0),
        };
        Self::of((key, RoomPk([7; 32]), track), dice, group, start)
    }

    /// The publisher of this track, whose key this is.
    ///
    /// # Panics
    /// If the track is somebody else's.
    #[must_use]
    pub fn of(
        (key, room, track): (SigningKey, RoomPk, TrackKey),
        dice: Dice,
        group: Duration,
        start: Mono,
    ) -> Self {
        let signer = Signer::new(key, room, track).expect("the track is this key's");
        let pictures = group.as_micros() / PICTURE_TIME.as_micros();
        Self {
            cache: TrackCache::new(),
            originals: BTreeMap::new(),
            room,
            track,
            publisher: TrackPublisher::new(signer),
            policy: KeyframePolicy::new(),
            dice,
            group_pictures: u64::try_from(pictures).unwrap_or(1).max(1),
            in_group: 0,
            next_at: Some(start),
            force: false,
            forced: 0,
        }
    }

    /// The track.
    #[must_use]
    pub fn track(&self) -> TrackKey {
        self.track
    }

    /// What everybody checks its records with.
    ///
    /// # Panics
    /// Never: the publisher's name is a key.
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        Verifier::new(self.room, self.track).expect("the publisher is a key")
    }

    /// How long a group lasts, if nobody asks for a keyframe.
    #[must_use]
    pub fn group_time(&self) -> Duration {
        PICTURE_TIME * u32::try_from(self.group_pictures).unwrap_or(u32::MAX)
    }

    /// Keyframes that were forced.
    #[must_use]
    pub fn forced(&self) -> u64 {
        self.forced
    }

    /// Requests for a keyframe that counted.
    #[must_use]
    pub fn requested(&self) -> u64 {
        self.policy.requested()
    }

    /// A child asks for a keyframe.
    pub fn want_keyframe(&mut self, child: PeerId, now: Mono) {
        let _ = self.policy.handle_request(child, now);
    }

    /// The next picture is a keyframe.
    pub fn force_keyframe(&mut self) {
        self.force = true;
        self.forced += 1;
    }

    /// Encodes and publishes what is due at `now`, captured at `captured_us`; whether that was a
    /// keyframe, if anything was due.
    ///
    /// # Panics
    /// If the product refuses an honest access unit.
    pub fn advance(&mut self, now: Mono, captured_us: i64) -> Option<bool> {
        if self.policy.poll_output(now) {
            self.force_keyframe();
        }
        let at = self.next_at.filter(|at| *at <= now)?;
        let seq = self.originals.len() as u64;
        let keyframe = seq == 0 || self.force || self.in_group >= self.group_pictures;
        let unit = self.picture(seq, keyframe, captured_us);
        for append in self.publisher.publish(&unit).expect("an honest access unit") {
            self.cache.append(&append, now);
        }
        if keyframe {
            self.policy.handle_keyframe(now);
            self.in_group = 0;
            self.force = false;
        }
        self.in_group += 1;
        self.originals.insert(seq, unit);
        // What was not encoded in a sleep never is.
        let at = if now.since(at) > PICTURE_TIME { now } else { at };
        self.next_at = Some(at + PICTURE_TIME);
        Some(keyframe)
    }

    /// Ends the broadcast.
    pub fn end(&mut self, now: Mono) {
        self.next_at = None;
        if let Some(end) = self.publisher.end() {
            self.cache.append(&end, now);
        }
    }

    /// When the next picture is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        let policy = self.policy.poll_timeout().map(|(at, _)| at);
        [self.next_at, policy.filter(|_| self.next_at.is_some())].into_iter().flatten().min()
    }

    fn picture(&mut self, seq: u64, keyframe: bool, captured_us: i64) -> AccessUnit {
        let (low, high) = if keyframe {
            (KEYFRAME_BYTES_MIN, KEYFRAME_BYTES_MAX)
        } else {
            (PICTURE_BYTES_MIN, PICTURE_BYTES_MAX)
        };
        let length = low + self.dice.below(high - low);
        // No two eights are alike, so that nothing passes for something else.
        let length = usize::try_from(length).unwrap_or(0);
        let mut data = Vec::with_capacity(length + 8);
        for n in 0.. {
            if data.len() >= length {
                break;
            }
            data.extend_from_slice(&(seq << 32 | n).to_be_bytes());
        }
        data.truncate(length);
        let pts = i64::try_from(seq).unwrap_or(i64::MAX);
        AccessUnit { pts, decode_offset: 0, captured_us, keyframe, data: data.into() }
    }
}
