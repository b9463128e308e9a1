//! Pictures from the encoder's hand to the decoder's, rule by rule.
#![allow(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod cache;
mod cursor;
mod golden;
mod keyframes;
mod record;
mod reorder;
mod sound;
mod stream;
mod whole;
mod world;
