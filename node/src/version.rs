//! What `--version` says.

/// Version, commit and the wire versions spoken.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("ROOMMATE_COMMIT"),
    ")\nwire: control 1, rooms 1, media 1"
);
