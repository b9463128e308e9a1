//! What a program says to a user when it refuses: one sentence, its words, its exit code.

use e2e::cast::{Roommate, START};
use e2e::process::Ended;
use e2e::stage::Stage;

/// Checks the exit code and that standard error is one sentence with these words.
#[track_caller]
pub(crate) fn refused(roommate: Roommate, code: i32, words: &[&str]) -> Ended {
    let ended = roommate.start().finish(START);
    assert_eq!(ended.code, Some(code), "{}", ended.story());
    let said: Vec<_> =
        ended.log().iter().filter_map(|line| line.split_once("] ")).map(|(_, said)| said).collect();
    let text = said.join("\n");
    for word in words {
        assert!(
            text.to_lowercase().contains(&word.to_lowercase()),
            "«{word}» is not said in: {text}"
        );
    }
    speaks_to_a_user(&text);
    if code == 1 {
        assert_eq!(
            said.iter().filter(|line| !line.trim().is_empty()).count(),
            1,
            "not one sentence: {text}"
        );
    }
    ended
}

/// Nothing of the programmer's own words.
#[track_caller]
pub(crate) fn speaks_to_a_user(text: &str) {
    for leak in ["panicked", "Error {", "Err(", "os error", "RUST_BACKTRACE"] {
        assert!(!text.contains(leak), "that is no sentence for a user: {text}");
    }
}

/// `watch` of this link by `viewer`.
pub(crate) fn watch(stage: &Stage, link: &str) -> Roommate {
    Roommate::new(stage, None, "viewer", "watch").args([link, "--json", "--no-open"])
}
