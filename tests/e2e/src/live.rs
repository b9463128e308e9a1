//! A camera and a microphone that ffmpeg plays: pictures that move, a field that flashes each second,
//! and a beep with each flash.

use std::io::PipeReader;
use std::process::Command;

use crate::process::{Ends, Process};
use crate::sound::Field;

/// What flashes, in pictures of 640x360; the middle of it.
pub const FLASH: Field = Field { left: 490, top: 60, width: 100, height: 40 };

/// ffmpeg's input arguments of such pictures of `size` and of their sound, for ever or for
/// `seconds`. The beep comes `late_ms` after its flash.
#[must_use]
pub fn inputs(size: &str, seconds: Option<u32>, late_ms: u32) -> Vec<String> {
    let until = |of: &str| seconds.map_or(String::new(), |seconds| format!(":{of}={seconds}"));
    let late = f64::from(late_ms) / 1000.0;
    let place = "x=480:y=50:w=120:h=60:t=fill";
    let pictures = format!(
        "testsrc2=size={size}:rate=30{},drawbox={place}:color=black,\
         drawbox={place}:color=white:enable='lt(mod(t,1),0.1)',format=yuv420p",
        until("duration")
    );
    let sound = format!(
        "aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t-{late}+1,1),0.1)*gt(t,0.5)':s=48000{}",
        until("d")
    );
    let parts = ["-f", "lavfi", "-i", &pictures, "-f", "lavfi", "-i", &sound];
    parts.map(str::to_owned).to_vec()
}

/// ffmpeg, writing what `args` say into a pipe; and the end that somebody reads.
///
/// # Panics
/// If there is no ffmpeg, or no pipe.
#[must_use]
pub fn ffmpeg(args: &[String]) -> (Process, PipeReader) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).args(args);
    let ends = Ends { input: None, output: Some(writer.into()) };
    (Process::start_between("ffmpeg", command, ends), reader)
}

/// The arguments of a live encoder of H.264 and this sound into MPEG-TS, in real time.
#[must_use]
pub fn camera(sound: &str) -> Vec<String> {
    let head = ["-re".to_owned()];
    // Each of both inputs is read in real time.
    let inputs = inputs("640x360", None, 0);
    let (pictures, microphone) = inputs.split_at(4);
    let coded = [
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-g",
        "30",
        "-c:a",
        sound,
        "-ac",
        "1",
        "-f",
        "mpegts",
        "-pes_payload_size",
        "0",
        "-",
    ];
    let coded = coded.map(str::to_owned);
    [&head[..], pictures, &head[..], microphone, &coded[..]].concat()
}
