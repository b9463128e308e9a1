//! The viewer page's server over real sockets: strangers get nothing, the page gets everything,
//! and a page that does not read holds up nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use roommate::clock::Clock;
use roommate::media::ViewUnit;
use roommate::viewer::{
    MAX_PAGES, PageMember, PageRequest, PageRoom, PageState, Viewer, ViewerConfig, ViewerError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

type Page = WebSocketStream<TcpStream>;

/// What must never reach a stranger.
const TITLE: &str = "TITLE-OF-THE-ROOM";
const MEDIA: &[u8] = b"ACCESS-UNIT-OF-SOMEBODY";
const LONG: Duration = Duration::from_secs(20);

async fn start(requests: Option<mpsc::Sender<PageRequest>>) -> Viewer {
    let addr = "127.0.0.1:0".parse().unwrap();
    let viewer = Viewer::start(ViewerConfig { addr, clock: Clock::new(), requests }).await.unwrap();
    viewer.publish_state(&state());
    assert!(viewer.hub().open(7, 90_000));
    viewer.hub().push(7, &unit(0, true, MEDIA));
    viewer
}

fn state() -> PageState {
    let room = PageRoom { title: Some(TITLE.to_owned()), ..PageRoom::default() };
    PageState { room: Some(room), ..PageState::default() }
}

fn unit(seq: u64, keyframe: bool, data: &[u8]) -> ViewUnit {
    ViewUnit {
        seq,
        group: 0,
        pts: i64::try_from(seq).unwrap() * 3_000,
        decode_offset: 0,
        captured_us: 1_000_000,
        ready_us: 1_010_000,
        keyframe,
        data: Bytes::copy_from_slice(data),
    }
}

fn token(viewer: &Viewer) -> &str {
    viewer.url().split_once('#').unwrap().1
}

/// Sends bytes as they are and gives back all that comes.
async fn raw(addr: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(LONG, socket.read_to_end(&mut answer)).await;
    // A refusal may come as a reset behind the answer, where we were still sending.
    assert!(read.is_ok(), "no end after {request:?}: {:?}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

/// A cookie got as the page gets it.
async fn cookie(viewer: &Viewer) -> String {
    let (addr, token) = (viewer.addr(), token(viewer));
    let request = format!(
        "POST /session HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://{addr}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{token}",
        token.len()
    );
    let answer = raw(addr, &request).await;
    assert_eq!(status(&answer), "204", "{answer}");
    let set = answer.lines().find_map(|l| l.strip_prefix("set-cookie: ")).unwrap();
    assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Strict"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

/// A request that would succeed, in parts that a variant replaces or leaves out.
#[derive(Clone)]
struct Parts {
    line: String,
    host: String,
    headers: String,
    body: String,
}

impl Parts {
    fn text(&self) -> String {
        let Self { line, host, headers, body } = self;
        let connection = if headers.contains("Upgrade: ") { "upgrade, close" } else { "close" };
        format!("{line}\r\n{host}{headers}Connection: {connection}\r\n\r\n{body}")
    }
}

const UPGRADE: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The three doors: the page, the key, the pictures.
fn doors(viewer: &Viewer, cookie: &str) -> [Parts; 3] {
    let (addr, token) = (viewer.addr(), token(viewer));
    let host = format!("Host: {addr}\r\n");
    let origin = format!("Origin: http://{addr}\r\n");
    let key = Parts {
        line: "POST /session HTTP/1.1".to_owned(),
        host: host.clone(),
        headers: format!("{origin}Content-Length: {}\r\n", token.len()),
        body: token.to_owned(),
    };
    let page = Parts {
        line: "GET / HTTP/1.1".to_owned(),
        host: host.clone(),
        headers: String::new(),
        body: String::new(),
    };
    let live = Parts {
        line: "GET /live HTTP/1.1".to_owned(),
        host,
        headers: format!("{origin}Cookie: {cookie}\r\n{UPGRADE}"),
        body: String::new(),
    };
    [page, key, live]
}

/// Asserts that an answer refuses, in one of the given ways, and gives nothing away.
fn refused(request: &str, answer: &str, ways: &[&str]) {
    assert!(ways.contains(&status(answer)), "{request}\n→ {answer}");
    let lower = answer.to_lowercase();
    for secret in [TITLE, "ACCESS-UNIT", "<html", "set-cookie", "access-control-"] {
        assert!(!lower.contains(&secret.to_lowercase()), "{request}\n→ {answer}");
    }
}

/// The control of the tests below: what they alter passes as it is.
#[tokio::test]
async fn our_own_page_passes_every_door() {
    let viewer = start(None).await;
    let addr = viewer.addr();
    let cookie = cookie(&viewer).await;
    let [page, key, live] = doors(&viewer, &cookie);
    let localhost = |parts: &Parts| {
        let name = format!("localhost:{}", addr.port());
        Parts {
            host: parts.host.replace(&addr.to_string(), &name),
            headers: parts.headers.replace(&addr.to_string(), &name),
            ..parts.clone()
        }
    };
    for (door, want) in [(&page, "200"), (&key, "204"), (&live, "101")] {
        for parts in [door.clone(), localhost(door)] {
            for site in ["", "Sec-Fetch-Site: same-origin\r\n"] {
                let headers = format!("{}{site}", parts.headers);
                let request = Parts { headers, ..parts.clone() }.text();
                let answer = until(addr, &request, if want == "101" { TITLE } else { "\r\n\r\n" });
                assert_eq!(status(&answer.await), want, "{request}");
            }
        }
    }
}

/// Sends bytes as they are and reads until some text has come.
async fn until(addr: SocketAddr, request: &str, text: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains(text) {
        let read = timeout(LONG, socket.read_buf(&mut answer)).await.expect("nothing came");
        assert_ne!(read.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn foreign_hosts_get_nothing() {
    let viewer = start(None).await;
    let (addr, port) = (viewer.addr(), viewer.addr().port());
    let cookie = cookie(&viewer).await;
    let good = format!("Host: {addr}\r\n");
    let mut hosts: Vec<String> = vec![String::new(), "Host:\r\n".to_owned()];
    for name in [
        "evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "[::1]",
        "127.1",
        "2130706433",
        "0x7f000001",
        "user@127.0.0.1",
        "LOCALHOST",
        "localhost.",
        "127.0.0.2",
        "roommate.local",
    ] {
        hosts.push(format!("Host: {name}:{port}\r\n"));
    }
    for name in ["127.0.0.1", "localhost", "evil.example", "127.0.0.1:1", "127.0.0.1:"] {
        hosts.push(format!("Host: {name}\r\n"));
    }
    hosts.push(format!("Host: 127.0.0.1:0{port}\r\n"));
    hosts.push(format!("Host: {addr}.evil.example\r\n"));
    hosts.push(format!("{good}Host: evil.example:{port}\r\n"));
    hosts.push(format!("Host: evil.example:{port}\r\n{good}"));
    hosts.push(format!("{good}{good}"));
    hosts.push(format!("Host: evil.example:{port}\r\nX-Forwarded-Host: {addr}\r\n"));
    let mut tried = 0;
    for door in doors(&viewer, &cookie) {
        for host in &hosts {
            let request = Parts { host: host.clone(), ..door.clone() }.text();
            refused(&request, &raw(addr, &request).await, &["421"]);
            tried += 1;
        }
        let (method, path) = door.line.split_once(" /").unwrap();
        for authority in ["evil.example", "evil.example:80", "127.0.0.1:1"] {
            let line = format!("{method} http://{authority}/{path}");
            let request = Parts { line, ..door.clone() }.text();
            refused(&request, &raw(addr, &request).await, &["421"]);
            tried += 1;
        }
    }
    assert!(tried >= 75, "{tried}");
}

#[tokio::test]
async fn foreign_origins_and_fetches_get_nothing() {
    let viewer = start(None).await;
    let (addr, port) = (viewer.addr(), viewer.addr().port());
    let cookie = cookie(&viewer).await;
    let own = format!("Origin: http://{addr}\r\n");
    let origins = [
        String::new(),
        "Origin:\r\n".to_owned(),
        "Origin: null\r\n".to_owned(),
        "Origin: file://\r\n".to_owned(),
        "Origin: http://evil.example\r\n".to_owned(),
        format!("Origin: http://evil.example:{port}\r\n"),
        format!("Origin: https://{addr}\r\n"),
        format!("Origin: ws://{addr}\r\n"),
        format!("Origin: HTTP://{addr}\r\n"),
        format!("Origin: {addr}\r\n"),
        format!("Origin: http://{addr}/\r\n"),
        format!("Origin: http://{addr}.evil.example\r\n"),
        format!("Origin: http://user@{addr}\r\n"),
        format!("Origin: http://localhost:{port}\r\n"),
        "Origin: http://127.0.0.1\r\n".to_owned(),
        "Origin: http://127.0.0.1:1\r\n".to_owned(),
        format!("{own}{own}"),
        format!("{own}Origin: http://evil.example\r\n"),
        format!("Referer: http://{addr}/\r\n"),
    ];
    let fetches = ["cross-site", "same-site", "", "SAME-ORIGIN", "same-origin, none", "x"];
    let mut tried = 0;
    for door in doors(&viewer, &cookie) {
        let asks_origin = door.headers.contains(&own);
        for origin in origins.iter().filter(|_| asks_origin) {
            let headers = door.headers.replace(&own, origin);
            let request = Parts { headers, ..door.clone() }.text();
            refused(&request, &raw(addr, &request).await, &["403"]);
            tried += 1;
        }
        let mut sites: Vec<_> =
            fetches.iter().map(|site| format!("Sec-Fetch-Site: {site}\r\n")).collect();
        sites.push("Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: same-origin\r\n".to_owned());
        for site in sites {
            let headers = format!("{}{site}", door.headers);
            let request = Parts { headers, ..door.clone() }.text();
            refused(&request, &raw(addr, &request).await, &["403"]);
            tried += 1;
        }
    }
    // A plain look with a foreign origin, and what a browser asks before it dares more.
    for line in ["GET /", "GET /viewer.js", "OPTIONS /session", "OPTIONS /live", "HEAD /live"] {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {addr}\r\nOrigin: http://evil.example\r\n\
             Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n"
        );
        refused(&request, &raw(addr, &request).await, &["403"]);
        tried += 1;
    }
    assert!(tried >= 60, "{tried}");
}

#[tokio::test]
async fn without_the_key_there_are_no_pictures() {
    let viewer = start(None).await;
    let (addr, token) = (viewer.addr(), token(&viewer).to_owned());
    let cookie = cookie(&viewer).await;
    let (name, value) = cookie.split_once('=').unwrap();
    let [_, key, live] = doors(&viewer, &cookie);
    let cookies = [
        String::new(),
        "Cookie:\r\n".to_owned(),
        format!("Cookie: {name}=\r\n"),
        format!("Cookie: {name}={}\r\n", &value[..31]),
        format!("Cookie: {name}={value}0\r\n"),
        format!(
            "Cookie: {name}={}\r\n",
            value.to_uppercase().replace(|c: char| c.is_numeric(), "A")
        ),
        format!("Cookie: {name}={token}\r\n"),
        format!("Cookie: roommate={value}\r\n"),
        format!("Cookie: {name}x={value}\r\n"),
        format!("Cookie: {value}\r\n"),
        format!("Authorization: Bearer {value}\r\n"),
        format!("Set-Cookie: {name}={value}\r\n"),
    ];
    for wrong in &cookies {
        let headers = live.headers.replace(&format!("Cookie: {cookie}\r\n"), wrong);
        let request = Parts { headers, ..live.clone() }.text();
        refused(&request, &raw(addr, &request).await, &["403"]);
    }
    for line in [format!("GET /live?token={token}"), format!("GET /live?{cookie}")] {
        let headers = live.headers.replace(&format!("Cookie: {cookie}\r\n"), "");
        let request = Parts { line: format!("{line} HTTP/1.1"), headers, ..live.clone() }.text();
        refused(&request, &raw(addr, &request).await, &["403"]);
    }
    let zeros = "0".repeat(32);
    let bodies: [&str; 8] = [
        "",
        " ",
        &token[..31],
        &format!("{token}0"),
        &format!("{token}\n"),
        &token.to_uppercase().replace(|c: char| c.is_numeric(), "A"),
        &zeros,
        value,
    ];
    for body in bodies {
        let headers =
            key.headers.replace("Content-Length: 32", &format!("Content-Length: {}", body.len()));
        let request = Parts { headers, body: body.to_owned(), ..key.clone() }.text();
        refused(&request, &raw(addr, &request).await, &["403"]);
    }
    let long = "a".repeat(5_000);
    let headers = key.headers.replace("Content-Length: 32", "Content-Length: 5000");
    let request = Parts { headers, body: long, ..key }.text();
    refused(&request, &raw(addr, &request).await, &["413"]);
}

#[tokio::test]
async fn half_an_upgrade_is_none() {
    let viewer = start(None).await;
    let addr = viewer.addr();
    let [_, _, live] = doors(&viewer, &cookie(&viewer).await);
    for (from, to) in [
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket", "Upgrade: h2c"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 12"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
    ] {
        let headers = live.headers.replace(from, to);
        assert_ne!(headers, live.headers);
        let request = Parts { headers, ..live.clone() }.text();
        refused(&request, &raw(addr, &request).await, &["400", "426"]);
    }
    for line in ["POST /live HTTP/1.1", "PUT /live HTTP/1.1", "DELETE /session HTTP/1.1"] {
        let request = Parts { line: line.to_owned(), ..live.clone() }.text();
        refused(&request, &raw(addr, &request).await, &["405"]);
    }
    let old = Parts { line: "GET /live HTTP/1.0".to_owned(), ..live }.text();
    refused(&old, &raw(addr, &old).await, &["400", "426"]);
}

#[tokio::test]
async fn every_answer_carries_the_rules_of_the_page() {
    let viewer = start(None).await;
    let addr = viewer.addr();
    let localhost = format!("localhost:{}", addr.port());
    for (host, path, want) in [
        (addr.to_string(), "/", "200"),
        (localhost, "/viewer.js", "200"),
        (addr.to_string(), "/none", "404"),
        ("evil.example".to_owned(), "/", "421"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(addr, &request).await;
        assert_eq!(status(&answer), want, "{answer}");
        for rule in [
            "content-security-policy: default-src 'self'; ",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cross-origin-resource-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(rule), "{rule} in {answer}");
        }
        assert!(!answer.contains("access-control-"));
    }
}

async fn open(viewer: &Viewer, cookie: &str) -> Result<Page, tungstenite::Error> {
    let addr = viewer.addr();
    let mut request = format!("ws://{addr}/live").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", format!("http://{addr}").parse().unwrap());
    headers.insert("cookie", cookie.parse().unwrap());
    let stream = TcpStream::connect(addr).await.unwrap();
    client_async(request, stream).await.map(|(page, _)| page)
}

async fn next(page: &mut Page) -> Message {
    timeout(LONG, page.next()).await.expect("nothing came").unwrap().unwrap()
}

async fn next_unit(page: &mut Page) -> Bytes {
    loop {
        if let Message::Binary(unit) = next(page).await {
            return unit;
        }
    }
}

fn seq(unit: &[u8]) -> u64 {
    u64::from_be_bytes(unit[8..16].try_into().unwrap())
}

#[tokio::test]
async fn the_page_gets_state_pictures_and_the_clock() {
    let (requests, mut asked) = mpsc::channel(4);
    let viewer = start(Some(requests)).await;
    let cookie = cookie(&viewer).await;
    let mut page = open(&viewer, &cookie).await.unwrap();
    let first = next(&mut page).await.into_text().unwrap();
    assert!(first.contains(TITLE) && first.contains(r#""type":"state""#), "state first: {first}");
    let kept = next_unit(&mut page).await;
    assert_eq!((seq(&kept), &kept[48..], kept[1], kept[7]), (0, MEDIA, 1, 7));
    viewer.hub().push(7, &unit(1, false, b"next"));
    assert_eq!(&next_unit(&mut page).await[48..], b"next");

    let joined = PageMember { name: "Eve".to_owned(), ..PageMember::default() };
    viewer.publish_state(&PageState { members: vec![joined], ..state() });
    assert!(next(&mut page).await.into_text().unwrap().contains("Eve"));

    let before = Clock::new().mono().as_micros();
    page.send(Message::text(r#"{"ping":12.5}"#)).await.unwrap();
    let pong: serde_json::Value =
        serde_json::from_str(&next(&mut page).await.into_text().unwrap()).unwrap();
    assert_eq!(pong["ping"], 12.5);
    let node_us = pong["node_us"].as_u64().unwrap();
    assert!((before..=Clock::new().mono().as_micros()).contains(&node_us));

    page.send(Message::text(r#"{"keyframe":7}"#)).await.unwrap();
    assert_eq!(
        timeout(LONG, asked.recv()).await.unwrap(),
        Some(PageRequest::Keyframe { broadcast: 7 })
    );
}

#[tokio::test]
async fn a_page_that_talks_nonsense_is_closed() {
    let viewer = start(None).await;
    let cookie = cookie(&viewer).await;
    let big = "x".repeat(100_000);
    for nonsense in ["", "{}", "[]", r#"{"ping":"x"}"#, r#"{"ping":1,"keyframe":1}"#, &big] {
        let mut page = open(&viewer, &cookie).await.unwrap();
        page.send(Message::text(nonsense.to_owned())).await.unwrap();
        let end = async { while let Some(Ok(_)) = page.next().await {} };
        assert!(timeout(LONG, end).await.is_ok(), "{nonsense:.20} was taken");
    }
}

#[tokio::test]
async fn there_are_as_many_places_as_said() {
    let viewer = start(None).await;
    let cookie = cookie(&viewer).await;
    let mut pages = Vec::new();
    for _ in 0..MAX_PAGES {
        let mut page = open(&viewer, &cookie).await.unwrap();
        next(&mut page).await;
        pages.push(page);
    }
    assert_eq!(viewer.pages(), MAX_PAGES);
    match open(&viewer, &cookie).await {
        Err(tungstenite::Error::Http(answer)) => {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    // A place is free again once its page has gone.
    pages.pop().unwrap().close(None).await.unwrap();
    let again = async {
        loop {
            if let Ok(page) = open(&viewer, &cookie).await {
                return page;
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(LONG, again).await.is_ok());
}

/// 40 MB for a page that reads nothing: no push waits for it, and when it reads again it gets what
/// its buffers held, and then the newest group from its keyframe.
#[tokio::test]
async fn a_slow_page_skips_to_the_newest_keyframe_and_holds_up_nobody() {
    let viewer = start(None).await;
    let cookie = cookie(&viewer).await;
    let mut slow = open(&viewer, &cookie).await.unwrap();
    assert_eq!(seq(&next_unit(&mut slow).await), 0);
    let body = vec![0; 64 << 10];
    let last = 640;
    for number in 1..=last {
        viewer.hub().push(7, &unit(number, number % 10 == 0, &body));
        // Lets the server's task run until the page's buffers are full.
        tokio::task::yield_now().await;
    }
    let mut fast = open(&viewer, &cookie).await.unwrap();
    assert_eq!(seq(&next_unit(&mut fast).await), 640, "a new page begins with the newest group");

    let mut got = Vec::new();
    while got.last() != Some(&last) {
        let unit = next_unit(&mut slow).await;
        let number = seq(&unit);
        if got.last().is_some_and(|before| before + 1 != number) {
            assert_eq!(unit[1] & 1, 1, "after a gap comes a keyframe, not {number}");
        }
        got.push(number);
    }
    assert!(got.len() < 500, "nothing was skipped: {}", got.len());
    assert!(got.is_sorted());
}

#[tokio::test]
async fn at_the_end_pages_are_told_and_nothing_listens() {
    let viewer = start(None).await;
    let cookie = cookie(&viewer).await;
    let mut page = open(&viewer, &cookie).await.unwrap();
    next(&mut page).await;
    // A connection that never asks anything must not keep the node alive.
    let idle = TcpStream::connect(viewer.addr()).await.unwrap();
    let addr = viewer.addr();
    timeout(Duration::from_secs(5), viewer.shutdown()).await.expect("it hangs");
    let reason = loop {
        if let Message::Close(frame) = next(&mut page).await {
            break frame.unwrap().reason;
        }
    };
    assert_eq!(reason, "the node has ended");
    assert!(TcpStream::connect(addr).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn it_listens_on_this_machine_alone_and_says_what_is_wrong() {
    let start = |addr: SocketAddr| {
        Viewer::start(ViewerConfig { addr, clock: Clock::new(), requests: None })
    };
    for far in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let error = start(far.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, ViewerError::NotLoopback(_)), "{error}");
    }
    let first = start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = start(first.addr()).await.unwrap_err().to_string();
    assert!(error.contains(&first.addr().to_string()) && error.contains("--viewer"), "{error}");
    let keys = start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert_ne!(token(&first), token(&keys), "each process has a key of its own");
    assert!(!format!("{first:?}").contains(token(&first)));
}
