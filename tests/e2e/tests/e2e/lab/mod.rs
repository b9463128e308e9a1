//! What needs root: network namespaces and a file system of a test's own.
//!
//! `cargo xtask test` knows these tests by the name of this module, and counts them as skipped for
//! whoever is not root.

mod bare;
mod bootstrap_gone;
mod disk;
mod readme;
mod slow;
mod sound;
