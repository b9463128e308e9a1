//! The machine's two clocks, as numbers. What they mean to the core (`Mono`, `Wall`) and who may
//! read them is for the node and the bootstrap to say; each has a file for it.
//!
//! Why here: both programs must read them alike, the core below has no clock, and this is the one
//! crate under both that touches the system.

use std::time::{SystemTime, UNIX_EPOCH};

/// The steady clock in microseconds since an arbitrary start, the same for every process until the
/// machine starts anew (elsewhere than on Unix: since this process first asked).
///
/// It goes on while the machine sleeps where the system has such a clock (`CLOCK_BOOTTIME` on Linux
/// and Android), so that tickets end and deadlines pass during a suspend.
#[cfg(unix)]
pub fn steady_micros() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const STEADY: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const STEADY: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let read = rustix::time::clock_gettime(STEADY);
    let secs = u64::try_from(read.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(read.tv_nsec).unwrap_or(0);
    secs.saturating_mul(1_000_000).saturating_add(nanos / 1_000)
}

/// The steady clock in microseconds since this process first asked for it.
#[cfg(not(unix))]
pub fn steady_micros() -> u64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// The time of day in microseconds since 1970, negative before.
pub fn wall_micros() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steady_clock_never_goes_back() {
        let mut last = steady_micros();
        for _ in 0..10_000 {
            let next = steady_micros();
            assert!(next >= last);
            last = next;
        }
    }
}
