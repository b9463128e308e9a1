//! Strangers at the doors of the viewer page's server, over raw sockets: they get nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod page_support;

use std::net::SocketAddr;

use page_support::{LONG, TITLE, cookie, raw, start, status, token};
use roommate::viewer::Viewer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

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
