//! The bridge to Android. So far it answers its version; the Kotlin API comes with a later version.

/// The version of Roommate that this library is of, as `MAJOR.MINOR.PATCH`.
pub const fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_three_numbers() {
        let parts: Vec<_> = super::version().split('.').collect();
        assert_eq!(parts.len(), 3);
        assert!(parts.iter().all(|part| part.parse::<u32>().is_ok()));
    }
}
