//! The writer of one child, as the shell's writer task is: asks the product's cursor and gate, and
//! writes into the pipe. Keeps what a check needs to see.

use roommate_protocol::limits::WRITE_BYTES_MAX;
use roommate_protocol::media::cache::TrackCache;
use roommate_protocol::media::cursor::Cursor;
use roommate_protocol::media::gate::{Gate, May};
use roommate_protocol::media::group::Group;
use roommate_protocol::media::pull::{Feed as Subscription, Offer, Pull, Rank, StreamNumber};
use roommate_protocol::media::track::Over;
use roommate_protocol::time::Mono;
use roommate_protocol::wire::code::StreamCode;

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
    /// The pipe's names of our streams begin behind those of the feeds before us.
    base: u32,
    wake: Option<Mono>,
    ended: Option<Over>,
    /// For a planted fault.
    newest_seen: Option<u64>,
}

/// Streams that one feed may ever open: names of a pipe's streams are given out in such blocks.
pub const STREAMS_PER_FEED: u32 = 1_000_000;

/// Now, by the world's clock and by the writer's own, and what is planted.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The world's.
    pub world: Mono,
    /// The writer's.
    pub local: Mono,
    /// Planted.
    pub fault: Option<Fault>,
}

/// More answers than this in one turn mean that a cursor turns in a circle.
const ANSWERS_MAX: u32 = 10_000;

impl Feed {
    /// A writer that has written nothing.
    #[must_use]
    pub fn new(subscription: Subscription, base: u32) -> Self {
        Self {
            cursor: Cursor::new(subscription),
            facts: Facts::default(),
            gate: Gate::new(),
            base,
            wake: None,
            ended: None,
            newest_seen: None,
        }
    }

    /// Writes all that may be written now; whether anything was done.
    pub fn run(
        &mut self,
        cache: &TrackCache,
        pipe: &mut Pipe,
        dice: &mut Dice,
        moment: Moment,
    ) -> bool {
        let (now, fault) = (moment.local, moment.fault);
        self.wake = None;
        let mut done = false;
        if fault == Some(Fault::KeyframeReplaced) {
            self.replace(cache, pipe);
        }
        for _ in 0..ANSWERS_MAX {
            match self.cursor.pull(cache, now) {
                Pull::Write(offers) => match self.gate.ask(pipe.sending(moment.world), now) {
                    May::Wait(until) if fault != Some(Fault::GateIgnored) => {
                        self.wake = Some(until);
                        return done;
                    }
                    _ => self.write(&offers, pipe, dice, moment.world),
                },
                Pull::Finish(stream) => pipe.finish(self.name(stream)),
                Pull::Leave(stream) => {
                    pipe.set_priority(self.name(stream), 0);
                    pipe.finish(self.name(stream));
                }
                Pull::Reset { stream, code } => {
                    if fault != Some(Fault::StaleKept) {
                        pipe.reset(self.name(stream), code);
                    }
                }
                Pull::Wait => return done,
                Pull::Ended(over) => {
                    self.ended = Some(over);
                    return done;
                }
            }
            done = true;
            let open = pipe.open_streams(self.base, STREAMS_PER_FEED);
            self.facts.open_max = self.facts.open_max.max(open);
        }
        self.facts.endless += 1;
        done
    }

    /// Gives up what is sent of any group but the newest.
    fn replace(&mut self, cache: &TrackCache, pipe: &mut Pipe) {
        let newest = cache.newest().map(Group::number);
        if std::mem::replace(&mut self.newest_seen, newest) != newest {
            let streams: Vec<_> = self.cursor.streams().map(|(stream, _)| stream).collect();
            for stream in streams {
                pipe.reset(self.name(stream), StreamCode::Stale);
                self.cursor.handle_stopped(stream);
            }
        }
    }

    /// The child stopped a stream of the pipe; nothing if it is not one of ours.
    pub fn handle_stopped(&mut self, stream: StreamNumber, pipe: &mut Pipe) {
        let Some(number) = stream.0.checked_sub(self.base).filter(|n| *n < STREAMS_PER_FEED) else {
            return;
        };
        pipe.finish(stream);
        self.cursor.handle_stopped(StreamNumber(number));
    }

    /// Ends it: its streams are reset.
    pub fn cancel(&mut self, pipe: &mut Pipe, code: StreamCode) {
        for (stream, _) in self.cursor.streams() {
            pipe.reset(self.name(stream), code);
        }
    }

    fn name(&self, stream: StreamNumber) -> StreamNumber {
        StreamNumber(self.base + stream.0)
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
        pipe.write(self.name(offer.stream), &bytes[..taken]);
        self.cursor.wrote(offer.stream, taken);
        for (stream, rank) in self.cursor.streams() {
            pipe.set_priority(self.name(stream), if rank == Rank::Newest { -1 } else { -2 });
        }
    }
}
