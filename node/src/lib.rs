//! The node of Roommate: clocks, sources, the viewer page, and the shell that performs what
//! `roommate-protocol` decides.

pub mod clock;
pub mod media;
