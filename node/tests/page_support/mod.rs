//! A page server with something to steal, and the first steps of a client.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use roommate::viewer::{PageRequest, PageRoom, PageState, Viewer, ViewerConfig};
use roommate_clock::Clock;
use roommate_media::ViewUnit;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What must never reach a stranger.
pub(crate) const TITLE: &str = "TITLE-OF-THE-ROOM";
pub(crate) const MEDIA: &[u8] = b"ACCESS-UNIT-OF-SOMEBODY";
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) async fn start(requests: Option<mpsc::Sender<PageRequest>>) -> Viewer {
    let addr = "127.0.0.1:0".parse().unwrap();
    let viewer = Viewer::start(ViewerConfig { addr, clock: Clock::new(), requests }).await.unwrap();
    viewer.publish_state(&state());
    assert!(viewer.hub().open(7, 90_000));
    viewer.hub().push(7, &unit(0, true, MEDIA));
    viewer
}

pub(crate) fn state() -> PageState {
    let room = PageRoom { title: Some(TITLE.to_owned()), ..PageRoom::default() };
    PageState { room: Some(room), ..PageState::default() }
}

pub(crate) fn unit(seq: u64, keyframe: bool, data: &[u8]) -> ViewUnit {
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

pub(crate) fn token(viewer: &Viewer) -> &str {
    viewer.url().split_once('#').unwrap().1
}

/// Sends bytes as they are and gives back all that comes.
pub(crate) async fn raw(addr: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(addr).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = timeout(LONG, socket.read_to_end(&mut answer)).await;
    // A refusal may come as a reset behind the answer, where we were still sending.
    assert!(read.is_ok(), "no end after {request:?}: {:?}", String::from_utf8_lossy(&answer));
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

/// A cookie got as the page gets it.
pub(crate) async fn cookie(viewer: &Viewer) -> String {
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
