//! A foreign page, and whatever speaks to the page's port without being the page, gets nothing,
//! while the honest page goes on.

use std::io::{Read, Write};
use std::net::TcpStream;

use e2e::browser::Browser;
use e2e::clip::SoundCodec;
use e2e::stage::Stage;
use e2e::studio::Studio;

use crate::support::{SOON, drawn, figure, flash_and_beep, open};

/// What only the honest page may see of a room: its title, its people, its key.
const SECRETS: [&str; 4] = ["Sunday kitchen", "12D3KooW", "set-cookie", "access-control-"];

/// Sends a request as it is, and gives back all that comes until the other side has enough.
fn raw(host: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(host).expect("it listens");
    socket.set_read_timeout(Some(std::time::Duration::from_secs(3))).expect("a timeout");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(read @ 1..) = socket.read(&mut chunk) {
        answer.extend(&chunk[..read]);
        // An upgrade that was let through goes on for ever.
        if answer.starts_with(b"HTTP/1.1 101") && answer.len() > 400 {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Every way to ask for something that is not the page's own, lines, hosts and heads combined, by
/// who asks: a foreign host or origin, which gets nothing at all, or nobody in particular.
fn corpus(host: &str) -> (Vec<String>, Vec<String>) {
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let upgrade = "Connection: upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let close = "Connection: close\r\n";
    let mut requests = Vec::new();
    let hosts = [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("{host}.evil.example"),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.2:{port}"),
        format!("0.0.0.0:{port}"),
        format!("[::1]:{port}"),
        format!("2130706433:{port}"),
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
        String::new(),
    ];
    let lines = ["GET /", "GET /live", "POST /session", "GET /viewer.js", "GET /worker.js"];
    for named in &hosts {
        for line in lines {
            for more in [close, upgrade] {
                requests.push(format!(
                    "{line} HTTP/1.1\r\nHost: {named}\r\nOrigin: http://{named}\r\n{more}\r\n"
                ));
            }
        }
    }
    let origins = [
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        format!("https://{host}"),
        format!("http://{host}.evil.example"),
        format!("http://localhost:{port}"),
        "http://127.0.0.1:1".to_owned(),
        "null".to_owned(),
        "file://".to_owned(),
        String::new(),
    ];
    for origin in &origins {
        for line in lines {
            for more in [close, upgrade] {
                requests.push(format!(
                    "{line} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n{more}\r\n"
                ));
            }
        }
    }
    let foreign = std::mem::take(&mut requests);
    let paths = [
        "/live/",
        "//live",
        "/./live",
        "/%6cive",
        "/live?token=0",
        "/live%00",
        "/LIVE",
        "/../live",
        "/session",
        "/state",
        "/stream/12D3KooW.mp4",
        "/stream/../live",
        "/page/index.html",
        "/.git/config",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/hub",
        "/keys",
    ];
    for path in paths {
        for more in [close, upgrade] {
            requests.push(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n"));
        }
    }
    (foreign, requests)
}

#[test]
fn strangers_get_nothing_while_the_honest_page_plays() {
    let stage = Stage::shared();
    let mut studio = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 60);
    let mut browser = Browser::start(&stage);
    open(&mut browser, &studio);
    studio.publish("Ada", clip, (320, 180), SoundCodec::Opus);
    drawn(&mut browser, 0);
    let host = studio.viewer().addr().to_string();
    let (foreign, paths) = corpus(&host);
    for (at, request) in foreign.iter().chain(&paths).enumerate() {
        let answer = raw(&host, request);
        assert!(answer.starts_with("HTTP/1.1 "), "no answer at all: {request}\n→ {answer}");
        assert!(!answer.starts_with("HTTP/1.1 101"), "{request}\n→ {answer}");
        let given = answer.starts_with("HTTP/1.1 2");
        assert!(!given || at >= foreign.len(), "{request}\n→ {answer}");
        assert!(!answer.starts_with("HTTP/1.1 204"), "{request}\n→ {answer}");
        let lower = answer.to_lowercase();
        for secret in SECRETS {
            assert!(!lower.contains(&secret.to_lowercase()), "{request}\n→ {answer}");
        }
    }
    eprintln!("{} foreign requests, nothing given, and {} others", foreign.len(), paths.len());
    assert!(foreign.len() >= 200, "{}", foreign.len());
    let before = figure(&mut browser, 0, "drawn").as_u64();
    let count = "window.__roommate.broadcasts[0].drawn";
    browser.until(count, SOON, |now| now.as_u64() > before.map(|count| count + 30));
}

/// A page of somebody else's, in the same browser that holds the cookie.
#[test]
fn a_foreign_page_in_the_same_browser_reads_nothing() {
    let stage = Stage::shared();
    let mut studio = Studio::open();
    let stranger = Studio::open();
    let clip = flash_and_beep(&stage, "clip", SoundCodec::Opus, 30);
    let mut browser = Browser::start(&stage);
    open(&mut browser, &studio);
    studio.publish("Ada", clip, (320, 180), SoundCodec::Opus);
    drawn(&mut browser, 0);
    let host = studio.viewer().addr().to_string();
    // Same site, another port, and a policy that does not stand in the way.
    browser.open("data:text/html,<title>stranger</title>");
    browser.until("document.title", SOON, |title| title == "stranger");
    let tries = format!(
        "(async () => {{
            const got = [];
            for (const path of ['/', '/viewer.js', '/session', '/live']) {{
                for (const mode of ['cors', 'no-cors']) {{
                    for (const method of ['GET', 'POST']) {{
                        const how = {{ mode, method, credentials: 'include' }};
                        const answer = await fetch(`http://{host}${{path}}`, how).catch(() => null);
                        if (answer?.status) got.push(`${{method}} ${{path}} ${{answer.status}}`);
                    }}
                }}
            }}
            const opened = await new Promise((then) => {{
                const socket = new WebSocket('ws://{host}/live');
                socket.onopen = () => then(true);
                socket.onerror = () => then(false);
            }});
            if (opened) got.push('the WebSocket');
            return got;
        }})()"
    );
    assert_eq!(browser.value(&tries), serde_json::json!([]));
    drop(stranger);
}
