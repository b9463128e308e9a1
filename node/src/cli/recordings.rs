//! Which broadcast is recorded where: `--out` takes one publisher, `--record` every one, each into a
//! file of its own.
//!
//! File names are made here, of nothing that a stranger says. Bound: [`FILES_MAX`] files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use roommate_protocol::trust::id::PeerId;
use tokio::sync::watch;

use super::say;
use crate::play::containers;
use crate::play::player::Sink;
use crate::play::recorder::{Open, Recorder, Stopped, Target};
use roommate_media::source::TrackFormat;

/// Files that one command writes: as many broadcasts as the page shows, each publisher's in one.
const FILES_MAX: usize = 32;

/// What the command line asks for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// `--out FILE.mp4`
    pub(super) out: Option<PathBuf>,
    /// `--out -`
    pub(super) pipe: bool,
    /// `--record DIR`
    pub(super) folder: Option<PathBuf>,
}

impl Wishes {
    /// Whether anything is recorded.
    pub(super) fn any(&self) -> bool {
        self.out.is_some() || self.pipe || self.folder.is_some()
    }
}

/// All recordings of a command.
pub(super) struct Recordings {
    /// `--out`, until it is known whose.
    single: Option<(Target, Open)>,
    /// Whose broadcasts `--out` takes: theirs who are watched first.
    chosen: Option<(PeerId, Recorder)>,
    folder: Option<PathBuf>,
    files: BTreeMap<PeerId, Recorder>,
    stopped: watch::Sender<Option<Stopped>>,
}

impl Recordings {
    /// Records what `wishes` say.
    pub(super) fn new(wishes: Wishes) -> Self {
        let single = match wishes.out {
            Some(path) => Some((on_disk(&path), containers::mp4(path))),
            None => wishes.pipe.then(|| {
                let target = Target { taker: "the player", name: "the stream".to_owned() };
                (target, containers::transport_stream())
            }),
        };
        Self {
            single,
            chosen: None,
            folder: wishes.folder,
            files: BTreeMap::new(),
            stopped: watch::Sender::new(None),
        }
    }

    /// Told once if a recording ends before its time.
    pub(super) fn stopped(&self) -> watch::Receiver<Option<Stopped>> {
        self.stopped.subscribe()
    }

    /// Where the next broadcast of `publisher` goes: for each of its tracks the sinks.
    pub(super) fn sinks(
        &mut self,
        publisher: PeerId,
        formats: &[TrackFormat],
    ) -> Vec<Vec<Box<dyn Sink>>> {
        let mut sinks: Vec<Vec<Box<dyn Sink>>> = formats.iter().map(|_| Vec::new()).collect();
        if let Some((target, open)) = self.single.take() {
            say::note(&format!("recording {publisher}"));
            self.chosen = Some((publisher, Recorder::new(target, open, self.stopped.clone())));
        }
        if let Some((_, recorder)) = self.chosen.as_mut().filter(|(chosen, _)| *chosen == publisher)
        {
            add(&mut sinks, recorder.sinks(formats));
        }
        if let Some(recorder) = self.file(publisher) {
            add(&mut sinks, recorder.sinks(formats));
        }
        sinks
    }

    /// The file of this publisher under `--record`.
    fn file(&mut self, publisher: PeerId) -> Option<&mut Recorder> {
        let folder = self.folder.as_ref()?;
        if !self.files.contains_key(&publisher) {
            if self.files.len() >= FILES_MAX {
                tracing::warn!(%publisher, "not recorded: {FILES_MAX} files are open");
                return None;
            }
            let path = folder.join(name(publisher, &jiff::Zoned::now()));
            say::note(&format!("recording {publisher} into {}", path.display()));
            let (target, open) = (on_disk(&path), containers::mp4(path));
            let recorder = Recorder::new(target, open, self.stopped.clone());
            self.files.insert(publisher, recorder);
        }
        self.files.get_mut(&publisher)
    }

    /// Writes what is pending and closes everything. Every sink must have been dropped.
    ///
    /// # Errors
    /// The sentence that says why the first of them is not whole.
    pub(super) async fn finish(&mut self) -> Result<(), String> {
        let mut result = Ok(());
        let chosen = self.chosen.take().map(|(_, recorder)| recorder);
        for recorder in chosen.into_iter().chain(std::mem::take(&mut self.files).into_values()) {
            result = result.and(recorder.finish().await);
        }
        result
    }
}

fn on_disk(path: &Path) -> Target {
    Target { taker: "the disk", name: path.display().to_string() }
}

fn add(to: &mut [Vec<Box<dyn Sink>>], from: Vec<Option<Box<dyn Sink>>>) {
    for (to, from) in to.iter_mut().zip(from) {
        to.extend(from);
    }
}

/// Letters, digits and hyphens alone, in the order of time, and nobody's twice.
fn name(publisher: PeerId, now: &jiff::Zoned) -> String {
    format!("{}-{}.mp4", now.strftime("%Y%m%d-%H%M%S"), publisher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_time_and_publisher_and_by_nothing_else() {
        let now: jiff::Zoned = "2026-11-24T21:05:09[UTC]".parse().unwrap();
        let name = name(PeerId([7; 32]), &now);
        assert!(name.starts_with("20261124-210509-") && name.ends_with(".mp4"), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)), "{name}");
    }
}
