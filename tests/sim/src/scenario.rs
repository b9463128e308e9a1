//! A story from a seed: who comes when, over which line, and what befalls them.

use std::time::Duration;

use crate::dice::Dice;
use crate::net::Line;
use crate::oracle::{self, Promise};
use crate::source::KEYFRAME_BYTES_MAX;
use crate::world::{Fault, Happening, Parent, World};

const MS: Duration = Duration::from_millis(1);
/// Everything befalls before this.
const TROUBLE: Duration = Duration::from_millis(2_500);
/// And then there is peace, so that everybody can be live again.
const CALM: Duration = Duration::from_millis(3_000);

/// A story, and what is promised to whom in it.
#[derive(Debug)]
pub struct Story {
    world: World,
    promises: Vec<Promise>,
}

impl Story {
    /// The story of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let viewers = 1 + dice.below(4);
        let group = 300 * MS + dice.within(1_200 * MS);
        let latency = 100 * MS + dice.within(400 * MS);
        let viewers = u8::try_from(viewers).unwrap_or(1);
        let world = World::new(dice.below(u64::MAX), viewers, group, latency);
        let mut story = Self { world, promises: Vec::new() };
        for viewer in 0..usize::from(viewers) {
            story.cast(viewer, &mut dice);
        }
        story
    }

    /// Plants a fault in it.
    pub fn plant(&mut self, fault: Fault) {
        self.world.plant(fault);
    }

    /// Lives it through.
    ///
    /// # Errors
    /// The first thing that was wrong.
    pub fn live(&mut self) -> Result<&World, String> {
        self.world.run_for(TROUBLE + CALM)?;
        for (viewer, promise) in self.promises.iter().enumerate() {
            oracle::judge(&self.world, viewer, *promise, CALM)?;
        }
        Ok(&self.world)
    }

    fn cast(&mut self, viewer: usize, dice: &mut Dice) {
        let line = self.line(dice);
        // Chained to one that is cast already and will not be killed: or it would be fed by nobody
        // for a while, which is a story of its own.
        let fed_by_viewer = viewer > 0 && dice.chance(300_000);
        let parent = if fed_by_viewer { Parent::Viewer(viewer - 1) } else { Parent::Publisher };
        self.world.after(dice.within(1_500 * MS), Happening::Join(viewer, parent, line));
        let mut promise = self.promise_on(line);
        let soon = |dice: &mut Dice| 1_000 * MS + dice.within(TROUBLE - 1_500 * MS);
        match dice.below(8) {
            0 => {
                self.world.after(soon(dice), Happening::Kill(viewer));
                promise = Promise::Nothing;
            }
            1 => {
                let at = soon(dice);
                self.world.after(at, Happening::Pause(viewer));
                let end = at + dice.within(TROUBLE - at);
                self.world.after(end, Happening::Resume(viewer));
                promise = Promise::Live;
            }
            2 => {
                let other = self.line(dice);
                self.world.after(soon(dice), Happening::Change(viewer, other));
                promise = Promise::Live;
            }
            3 => {
                self.world.after(soon(dice), Happening::Corrupt(viewer, 20_000));
                promise = Promise::Nothing;
            }
            _ => {}
        }
        // Whoever is fed by somebody in trouble shares it.
        if fed_by_viewer {
            let above = self.promises[viewer - 1];
            promise = match (above, promise) {
                (Promise::Everything, own) => own,
                (_, Promise::Nothing) | (Promise::Nothing, _) => Promise::Nothing,
                (Promise::Live, _) => Promise::Live,
            };
        }
        self.promises.push(promise);
    }

    /// Whether a child on this line may ever be late enough for a group to be given up: by losses
    /// in a row, or because a keyframe alone takes most of the budget.
    fn promise_on(&self, line: Line) -> Promise {
        let keyframe = line.rate.map_or(Duration::ZERO, keyframe_time);
        let late = line.longest() + keyframe * 3 > self.world.latency;
        if late || line.loss_ppm > 0 { Promise::Live } else { Promise::Everything }
    }

    fn line(&self, dice: &mut Dice) -> Line {
        let mut line = Line::clean(MS + dice.within(80 * MS));
        if dice.chance(300_000) {
            line.jitter = dice.within(30 * MS);
        }
        if dice.chance(300_000) {
            line.loss_ppm = u32::try_from(dice.below(100_000)).unwrap_or(0);
        }
        if dice.chance(200_000) {
            line.reorder_ppm = u32::try_from(dice.below(100_000)).unwrap_or(0);
        }
        if dice.chance(300_000) {
            // On the slowest a keyframe takes longer than a short group.
            let rate = 50_000 + dice.below(400_000);
            line.rate = Some(rate);
            // A tenth to a third of a second.
            line.queue_bytes = (rate / 10 + dice.below(rate / 4)).max(6_000);
        }
        line
    }
}

fn keyframe_time(rate: u64) -> Duration {
    Duration::from_micros(KEYFRAME_BYTES_MAX * 1_000_000 / rate)
}
