//! News of members: entries, losses, goodbyes. Each is passed on once, to everybody but whoever
//! brought it.

use super::Room;
use super::input::{ConnId, Source};
use super::output::{Event, LeftWhy, Violation};
use super::roster::{Brought, Taken};
use crate::time::{Now, Wall};
use crate::trust::envelope::{Envelope, EnvelopeError};
use crate::trust::id::PeerId;
use crate::trust::ticket::{Grant, TicketChain};
use crate::wire::close::CloseCode;
use crate::wire::message::{Goodbye, Lost, Roster, Signed};
use crate::wire::signed::{Leave, LostNote, Payload, RosterEntry, ShortId};

/// A ghost of ours signs with our key: what it signed so long after our own birth is no old copy.
const GHOST_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

impl Room {
    pub(super) fn on_roster(
        &mut self,
        conn: ConnId,
        roster: Roster,
        now: Now,
    ) -> Result<(), Violation> {
        let mut news = Vec::new();
        let from = self.conns.get(&conn).map(|conn| conn.peer);
        let mut result = Ok(());
        for signed in roster.entries {
            match self.on_entry(conn, signed, now) {
                Ok(signed) => news.extend(signed),
                Err(violation) => {
                    result = Err(violation);
                    break;
                }
            }
        }
        self.pass_on(news, from);
        result
    }

    /// Passes entries on, save to those who are their subjects' own neighbours and have them from
    /// there.
    fn pass_on(&mut self, news: Vec<(PeerId, Signed)>, from: Option<PeerId>) {
        let others: Vec<(PeerId, ShortId, ConnId)> = self
            .pairs
            .iter()
            .filter(|(peer, _)| Some(**peer) != from)
            .map(|(peer, pair)| (*peer, ShortId::of(peer, pair.incarnation), pair.current))
            .collect();
        for (peer, short, conn) in others {
            let lacks = |(subject, _): &&(PeerId, Signed)| {
                let member = self.roster.get(subject);
                *subject != peer && member.is_some_and(|member| !member.is_neighbour(short))
            };
            let entries: Vec<Signed> =
                news.iter().filter(lacks).map(|(_, signed)| signed.clone()).collect();
            if !entries.is_empty() {
                self.send(conn, &Roster { entries });
            }
        }
    }

    /// The entry, if it is news.
    fn on_entry(
        &mut self,
        conn: ConnId,
        signed: Signed,
        now: Now,
    ) -> Result<Option<(PeerId, Signed)>, Violation> {
        let known = signer(&signed).and_then(|peer| self.roster.get(&peer));
        if known.is_some_and(|member| member.signed == signed) {
            return Ok(None);
        }
        let from = self.conns.get(&conn).map(|conn| conn.peer);
        let opened = self.open::<RosterEntry>(conn, &signed, now)?;
        let (Some(from), Some((peer, entry))) = (from, opened) else { return Ok(None) };
        if peer == self.me {
            self.on_own_entry(&entry, now);
            return Ok(None);
        }
        let Some(grant) = self.grant_in(&entry.chain, peer, now.wall) else { return Ok(None) };
        let (name, roles, incarnation) = (entry.name.clone(), grant.roles, entry.incarnation);
        let addresses = entry.addresses.clone();
        let brought = Brought { from, linked: &|peer| self.pairs.contains_key(peer) };
        let taken = self.roster.handle_entry(peer, entry, (grant, signed.clone()), brought, now);
        if taken == Taken::Restarted {
            self.tell(Event::PeerLeft { peer, why: LeftWhy::Restarted });
            self.supersede(peer, incarnation, now);
        }
        if matches!(taken, Taken::Joined | Taken::Restarted) {
            self.tell(Event::PeerJoined { peer, name, roles });
            self.dialler.handle_joined(peer, now.mono);
        }
        if let Taken::HeldForLost(version) = taken
            && self.conns.get(&conn).is_some_and(|conn| conn.peer == peer)
        {
            // It speaks to us itself, so it is not lost: let it say so with a higher version.
            let signed = self.sign(&LostNote { subject: peer, incarnation, version });
            self.send(conn, &Lost { signed });
        }
        if taken.is_news() {
            self.dialler.handle_found(peer, &addresses, Source::Roster, now.mono);
        }
        Ok(taken.is_news().then_some((peer, signed)))
    }

    /// An entry with our own name.
    fn on_own_entry(&mut self, entry: &RosterEntry, now: Now) {
        if entry.incarnation == self.incarnation {
            return;
        }
        let newer = entry.incarnation > self.incarnation;
        let fresh = entry.wall > now.wall - super::roster::HOLD;
        if newer && fresh {
            self.tell_elsewhere(true);
            self.end(super::EndReason::Elsewhere, now);
        } else if !newer && entry.wall > self.expiry.born() + GHOST_AFTER {
            self.tell_elsewhere(false);
        }
    }

    fn tell_elsewhere(&mut self, newer: bool) {
        if !std::mem::replace(&mut self.elsewhere_told, true) {
            self.tell(Event::Elsewhere { newer });
        }
    }

    pub(super) fn on_lost(&mut self, conn: ConnId, lost: Lost, now: Now) -> Result<(), Violation> {
        let from = self.conns.get(&conn).map(|conn| conn.peer);
        let claimed = signer(&lost.signed);
        if claimed.is_some_and(|peer| self.roster.is_claim_known(&peer, &lost.signed)) {
            return Ok(());
        }
        let Some((reporter, note)) = self.open::<LostNote>(conn, &lost.signed, now)? else {
            return Ok(());
        };
        if note.subject == self.me {
            if note.incarnation == self.incarnation {
                self.own.refute(note.version);
            }
        } else if self.roster.handle_lost(reporter, note, lost.signed.clone()) {
            self.flood(&lost, from);
        }
        Ok(())
    }

    pub(super) fn on_goodbye(
        &mut self,
        conn: ConnId,
        goodbye: Goodbye,
        now: Now,
    ) -> Result<(), Violation> {
        let from = self.conns.get(&conn).map(|conn| conn.peer);
        let opened = self.open::<Leave>(conn, &goodbye.signed, now)?;
        let (Some(from), Some((peer, leave))) = (from, opened) else { return Ok(()) };
        if peer == self.me {
            return Ok(());
        }
        let signed = goodbye.signed.clone();
        let brought = Brought { from, linked: &|peer| self.pairs.contains_key(peer) };
        if self.roster.handle_goodbye(peer, leave.incarnation, signed, brought, now.mono) {
            self.tell(Event::PeerLeft { peer, why: LeftWhy::Goodbye });
            self.dialler.handle_left(peer);
            self.flood(&goodbye, Some(from));
        }
        let left = |pair: &super::Pair| pair.incarnation == leave.incarnation;
        if self.pairs.get(&peer).is_some_and(left) {
            self.drop_peer(peer, CloseCode::Left, now);
        }
        Ok(())
    }

    /// Says that neighbours are lost whose streams broke and did not come back.
    pub(super) fn tick_losing(&mut self, now: Now) {
        let due: Vec<PeerId> =
            self.losing.iter().filter(|(_, at)| **at <= now.mono).map(|(peer, _)| *peer).collect();
        for peer in due {
            self.losing.remove(&peer);
            let Some(member) = self.roster.get(&peer).filter(|_| !self.pairs.contains_key(&peer))
            else {
                continue;
            };
            let (incarnation, version) = (member.incarnation, member.version);
            let note = LostNote { subject: peer, incarnation, version };
            let signed = self.sign(&note);
            self.roster.handle_lost(self.me, note, signed.clone());
            self.flood(&Lost { signed }, None);
        }
    }

    pub(super) fn tick_roster(&mut self, now: Now) {
        let expired = |pair: &super::Pair| pair.grant.is_over(now.wall);
        let expired: Vec<PeerId> =
            self.pairs.iter().filter(|(_, pair)| expired(pair)).map(|(peer, _)| *peer).collect();
        for peer in expired {
            self.drop_peer(peer, CloseCode::Expired, now);
        }
        let streams = self.streams(now.mono);
        for (peer, why) in self.roster.poll_gone(&streams, now) {
            self.losing.remove(&peer);
            self.tell(Event::PeerLeft { peer, why });
        }
    }

    /// Opens what is signed: `None` for what a newer version made. Counts what it costs.
    pub(super) fn open<P: Payload>(
        &mut self,
        conn: ConnId,
        signed: &Signed,
        now: Now,
    ) -> Result<Option<(PeerId, P)>, Violation> {
        let envelope = match Envelope::from_bytes(&signed.0) {
            Ok(envelope) => envelope,
            Err(EnvelopeError::Newer) => return Ok(None),
            Err(_) => return Err(Violation::Signature),
        };
        let meter = self.conns.get_mut(&conn).map(|conn| &mut conn.signed);
        if meter.is_some_and(|meter| !meter.count(now.mono)) {
            return Err(Violation::Flood);
        }
        let (peer, payload) =
            envelope.open(P::PURPOSE, &self.room).map_err(|_| Violation::Signature)?;
        let payload = P::decode(payload).ok_or(Violation::Signature)?;
        Ok(Some((*peer, payload)))
    }

    /// What the chain in a signed message grants its signer. No offence if it does not: clocks
    /// differ, and whoever passed it on may have seen it in time.
    pub(super) fn grant_in(&self, chain: &[u8], peer: PeerId, now: Wall) -> Option<Grant> {
        TicketChain::from_bytes(chain).ok()?.verify(&self.room, &peer, now).ok()
    }
}

/// Who claims to have signed; proves nothing.
pub(super) fn signer(signed: &Signed) -> Option<PeerId> {
    signed.0.get(1..33)?.try_into().ok().map(PeerId)
}
