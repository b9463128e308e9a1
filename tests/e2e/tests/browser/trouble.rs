//! What goes wrong ends in words, and the page recovers.

use e2e::browser::Browser;
use e2e::clip::SoundCodec;
use e2e::stage::Stage;
use e2e::studio::Studio;

use crate::support::{SOON, drawn, figure, flash_and_beep, open, says};

const VEIL: &str = "document.querySelector('.veil')?.textContent";
const SENTENCE: &str = "document.querySelector('#sentence').textContent";

#[test]
fn a_hidden_page_goes_on_and_shows_the_newest_picture_when_it_is_back() {
    let stage = Stage::shared();
    let mut studio = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 60);
    let mut browser = Browser::start(&stage);
    open(&mut browser, &studio);
    studio.publish("Ada", clip, (320, 180), SoundCodec::Opus);
    drawn(&mut browser, 0);
    let cover = browser.cover();
    browser.until("document.hidden", SOON, |hidden| hidden == true);
    let drawn_then = figure(&mut browser, 0, "seq").as_u64();
    // Its time goes on, undrawn, for as long as five seconds of sound take.
    let packets = figure(&mut browser, 0, "sound.packets").as_u64();
    let now = "window.__roommate.broadcasts[0].sound.packets";
    browser.until(now, SOON, |now| now.as_u64() > packets.map(|count| count + 250));
    browser.uncover(&cover);
    browser.until("document.hidden", SOON, |hidden| hidden == false);
    let seq = "window.__roommate.broadcasts[0].seq";
    browser.until(seq, SOON, |now| now.as_u64() > drawn_then.map(|seq| seq + 130));
    assert_eq!(browser.value(VEIL), "");
    assert_eq!(figure(&mut browser, 0, "errors"), 0);
}

#[test]
fn a_publisher_that_stops_or_leaves_is_told_of_by_name() {
    let stage = Stage::shared();
    let mut studio = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 60);
    let mut browser = Browser::start(&stage);
    open(&mut browser, &studio);
    browser.until(SENTENCE, SOON, says("nobody is publishing yet"));
    let ada = studio.publish("Ada", clip.clone(), (320, 180), SoundCodec::Opus);
    drawn(&mut browser, 0);
    studio.freeze(ada);
    browser.until(VEIL, SOON, says("No new picture from Ada for"));
    studio.leave(ada);
    browser.until(SENTENCE, SOON, says("nobody is publishing yet"));
    studio.publish("Linus", clip, (320, 180), SoundCodec::Opus);
    drawn(&mut browser, 0);
    assert_eq!(browser.value(SENTENCE), "");
}

#[test]
fn a_node_that_has_ended_is_told_of_and_another_one_does_not_take_its_page() {
    let stage = Stage::shared();
    let mut studio = Studio::open();
    let mut browser = Browser::start(&stage);
    open(&mut browser, &studio);
    browser.until(SENTENCE, SOON, says("nobody is publishing yet"));
    studio.end();
    browser.until(SENTENCE, SOON, says("has not answered"));
    let mut next = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 30);
    next.publish("Ada", clip, (320, 180), SoundCodec::Opus);
    open(&mut browser, &next);
    drawn(&mut browser, 0);
}
