//! `--peer`: whose broadcasts are watched, told by an id, any end of an id, or a name.
//!
//! Looked up among those who publish, each time the room has changed: who is meant may come later,
//! and whoever was meant by a name may come back under another id. Between several nobody guesses.
//! But who was chosen stays chosen, or anybody could end what others watch by taking a name; that
//! there is another is said then, once.

use std::collections::BTreeSet;

use roommate_protocol::trust::id::PeerId;

use super::fail::Fail;
use super::say;
use crate::status::RoomStatus;

/// Whom `--peer` means.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    typed: String,
    /// Whom it meant at the last look: whoever comes later does not take their place.
    chosen: Option<PeerId>,
    /// That somebody else is meant as well was said.
    said: bool,
}

impl Wanted {
    /// # Errors
    /// [`Fail`] of usage if nothing was typed: that is an end of every id.
    pub(super) fn new(typed: &str) -> Result<Self, Fail> {
        let typed = typed.trim().to_owned();
        if typed.is_empty() {
            return Err(Fail::usage("--peer is empty: write a peer id, its end, or a name"));
        }
        Ok(Self { typed, chosen: None, said: false })
    }

    /// Whom it means among those who publish now; `None`: none of them.
    ///
    /// # Errors
    /// [`Fail`] of usage if it means several, and none of them was chosen before.
    pub(super) fn choose(&mut self, status: &RoomStatus) -> Result<Option<PeerId>, Fail> {
        let publishers: BTreeSet<_> = status.broadcasts.iter().map(|on| on.publisher).collect();
        let whole = PeerId::parse(&self.typed);
        let meant = |peer: &&PeerId| match whole {
            // Nobody can call themselves by another's id.
            Some(whole) => **peer == whole,
            None => self.is_end_or_name(**peer, status),
        };
        let meant: Vec<_> = publishers.iter().filter(meant).copied().collect();
        match (self.chosen.filter(|chosen| meant.contains(chosen)), &meant[..]) {
            (None, []) => self.chosen = None,
            (None, [one]) => self.chosen = Some(*one),
            (None, [one, other, ..]) => return Err(self.ambiguous(*one, *other)),
            (Some(_), [] | [_]) => {}
            (Some(chosen), _) => {
                if !std::mem::replace(&mut self.said, true) {
                    let typed = say::escaped(&self.typed);
                    say::note(&format!("--peer {typed} means others too; {chosen} is watched"));
                }
            }
        }
        Ok(self.chosen)
    }

    fn is_end_or_name(&self, peer: PeerId, status: &RoomStatus) -> bool {
        let mut named = status.members.iter().filter(|member| member.name == self.typed);
        peer.to_string().ends_with(&self.typed) || named.any(|member| member.peer == peer)
    }

    fn ambiguous(&self, one: PeerId, other: PeerId) -> Fail {
        Fail::usage(format!(
            "--peer {} can mean {one} and {other}, who both publish here: write the whole id of one \
             of them, or more of its end",
            say::escaped(&self.typed),
        ))
    }
}

#[cfg(test)]
mod tests {
    use roommate_protocol::room::Broadcast;
    use roommate_protocol::trust::id::BroadcastId;
    use roommate_protocol::trust::ticket::Roles;
    use roommate_protocol::wire::catalog::Catalog;

    use super::*;
    use crate::status::Member;

    const ANNA: PeerId = PeerId([1; 32]);
    const BEN: PeerId = PeerId([2; 32]);

    /// A room where these are, and publish.
    fn room(members: &[(PeerId, &str)]) -> RoomStatus {
        let member = |(peer, name): &(PeerId, &str)| Member {
            peer: *peer,
            name: (*name).to_owned(),
            roles: Roles::USUAL,
            since: Default::default(),
        };
        let broadcast = |(publisher, _): &(PeerId, &str)| Broadcast {
            publisher: *publisher,
            id: BroadcastId([0; 16]),
            catalog: Catalog { tracks: Vec::new() },
        };
        RoomStatus {
            members: members.iter().map(member).collect(),
            broadcasts: members.iter().map(broadcast).collect(),
            ..RoomStatus::default()
        }
    }

    #[test]
    fn an_id_any_end_of_it_and_a_name_are_taken() {
        let status = room(&[(ANNA, "Anna"), (BEN, "Ben")]);
        let whole = ANNA.to_string();
        let ends = (1..whole.len()).map(|at| &whole[at..]);
        let unlike = ends.take_while(|end| !BEN.to_string().ends_with(end));
        for typed in unlike.chain([whole.as_str(), "Anna", " Anna "]) {
            let chosen = Wanted::new(typed).unwrap().choose(&status).unwrap();
            assert_eq!(chosen, Some(ANNA), "{typed:?}");
        }
        for nobody in ["anna", "An", "0", &format!("1{whole}")] {
            assert_eq!(Wanted::new(nobody).unwrap().choose(&status).unwrap(), None, "{nobody:?}");
        }
        assert_eq!(Wanted::new("  ").unwrap_err().code, 2);
    }

    #[test]
    fn what_means_two_is_refused_and_both_are_named() {
        let mut wanted = Wanted::new("guest").unwrap();
        let refused = wanted.choose(&room(&[(ANNA, "guest"), (BEN, "guest")])).unwrap_err();
        assert_eq!(refused.code, 2);
        for named in [ANNA, BEN] {
            assert!(refused.sentence.contains(&named.to_string()), "{}", refused.sentence);
        }
        // A name that is the end of another's id means two as well.
        let end = BEN.short();
        let refused = Wanted::new(&end).unwrap().choose(&room(&[(ANNA, &end), (BEN, "Ben")]));
        assert!(refused.is_err());
        // But nobody can call themselves by another's whole id.
        let whole = BEN.to_string();
        let chosen = Wanted::new(&whole).unwrap().choose(&room(&[(ANNA, &whole), (BEN, "Ben")]));
        assert_eq!(chosen.unwrap(), Some(BEN));
        // Who is here and does not publish is never meant.
        let mut status = room(&[(ANNA, "guest"), (BEN, "guest")]);
        status.broadcasts.truncate(1);
        assert_eq!(wanted.choose(&status).unwrap(), Some(ANNA));
    }

    #[test]
    fn who_was_chosen_stays_and_a_name_is_followed_to_a_new_id() {
        let mut wanted = Wanted::new("Anna").unwrap();
        assert_eq!(wanted.choose(&room(&[])).unwrap(), None);
        assert_eq!(wanted.choose(&room(&[(BEN, "Anna")])).unwrap(), Some(BEN));
        // Whoever takes that name later takes nobody's place, and ends nothing.
        let both = room(&[(ANNA, "Anna"), (BEN, "Anna")]);
        assert_eq!(wanted.choose(&both).unwrap(), Some(BEN));
        assert_eq!(wanted.choose(&room(&[(ANNA, "Anna")])).unwrap(), Some(ANNA));
    }
}
