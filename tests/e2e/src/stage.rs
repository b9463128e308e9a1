//! What one test stands on: its turn on this machine, a folder for its files, its fixtures.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Instant, SystemTime};

use tempfile::TempDir;

/// Real nodes measure time: two tests at once on two cores would measure each other, where it is
/// milliseconds that are measured.
static TURN: RwLock<()> = RwLock::new(());

#[derive(Debug)]
enum Turn {
    Alone { _turn: RwLockWriteGuard<'static, ()> },
    Shared { _turn: RwLockReadGuard<'static, ()> },
}

/// A test's turn and folder. The folder is removed at the end, and kept where the test failed.
#[derive(Debug)]
pub struct Stage {
    folder: Option<TempDir>,
    begun: Instant,
    _turn: Turn,
}

impl Stage {
    /// Waits until no other test is on, and makes a folder: for whoever measures milliseconds.
    ///
    /// # Panics
    /// If no folder can be made.
    #[must_use]
    pub fn new() -> Self {
        // A test that failed poisons nothing: the next one begins afresh.
        let turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
        Self::with(Turn::Alone { _turn: turn })
    }

    /// Waits until nobody is on who wants to be alone, and makes a folder: for whoever counts and
    /// compares, or measures what a busy neighbour does not move.
    ///
    /// # Panics
    /// If no folder can be made.
    #[must_use]
    pub fn shared() -> Self {
        let turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
        Self::with(Turn::Shared { _turn: turn })
    }

    fn with(turn: Turn) -> Self {
        let folder = tempfile::Builder::new().prefix("roommate-e2e-").tempdir();
        let folder = Some(folder.expect("a folder for temporary files"));
        Self { folder, begun: Instant::now(), _turn: turn }
    }

    /// A path in this test's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// This test's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().map_or(Path::new("."), TempDir::path)
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Past the capture of a test's output: whoever waits for the suite sees where time goes.
        let took = self.begun.elapsed().as_secs_f64();
        let name = std::thread::current().name().unwrap_or("main").to_owned();
        let _ = writeln!(std::io::stderr().lock(), "{took:8.1} s  {name}");
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the test's files are kept in {}", folder.keep().display());
        }
    }
}

/// Microseconds since the Unix epoch: the clock that broadcasts count by, on one machine.
///
/// # Panics
/// If the machine's clock is before 1970.
#[must_use]
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 294246")
}

/// A file of `tests/fixtures/` in this repository.
///
/// # Panics
/// If there is none of that name.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    let path = source("tests/fixtures").join(name);
    assert!(path.is_file(), "there is no fixture {}", path.display());
    path
}

/// A file of this repository.
#[must_use]
pub fn source(path: &str) -> PathBuf {
    workspace().join(path)
}

/// The README, as it is now.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn readme() -> String {
    let path = source("README.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A place for what people look at afterwards, such as screenshots.
///
/// # Panics
/// If the folder cannot be made.
#[must_use]
pub fn output(name: &str) -> PathBuf {
    let folder = profile_folder().parent().map_or_else(profile_folder, Path::to_owned);
    let folder = folder.join("test-output");
    std::fs::create_dir_all(&folder).expect("a folder for the tests' output");
    folder.join(name)
}

/// One of the two programs, as built beside this test.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = profile_folder().join(name);
    assert!(
        path.is_file(),
        "the program {} is missing: build it with `cargo build` (cargo xtask test does)",
        path.display()
    );
    path
}

fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// `target/<profile>`: tests are in `deps` below it.
fn profile_folder() -> PathBuf {
    let me = std::env::current_exe().expect("this program has a path");
    me.ancestors().nth(2).expect("a test program is in target/<profile>/deps").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_with_the_test() {
        let stage = Stage::new();
        let path = stage.path("x");
        std::fs::write(&path, "x").unwrap();
        drop(stage);
        assert!(!path.exists());
    }

    #[test]
    #[should_panic(expected = "build it with")]
    fn a_missing_program_says_what_to_do() {
        let _ = program("no-such-program");
    }
}
