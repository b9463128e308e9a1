//! The viewer page in a real browser: what its canvas shows is read off and compared with what was
//! published, and strangers get nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use e2e::browser::Browser;
use e2e::cast::{self, Bootstrap, START, TEST_PICTURE};
use e2e::check;
use e2e::fields::Fields;
use e2e::process::Process;
use e2e::stage::{Stage, output, wall_us};
use e2e::stamp::{self, Stamp};
use e2e::trace;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(10);
/// Beside an encoder and on two cores Chromium draws in software and skips.
const LATE_MS_MAX: i32 = 1_000;
/// Pictures that the page's median is of.
const PAGE_PICTURES: usize = 120;
/// The same in pictures of the stream.
const LATE_PICTURES_MAX: u64 = 30;

/// By how much the page's latency may differ from what the canvas shows when it is looked at: half a
/// picture's time on the screen, and what a look costs a browser that draws in software.
const LOOK_MS: f64 = 150.0;
/// The page's median is of its last pictures, the node's of those that its trace has written.
const OTHER_PICTURES_MS: f64 = 20.0;

/// Brightness at the centres of the strip's cells, as the first canvas shows them now.
const CENTRES: &str = "(() => {
    const canvas = document.querySelector('canvas');
    if (!canvas || canvas.width < 1280) return null;
    const copy = document.createElement('canvas');
    [copy.width, copy.height] = [canvas.width, 16];
    const context = copy.getContext('2d');
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 8, canvas.width, 1);
    return Array.from({ length: 80 }, (_, cell) => data[(cell * 16 + 8) * 4 + 1]);
})()";

struct Show {
    publisher: Process,
    viewer: Process,
    link: String,
    _bootstrap: Bootstrap,
}

fn show(stage: &Stage) -> Show {
    let bootstrap = Bootstrap::start(stage, None);
    let link = cast::create_room(stage, None, &bootstrap);
    let publisher = cast::publish(stage, None, "publisher", &link, TEST_PICTURE).ready();
    let viewer = cast::watch(stage, None, "viewer", &link).ready();
    Show { publisher, viewer, link, _bootstrap: bootstrap }
}

fn url(viewer: &Process) -> String {
    cast::ready_line(viewer).text("viewer_url").to_owned()
}

fn on_canvas(browser: &mut Browser) -> Option<Stamp> {
    let centres: Vec<u8> = serde_json::from_value(browser.value(CENTRES)).ok()?;
    stamp::from_centres(&centres.try_into().ok()?).ok()
}

#[track_caller]
fn readable(browser: &mut Browser) -> Stamp {
    browser.until(CENTRES, SOON, |centres| {
        let centres: Option<Vec<u8>> = serde_json::from_value(centres.clone()).ok();
        let centres = centres.and_then(|centres| <[u8; stamp::CELLS]>::try_from(centres).ok());
        centres.is_some_and(|centres| stamp::from_centres(&centres).is_ok())
    });
    on_canvas(browser).expect("a stamp was readable a moment ago")
}

#[test]
fn the_canvas_shows_what_is_published_now_and_how_late() {
    let stage = Stage::new();
    let show = show(&stage);
    let mut browser = Browser::start(&stage);
    browser.open(&url(&show.viewer));
    let first = readable(&mut browser);
    browser
        .until("window.__roommate.broadcasts[0]?.drawn", SOON, |drawn| drawn.as_u64() > Some(60));
    let stamp = readable(&mut browser);
    let late = stamp.distance_ms(wall_us());
    assert!(stamp.number > first.number + 30, "{first:?}, then {stamp:?}");
    assert!((0..=LATE_MS_MAX).contains(&late), "the picture is {late} ms old");
    let published = trace::read(&cast::trace_of(&stage, "publisher"));
    let newest = published.last().expect("pictures").seq;
    let behind = newest.abs_diff(u64::from(stamp.number));
    assert!(
        behind <= LATE_PICTURES_MAX,
        "the canvas shows {}, {newest} is published",
        stamp.number
    );

    the_overlay_tells_the_truth(&mut browser, &stage);
    let errors = browser.value("window.__roommate.broadcasts[0].errors");
    assert_eq!(errors, 0, "decoder errors");
    browser.screenshot(&output("viewer-page.png"));
    let complaints: Vec<_> = browser
        .console()
        .iter()
        .filter(|line| line.contains("error") || line.contains("exception"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    drop(show.publisher);
}

/// The latency on the screen lies between two that the page has no part in: that of the node, by its
/// trace, and the age of the pictures that are on the canvas, by their stamps and this machine's clock.
#[track_caller]
fn the_overlay_tells_the_truth(browser: &mut Browser, stage: &Stage) {
    let drawn = "window.__roommate.broadcasts[0].drawn";
    // The very pictures that the page's median is of.
    let enough = browser.value(drawn).as_u64().expect("a count") + PAGE_PICTURES as u64;
    let end = Instant::now() + SOON * 3;
    let mut ages: Vec<f64> = Vec::new();
    while browser.value(drawn).as_u64() < Some(enough) {
        assert!(Instant::now() < end, "{PAGE_PICTURES} pictures are not drawn in time");
        let before = wall_us();
        if let Some(stamp) = on_canvas(browser) {
            ages.push(f64::from(stamp.distance_ms(before)));
        }
    }
    assert!(ages.len() >= 20, "only {} looks at the canvas", ages.len());
    let age = check::percentile(&trace::sorted(ages), 50.0);
    let shown = browser.value("document.querySelector('.latency b').textContent");
    let shown = shown.as_str().and_then(|text| text.strip_suffix(" ms"));
    let shown: f64 = shown.and_then(|text| text.parse().ok()).expect("a latency is shown");
    let units = trace::read(&cast::trace_of(stage, "viewer"));
    let latest = &units[units.len().saturating_sub(PAGE_PICTURES)..];
    let node = check::percentile(&trace::latencies(latest, 0), 50.0);
    eprintln!("node {node:.0} ms, the page says {shown} ms, the canvas is {age:.0} ms old");
    assert!(shown >= node - OTHER_PICTURES_MS, "{shown} ms shown, {node:.0} ms to the node");
    assert!((shown - age).abs() <= LOOK_MS, "{shown} ms shown, the canvas is {age:.0} ms old");
}

/// Notes when a name that contains `part` was first in the list, by this machine's clock.
fn note_arrival(browser: &mut Browser, part: &str) {
    browser.value(&format!(
        "new MutationObserver(() => {{
            const names = [...document.querySelectorAll('#people .name')];
            if (names.some((name) => name.textContent.includes({part:?}))) {{
                window.arrivedAt ??= Date.now();
            }}
        }}).observe(document.querySelector('#people'), {{ childList: true, subtree: true }}), 0"
    ));
}

/// When a newcomer was first let in by anybody, by this machine's clock in milliseconds.
fn let_in_at(newcomer: &Process) -> f64 {
    let member = newcomer.line("member", START, |line| {
        line.find("members").and_then(Value::as_array).is_some_and(|members| !members.is_empty())
    });
    let since = member.list("members").iter().map(|member| member.num("since_us"));
    since.fold(f64::INFINITY, f64::min) / 1_000.0
}

#[test]
fn who_joins_is_in_the_list_within_a_second_and_whoever_leaves_is_not() {
    let stage = Stage::new();
    let show = show(&stage);
    let mut browser = Browser::start(&stage);
    browser.open(&url(&show.viewer));
    let names = "[...document.querySelectorAll('#people .name')].map(name => name.textContent)";
    let has = |name: &'static str| {
        move |list: &Value| {
            list.as_array().is_some_and(|list| {
                list.iter().any(|is| is.as_str().is_some_and(|is| is.contains(name)))
            })
        }
    };
    browser.until(names, SOON, has("publisher"));
    // A name is text, whatever it looks like.
    note_arrival(&mut browser, "<b>newcomer</b>");
    let newcomer = cast::watch(&stage, None, "<b>newcomer</b>", &show.link).ready();
    browser.until(names, Duration::from_secs(2), has("<b>newcomer</b>"));
    let shown_at = browser.value("window.arrivedAt").as_f64().expect("a time");
    let took = shown_at - let_in_at(&newcomer);
    eprintln!("in the list {took:.0} ms after it was let in");
    assert!(took <= 1_000.0, "in the list only {took:.0} ms after it was let in");
    browser.screenshot(&output("viewer-page-joined.png"));
    newcomer.interrupt();
    browser.until(names, Duration::from_secs(4), |list| !has("<b>newcomer</b>")(list));
    drop(newcomer);
}

#[test]
fn without_a_picture_there_is_a_sentence() {
    let stage = Stage::new();
    let show = show(&stage);
    let mut browser = Browser::start(&stage);
    browser.open(&url(&show.viewer));
    readable(&mut browser);
    let veil = "document.querySelector('.veil')?.textContent";
    let says = |words: &'static str| {
        move |text: &Value| text.as_str().is_some_and(|text| text.contains(words))
    };
    browser.until(veil, SOON, |text| text == "");

    show.publisher.pause();
    browser.until(veil, SOON, says("No new picture from publisher"));
    // A latency beside an old picture would be that of another time.
    let latency = "getComputedStyle(document.querySelector('.latency')).display";
    assert_eq!(browser.value(latency), "none");
    browser.screenshot(&output("viewer-page-stalled.png"));
    show.publisher.resume();
    browser.until(veil, SOON, |text| text == "");

    show.publisher.interrupt();
    let sentence = "document.querySelector('#sentence').textContent";
    browser.until(sentence, SOON, says("Waiting: you are the only one here"));
    browser.screenshot(&output("viewer-page-ended.png"));

    show.viewer.interrupt();
    browser.until(sentence, SOON, says("has not answered"));
}

#[test]
fn a_browser_that_cannot_show_video_is_told_which_can() {
    let stage = Stage::new();
    let show = show(&stage);
    // Neither way in: no WebCodecs, and no live MP4; or one that knows no H.264.
    let poor = [
        "delete window.VideoDecoder; delete window.MediaSource; delete window.ManagedMediaSource",
        "delete window.VideoDecoder; MediaSource.isTypeSupported = () => false",
    ];
    for (number, without) in poor.into_iter().enumerate() {
        // A launch key opens one browser.
        let viewer = cast::watch(&stage, None, &format!("viewer-{number}"), &show.link).ready();
        let mut browser = Browser::start(&stage);
        browser.before(without);
        browser.open(&url(&viewer));
        let words = "(H.264). Chrome, Edge, Safari and Firefox have one";
        browser.until("document.querySelector('.veil')?.textContent", SOON, |text| {
            text.as_str().is_some_and(|text| text.contains(words))
        });
        viewer.interrupt();
    }
}

/// The page never says that it waits for a picture that it shows.
#[test]
fn the_words_over_a_picture_go_with_the_first_one() {
    let stage = Stage::new();
    let show = show(&stage);
    let mut browser = Browser::start(&stage);
    browser.open(&url(&show.viewer));
    let words = "(() => {
        const shown = window.__roommate?.broadcasts[0];
        return shown?.drawn > 0 ? shown.veil : null;
    })()";
    let words = browser.until(words, SOON, |words| !words.is_null());
    assert_eq!(words, "", "over a picture");
}

/// One request with these lines of its head and this body; everything that comes back.
fn request(host: &str, head: &[&str], body: &str) -> String {
    let mut stream = TcpStream::connect(host).expect("the page's server listens");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let length = format!("Content-Length: {}", body.len());
    let head = [head, &[&length, "", body]].concat().join("\r\n");
    stream.write_all(head.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !is_whole(&answer) {
        // A refused upgrade may be closed hard: what came before counts.
        match stream.read(&mut chunk) {
            Ok(read) if read > 0 => answer.extend(&chunk[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Whether nothing more is to come: an open WebSocket goes on for ever, and a connection that is
/// kept would be waited for.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().ok())?
    });
    head.starts_with("HTTP/1.1 101") || length.is_some_and(|length| body.len() >= length)
}

/// An attempt to open the page's WebSocket.
fn upgrade(host: &str, origin: &str, cookie: &str) -> String {
    let (named, origin) = (format!("Host: {host}"), format!("Origin: {origin}"));
    let cookie = format!("Cookie: {cookie}");
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let words = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key];
    request(host, &[&["GET /live HTTP/1.1", &named, &origin, &cookie], &words[..]].concat(), "")
}

/// Where the page is served, and the token in its address.
fn place(viewer: &Process) -> (String, String) {
    let url = url(viewer);
    let rest = url.strip_prefix("http://").expect("the page is served in the clear, on loopback");
    let (host, token) = rest.split_once("/#").expect("the token stands behind #");
    assert!(host.starts_with("127.0.0.1:"), "{url}");
    (host.to_owned(), token.to_owned())
}

#[test]
fn a_foreign_host_gets_nothing() {
    let stage = Stage::new();
    let show = show(&stage);
    let (host, _) = place(&show.viewer);
    let get = |named: &str| {
        let named = format!("Host: {named}");
        request(&host, &["GET / HTTP/1.1", &named, "Connection: close"], "")
    };
    let own = get(&host);
    assert!(
        own.starts_with("HTTP/1.1 200") && own.contains("viewer.js"),
        "the control fails: {own}"
    );
    let port = host.rsplit_once(':').expect("a port").1;
    let foreign = [
        "evil.example",
        "127.0.0.1",
        "",
        &format!("evil.example:{port}"),
        &format!("{host}.evil.example"),
    ];
    for foreign in foreign {
        let answer = get(foreign);
        assert!(!answer.starts_with("HTTP/1.1 200"), "host {foreign}: {answer}");
        assert!(!answer.contains("viewer.js"), "host {foreign}: {answer}");
    }
}

#[test]
fn a_foreign_origin_and_whoever_has_no_token_get_nothing() {
    let stage = Stage::new();
    let show = show(&stage);
    let (host, token) = place(&show.viewer);
    let own = format!("http://{host}");
    let session = |token: &str, origin: &str| {
        let (named, origin) = (format!("Host: {host}"), format!("Origin: {origin}"));
        request(&host, &["POST /session HTTP/1.1", &named, &origin, "Connection: close"], token)
    };
    let cookie_of = |answer: &str| {
        let line = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("set-cookie").then(|| value.to_owned())
        });
        line.map(|line| line.split(';').next().unwrap_or_default().to_owned())
    };
    let foreign = ["http://evil.example", "null", &format!("https://{host}"), "http://127.0.0.1:1"];

    // Before the right token is spent: no wrong one, and no right one from elsewhere.
    let wrong: String = token.chars().rev().collect();
    for answer in [session(&wrong, &own), session("", &own), session(&token, foreign[0])] {
        assert!(cookie_of(&answer).is_none(), "{answer}");
    }
    assert!(!upgrade(&host, &own, "").starts_with("HTTP/1.1 101"), "no cookie was asked for");

    let answer = session(&token, &own);
    let cookie = cookie_of(&answer).unwrap_or_else(|| panic!("the control fails: {answer}"));
    let answer = upgrade(&host, &own, &cookie);
    assert!(answer.starts_with("HTTP/1.1 101"), "the control fails: {answer}");
    for origin in foreign {
        let answer = upgrade(&host, origin, &cookie);
        assert!(!answer.starts_with("HTTP/1.1 101"), "origin {origin} was let in: {answer}");
        assert!(!answer.to_lowercase().contains("access-control-allow"), "{answer}");
    }
}
