//! The end of our own tickets, and of the room for this node.

use std::time::Duration;

use super::output::{EndReason, Event};
use super::roster::at_wall;
use super::topology::hint;
use super::{Room, conn};
use crate::time::{Deadline, Now, Wall, Why};
use crate::trust::ticket::Grant;
use crate::wire::close::CloseCode;
use crate::wire::message::{CANDIDATES_MAX, Goodbye};
use crate::wire::signed::Leave;

/// How long before the end it is told.
const WARNING: Duration = Duration::from_secs(600);

/// Our own end.
#[derive(Debug)]
pub(super) struct OwnExpiry {
    expires: Option<Wall>,
    warned: bool,
    born: Wall,
}

impl OwnExpiry {
    pub(super) fn new(grant: Option<&Grant>, now: Wall) -> Self {
        Self { expires: grant.and_then(|grant| grant.expires), warned: false, born: now }
    }

    /// When this room machine was born.
    pub(super) fn born(&self) -> Wall {
        self.born
    }

    /// When our own tickets end.
    pub(super) fn expires(&self) -> Option<Wall> {
        self.expires
    }

    pub(super) fn poll_timeout(&self, now: Now) -> Option<Deadline> {
        let end = self.expires?;
        let at = if self.warned { end } else { end - WARNING };
        Some((at_wall(at, now), Why("our own tickets end")))
    }
}

impl Room {
    pub(super) fn tick_expiry(&mut self, now: Now) {
        let Some(end) = self.expiry.expires else { return };
        if now.wall >= end {
            self.end(EndReason::Expired, now);
        } else if now.wall >= end - WARNING && !self.expiry.warned {
            self.expiry.warned = true;
            let left = end.as_micros().saturating_sub(now.wall.as_micros());
            let left = Duration::from_micros(u64::try_from(left).unwrap_or(0));
            self.tell(Event::EndsSoon { left });
        }
    }

    /// The room is over for this node: says goodbye where that is true, and closes everything.
    pub(super) fn end(&mut self, reason: EndReason, now: Now) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(reason);
        // Whoever is displaced by its own newer start must not speak in its name any more.
        if reason != EndReason::Elsewhere {
            let signed = self.sign(&Leave { incarnation: self.incarnation });
            let all: Vec<_> = conn::names(&self.conns, conn::Conn::is_live);
            for name in all {
                let peer = self.conns.get(&name).map(|conn| conn.peer);
                let others = self.roster.iter().map(|(peer, _)| peer);
                let others = others.filter(|other| Some(**other) != peer);
                let hint = hint(&self.lots, others, CANDIDATES_MAX);
                self.send(name, &Goodbye { signed: signed.clone(), hint });
            }
        }
        self.close_all(CloseCode::Left, now);
        self.parents.clear();
        self.publishing.clear();
        self.tell(Event::Ended { reason });
    }
}
