//! Who may see media and state: whoever holds the launch token of this process, which stands in the
//! URL that the node prints, behind `#`, where browsers send it to nobody. The page exchanges it
//! for a cookie that no script can read.
//!
//! Both are 128 random bits, drawn anew by every process and kept nowhere. The token may be used
//! again, so that the printed URL opens in a second browser too.

use std::fmt;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;

use super::Shared;

/// The two secrets of a page server.
pub(super) struct Session {
    launch: String,
    cookie: String,
    /// With the port: browsers keep one jar for all ports of a host, and two nodes on one machine
    /// must not take each other's.
    cookie_name: String,
}

impl Session {
    pub(super) fn new(port: u16) -> Self {
        let secret = || HEXLOWER.encode(&rand::random::<[u8; 16]>());
        Self { launch: secret(), cookie: secret(), cookie_name: format!("roommate_{port}") }
    }

    pub(super) fn launch_token(&self) -> &str {
        &self.launch
    }

    /// Whether this is the launch token: for players, which hold no cookie.
    pub(super) fn launches(&self, token: &str) -> bool {
        equal(token, &self.launch)
    }

    /// Whether a request carries our cookie.
    pub(super) fn admits(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == self.cookie_name && equal(value, &self.cookie))
    }
}

/// Compares without telling by the time it takes how much was right.
fn equal(given: &str, secret: &str) -> bool {
    given.as_bytes().ct_eq(secret.as_bytes()).into()
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("cookie_name", &self.cookie_name).finish_non_exhaustive()
    }
}

/// `POST /session`: the launch token for a cookie; an empty body only asks whether the cookie that
/// came along is good.
pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let session = &shared.session;
    if body.is_empty() && session.admits(&headers) {
        return StatusCode::NO_CONTENT.into_response();
    }
    if !std::str::from_utf8(&body).is_ok_and(|token| equal(token, &session.launch)) {
        return (StatusCode::FORBIDDEN, "This is not the key of this node.\n").into_response();
    }
    let Session { cookie_name, cookie, .. } = session;
    let set = format!("{cookie_name}={cookie}; HttpOnly; SameSite=Strict; Path=/");
    (StatusCode::NO_CONTENT, [(header::SET_COOKIE, set)]).into_response()
}
