//! Where the README is typed: the programs are installed, a browser only notes what it is told to
//! open, and what no machine of ours has is replaced. Types nothing itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use e2e::process::{Ended, Process};
use e2e::stage::{Stage, program};

use crate::room::END;

/// The README's words for a camera and a microphone, and what is typed here in their place.
const SUBSTITUTES: [(&str, &str); 2] = [
    (
        "-f v4l2 -framerate 30 -video_size 1280x720 -i /dev/video0",
        "-re -f lavfi -i testsrc2=size=1280x720:rate=30",
    ),
    ("-f alsa -i default", "-re -f lavfi -i sine=frequency=880"),
];
/// A screen and a loudspeaker that are none.
pub(super) const SCREEN: [(&str, &str); 2] =
    [("SDL_VIDEODRIVER", "dummy"), ("SDL_AUDIODRIVER", "dummy")];

/// The line with other inputs in place of camera and microphone.
pub(super) fn without_devices(line: &str) -> String {
    SUBSTITUTES.iter().fold(line.to_owned(), |line, (device, other)| line.replace(device, other))
}

/// Whether the README still names what is replaced here.
#[track_caller]
pub(super) fn all_devices_are_in(commands: &[String]) {
    for (device, _) in SUBSTITUTES {
        assert!(commands.iter().any(|line| line.contains(device)), "who types {device}?");
    }
}

/// Interrupts whatever the line has started, as Ctrl-C does.
#[track_caller]
pub(super) fn end(process: Process) -> Ended {
    process.interrupt_group();
    let ended = process.finish(END);
    assert_eq!(ended.code, Some(0), "{}: {}", ended.name, ended.story());
    ended
}

/// Installs the programs, and a browser that notes down what it is told to open.
pub(super) fn install(stage: &Stage) {
    let folder = stage.path("bin");
    fs::create_dir(&folder).expect("a folder");
    for name in ["roommate", "roommate-bootstrap"] {
        symlink(program(name), folder.join(name)).expect("a link to the program");
    }
    write_program(&folder.join("xdg-open"), "#!/bin/sh\nprintf '%s\\n' \"$1\" >>\"$OPENED\"\n");
}

fn write_program(path: &Path, text: &str) {
    fs::write(path, text).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("may be run");
}
