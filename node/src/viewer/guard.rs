//! Who may speak to the page server at all: the browser on this machine, from our own page.
//!
//! A page of a stranger in the same browser can send requests here too, even under a name of its
//! own that it has pointed at 127.0.0.1. So every request must name us as host, exactly; what is
//! not a plain look (and the upgrade to a WebSocket, which no other rule of the browser covers)
//! must come from our own origin; and what the browser itself calls foreign is refused. No header
//! here ever invites another origin in.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The rules for one listening address.
#[derive(Debug)]
pub(super) struct Guard {
    /// `127.0.0.1:4711`, `localhost:4711`.
    hosts: Vec<String>,
    policy: HeaderValue,
}

impl Guard {
    pub(super) fn new(addr: SocketAddr) -> Self {
        let hosts = vec![addr.to_string(), format!("localhost:{}", addr.port())];
        let sockets: String = hosts.iter().map(|host| format!(" ws://{host}")).collect();
        let policy = format!(
            "default-src 'self'; connect-src 'self'{sockets}; media-src 'self' blob:; object-src 'none'; base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'"
        );
        // Made of an address and fixed words: always a legal header.
        let policy = HeaderValue::from_str(&policy)
            .unwrap_or_else(|_| HeaderValue::from_static("default-src 'self'"));
        Self { hosts, policy }
    }

    /// Why a request is refused, if it is.
    fn refuses(&self, request: &Request) -> Option<(StatusCode, &'static str)> {
        let headers = request.headers();
        let host = only(headers, header::HOST).filter(|host| self.hosts.iter().any(|h| h == host));
        let Some(host) = host else {
            return Some((
                StatusCode::MISDIRECTED_REQUEST,
                "This is not the host you asked for.\n",
            ));
        };
        // A request line may carry a host of its own, which would count before the header.
        if request.uri().authority().is_some_and(|named| named.as_str() != host) {
            return Some((
                StatusCode::MISDIRECTED_REQUEST,
                "This is not the host you asked for.\n",
            ));
        }
        let foreign = Some((StatusCode::FORBIDDEN, "Only the viewer page itself may ask this.\n"));
        let fetch_site = HeaderName::from_static("sec-fetch-site");
        if headers.contains_key(&fetch_site)
            && !matches!(only(headers, fetch_site), Some("same-origin" | "none"))
        {
            return foreign;
        }
        let plain = matches!(*request.method(), Method::GET | Method::HEAD)
            && !headers.contains_key(header::UPGRADE);
        let own = only(headers, header::ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
        if headers.contains_key(header::ORIGIN) || !plain {
            return if own == Some(host) { None } else { foreign };
        }
        None
    }
}

/// The value of a header that is there exactly once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Lets a request pass or answers for it; either way the answer carries the page's rules.
pub(super) async fn check(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match guard.refuses(&request) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, guard.policy.clone());
    response
}
