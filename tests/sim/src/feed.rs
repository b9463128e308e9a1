//! The writer of one child, as the shell's writer task is: asks the product's cursor and gate, and
//! writes into the pipe. Keeps what a check needs to see.

use std::collections::BTreeSet;

use roommate_protocol::limits::WRITE_BYTES_MAX;
use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::cursor::Cursor;
use roommate_protocol::media::gate::{Gate, May};
use roommate_protocol::media::pull::{Feed as Subscription, Offer, Pull, Rank, StreamNumber};
use roommate_protocol::media::track::Over;
use roommate_protocol::time::Mono;

use crate::dice::Dice;
use crate::pipe::Pipe;
use crate::world::Fault;

/// What a writer did, for checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The largest write.
    pub write_max: usize,
    /// The most that was unsent when something was written.
    pub unsent_max: u64,
    /// The most streams that were open at once.
    pub open_max: usize,
    /// Turns in which the cursor gave no answer that ends them.
    pub endless: u64,
}

/// The writer of one child and one track.
#[derive(Debug)]
pub struct Feed {
    /// The child's place.
    pub cursor: Cursor,
    /// What happened.
    pub facts: Facts,
    gate: Gate,
    opened: BTreeSet<StreamNumber>,
    wake: Option<Mono>,
    ended: Option<Over>,
}

/// More answers than this in one turn mean that a cursor turns in a circle.
const ANSWERS_MAX: u32 = 10_000;

impl Feed {
    /// A writer that has written nothing.
    #[must_use]
    pub fn new(subscription: Subscription) -> Self {
        Self {
            cursor: Cursor::new(subscription),
            facts: Facts::default(),
            gate: Gate::new(),
            opened: BTreeSet::new(),
            wake: None,
            ended: None,
        }
    }

    /// Writes all that may be written now; whether anything was done.
    pub fn run(
        &mut self,
        cache: &TrackCache,
        pipe: &mut Pipe,
        dice: &mut Dice,
        (now, fault): (Mono, Option<Fault>),
    ) -> bool {
        self.wake = None;
        for stream in pipe.take_stopped() {
            pipe.finish(stream);
            self.cursor.handle_stopped(stream);
        }
        let mut done = false;
        for _ in 0..ANSWERS_MAX {
            match self.cursor.pull(cache, now) {
                Pull::Write(offers) => match self.gate.ask(pipe.sending(now), now) {
                    May::Wait(until) if fault != Some(Fault::GateIgnored) => {
                        self.wake = Some(until);
                        return done;
                    }
                    _ => self.write(&offers, pipe, dice, now),
                },
                Pull::Finish(stream) => pipe.finish(stream),
                Pull::Reset { stream, code } => {
                    if fault != Some(Fault::StaleKept) {
                        pipe.reset(stream, code);
                    }
                }
                Pull::Wait => return done,
                Pull::Ended(over) => {
                    self.ended = Some(over);
                    return done;
                }
            }
            done = true;
            self.facts.open_max = self.facts.open_max.max(pipe.open_streams());
        }
        self.facts.endless += 1;
        done
    }

    /// When to run though nothing has happened.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        let cursor = self.cursor.poll_timeout().map(|(at, _)| at);
        [self.wake, cursor].into_iter().flatten().min()
    }

    /// Why nothing more comes, if so.
    #[must_use]
    pub fn ended(&self) -> Option<Over> {
        self.ended
    }

    fn write(&mut self, offers: &[Offer], pipe: &mut Pipe, dice: &mut Dice, now: Mono) {
        let Some(offer) = offers.first() else { return };
        self.facts.unsent_max = self.facts.unsent_max.max(pipe.sending(now).unsent());
        let bytes = offer.chunks.concat();
        self.facts.write_max = self.facts.write_max.max(bytes.len());
        debug_assert!(bytes.len() <= WRITE_BYTES_MAX, "an offer of {} bytes", bytes.len());
        // Now and then the network takes a part only, as a cancelled write does.
        let taken = if dice.chance(100_000) {
            1 + usize::try_from(dice.below(bytes.len() as u64)).unwrap_or(0)
        } else {
            bytes.len()
        };
        let taken = taken.min(bytes.len());
        pipe.write(offer.stream, &bytes[..taken]);
        self.opened.insert(offer.stream);
        self.cursor.wrote(offer.stream, taken);
        for (stream, rank) in self.cursor.streams() {
            pipe.set_priority(stream, if rank == Rank::Newest { -1 } else { -2 });
        }
    }
}
