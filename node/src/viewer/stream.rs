//! `GET /stream/<peer>.mp4`: one broadcast as an endless fragmented MP4, for players.
//!
//! For whoever holds the page's cookie or, since a player holds none, names the launch token as
//! `?token=`. It takes one of the page's places. Like a page it has no queue: a player that is slow
//! goes on with a newer keyframe. It ends with the broadcast.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use roommate_media::mp4::{Fmp4, Start};
use roommate_media::source::{AudioFormat, TrackFormat, VideoFormat};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::hub::Places;
use super::wire::Kind;
use super::{PageBroadcast, Shared};

#[derive(Deserialize)]
pub(super) struct Key {
    token: Option<String>,
}

/// Answers a player.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    Query(key): Query<Key>,
    headers: HeaderMap,
) -> Response {
    let by_token = key.token.is_some_and(|token| shared.session.launches(&token));
    if !by_token && !shared.session.admits(&headers) {
        return (StatusCode::FORBIDDEN, "Name the key of this node: ?token=…\n").into_response();
    }
    let broadcasts = shared.broadcasts.borrow().clone();
    let wanted = |one: &PageBroadcast| name.strip_suffix(".mp4") == Some(&one.publisher);
    let Some(broadcast) = broadcasts.into_iter().find(wanted) else {
        let nobody = "Nobody of that name is publishing: /stream/<peer>.mp4\n";
        return (StatusCode::NOT_FOUND, nobody).into_response();
    };
    let Ok(place) = Arc::clone(&shared.pages).try_acquire_owned() else {
        let full = "Too many viewer pages and players are open; close one.\n";
        return (StatusCode::SERVICE_UNAVAILABLE, full).into_response();
    };
    let formats = formats(&broadcast, &shared);
    let muxer = match Fmp4::new(&formats, Start::Keyframe) {
        Ok(muxer) => muxer,
        Err(error) => {
            return (StatusCode::NOT_IMPLEMENTED, format!("{error}\n")).into_response();
        }
    };
    let kind = muxer.mime();
    let reader = Reader {
        version: shared.hub.watch(),
        shared,
        broadcast: broadcast.index,
        sound: formats.len() > 1,
        places: Places::default(),
        muxer,
        ready: VecDeque::new(),
        _place: place,
    };
    let body = futures::stream::unfold(reader, |mut reader| async {
        let piece = reader.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), reader))
    });
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(body)).into_response()
}

/// What the broadcast is made of: pictures first, then sound, where that has come.
fn formats(broadcast: &PageBroadcast, shared: &Shared) -> Vec<TrackFormat> {
    let (pictures, sound) = shared.hub.timescales(broadcast.index);
    let mut formats = vec![TrackFormat::Video(VideoFormat {
        codec: broadcast.codec.clone(),
        width: broadcast.width,
        height: broadcast.height,
        timescale: pictures.unwrap_or(90_000),
        fps: (0, 1),
        can_force_keyframe: false,
    })];
    if let Some((described, timescale)) = broadcast.sound.as_ref().zip(sound) {
        formats.push(TrackFormat::Audio(AudioFormat {
            codec: described.codec.clone(),
            timescale,
            sample_rate: described.sample_rate,
            channels: described.channels,
            description: BASE64.decode(described.description.as_bytes()).unwrap_or_default().into(),
        }));
    }
    formats
}

/// One player's place in a broadcast.
struct Reader {
    shared: Arc<Shared>,
    version: watch::Receiver<u64>,
    broadcast: u32,
    sound: bool,
    places: Places,
    muxer: Fmp4,
    /// At most a header and a fragment.
    ready: VecDeque<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    /// The next bytes; none when the broadcast or the node has ended.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            // Seen before looking: what comes in between wakes us again.
            self.version.borrow_and_update();
            let hub = &self.shared.hub;
            let Some((kind, unit)) = hub.next_unit(self.broadcast, &mut self.places) else {
                hub.timescales(self.broadcast).0?;
                tokio::select! {
                    changed = self.version.changed() => changed.ok()?,
                    () = self.shared.cancel.cancelled() => return None,
                }
                continue;
            };
            if kind == Kind::Sound && !self.sound {
                continue;
            }
            let track = usize::from(kind == Kind::Sound);
            if let Some(fragment) = self.muxer.push(track, &unit) {
                self.ready.extend(self.muxer.init().filter(|_| fragment.new_init));
                self.ready.push_back(fragment.bytes);
            }
        }
    }
}
