//! Who is here. Entries are signed by their subjects and hold for five minutes; nobody can retract
//! another. *Gone* is decided here alone: by a goodbye, or as `gone` says, by what its neighbours say
//! and by whether they are reached themselves.
//!
//! Bounds: [`MEMBERS_MAX`] members with [`CLAIMS_MAX`] claims each, and [`graves`]. One neighbour fills
//! at most [`places::HEARSAY_MAX`] places with members whom we do not reach ourselves, and whoever we do reach
//! has a place: it takes that of the newest whom we do not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::output::LeftWhy;
use crate::limits::CLOCK_SKEW_MAX;
use crate::time::{Deadline, Mono, Now, Wall, Why, earliest};
use crate::trust::id::{Incarnation, PeerId};
use crate::trust::ticket::Grant;
use crate::wire::message::Signed;
use crate::wire::signed::{LostNote, RosterEntry, ShortId};

mod gone;
mod graves;
mod places;

pub(super) use gone::Streams;
pub(super) use places::Brought;

use graves::{FORGET, Grave, Graves};

/// Members that one node knows: what floods to all is still cheap at this size, and larger rooms
/// need the crowd's own overlay.
pub const MEMBERS_MAX: usize = 256;
/// How long an entry holds.
pub(super) const HOLD: Duration = Duration::from_secs(300);
/// How often its subject renews it.
pub(super) const RENEW: Duration = Duration::from_secs(120);
/// Claims that a member is lost: one for each neighbour that it lists, and as many by neighbours of
/// an entry that has not come yet.
const CLAIMS_MAX: usize = 32;
/// A member's living entry.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) signed: Signed,
    pub(super) incarnation: Incarnation,
    pub(super) version: u32,
    pub(super) grant: Grant,
    pub(super) name: String,
    /// Its own name in others' lists of neighbours.
    short: ShortId,
    neighbours: BTreeSet<ShortId>,
    /// Which neighbour brought it; itself, once it was linked.
    via: PeerId,
    /// When it came.
    since: Mono,
    until: Mono,
    /// Since when nobody vouches for it, and how long that is borne.
    alone: Option<(Mono, Duration)>,
    claims: BTreeMap<PeerId, Claim>,
}

/// A neighbour says that it lost a member.
#[derive(Clone, Debug)]
struct Claim {
    incarnation: Incarnation,
    version: u32,
    /// As it came: newcomers are told, or they would wait for a word that was said before their time.
    signed: Signed,
}

impl Claim {
    /// Whether it is about `member` as it is here now, and not refuted.
    fn is_about(&self, member: &Member) -> bool {
        self.incarnation == member.incarnation && self.version >= member.version
    }
}

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A new member.
    Joined,
    /// A new start of a known one.
    Restarted,
    /// A newer entry of a known one.
    Renewed,
    /// Nothing new.
    Known,
    /// Too old, or from the future.
    Stale,
    /// Its subject is held for lost at this version, and must say a higher one.
    HeldForLost(u32),
    /// There are [`MEMBERS_MAX`] already, or [`places::HEARSAY_MAX`] from the same neighbour.
    Full,
}

impl Taken {
    pub(super) fn is_news(self) -> bool {
        matches!(self, Self::Joined | Self::Restarted | Self::Renewed)
    }
}

/// The table of members, ourselves not among them.
#[derive(Debug)]
pub(super) struct Roster {
    me: PeerId,
    /// Our own name in others' lists of neighbours.
    short: ShortId,
    members: BTreeMap<PeerId, Member>,
    graves: Graves,
    /// Who gave way to a linked member, until the next [`Self::poll_gone`].
    displaced: Vec<PeerId>,
    look: gone::Look,
}

impl Roster {
    /// An empty table of this start of `me`.
    pub(super) fn new(me: PeerId, incarnation: Incarnation) -> Self {
        let short = ShortId::of(&me, incarnation);
        let (members, graves, displaced, look) = Default::default();
        Self { me, short, members, graves, displaced, look }
    }

    pub(super) fn get(&self, peer: &PeerId) -> Option<&Member> {
        self.members.get(peer)
    }

    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.members.contains_key(peer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Member)> {
        self.members.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The goodbyes that could be needed against entries played back.
    pub(super) fn goodbyes(&self) -> impl Iterator<Item = &Signed> {
        self.graves.goodbyes()
    }

    /// What neighbours said of members who are still here, for newcomers.
    pub(super) fn claims(&self) -> impl Iterator<Item = &Signed> {
        let standing = self
            .members
            .values()
            .flat_map(|member| member.claims.iter().filter(|(_, claim)| claim.is_about(member)));
        standing.filter(|(who, _)| self.is_here(who)).map(|(_, claim)| &claim.signed)
    }

    /// Whether exactly this was said before.
    pub(super) fn is_claim_known(&self, reporter: &PeerId, signed: &Signed) -> bool {
        self.members
            .values()
            .filter_map(|member| member.claims.get(reporter))
            .any(|claim| claim.signed == *signed)
    }

    /// An entry whose signature and chain were checked.
    pub(super) fn handle_entry(
        &mut self,
        peer: PeerId,
        entry: RosterEntry,
        (grant, signed): (Grant, Signed),
        brought: Brought<'_>,
        now: Now,
    ) -> Taken {
        let Some(holds) = holds(entry.wall, now.wall) else { return Taken::Stale };
        if let Some(grave) = self.graves.get(&peer) {
            if entry.incarnation < grave.incarnation {
                return Taken::Stale;
            }
            if entry.incarnation == grave.incarnation {
                if grave.goodbye.is_some() {
                    return Taken::Stale;
                }
                if entry.version <= grave.version {
                    return Taken::HeldForLost(grave.version);
                }
            }
        }
        let taken = match self.members.get(&peer) {
            None => Taken::Joined,
            Some(old) if entry.incarnation < old.incarnation => return Taken::Stale,
            Some(old) if entry.incarnation > old.incarnation => Taken::Restarted,
            Some(old) if entry.version <= old.version => return Taken::Known,
            Some(_) => Taken::Renewed,
        };
        if taken == Taken::Joined && !self.make_place(&peer, brought) {
            return Taken::Full;
        }
        let old = self.members.remove(&peer);
        let via =
            if brought.is_linked(&peer) { Some(peer) } else { old.as_ref().map(|old| old.via) };
        let (since, claims) = match old {
            Some(old) if taken == Taken::Renewed => (old.since, old.claims),
            _ => (now.mono, BTreeMap::new()),
        };
        self.graves.remove(&peer);
        let mut member = Member {
            signed,
            incarnation: entry.incarnation,
            version: entry.version,
            grant,
            name: entry.name,
            short: ShortId::of(&peer, entry.incarnation),
            neighbours: entry.neighbours.into_iter().collect(),
            via: via.unwrap_or(brought.from),
            since,
            until: now.mono + holds,
            alone: None,
            claims,
        };
        // A higher version refutes.
        member.claims.retain(|_, claim| claim.version >= entry.version);
        self.members.insert(peer, member);
        self.look.changed = true;
        taken
    }

    /// A member, or we ourselves, say that it lost another. Whether that is news to pass on.
    pub(super) fn handle_lost(&mut self, reporter: PeerId, note: LostNote, signed: Signed) -> bool {
        if !self.is_here(&reporter) {
            return false;
        }
        let Some(member) = self.members.get(&note.subject) else { return false };
        if reporter == note.subject
            || note.incarnation != member.incarnation
            || note.version < member.version
            || member.claims.get(&reporter).is_some_and(|claim| claim.version >= note.version)
        {
            return false;
        }
        let mut stranger = None;
        if member.claims.len() >= CLAIMS_MAX && !member.claims.contains_key(&reporter) {
            stranger = member.claims.keys().find(|who| !self.is_neighbour(who, member)).copied();
            if stranger.is_none() {
                return false;
            }
        }
        if let Some(member) = self.members.get_mut(&note.subject) {
            stranger.and_then(|stranger| member.claims.remove(&stranger));
            let claim = Claim { incarnation: note.incarnation, version: note.version, signed };
            member.claims.insert(reporter, claim);
        }
        self.look.changed = true;
        true
    }

    fn is_here(&self, who: &PeerId) -> bool {
        *who == self.me || self.members.contains_key(who)
    }

    /// Whether the entry of `member` names `other` as it is here now.
    fn is_neighbour(&self, other: &PeerId, member: &Member) -> bool {
        let short = match self.members.get(other) {
            Some(other) => other.short,
            None if *other == self.me => self.short,
            None => return false,
        };
        member.neighbours.contains(&short)
    }

    /// A member says goodbye. Whether it was one, which is to be passed on.
    pub(super) fn handle_goodbye(
        &mut self,
        peer: PeerId,
        incarnation: Incarnation,
        signed: Signed,
        brought: Brought<'_>,
        now: Mono,
    ) -> bool {
        let member = self.members.get(&peer);
        if member.is_some_and(|member| member.incarnation > incarnation) {
            return false;
        }
        let grave = self.graves.get(&peer);
        let old = |grave: &Grave| {
            grave.incarnation > incarnation
                || (grave.incarnation == incarnation && grave.goodbye.is_some())
        };
        if grave.is_some_and(old) {
            return false;
        }
        let grave = Grave {
            incarnation,
            version: member.map_or(0, |member| member.version),
            goodbye: Some(signed),
            proven: member.is_some()
                || brought.is_linked(&peer)
                || grave.is_some_and(|grave| grave.proven),
            via: member.map_or(brought.via(peer), |member| member.via),
            until: now + FORGET,
        };
        self.graves.bury(peer, grave);
        self.look.changed = true;
        self.members.remove(&peer).is_some()
    }

    /// The machine slept: that nobody vouched meanwhile means nothing.
    pub(super) fn handle_resumed(&mut self) {
        self.members.values_mut().for_each(|member| member.alone = None);
        self.look.changed = true;
    }

    /// Takes out whoever is gone.
    pub(super) fn poll_gone(&mut self, streams: &Streams, now: Now) -> Vec<(PeerId, LeftWhy)> {
        self.graves.pass(now.mono);
        let lost = self.lost(streams, now.mono);
        let displaced = std::mem::take(&mut self.displaced).into_iter();
        let mut gone: Vec<_> = displaced.map(|peer| (peer, LeftWhy::Displaced)).collect();
        for (peer, member) in &self.members {
            let why = if member.grant.is_over(now.wall) {
                LeftWhy::Expired
            } else if streams.linked.contains(peer) {
                continue;
            } else if lost.contains(peer) {
                LeftWhy::Lost
            } else if member.until <= now.mono {
                LeftWhy::Faded
            } else {
                continue;
            };
            gone.push((*peer, why));
        }
        for (peer, _) in &gone {
            if let Some(member) = self.members.remove(peer) {
                self.look.changed = true;
                let Member { incarnation, version, via, .. } = member;
                let until = now.mono + FORGET;
                let (goodbye, proven) = (None, true);
                let grave = Grave { incarnation, version, goodbye, proven, via, until };
                self.graves.bury(*peer, grave);
            }
        }
        gone
    }

    /// When [`Self::poll_gone`] may say something new by itself.
    pub(super) fn poll_timeout(&self, linked: &BTreeSet<PeerId>, now: Now) -> Option<Deadline> {
        let times = self.members.iter().flat_map(|(peer, member)| {
            let unlinked = !linked.contains(peer);
            let faded = unlinked.then_some((member.until, Why("a roster entry fades")));
            let alone = member.alone.filter(|_| unlinked);
            let alone = alone.map(|(since, max)| (since + max, Why("nobody vouches for a member")));
            let ends = member.grant.expires.map(|end| end + CLOCK_SKEW_MAX);
            let ends = ends.map(|end| (at_wall(end, now), Why("a member's ticket ends")));
            [faded, alone, ends]
        });
        earliest(times)
    }
}

/// How long an entry signed at `signed` still holds; `None`: no longer, or not yet.
fn holds(signed: Wall, now: Wall) -> Option<Duration> {
    if signed > now + CLOCK_SKEW_MAX {
        return None;
    }
    let end = signed + HOLD + CLOCK_SKEW_MAX;
    let left = end.as_micros().saturating_sub(now.as_micros());
    let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
    Some(Duration::from_micros(left).min(HOLD))
}

/// When a wall time comes, on the steady clock, if no clock is set meanwhile.
pub(super) fn at_wall(time: Wall, now: Now) -> Mono {
    let ahead = time.as_micros().saturating_sub(now.wall.as_micros());
    // One microsecond later: expiry is judged as "later than".
    now.mono
        + Duration::from_micros(u64::try_from(ahead).map_or(0, |ahead| ahead.saturating_add(1)))
}

#[cfg(test)]
mod tests;
