//! A night in which every machine sleeps: what is right two seconds after, whatever the clocks did;
//! and that each thing that is wrong then would be seen.

use std::time::Duration;

use roommate_protocol::room::EndReason;
use sim::member::{Asleep, Skew};
use sim::net::Line;
use sim::town::Town;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const NEAR: Line = Line::clean(Duration::from_millis(10));
/// Its broadcast is watched by the others.
const PUBLISHER: usize = 0;
const VIEWERS: [usize; 2] = [1, 2];
/// Its ticket ends in the night.
const GUEST: usize = 3;
/// A sample of the clock's over these lines is not worse than this.
const CLOCK_ERROR_MAX_US: u64 = 50_000;

/// Four members, of whom these do with their clocks what is said, before a night of eight hours; and
/// two seconds after it.
fn night(asleep: &[(usize, Asleep)], plant: impl FnOnce(&mut Town)) -> Result<(), String> {
    let mut town = Town::new(5);
    for (number, wall_us) in [0, 5_000_000, -5_000_000, 1_000_000].into_iter().enumerate() {
        let skew = Skew { mono: HOUR * (20 + u32::try_from(number).unwrap_or(0)), wall_us };
        match number {
            GUEST => town.join_until(NEAR, skew, HOUR * 4),
            _ => town.join(NEAR, skew),
        };
    }
    town.run_for(2_000 * MS)?;
    let track = town.publish(PUBLISHER, 1_000 * MS);
    town.run_for(3_000 * MS)?;
    if town.registered() != 4 || town.members[GUEST].room.members().len() != 3 {
        return Err("the evening was not as it should be".to_owned());
    }
    for (member, asleep) in asleep {
        town.members[*member].asleep = *asleep;
    }
    plant(&mut town);
    town.sleep(HOUR * 8);
    town.run_for(2_000 * MS)?;

    if town.members[GUEST].room.ended() != Some(EndReason::Expired) {
        return Err("a ticket that ended in the night is used".to_owned());
    }
    // The guest has taken its own away, and the night's first period is over.
    let registered = town.registered();
    if registered != 3 {
        return Err(format!("{registered} are registered in today's period"));
    }
    for member in [PUBLISHER, VIEWERS[0], VIEWERS[1]] {
        let room = &town.members[member].room;
        if let Some(reason) = room.ended() {
            return Err(format!("member {member} was ended: {reason:?}"));
        }
        if room.members().len() != 2 {
            return Err(format!("member {member} knows {} others", room.members().len()));
        }
    }
    for viewer in VIEWERS {
        let it = &town.members[viewer];
        let last = it.watching[&track].shown.last().map(|shown| shown.captured);
        let age = last.map_or(Duration::MAX, |captured| town.now.since(captured));
        if age > 500 * MS {
            return Err(format!("viewer {viewer} saw its last picture {age:?} ago"));
        }
        // That it is within its bound is looked at after every step.
        match it.room.clock(track.publisher, track.broadcast) {
            Some(clock) if clock.error_us <= CLOCK_ERROR_MAX_US => {}
            clock => return Err(format!("viewer {viewer} has the clock {clock:?}")),
        }
    }
    Ok(())
}

#[test]
fn tickets_periods_clocks_and_pictures_are_right_two_seconds_after_a_night() {
    night(&[], |_| ()).unwrap();
}

/// As on a system whose only steady clock stands still in a sleep.
#[test]
fn and_so_they_are_where_the_steady_clock_stood_still() {
    for who in 0..4 {
        night(&[(who, Asleep::SteadyStops)], |_| ()).unwrap_or_else(|why| panic!("{who}: {why}"));
    }
    let all: Vec<_> = (0..4).map(|who| (who, Asleep::SteadyStops)).collect();
    night(&all, |_| ()).unwrap();
}

#[track_caller]
fn is_seen(night: Result<(), String>, words: &str) {
    let why = night.expect_err("nothing was seen");
    assert!(why.contains(words), "{why}");
}

#[test]
fn a_ticket_that_outlives_its_end_is_seen() {
    is_seen(night(&[(GUEST, Asleep::BothStop)], |_| ()), "ended in the night");
}

#[test]
fn who_registers_under_yesterdays_id_is_seen() {
    is_seen(night(&[(VIEWERS[0], Asleep::BothStop)], |_| ()), "today's period");
}

#[test]
fn a_clock_that_is_wrong_after_the_night_is_seen() {
    let early = |town: &mut Town| town.members[VIEWERS[0]].stamps_early = 30 * MS;
    is_seen(night(&[], early), "its clock is");
}
