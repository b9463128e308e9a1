//! The viewer page's server as the page itself sees it: state, pictures, the clock; and a page that
//! does not read holds up nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod page_support;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use page_support::{LONG, MEDIA, TITLE, cookie, start, state, token, unit};
use roommate::viewer::{
    MAX_PAGES, PageMember, PageRequest, PageState, Viewer, ViewerConfig, ViewerError,
};
use roommate_clock::Clock;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

type Page = WebSocketStream<TcpStream>;

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
async fn it_listens_on_one_address_and_says_what_is_wrong() {
    let start = |addr: SocketAddr| {
        Viewer::start(ViewerConfig { addr, clock: Clock::new(), requests: None })
    };
    for all in ["0.0.0.0:0", "[::]:0"] {
        let error = start(all.parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, ViewerError::Everywhere(_)), "{error}");
    }
    // An address of somebody else's is none to listen on.
    let error = start("192.0.2.1:80".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, ViewerError::Bind { .. }), "{error}");
    let first = start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = start(first.addr()).await.unwrap_err().to_string();
    assert!(error.contains(&first.addr().to_string()) && error.contains("--viewer"), "{error}");
    let keys = start("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert_ne!(token(&first), token(&keys), "each process has a key of its own");
    assert!(!format!("{first:?}").contains(token(&first)));
}
