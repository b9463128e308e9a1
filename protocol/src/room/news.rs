//! News of broadcasts, and what a newcomer is told of everything.

use std::collections::BTreeMap;

use super::Room;
use super::broadcasts::Standing;
use super::input::ConnId;
use super::members::signer;
use super::output::Violation;
use super::roster::Member;
use super::topology::Shape;
use crate::limits::FRAME_BYTES_MAX;
use crate::time::Now;
use crate::trust::id::PeerId;
use crate::trust::ticket::Roles;
use crate::wire::message::{Announce, Goodbye, Lost, ROSTER_ENTRIES_MAX, Retract, Roster, Signed};
use crate::wire::signed::{Announcement, Retraction};

/// What entries of one message may take: lengths and counts take the rest of the frame.
const ENTRY_BYTES_MAX: usize = FRAME_BYTES_MAX - 4 * 1024;

impl Room {
    /// Tells everything that we know on a stream that has just become the one of its pair. What the
    /// peer knows already costs it a comparison.
    pub(super) fn bring_up_to_date(&mut self, conn: ConnId) {
        let own = self.own.signed().into_iter();
        // Whom we reach ourselves first: the peer may not take all of them on our word.
        let linked = |(who, _): &(&PeerId, &Member)| self.pairs.contains_key(who);
        let (near, far): (Vec<_>, Vec<_>) = self.roster.iter().partition(linked);
        let members = near.into_iter().chain(far).map(|(_, member)| &member.signed);
        let entries: Vec<Signed> = own.chain(members).cloned().collect();
        for entries in cut(entries) {
            self.send(conn, &Roster { entries });
        }
        let claims: Vec<Signed> = self.roster.claims().cloned().collect();
        for signed in claims {
            self.send(conn, &Lost { signed });
        }
        let goodbyes: Vec<Signed> = self.roster.goodbyes().cloned().collect();
        for signed in goodbyes {
            self.send(conn, &Goodbye { signed, hint: Vec::new() });
        }
        let (on, ended) = self.publishing.signed();
        let theirs: Vec<Signed> = self.broadcasts.signed().cloned().collect();
        for signed in ended {
            self.send(conn, &Retract { signed });
        }
        for signed in on.into_iter().chain(theirs) {
            self.send(conn, &Announce { signed });
        }
    }

    pub(super) fn on_announce(
        &mut self,
        conn: ConnId,
        announce: Announce,
        now: Now,
    ) -> Result<(), Violation> {
        let from = self.conns.get(&conn).map(|conn| conn.peer);
        let claimed = signer(&announce.signed);
        let known = claimed.is_some_and(|peer| {
            self.broadcasts.is_known(&peer, &announce.signed, from == Some(peer))
        });
        if known {
            return Ok(());
        }
        let Some((peer, announcement)) = self.open::<Announcement>(conn, &announce.signed, now)?
        else {
            return Ok(());
        };
        let grant = self.grant_in(&announcement.chain, peer, now.wall);
        if peer == self.me || !grant.is_some_and(|grant| grant.roles.contains(Roles::PUBLISH)) {
            return Ok(());
        }
        let first_hand = from == Some(peer)
            && self
                .pairs
                .get(&peer)
                .is_some_and(|pair| pair.incarnation == announcement.incarnation);
        let signed = announce.signed.clone();
        let how = (first_hand, now.mono);
        if self.broadcasts.handle_announced(peer, announcement, signed, how) {
            self.flood(&announce, from);
        }
        Ok(())
    }

    pub(super) fn on_retract(
        &mut self,
        conn: ConnId,
        retract: Retract,
        now: Now,
    ) -> Result<(), Violation> {
        let from = self.conns.get(&conn).map(|conn| conn.peer);
        let Some((peer, retraction)) = self.open::<Retraction>(conn, &retract.signed, now)? else {
            return Ok(());
        };
        if !self.roster.contains(&peer) {
            return Ok(());
        }
        let (news, event) = self.broadcasts.handle_retracted(peer, retraction, now.mono);
        if let Some(event) = event {
            self.tell(event);
        }
        if news {
            self.flood(&retract, from);
        }
        Ok(())
    }

    pub(super) fn tick_broadcasts(&mut self, now: Now) {
        let chosen = self.shape == Shape::Chosen;
        let standings: BTreeMap<PeerId, Standing> = self
            .roster
            .iter()
            .map(|(peer, member)| {
                let standing = Standing {
                    incarnation: member.incarnation,
                    may_publish: member.grant.roles.contains(Roles::PUBLISH),
                    by_hearsay: chosen && !self.pairs.contains_key(peer),
                };
                (*peer, standing)
            })
            .collect();
        for event in self.broadcasts.poll_changes(now.mono, |peer| standings.get(peer).copied()) {
            self.tell(event);
        }
    }
}

/// Entries in messages that fit a frame each.
fn cut(entries: Vec<Signed>) -> Vec<Vec<Signed>> {
    let mut messages: Vec<Vec<Signed>> = Vec::new();
    let mut bytes = 0;
    for entry in entries {
        let full = messages.last().is_none_or(|last| {
            last.len() >= ROSTER_ENTRIES_MAX || bytes + entry.0.len() + 4 > ENTRY_BYTES_MAX
        });
        if full {
            messages.push(Vec::new());
            bytes = 0;
        }
        bytes += entry.0.len() + 4;
        if let Some(last) = messages.last_mut() {
            last.push(entry);
        }
    }
    messages
}
