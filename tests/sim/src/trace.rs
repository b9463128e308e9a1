//! The timeline of a world, printed when the environment says `TRACE=1`.

use roommate_protocol::time::Mono;

/// Takes notes, or does not.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    on: bool,
}

impl Trace {
    /// As the environment says.
    #[must_use]
    pub fn from_env() -> Self {
        Self { on: std::env::var_os("TRACE").is_some_and(|value| value == "1") }
    }

    /// Prints a line of the timeline; `what` is not called where nobody listens.
    pub fn note(&self, now: Mono, what: impl FnOnce() -> String) {
        if self.on {
            eprintln!("{:>9.3} s  {}", now.as_micros() as f64 / 1e6, what());
        }
    }
}
