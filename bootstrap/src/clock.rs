//! Reads both clocks for the registry. The steady one goes on during a suspend where it can.

use std::time::{SystemTime, UNIX_EPOCH};

use roommate_protocol::time::{Mono, Now, Wall};

pub(crate) fn now() -> Now {
    let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    };
    Now { mono: Mono::from_micros(steady_micros()), wall: Wall::from_micros(wall) }
}

#[cfg(unix)]
fn steady_micros() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const STEADY: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const STEADY: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let read = rustix::time::clock_gettime(STEADY);
    let secs = u64::try_from(read.tv_sec).unwrap_or(0);
    secs.saturating_mul(1_000_000).saturating_add(u64::try_from(read.tv_nsec).unwrap_or(0) / 1_000)
}

#[cfg(not(unix))]
fn steady_micros() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
