//! The page's files, built into the program: no folder to find, none to be written to.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use super::Shared;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("page/index.html")),
    ("/style.css", CSS, include_str!("page/style.css")),
    ("/tiles.css", CSS, include_str!("page/tiles.css")),
    ("/icon.svg", SVG, include_str!("page/icon.svg")),
    ("/viewer.js", JS, include_str!("page/viewer.js")),
    ("/worker.js", JS, include_str!("page/worker.js")),
    ("/link.js", JS, include_str!("page/link.js")),
    ("/mse.js", JS, include_str!("page/mse.js")),
    ("/player.js", JS, include_str!("page/player.js")),
    ("/meter.js", JS, include_str!("page/meter.js")),
    ("/voice.js", JS, include_str!("page/voice.js")),
    ("/speaker.js", JS, include_str!("page/speaker.js")),
    ("/mixer.js", JS, include_str!("page/mixer.js")),
    ("/tile.js", JS, include_str!("page/tile.js")),
    ("/arrangement.js", JS, include_str!("page/arrangement.js")),
    ("/keys.js", JS, include_str!("page/keys.js")),
    ("/theme.js", JS, include_str!("page/theme.js")),
    ("/people.js", JS, include_str!("page/people.js")),
    ("/stamp.js", JS, include_str!("page/stamp.js")),
    ("/words.js", JS, include_str!("page/words.js")),
];

/// One route a file.
pub(super) fn routes() -> Router<Arc<Shared>> {
    FILES.iter().fold(Router::new(), |router, &(path, kind, content)| {
        router.route(path, get(move || async move { answer(kind, content) }))
    })
}

fn answer(kind: &'static str, content: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], content)
}
