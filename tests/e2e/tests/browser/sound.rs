//! Sound in the page: decoded, played, mixed, and with its picture.

use e2e::browser::Browser;
use e2e::clip::SoundCodec;
use e2e::stage::Stage;
use e2e::studio::Studio;

use crate::support::{SOON, drawn, figure, flash_and_beep, open, says, sound_on};

/// How far flash and beep may be apart.
const APART_MS_MAX: f64 = 40.0;

/// When the loudspeaker begins to beep and the canvas to flash, for six seconds: the middle of the
/// differences, and their number. What is rendered now is heard after the device's latency.
const FLASHES_AND_BEEPS: &str = "(async () => {
    const { context, voices } = window.__roommate.audio;
    const ear = new AnalyserNode(context, { fftSize: 256 });
    voices.get(0).gain.connect(ear);
    const samples = new Float32Array(256);
    const eye = new OffscreenCanvas(2, 2).getContext('2d', { willReadFrequently: true });
    const canvas = document.querySelector('canvas');
    const [beeps, flashes] = [[], []];
    let [loud, bright] = [true, true];
    const device = (context.outputLatency + context.baseLatency) * 1000;
    const end = performance.now() + 6000;
    while (performance.now() < end) {
        await new Promise((then) => { setTimeout(then, 4); });
        ear.getFloatTimeDomainData(samples);
        const beep = samples.some((sample) => Math.abs(sample) > 0.1);
        if (beep && !loud) beeps.push(performance.now() + device);
        loud = beep;
        eye.drawImage(canvas, 0, 0, 2, 2);
        const flash = eye.getImageData(0, 0, 1, 1).data[1] > 128;
        if (flash && !bright) flashes.push(performance.now());
        bright = flash;
    }
    const apart = flashes.map((at) => beeps.map((beep) => at - beep)
        .sort((a, b) => Math.abs(a) - Math.abs(b))[0]).filter((one) => Math.abs(one) < 400);
    apart.sort((a, b) => a - b);
    return { count: apart.length, middle: apart[apart.length >> 1], all: apart };
})()";

fn on(stage: &Stage, codec: SoundCodec) -> (Studio, Browser) {
    let mut studio = Studio::open();
    let clip = flash_and_beep(stage, "clip", codec, 40);
    let mut browser = Browser::start(stage);
    open(&mut browser, &studio);
    studio.publish("Ada", clip, (320, 180), codec);
    drawn(&mut browser, 0);
    (studio, browser)
}

#[test]
fn flash_and_beep_are_together() {
    let stage = Stage::new();
    for codec in [SoundCodec::Opus, SoundCodec::Aac] {
        let (studio, mut browser) = on(&stage, codec);
        sound_on(&mut browser, 0);
        let apart = browser.value(FLASHES_AND_BEEPS);
        let offset = figure(&mut browser, 0, "avOffsetMs");
        let sound = figure(&mut browser, 0, "sound");
        eprintln!("{codec:?}: flash minus beep {apart}, by the page {offset}, {sound}");
        assert!(apart["count"].as_u64() >= Some(4), "{apart}");
        assert!(apart["middle"].as_f64().is_some_and(|ms| ms.abs() <= APART_MS_MAX), "{apart}");
        assert!(offset["p50"].as_f64().is_some_and(|ms| ms.abs() <= APART_MS_MAX), "{offset}");
        let of = |what: &str| sound[what].as_u64().expect("a count");
        assert!(of("played") > 250, "{sound}");
        assert_eq!(of("errors"), 0, "{sound}");
        assert!(of("skipped") * 10 <= of("packets"), "{sound}");
        let behind = figure(&mut browser, 0, "behindMs.p50");
        assert!(behind.as_f64() <= Some(300.0), "{behind} ms behind");
        drop(studio);
    }
}

#[test]
fn until_a_gesture_there_is_a_control_and_pictures_do_not_wait() {
    let stage = Stage::new();
    let (_studio, mut browser) = on(&stage, SoundCodec::Opus);
    browser.until("!document.querySelector('#turn-on').hidden", SOON, |shown| shown == true);
    assert_eq!(figure(&mut browser, 0, "sound.played"), 0);
    assert!(figure(&mut browser, 0, "avOffsetMs").is_null(), "pictures wait for unheard sound");
    sound_on(&mut browser, 0);
    let follows = "window.__roommate.broadcasts[0].avOffsetMs !== null";
    browser.until(follows, SOON, |follows| follows == true);
    assert_eq!(browser.value("document.querySelector('#turn-on').hidden"), true);
    // Muted, it goes on unheard, and pictures are shown at once again.
    browser.press("s");
    browser.until(follows, SOON, |follows| follows == false);
    browser.press("s");
    browser.until(follows, SOON, |follows| follows == true);
}

#[test]
fn sounds_are_mixed_and_muted_each_for_itself() {
    let stage = Stage::new();
    let mut studio = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 40);
    let mut browser = Browser::start(&stage);
    open(&mut browser, &studio);
    studio.publish("Ada", clip.clone(), (320, 180), SoundCodec::Opus);
    studio.publish("Linus", clip, (320, 180), SoundCodec::Opus);
    drawn(&mut browser, 1);
    sound_on(&mut browser, 0);
    let audible = "window.__roommate.broadcasts.map((one) => one.sound.audible).join()";
    browser.until(audible, SOON, |both| both == "true,true");
    browser.click(".tile:nth-child(2) .mute");
    browser.until(audible, SOON, |both| both == "true,false");
    let volume = "(() => {
        const slider = document.querySelector('.tile .volume');
        slider.value = 0;
        slider.dispatchEvent(new Event('input'));
    })()";
    browser.value(volume);
    browser.until(audible, SOON, |both| both == "false,false");
    // Unheard, both go on playing: either comes back in step.
    let before = figure(&mut browser, 1, "sound.played").as_u64();
    let played = "window.__roommate.broadcasts[1].sound.played";
    browser.until(played, SOON, |now| now.as_u64() > before.map(|count| count + 20));
    studio.leave(0);
    browser.until("window.__roommate.broadcasts.length", SOON, |count| *count == 1);
    browser.click(".tile .mute");
    browser.until(audible, SOON, |one| one == "true");
    let errors = figure(&mut browser, 0, "errors");
    assert_eq!(errors, 0);
}

#[test]
fn a_sound_that_the_browser_cannot_decode_is_said_in_a_sentence() {
    let stage = Stage::shared();
    let (mut studio, mut browser) = on(&stage, SoundCodec::Opus);
    studio.alter(|state| {
        if let Some(sound) = &mut state.broadcasts[0].sound {
            sound.codec = "ac-4".to_owned();
        }
    });
    let words = "document.querySelector('.sound-words').textContent";
    browser.until(words, SOON, says("cannot decode this sound (ac-4)"));
    let before = figure(&mut browser, 0, "drawn").as_u64();
    let drawn = "window.__roommate.broadcasts[0].drawn";
    browser.until(drawn, SOON, |now| now.as_u64() > before.map(|count| count + 20));
}
