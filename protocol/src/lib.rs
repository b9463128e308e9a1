//! Every decision of Roommate: who is here, who may, who feeds whom, what to send next and what to
//! skip.
//!
//! This crate performs nothing. It has no clock, randomness, socket, file or thread: time is an
//! argument ([`time::Now`]), randomness a seed. So a thousand rooms can be lived through in a
//! second, and what a test saw once it sees again.
//!
//! Every machine speaks in the same few ways:
//!
//! | shape | meaning |
//! |---|---|
//! | `new(config, seed, now)` | birth; randomness is a seed, time an argument |
//! | `handle_*(&mut self, .., now)` | the world did something; hostile bytes give a `Violation`, never a panic |
//! | `verb(&mut self, .., now)` | our side wants something; refused with a type, not a bool |
//! | `poll_output(&mut self) -> Option<Output>` | what the shell must do now; drained until `None` |
//! | `poll_timeout(&self) -> Option<(Mono, Why)>` | one deadline, with its reason |
//! | `noun(&self)` | a look, without side effect |
//! | `pull(&mut self, cache, budget, now)` | not drained: asked only when the network can take more |
//!
//! Folders depend downwards only: `room` on `media` and `rooms`, those on `wire`, that on `trust`
//! and `h264`, those on `time` and `limits`.

pub mod address;
pub mod h264;
pub mod limits;
pub mod media;
pub mod room;
pub mod rooms;
pub mod time;
pub mod trust;
pub mod wire;
