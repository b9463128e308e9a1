//! The first words after the proof: whether the other may be here at all, and in which version we
//! speak. Whoever fails gets no roster entry, no name beyond our hello, and no media.

use super::Room;
use super::conn::Stage;
use super::input::ConnId;
use super::output::{Event, Violation};
use super::reasons::UnwelcomeReason;
use crate::time::Now;
use crate::trust::id::PeerId;
use crate::trust::ticket::{Grant, TicketChain, TicketError};
use crate::wire::close::CloseCode;
use crate::wire::message::{Hello, Parting, Roster, Unwelcome, VERSION_MAX, VERSION_MIN};

/// What this build can do beyond its version.
const FEATURES: u64 = 0;

impl Room {
    /// The proof of this room's secret has passed on the control stream of `conn`.
    pub fn handle_control_up(&mut self, conn: ConnId, now: Now) {
        self.notice(now);
        let Some(known) = self.conns.get_mut(&conn) else { return };
        if !matches!(known.stage, Stage::Up { .. } | Stage::Opening { .. }) {
            return;
        }
        known.greet(now.mono);
        let hello = Hello {
            version_min: VERSION_MIN,
            version_max: VERSION_MAX,
            features: FEATURES,
            incarnation: self.incarnation,
            chain: self.chain.clone(),
            name: self.name.clone(),
            title: self.title.clone(),
        };
        self.send(conn, &hello);
        self.settle(now);
    }

    /// The control stream of `conn` could not be opened, failed the proof, or has ended.
    pub fn handle_control_failed(&mut self, conn: ConnId, now: Now) {
        self.notice(now);
        let Some(known) = self.conns.get(&conn) else { return };
        let (peer, dialled) = (known.peer, known.dialled);
        match known.stage {
            Stage::Up { .. } => {}
            Stage::Opening { .. } | Stage::Greeting { .. } => {
                if dialled {
                    self.dialler.handle_failed(Some(peer), now.mono);
                }
                self.drop_conn(conn, CloseCode::Refused, now);
            }
            Stage::Live { .. } => self.drop_conn(conn, CloseCode::Done, now),
        }
        self.settle(now);
    }

    pub(super) fn on_hello(
        &mut self,
        conn: ConnId,
        hello: Hello,
        now: Now,
    ) -> Result<(), Violation> {
        let Some(known) = self.conns.get(&conn) else { return Ok(()) };
        if !matches!(known.stage, Stage::Greeting { .. }) {
            return Err(Violation::Order);
        }
        let peer = known.peer;
        let grant = match self.judge(peer, &hello, now) {
            Ok(grant) => grant,
            Err(reason) => {
                self.turn_away(conn, peer, reason, now);
                return Ok(());
            }
        };
        self.supersede(peer, hello.incarnation, now);
        if self.title.is_none()
            && let Some(title) = hello.title.filter(|title| !title.is_empty())
        {
            self.title = Some(title.clone());
            self.tell(Event::Titled { title });
        }
        self.join_pair(conn, (hello.incarnation, grant), now);
        Ok(())
    }

    fn judge(&self, peer: PeerId, hello: &Hello, now: Now) -> Result<Grant, UnwelcomeReason> {
        if hello.version_max < VERSION_MIN {
            return Err(UnwelcomeReason::TheyMustUpgrade);
        }
        if hello.version_min > VERSION_MAX {
            return Err(UnwelcomeReason::WeMustUpgrade);
        }
        let chain = TicketChain::from_bytes(&hello.chain).map_err(|_| UnwelcomeReason::Ticket)?;
        let grant = chain.verify(&self.room, &peer, now.wall).map_err(|error| match error {
            TicketError::Expired { .. } => UnwelcomeReason::Expired,
            TicketError::NotYet { .. } => UnwelcomeReason::NotYet,
            _ => UnwelcomeReason::Ticket,
        })?;
        let newest = self.pairs.get(&peer).map(|pair| pair.incarnation);
        let newest = newest.max(self.roster.get(&peer).map(|member| member.incarnation));
        if newest.is_some_and(|newest| newest > hello.incarnation) {
            return Err(UnwelcomeReason::Superseded);
        }
        Ok(grant)
    }

    fn turn_away(&mut self, conn: ConnId, peer: PeerId, reason: UnwelcomeReason, now: Now) {
        if reason == UnwelcomeReason::Superseded
            && let Some(newer) = self.roster.get(&peer)
        {
            // Its own signature proves to it that it is the older one; our word would not.
            let entries = vec![newer.signed.clone()];
            self.send(conn, &Roster { entries });
        }
        self.send(conn, &Unwelcome { reason: reason.number() });
        self.dialler.penalise(peer, now.mono);
        self.tell(Event::TurnedAway { peer, reason });
        self.drop_conn(conn, CloseCode::Unwelcome, now);
    }

    pub(super) fn on_unwelcome(&mut self, conn: ConnId, said: Unwelcome, now: Now) {
        let Some(peer) = self.conns.get(&conn).map(|conn| conn.peer) else { return };
        let reason = UnwelcomeReason::from_number(said.reason);
        self.dialler.penalise(peer, now.mono);
        self.tell(Event::Unwelcome { peer, reason });
        self.drop_conn(conn, CloseCode::Left, now);
    }

    /// The other ends this stream and stays in the room.
    pub(super) fn on_parting(&mut self, conn: ConnId, _: Parting, now: Now) {
        let Some(peer) = self.conns.get(&conn).map(|conn| conn.peer) else { return };
        self.dialler.penalise(peer, now.mono);
        self.drop_conn(conn, CloseCode::Crowded, now);
    }

    /// A rule was broken: the connection closes, and the peer is left alone for a while.
    pub(super) fn punish(&mut self, conn: ConnId, now: Now) {
        if let Some(known) = self.conns.get(&conn) {
            self.dialler.penalise(known.peer, now.mono);
            self.drop_conn(conn, CloseCode::Violation, now);
        }
    }

    /// Says no to whoever we would have to close anyway.
    pub(super) fn close_all(&mut self, code: CloseCode, now: Now) {
        let all: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in all {
            self.drop_conn(conn, code, now);
        }
    }
}
