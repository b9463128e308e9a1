//! People come, leave, die and come again at random, and find each other at a bootstrap; and when it
//! is quiet, everybody who is there knows and sees everybody who is there.
//!
//! Forty stories, not five hundred: one costs ten times what one of `seeds.rs` does, which have the
//! pictures alone.

use std::time::Duration;

use sim::dice::Dice;
use sim::member::Skew;
use sim::net::Line;
use sim::town::Town;

const SEEDS: u64 = 40;
const MS: Duration = Duration::from_millis(1);
/// Silence is noticed after up to 9 s; and where two died together, each waits 10 s for the other's
/// word on it.
const QUIET: Duration = Duration::from_secs(12);

fn line(dice: &mut Dice) -> Line {
    let mut line = Line::clean(2 * MS + dice.within(40 * MS));
    if dice.chance(400_000) {
        line.jitter = dice.within(10 * MS);
        line.loss_ppm = 5_000;
        line.reorder_ppm = 10_000;
    }
    line
}

fn skew(dice: &mut Dice) -> Skew {
    let wall_us = dice.one_of(&[-30_000_000, 0, 5_000_000]).unwrap_or(0);
    Skew { mono: dice.within(Duration::from_secs(100_000)), wall_us }
}

fn live(seed: u64) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let mut town = Town::new(dice.below(u64::MAX));
    for _ in 0..3 {
        let (line, skew) = (line(&mut dice), skew(&mut dice));
        town.join(line, skew);
    }
    town.run_for(1_500 * MS)?;
    town.publish(0, 1_000 * MS);
    for _ in 0..4 {
        town.run_for(dice.within(1_500 * MS))?;
        // The publisher of the first hour stays, or there were nothing to see.
        let others: Vec<_> = (1..town.members.len()).filter(|m| town.members[*m].alive).collect();
        match (dice.below(4), dice.one_of(&others)) {
            (0, Some(member)) => town.kill(member),
            (1, Some(member)) => {
                town.leave(member);
                town.run_for(300 * MS)?;
                town.kill(member);
            }
            (2, Some(member)) => {
                town.kill(member);
                town.restart(member);
            }
            _ => {
                let (line, skew) = (line(&mut dice), skew(&mut dice));
                town.join(line, skew);
            }
        }
    }
    town.run_for(QUIET)?;
    judge(&town)
}

fn judge(town: &Town) -> Result<(), String> {
    let here: Vec<_> = town.members.iter().filter(|member| member.alive).collect();
    let track = town.members[0].source.as_ref().ok_or("nothing is on")?.track();
    for member in &here {
        let mut known: Vec<_> = member.room.members().iter().map(|other| other.peer).collect();
        let mut others: Vec<_> =
            here.iter().filter(|other| other.peer != member.peer).map(|other| other.peer).collect();
        known.sort_unstable();
        others.sort_unstable();
        if known != others {
            return Err(format!("member {} knows {known:?}, there are {others:?}", member.number));
        }
        if member.number == 0 {
            continue;
        }
        let shown = member.watching.get(&track).and_then(|viewer| viewer.shown.last());
        let age = shown.map_or(Duration::MAX, |shown| town.now.since(shown.captured));
        if age > 2_500 * MS {
            return Err(format!("member {} saw its last picture {age:?} ago", member.number));
        }
    }
    Ok(())
}

/// `SEED=17 TRACE=1 cargo test -p sim --test churn` prints the timeline of one.
#[test]
fn everybody_who_is_there_in_the_end_knows_and_sees_everybody() {
    let chosen = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds: Vec<u64> = chosen.map_or_else(|| (0..SEEDS).collect(), |seed| vec![seed]);
    let fails = |seed: &u64| live(*seed).err().map(|why| format!("seed {seed}: {why}"));
    let wrong: Vec<_> = std::thread::scope(|scope| {
        let halves = seeds.chunks(seeds.len().div_ceil(2));
        let lives = |half| {
            scope.spawn(move || -> Vec<_> {
                Iterator::collect(<[u64]>::iter(half).filter_map(fails))
            })
        };
        let halves: Vec<_> = halves.map(lives).collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    assert!(
        wrong.is_empty(),
        "{} of {} went wrong:\n{}",
        wrong.len(),
        seeds.len(),
        wrong.join("\n")
    );
}
