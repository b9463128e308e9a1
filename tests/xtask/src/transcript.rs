//! What of a command's output is worth keeping: how it ended, without what is another on every
//! machine and at every hour (progress, downloads, addresses of servers, where the clone lies).

use std::collections::VecDeque;
use std::path::Path;

/// Lines that are kept at most.
const KEPT: usize = 14;

/// From this line on everything is kept: the table of all suites.
const TABLE: &str = "== all suites";

/// How lines begin that tell of work and not of its result.
const WORK: [&str; 24] = [
    "Adding ",
    "Blocking ",
    "Building ",
    "Compiling ",
    "Documenting ",
    "Downloaded ",
    "Downloading ",
    "Fetched ",
    "Fetching ",
    "Get:",
    "Hit:",
    "Ign:",
    "Installing dependencies",
    "Locking ",
    "Need to get ",
    "Preparing to unpack ",
    "Processing triggers ",
    "(Reading database ",
    "Reading package lists",
    "Reading state information",
    "Selecting previously ",
    "Setting up ",
    "Unpacking ",
    "Updating ",
];

/// The end of what a command says.
pub(crate) struct Transcript {
    place: String,
    lines: VecDeque<String>,
    table: bool,
}

impl Transcript {
    /// Of a command that runs in `place`.
    pub(crate) fn new(place: &Path) -> Self {
        Self { place: place.display().to_string(), lines: VecDeque::new(), table: false }
    }

    /// Takes one line.
    pub(crate) fn hear(&mut self, line: &str) {
        let line = self.tidy(line);
        if line.starts_with(TABLE) {
            self.table = true;
            self.lines.clear();
        }
        let work = line.trim_start();
        if work.is_empty() || WORK.iter().any(|start| work.starts_with(start)) {
            return;
        }
        // A status line each second: the last one is the result.
        let status = |line: &str| line.starts_with("live: ");
        if status(&line) && self.lines.back().is_some_and(|last| status(last)) {
            self.lines.pop_back();
        }
        self.lines.push_back(line);
        if self.lines.len() > KEPT && !self.table {
            self.lines.pop_front();
        }
    }

    /// What is kept.
    pub(crate) fn end(self) -> Vec<String> {
        self.lines.into()
    }

    fn tidy(&self, line: &str) -> String {
        // A terminal shows what came after the last return.
        let line = line.trim_end().rsplit('\r').next().unwrap_or_default();
        let line = without_colours(line).replace(&self.place, ".");
        let line = match line.split_once(" target(s) in ") {
            Some((built, _)) => format!("{built} target(s)"),
            None => line,
        };
        let words: Vec<String> = line.split(' ').map(without_address).collect();
        words.join(" ")
    }
}

/// The word, if it is an address of something in the net: only what kind it is.
fn without_address(word: &str) -> String {
    match word.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://…"),
        None => word.to_owned(),
    }
}

/// Takes out sequences of a terminal: from the escape to the letter that ends it.
fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: &[&str]) -> Vec<String> {
        let mut transcript = Transcript::new(Path::new("/tmp/clone-17"));
        lines.iter().for_each(|line| transcript.hear(line));
        transcript.end()
    }

    #[test]
    fn work_addresses_and_places_are_left_out() {
        let said = [
            "    Updating crates.example index",
            "  Downloaded serde v1 (registry `https://mirror.example/`)",
            "   Compiling roommate v0.1.0 (/tmp/clone-17/node)",
            "    Finished `release` profile [optimized] target(s) in 16m 02s",
            "     Running `target/release/roommate demo`",
            "The page is at http://127.0.0.1:4711/#secret",
            "live: 30 pictures",
            "\r\u{1b}[2Klive: 60 pictures",
            "kept in /tmp/clone-17/target",
        ];
        assert_eq!(
            kept(&said),
            [
                "    Finished `release` profile [optimized] target(s)",
                "     Running `target/release/roommate demo`",
                "The page is at http://…",
                "live: 60 pictures",
                "kept in ./target",
            ]
        );
    }

    #[test]
    fn the_last_lines_are_kept_and_a_table_whole() {
        let many: Vec<String> = (0..40).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(kept(&many), many[26..]);
        let table = [&many, &["== all suites, after a build of 9 s"][..], &many].concat();
        assert_eq!(kept(&table), table[40..]);
    }

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(without_colours("\u{1b}[1m\u{1b}[32mgreen\u{1b}[0m field"), "green field");
    }
}
