//! One open page: state and access units out, pings and wishes in.
//!
//! Reading and writing go on beside each other, so that a page that takes nothing is still heard.
//! What a page sends is small, or it is closed. A page that takes nothing for [`PATIENCE`] is
//! closed; it knows how to come back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::hub::Places;
use super::{PageRequest, PageState, Shared};

/// A state as it is sent; encoded once for all pages.
pub(super) type StateText = Utf8Bytes;

/// The largest message that a page has to say is a few dozen bytes.
const MAX_MESSAGE: usize = 1_024;
/// How long a page may take nothing. A browser that puts a page to sleep gets it back by a
/// reconnect, which begins with the newest keyframe.
const PATIENCE: Duration = Duration::from_secs(30);
/// Answers waiting to be written; what is more was asked too fast and is not answered.
const ANSWERS: usize = 8;

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum FromPage {
    Ping { ping: f64 },
    Keyframe { keyframe: u32 },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage<'a> {
    State(&'a PageState),
    Pong { ping: f64, node_us: u64 },
}

impl ToPage<'_> {
    fn text(&self) -> Utf8Bytes {
        // Plain data with text for keys cannot fail to become JSON.
        serde_json::to_string(self).unwrap_or_default().into()
    }
}

pub(super) fn encode_state(state: &PageState) -> StateText {
    ToPage::State(state).text()
}

/// `GET /live`: for holders of the cookie, as many at a time as there are places.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    if !shared.session.admits(&headers) {
        return (StatusCode::FORBIDDEN, "Open the link that the node printed.\n").into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Ok(place) = Arc::clone(&shared.pages).try_acquire_owned() else {
        let full = "Too many viewer pages are open; close one.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, full).into_response();
    };
    let token = shared.sockets.token();
    upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE).on_upgrade(
        move |socket| async move {
            run(socket, &shared).await;
            drop((place, token));
        },
    )
}

async fn run(socket: WebSocket, shared: &Shared) {
    let (mut sink, stream) = socket.split();
    let (answers, waiting) = mpsc::channel(ANSWERS);
    tokio::select! {
        () = read(stream, shared, answers) => {}
        _ = write(&mut sink, shared, waiting) => {}
        () = shared.cancel.cancelled() => {
            let reason = "the node has ended".into();
            let goodbye = Message::Close(Some(CloseFrame { code: close_code::AWAY, reason }));
            let _ = timeout(super::GOODBYE / 2, sink.send(goodbye)).await;
        }
    }
}

/// Until the page closes, breaks the rules, or is gone.
async fn read(
    mut stream: SplitStream<WebSocket>,
    shared: &Shared,
    answers: mpsc::Sender<Utf8Bytes>,
) {
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else {
            if matches!(message, Message::Ping(_) | Message::Pong(_)) { continue } else { return }
        };
        match serde_json::from_str(&text) {
            Ok(FromPage::Ping { ping }) => {
                let node_us = shared.clock.mono().as_micros();
                let _ = answers.try_send(ToPage::Pong { ping, node_us }.text());
            }
            Ok(FromPage::Keyframe { keyframe }) => {
                if let Some(requests) = &shared.requests {
                    let _ = requests.try_send(PageRequest::Keyframe { broadcast: keyframe });
                }
            }
            Err(_) => return,
        }
    }
}

/// Until the page is gone. Answers first (they measure time), then state, then pictures.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    shared: &Shared,
    mut answers: mpsc::Receiver<Utf8Bytes>,
) -> Option<()> {
    let mut state = shared.state.clone();
    state.mark_changed();
    let mut version = shared.hub.watch();
    let mut places = Places::default();
    loop {
        while let Ok(answer) = answers.try_recv() {
            send(sink, Message::Text(answer)).await?;
        }
        if state.has_changed().ok()? {
            let text = state.borrow_and_update().clone();
            send(sink, Message::Text(text)).await?;
        }
        // Seen before looking: what comes in between wakes us again.
        version.borrow_and_update();
        if let Some(unit) = shared.hub.next(&mut places) {
            send(sink, Message::Binary(unit)).await?;
            continue;
        }
        tokio::select! {
            answer = answers.recv() => send(sink, Message::Text(answer?)).await?,
            changed = state.changed() => {
                changed.ok()?;
                state.mark_changed();
            }
            changed = version.changed() => changed.ok()?,
        }
    }
}

async fn send(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Option<()> {
    timeout(PATIENCE, sink.send(message)).await.ok()?.ok()
}
