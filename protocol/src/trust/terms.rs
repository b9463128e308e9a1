//! What a credential grants: roles, until when, and the serial by which it can be revoked.
//!
//! Times are whole seconds in 32 bits (until the year 2106): a link must fit a QR code. Every
//! rounding makes a credential shorter than asked, never longer.

use std::fmt;
use std::ops::BitOr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::key;
use crate::limits::CLOCK_SKEW_MAX;
use crate::time::Wall;

/// What a member may do: any set of the five roles.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Roles(u8);

impl Roles {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Watch and listen.
    pub const VIEW: Self = Self(1);
    /// Feed others with what one receives.
    pub const FORWARD: Self = Self(1 << 1);
    /// Send pictures and sound of one's own.
    pub const PUBLISH: Self = Self(1 << 2);
    /// Put others out, renew their tickets.
    pub const MODERATE: Self = Self(1 << 3);
    /// Make narrower links.
    pub const INVITE: Self = Self(1 << 4);
    /// Everything: the creator's own ticket.
    pub const ALL: Self = Self(0b1_1111);
    /// What a link gives where nobody says otherwise: view, forward and publish.
    pub const USUAL: Self = Self(0b111);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::VIEW, "view"),
        (Self::FORWARD, "forward"),
        (Self::PUBLISH, "publish"),
        (Self::MODERATE, "moderate"),
        (Self::INVITE, "invite"),
    ];

    /// The set with these bits; `None` if there is one that this version does not know.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// The set as bits: 1 view, 2 forward, 4 publish, 8 moderate, 16 invite.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The role of this name (`view`, `forward`, `publish`, `moderate`, `invite`).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(role, _)| *role)
    }

    /// The names of the roles in this set, weakest first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.into_iter().filter(move |(role, _)| self.contains(*role)).map(|(_, name)| name)
    }

    /// Whether every role of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this set grants nothing that `parent` does not.
    pub const fn is_within(self, parent: Self) -> bool {
        parent.contains(self)
    }

    /// This set without the roles of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Roles {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("nothing");
        }
        let names: Vec<_> = self.names().collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roles({self})")
    }
}

impl From<Roles> for u8 {
    fn from(roles: Roles) -> Self {
        roles.0
    }
}

/// A role that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a role that this version does not know: upgrade Roommate")]
pub struct UnknownRole;

impl TryFrom<u8> for Roles {
    type Error = UnknownRole;
    fn try_from(bits: u8) -> Result<Self, UnknownRole> {
        Self::from_bits(bits).ok_or(UnknownRole)
    }
}

/// When a credential ends: a second between 1970 and 2106, or never.
///
/// Bytes: seconds since the Unix epoch, u32 big-endian; 0 is never.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Expiry(u32);

impl Expiry {
    /// It does not end.
    pub const NEVER: Self = Self(0);

    /// It ends at `time`, rounded down to a second and cut to what 32 bits can say.
    pub fn at(time: Wall) -> Self {
        Self(time.as_secs().clamp(1, u32::MAX.into()) as u32)
    }

    /// When it ends; `None`: never.
    pub const fn wall(self) -> Option<Wall> {
        if self.0 == 0 { None } else { Some(Wall::from_secs(self.0 as i64)) }
    }

    /// Whether this ends no later than `parent`.
    pub const fn is_within(self, parent: Self) -> bool {
        parent.0 == 0 || (self.0 != 0 && self.0 <= parent.0)
    }

    /// How long ago it ended, where it is over at `now` even for a clock that is
    /// [`CLOCK_SKEW_MAX`] fast.
    pub(super) fn over_since(self, now: Wall) -> Option<Duration> {
        let end = self.wall()?;
        (now > end + CLOCK_SKEW_MAX).then(|| between(end, now))
    }

    pub(super) const fn to_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    pub(super) const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes))
    }
}

impl From<Option<Wall>> for Expiry {
    fn from(time: Option<Wall>) -> Self {
        time.map_or(Self::NEVER, Self::at)
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("never"),
            secs => write!(f, "{secs} s"),
        }
    }
}

/// Names one credential, so that a room state can revoke it. Drawn at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Serial(pub [u8; 8]);

impl Serial {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let mut serial = [0; 8];
        serial.copy_from_slice(&key::derive(seed, &[b"serial/1"])[..8]);
        Self(serial)
    }
}

/// The time between two times of day, zero where they are in the wrong order.
pub(super) fn between(from: Wall, to: Wall) -> Duration {
    Duration::from_micros(to.as_micros().saturating_sub(from.as_micros()).max(0) as u64)
}

/// A duration in the largest unit that leaves a number above one, for sentences.
pub(super) fn spoken(time: &Duration) -> String {
    let secs = time.as_secs();
    match secs {
        0..120 => format!("{secs} s"),
        120..7_200 => format!("{} minutes", secs / 60),
        7_200..172_800 => format!("{} hours", secs / 3_600),
        _ => format!("{} days", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_roles_are_refused() {
        assert_eq!(Roles::from_bits(0b10_0000), None);
        assert_eq!(Roles::from_bits(0b1_1111), Some(Roles::ALL));
        for (role, name) in Roles::NAMES {
            assert_eq!(Roles::from_name(name), Some(role));
        }
        assert_eq!(Roles::from_name("View"), None);
        assert_eq!(Roles::USUAL.to_string(), "view, forward, publish");
    }

    #[test]
    fn never_is_within_never_alone() {
        let (early, late) = (Expiry::at(Wall::from_secs(10)), Expiry::at(Wall::from_secs(11)));
        assert!(Expiry::NEVER.is_within(Expiry::NEVER));
        assert!(!Expiry::NEVER.is_within(late));
        assert!(late.is_within(Expiry::NEVER));
        assert!(early.is_within(late) && late.is_within(late) && !late.is_within(early));
    }

    #[test]
    fn an_expiry_is_never_longer_than_asked() {
        assert_eq!(Expiry::at(Wall::from_micros(1_999_999)).wall(), Some(Wall::from_secs(1)));
        // The ends of the range: before 1970 is over, not never; after 2106 is 2106.
        assert_eq!(Expiry::at(Wall::from_secs(-5)).wall(), Some(Wall::from_secs(1)));
        let last = Wall::from_secs(u32::MAX.into());
        assert_eq!(Expiry::at(Wall::from_secs(i64::MAX)).wall(), Some(last));
    }

    #[test]
    fn durations_are_said_in_a_fitting_unit() {
        let said = |secs| spoken(&Duration::from_secs(secs));
        assert_eq!([said(119), said(120), said(86_400)], ["119 s", "2 minutes", "24 hours"]);
        assert_eq!(said(400 * 86_400), "400 days");
    }
}
