//! The workshop of the end-to-end suites: starts the real programs, reads their JSON lines, lays
//! network namespaces under them, and recomputes what they claim.
//!
//! Knows the programs only by their command line and their output, as a user's script does, save for
//! [`studio`], which serves the viewer page alone. What
//! goes wrong is a panic that shows everything the program said: this crate is used by tests alone.

pub mod annexb;
pub mod browser;
pub mod cast;
pub mod check;
pub mod clip;
pub mod fields;
pub mod firefox;
pub mod lab;
pub mod live;
pub mod mp4;
pub mod process;
pub mod promise;
pub mod sound;
pub mod stage;
pub mod stall;
pub mod stamp;
pub mod studio;
pub mod trace;
