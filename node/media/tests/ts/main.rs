//! MPEG-TS in and out against ffmpeg: the same coded pictures and packets of sound, the same times,
//! streams that begin anywhere, lose packets or wrap their clock, and words for what cannot be sent.

#![expect(clippy::unwrap_used, reason = "in a test a failure is told by failing")]

mod damage;
mod errors;
mod pass;
mod pipe;
mod sink;
mod tool;
