//! The viewer page: a small web server that shows a browser what is in the room, on this machine or,
//! where the person names an address of it, on a phone of the same network.
//!
//! It takes state and access units from the node and never blocks it: a page that is slow skips to
//! the newest keyframe. It listens on one address, loopback unless told otherwise, and whoever does not hold the launch token of
//! this process gets the empty page and nothing else. It decides nothing about the room.

mod assets;
mod guard;
mod hub;
mod session;
mod socket;
mod state;
mod stream;
mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::guard::Guard;
use self::session::Session;
use roommate_clock::Clock;

pub use self::hub::{MAX_BROADCASTS, UnitHub};
pub use self::state::{PageBroadcast, PageLatency, PageMember, PageRoom, PageSound, PageState};

/// Pages open at a time. A person has one or two; the rest is a mistake or an attack.
pub const MAX_PAGES: usize = 8;
/// The body of the only request that has one: a token of 32 characters.
const MAX_BODY: usize = 256;
/// How long open pages may take to hear goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// What the page server needs to know.
#[derive(Debug)]
pub struct ViewerConfig {
    /// Where to listen; one address, by which browsers must call it. Port 0 takes a free one.
    /// Beyond loopback, what is sent travels in the clear, the token included.
    pub addr: SocketAddr,
    /// The node's clocks: the page measures latency against the steady one.
    pub clock: Clock,
    /// Where wishes of pages go; what does not fit is dropped, pages ask again.
    pub requests: Option<mpsc::Sender<PageRequest>>,
}

/// What a page asks of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageRequest {
    /// It cannot go on decoding this broadcast without a keyframe.
    Keyframe {
        /// The broadcast's number, as in [`PageBroadcast::index`].
        broadcast: u32,
    },
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum ViewerError {
    /// No browser can call it by that name, and every network would reach it.
    #[error(
        "the viewer page listens on one address, not on all of them ({0}); give --viewer this \
         machine's own on the network of the phone, such as 192.168.1.5:8080"
    )]
    Everywhere(SocketAddr),
    /// The address cannot be had.
    #[error("the viewer page cannot listen on {addr}: {source}; choose another with --viewer")]
    Bind {
        /// The address that was asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A running page server. Dropping it ends it; [`Viewer::shutdown`] says goodbye first.
pub struct Viewer {
    addr: SocketAddr,
    url: String,
    hub: UnitHub,
    state: watch::Sender<socket::StateText>,
    broadcasts: watch::Sender<Vec<PageBroadcast>>,
    pages: Arc<Semaphore>,
    cancel: CancellationToken,
    sockets: TaskTracker,
    server: JoinHandle<io::Result<()>>,
}

/// What every request handler can see.
#[derive(Debug)]
struct Shared {
    session: Session,
    hub: UnitHub,
    state: watch::Receiver<socket::StateText>,
    broadcasts: watch::Receiver<Vec<PageBroadcast>>,
    pages: Arc<Semaphore>,
    clock: Clock,
    requests: Option<mpsc::Sender<PageRequest>>,
    cancel: CancellationToken,
    sockets: TaskTracker,
}

impl Viewer {
    /// Listens, and serves from then on.
    pub async fn start(config: ViewerConfig) -> Result<Self, ViewerError> {
        if config.addr.ip().is_unspecified() {
            return Err(ViewerError::Everywhere(config.addr));
        }
        let bind = |source| ViewerError::Bind { addr: config.addr, source };
        let listener = TcpListener::bind(config.addr).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        let session = Session::new(addr.port());
        let url = format!("http://{addr}/#{}", session.launch_token());
        let (state, state_seen) = watch::channel(socket::encode_state(&PageState::default()));
        let (broadcasts, broadcasts_seen) = watch::channel(Vec::new());
        let hub = UnitHub::new(config.clock);
        let (pages, cancel) = (Arc::new(Semaphore::new(MAX_PAGES)), CancellationToken::new());
        let sockets = TaskTracker::new();
        let shared = Arc::new(Shared {
            session,
            hub: hub.clone(),
            state: state_seen,
            broadcasts: broadcasts_seen,
            pages: Arc::clone(&pages),
            clock: config.clock,
            requests: config.requests,
            cancel: cancel.clone(),
            sockets: sockets.clone(),
        });
        let server = tokio::spawn(serve(listener, router(addr, shared), cancel.clone()));
        Ok(Self { addr, url, hub, state, broadcasts, pages, cancel, sockets, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to open in a browser. Whoever has it may watch: the part behind `#` is the launch token.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where access units go in.
    pub fn hub(&self) -> &UnitHub {
        &self.hub
    }

    /// Tells all pages, and those to come, how things stand. Never blocks; only the newest counts.
    pub fn publish_state(&self, state: &PageState) {
        self.broadcasts.send_replace(state.broadcasts.clone());
        self.state.send_replace(socket::encode_state(state));
    }

    /// How many pages are open.
    pub fn pages(&self) -> usize {
        MAX_PAGES - self.pages.available_permits().min(MAX_PAGES)
    }

    /// Tells the pages that the node ends, and stops serving, within a second.
    pub async fn shutdown(mut self) {
        self.cancel.cancel();
        self.sockets.close();
        let _ = tokio::time::timeout(GOODBYE, self.sockets.wait()).await;
        // An idle connection may stay open as long as its browser likes; ours ends here.
        if tokio::time::timeout(GOODBYE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

// Without the URL: it holds the launch token, and logs are shown to others.
impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Viewer").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.server.abort();
    }
}

fn router(addr: SocketAddr, shared: Arc<Shared>) -> Router {
    let guard = Arc::new(Guard::new(addr));
    assets::routes()
        .route("/session", post(session::open))
        .route("/live", get(socket::open))
        .route("/stream/{name}", get(stream::open))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
        // Outermost: nothing is looked at before the guard has let it pass.
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

async fn serve(listener: TcpListener, router: Router, cancel: CancellationToken) -> io::Result<()> {
    axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned()).await
}
