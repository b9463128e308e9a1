//! Rooms of a few machines wired to each other in memory: what members see of each other, told as
//! short stories. Time is the world's; nothing waits.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod admission;
mod broadcasts;
mod clocks;
mod crowd;
mod dying;
mod flood;
mod golden;
mod hostile;
mod joining;
mod outage;
mod pairs;
mod stranger;
mod world;
