//! `/stream/<peer>.mp4` for players: read by ffprobe as long as it lasts, and by nobody without the
//! key.

use std::process::Command;

use e2e::browser::Browser;
use e2e::clip::SoundCodec;
use e2e::stage::Stage;
use e2e::studio::Studio;
use serde_json::Value;

use crate::support::{SOON, figure, flash_and_beep, open, says};

/// What ffprobe reads of an address in so many seconds: its packets, and what it complains of.
fn probe(url: &str, seconds: u32) -> (Value, String) {
    let interval = format!("%+{seconds}");
    let run = Command::new("ffprobe")
        .args(["-v", "error", "-of", "json", "-show_packets", "-show_streams"])
        .args(["-read_intervals", &interval, url])
        .output()
        .expect("ffprobe starts: cargo xtask setup installs it");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    (serde_json::from_slice(&run.stdout).unwrap_or_default(), said)
}

#[test]
fn ffprobe_reads_ten_seconds_of_pictures_and_sound() {
    let stage = Stage::shared();
    let mut studio = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 60);
    studio.publish("Ada", clip, (320, 180), SoundCodec::Opus);
    let page = studio.url();
    let (place, token) = page.split_once('#').expect("a token");
    let publisher = studio.publisher(0);
    let stream = format!("{place}stream/{publisher}.mp4");
    let (read, said) = probe(&format!("{stream}?token={token}"), 10);
    assert_eq!(said, "", "ffprobe complains");
    let packets = read["packets"].as_array().expect("packets");
    let of = |kind: &str| packets.iter().filter(|one| one["codec_type"] == kind).count();
    eprintln!("in 10 s: {} pictures, {} packets of sound", of("video"), of("audio"));
    assert!(of("video") >= 295 && of("audio") >= 490, "{}, {}", of("video"), of("audio"));

    let wrong: String = token.chars().rev().collect();
    for url in [stream.clone(), format!("{stream}?token={wrong}"), format!("{stream}?token=")] {
        let (read, said) = probe(&url, 1);
        assert!(said.contains("403"), "{url}: {said}");
        assert!(read["packets"].as_array().is_none_or(Vec::is_empty), "{url}: {read}");
    }
    let (_, said) = probe(&format!("{place}stream/nobody.mp4?token={token}"), 1);
    assert!(said.contains("404"), "{said}");
}

#[test]
fn a_browser_without_webcodecs_plays_the_slower_way_and_says_so() {
    let stage = Stage::new();
    let mut studio = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 60);
    let mut browser = Browser::start(&stage);
    browser.before("delete window.VideoDecoder");
    open(&mut browser, &studio);
    studio.publish("Ada", clip, (320, 180), SoundCodec::Opus);
    let drawn = "window.__roommate.broadcasts[0]?.drawn ?? 0";
    browser.until(drawn, SOON, |drawn| drawn.as_u64() > Some(150));
    let words = "document.querySelector('.sound-words').textContent";
    browser.until(words, SOON, says("no WebCodecs for H.264"));
    browser.until("!document.querySelector('#turn-on').hidden", SOON, |shown| shown == true);
    browser.click("#turn-on");
    browser.until("document.querySelector('video').muted", SOON, |muted| muted == false);
    let before = figure(&mut browser, 0, "drawn").as_u64();
    browser.until(drawn, SOON, |now| now.as_u64() > before.map(|count| count + 60));
    let behind = figure(&mut browser, 0, "behindMs.p50");
    eprintln!("the slower way: {behind} ms behind what has come");
    assert!(behind.as_f64() <= Some(350.0), "{behind}");
}
