//! A page that does not keep up skips pictures; it never shows old ones.

use e2e::browser::Browser;
use e2e::clip::{Shape, SoundCodec, make};
use e2e::stage::Stage;
use e2e::studio::Studio;

use crate::support::{SOON, drawn, figure, open};

/// What may be drawn, in milliseconds since it was complete at the node.
const BEHIND_MS_MAX: f64 = 300.0;

/// The page's own thread at a twentieth of its speed: pictures do not pass through it.
#[test]
fn a_busy_page_shows_no_old_picture() {
    let stage = Stage::new();
    let mut studio = Studio::open();
    let clip = make(
        &stage,
        &Shape {
            name: "clip",
            pictures: &["-f", "lavfi", "-i", "testsrc2=s=640x360:r=30"],
            size: (640, 360, 30),
            sound: None,
            group: 30,
            seconds: 30,
        },
    );
    let mut browser = Browser::start(&stage);
    open(&mut browser, &studio);
    studio.publish("Ada", clip, (640, 360), SoundCodec::Opus);
    drawn(&mut browser, 0);
    browser.throttle(20);
    let before = figure(&mut browser, 0, "drawn").as_u64();
    let count = "window.__roommate.broadcasts[0].drawn";
    browser.until(count, SOON, |now| now.as_u64() > before.map(|count| count + 150));
    let behind = figure(&mut browser, 0, "behindMs");
    let skipped = figure(&mut browser, 0, "skipped");
    eprintln!("20 times slower: behind {behind}, {skipped} skipped");
    assert!(behind["max"].as_f64() <= Some(BEHIND_MS_MAX), "{behind}");
}

/// Eight large broadcasts in a browser without a graphics card: more than two cores decode.
#[test]
fn too_many_pictures_are_skipped_and_none_is_shown_late() {
    let stage = Stage::new();
    let mut studio = Studio::open();
    let clip = make(
        &stage,
        &Shape {
            name: "clip",
            pictures: &["-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30"],
            size: (1920, 1080, 30),
            sound: None,
            group: 30,
            seconds: 8,
        },
    );
    let mut browser = Browser::start(&stage);
    open(&mut browser, &studio);
    for name in ["A", "B", "C", "D", "E", "F", "G", "H"] {
        studio.publish(name, clip.clone(), (1920, 1080), SoundCodec::Opus);
    }
    let some = "window.__roommate.broadcasts.filter((one) => one.drawn > 5).length";
    browser.until(some, SOON, |count| count.as_u64() > Some(3));
    let skipped = "window.__roommate.broadcasts.reduce((sum, one) => sum + one.skipped, 0)";
    browser.until(skipped, SOON, |count| count.as_u64() > Some(100));
    let behind = browser.value(
        "window.__roommate.broadcasts.map((one) => one.behindMs?.max ?? 0)
            .reduce((worst, one) => Math.max(worst, one))",
    );
    let count = browser.value(skipped);
    eprintln!("eight of 1080p: {behind} ms behind at worst, {count} skipped");
    assert!(behind.as_f64() <= Some(BEHIND_MS_MAX), "{behind} ms behind");
    assert!(studio.asked() > 0, "a page that skipped asks for a keyframe");
}
