//! The node of Roommate: clocks, sources, the viewer page, and the shell that performs what
//! `roommate-protocol` decides.

pub mod cli;
pub mod config;
pub mod datadir;
mod driver;
pub mod link;
pub mod making;
pub mod net;
pub mod node;
pub mod percentile;
pub mod play;
pub mod report;
pub mod status;
pub mod trace;
pub mod track;
pub mod version;
pub mod viewer;
