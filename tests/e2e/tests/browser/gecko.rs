//! The same page in Firefox ESR. Without a sound device it lets no sound run, so what is looked at
//! is that pictures play at once and the sound could be decoded.

use e2e::clip::SoundCodec;
use e2e::firefox::Firefox;
use e2e::stage::{Stage, output};
use e2e::studio::Studio;

use crate::support::{SOON, flash_and_beep};

#[test]
fn firefox_plays_pictures_and_knows_the_sound() {
    let stage = Stage::new();
    let mut studio = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 60);
    let mut firefox = Firefox::start(&stage);
    firefox.open(&studio.url());
    firefox.until("window.__roommate?.connected ?? false", SOON, |up| up == true);
    studio.publish("Ada", clip, (320, 180), SoundCodec::Opus);
    let drawn = "window.__roommate.broadcasts[0]?.drawn ?? 0";
    firefox.until(drawn, SOON, |drawn| drawn.as_u64() > Some(150));
    let of = |firefox: &mut Firefox, what: &str| {
        firefox.value(&format!("window.__roommate.broadcasts[0].{what}"))
    };
    let latency = of(&mut firefox, "latencyMs.p50");
    eprintln!("Firefox: {latency} ms");
    assert_eq!(of(&mut firefox, "errors"), 0);
    assert_eq!(of(&mut firefox, "sound.supported"), true);
    assert!(of(&mut firefox, "sound.packets").as_u64() > Some(100));
    assert!(of(&mut firefox, "behindMs.p50").as_f64() <= Some(300.0));
    firefox.screenshot(&output("page-firefox.png"));
}
