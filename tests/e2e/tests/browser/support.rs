//! Clips and waits that several themes share.

use std::time::Duration;

use e2e::browser::Browser;
use e2e::clip::{Clip, Shape, SoundCodec, make};
use e2e::stage::Stage;
use e2e::studio::Studio;
use serde_json::Value;

pub(crate) const SOON: Duration = Duration::from_secs(15);

/// White for the first tenth of every second, and a beep with it.
pub(crate) fn flash_and_beep(stage: &Stage, name: &str, codec: SoundCodec, seconds: u32) -> Clip {
    let flash = "color=c=black:s=320x180:r=30,\
                 drawbox=c=white:t=fill:enable='lt(mod(t,1),0.1)'";
    make(
        stage,
        &Shape {
            name,
            pictures: &["-f", "lavfi", "-i", flash],
            size: (320, 180, 30),
            sound: Some(("0.5*sin(6283*t)*lt(mod(t,1),0.1)", codec)),
            group: 30,
            seconds,
        },
    )
}

/// Opens the page of a studio and waits until it has begun.
#[track_caller]
pub(crate) fn open(browser: &mut Browser, studio: &Studio) {
    browser.open(&studio.url());
    browser.until("window.__roommate?.connected ?? false", SOON, |up| up == true);
}

/// Waits until the page draws a broadcast.
#[track_caller]
pub(crate) fn drawn(browser: &mut Browser, broadcast: usize) {
    let count = format!("window.__roommate?.broadcasts[{broadcast}]?.drawn ?? 0");
    browser.until(&count, SOON, |drawn| drawn.as_u64() > Some(10));
}

/// Lets sound in with a click, as a person does, and waits until some has been played.
#[track_caller]
pub(crate) fn sound_on(browser: &mut Browser, broadcast: usize) {
    browser.until("!document.querySelector('#turn-on').hidden", SOON, |shown| shown == true);
    browser.click("#turn-on");
    let played = format!("window.__roommate.broadcasts[{broadcast}].sound?.played ?? 0");
    browser.until(&played, SOON, |played| played.as_u64() > Some(25));
}

/// A figure of a broadcast.
#[track_caller]
pub(crate) fn figure(browser: &mut Browser, broadcast: usize, what: &str) -> Value {
    browser.value(&format!("window.__roommate.broadcasts[{broadcast}].{what}"))
}

/// Whether a text holds some words.
pub(crate) fn says(words: &'static str) -> impl Fn(&Value) -> bool {
    move |text| text.as_str().is_some_and(|text| text.contains(words))
}
