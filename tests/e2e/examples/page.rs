//! `cargo run -p e2e --example page -- 4`: shows the viewer page with so many made-up broadcasts,
//! for whoever works on it.

use e2e::clip::{Shape, SoundCodec, make};
use e2e::stage::{Stage, fixture};
use e2e::studio::Studio;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2);
    let (stage, mut studio) = (Stage::shared(), Studio::open());
    let film = fixture("bbb.mp4").display().to_string();
    let sources: [&[&str]; 4] = [
        &["-stream_loop", "-1", "-i", &film],
        &[
            "-f",
            "lavfi",
            "-i",
            "gradients=s=640x360:r=30:c0=0xffb07c:c1=0x2a2347:nb_colors=2:seed=3",
        ],
        &["-f", "lavfi", "-i", "smptehdbars=s=640x360:r=30"],
        &["-f", "lavfi", "-i", "testsrc2=s=640x360:r=30"],
    ];
    let names = ["Ada", "Linus the second of his name", "Grace", "Мира"];
    studio.join("Tim");
    let clips: Vec<_> = (0..count)
        .map(|at| {
            let tone = format!("0.2*sin({}*t)*lt(mod(t,1),0.1)", 2_000 * (at + 1));
            make(
                &stage,
                &Shape {
                    name: &at.to_string(),
                    pictures: sources[at % 4],
                    size: (640, 360, 30),
                    sound: (at != 2).then_some((&tone, SoundCodec::Opus)),
                    group: 60,
                    seconds: 40,
                },
            )
        })
        .collect();
    for (at, clip) in clips.into_iter().enumerate() {
        studio.publish(names[at % 4], clip, (640, 360), SoundCodec::Opus);
    }
    eprintln!("{}", studio.url());
    std::thread::park_timeout(std::time::Duration::from_secs(600));
}
