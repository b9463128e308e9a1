//! MP4 in and out against ffmpeg: the same coded pictures, the same times, files that play when
//! their writer was killed, and words for every file that cannot be sent.

#![expect(clippy::unwrap_used, reason = "in a test a failure is told by failing")]

mod both;
mod errors;
mod live;
mod pass;
mod sink;
mod sound;
mod tool;
