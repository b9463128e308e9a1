//! When a connection closes that a room has no more use for: not while another room of the node uses
//! it, and not before the last words on it are written. Closes nothing itself. Holds one row a
//! connection; none waits longer than 0.7 seconds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::input::ConnId;
use crate::time::{Deadline, Mono, Why};
use crate::wire::close::CloseCode;

/// A peer that does not read its goodbye in this time does not read.
const WAIT_MAX: Duration = Duration::from_millis(700);

#[derive(Debug, Default)]
struct Row {
    /// Control streams whose last words are being written.
    ending: u32,
    /// The connection is closed when they are, or then, with this.
    close_by: Option<(Mono, CloseCode)>,
}

/// What is ending.
#[derive(Debug, Default)]
pub struct Closing(BTreeMap<ConnId, Row>);

impl Closing {
    /// A control stream on `conn` writes its last words.
    pub fn note_ending(&mut self, conn: ConnId) {
        self.0.entry(conn).or_default().ending += 1;
    }

    /// One has ended. `Some` if the connection is to be closed now, with that.
    pub fn note_ended(&mut self, conn: ConnId) -> Option<CloseCode> {
        let row = self.0.get_mut(&conn)?;
        row.ending = row.ending.saturating_sub(1);
        if row.ending > 0 {
            return None;
        }
        self.0.remove(&conn)?.close_by.map(|(_, code)| code)
    }

    /// A room wants `conn` closed ([`super::Output::CloseConnection`]); `used`: another room of this
    /// node has a control stream on it, or one under way. Whether to close it at once; if not, it stays,
    /// or [`Self::note_ended`] or [`Self::overdue`] will say when. The first reason stays.
    pub fn may_close(&mut self, conn: ConnId, code: CloseCode, used: bool, now: Mono) -> bool {
        // Dead, or of a process that is no more: it is no use to anybody, and nobody hears last words.
        if matches!(code, CloseCode::Superseded | CloseCode::Silent) {
            return true;
        }
        if used {
            return false;
        }
        match self.0.get_mut(&conn) {
            None => true,
            Some(row) => {
                row.close_by.get_or_insert((now + WAIT_MAX, code));
                false
            }
        }
    }

    /// Whether the connection only waits to be closed: nothing is to begin on it.
    pub fn is_closing(&self, conn: ConnId) -> bool {
        self.0.get(&conn).is_some_and(|row| row.close_by.is_some())
    }

    /// Connections that have waited long enough; each is told once.
    pub fn overdue(&mut self, now: Mono) -> Vec<(ConnId, CloseCode)> {
        let due = |(_, row): &(&ConnId, &mut Row)| row.close_by.is_some_and(|(by, _)| by <= now);
        let due = self.0.iter_mut().filter(due);
        let due: Vec<_> =
            due.filter_map(|(conn, row)| row.close_by.map(|(_, code)| (*conn, code))).collect();
        due.iter().for_each(|(conn, _)| self.forget(*conn));
        due
    }

    /// All that wait to be closed, whether their time has come or not.
    pub fn take_all(&mut self) -> Vec<(ConnId, CloseCode)> {
        self.overdue(Mono::from_micros(u64::MAX))
    }

    /// The connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }

    /// When something is overdue.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        let by = self.0.values().filter_map(|row| row.close_by).map(|(by, _)| by).min()?;
        Some((by, Why("close a connection whose last words take too long")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnId = ConnId(3);
    const NOW: Mono = Mono::from_micros(1_000_000);

    #[test]
    fn a_connection_waits_for_the_last_words_of_every_stream() {
        let mut closing = Closing::default();
        assert!(
            closing.may_close(CONN, CloseCode::Left, false, NOW),
            "nothing is being written on it"
        );
        closing.note_ending(CONN);
        closing.note_ending(CONN);
        assert!(!closing.is_closing(CONN), "another room may still use it");
        assert!(!closing.may_close(CONN, CloseCode::Left, false, NOW));
        assert!(!closing.may_close(CONN, CloseCode::Done, false, NOW));
        assert!(closing.is_closing(CONN));
        assert_eq!(closing.note_ended(CONN), None);
        assert_eq!(closing.note_ended(CONN), Some(CloseCode::Left), "the first reason");
        assert_eq!(closing.note_ended(CONN), None, "told once");
    }

    #[test]
    fn what_another_room_uses_stays_unless_nobody_is_there() {
        let mut closing = Closing::default();
        assert!(!closing.may_close(CONN, CloseCode::Left, true, NOW));
        assert_eq!(closing.poll_timeout(), None, "it is not waited for either");
        closing.note_ending(CONN);
        for code in [CloseCode::Silent, CloseCode::Superseded] {
            assert!(closing.may_close(CONN, code, true, NOW), "{code}");
        }
        assert!(!closing.may_close(CONN, CloseCode::Left, true, NOW));
        assert_eq!(closing.note_ended(CONN), None, "another room still uses it");
    }

    #[test]
    fn a_peer_that_does_not_read_is_not_waited_for() {
        let mut closing = Closing::default();
        closing.note_ending(CONN);
        assert_eq!(closing.poll_timeout(), None);
        assert!(!closing.may_close(CONN, CloseCode::Left, false, NOW));
        assert!(closing.overdue(NOW).is_empty());
        let (at, _) = closing.poll_timeout().unwrap();
        assert_eq!(closing.overdue(at), [(CONN, CloseCode::Left)]);
        assert!(closing.overdue(at).is_empty());
    }
}
