//! `roommate demo`: a bootstrap, a publisher and viewers on 127.0.0.1, as separate nodes with their
//! own keys and sockets. Needs no network and no second terminal.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write, stderr};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use roommate_bootstrap::{Identity, Running};
use roommate_protocol::trust::id::PeerId;
use roommate_protocol::trust::invite::Invite;
use roommate_protocol::trust::ticket::Roles;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args::{Common, DemoArgs};
use super::end::{Countdown, Signals};
use super::fail::Fail;
use super::outlets::Outlets;
use super::page::Page;
use super::publishing::Publishing;
use super::recordings::Wishes;
use super::session::Desk;
use super::watching::{Watching, WatchingConfig};
use super::{say, source};
use crate::datadir::DataDir;
use crate::making::{Wish, make_room};
use crate::node::{Node, Room};
use crate::play::publisher::State;
use crate::report::Report;
use crate::status::RoomStatus;
use crate::trace::{self, Trace};

/// How late a picture may be in the demo before a newer group replaces it.
const LATENCY: Duration = roommate_protocol::limits::LATENCY_BUDGET_DEFAULT;

/// How long the demo waits for its viewers before it goes live without them.
const ALL_HERE: Duration = Duration::from_secs(3);

/// How long viewers may take to show what is on its way when the publisher has ended.
const LAST_PICTURES: Duration = Duration::from_secs(1);

struct Viewer {
    node: Node,
    room: Room,
    watching: Arc<Mutex<Watching>>,
    /// Follows what is on in the room.
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// Runs the command to its end.
///
/// # Errors
/// [`Fail`]
pub(super) async fn run(args: DemoArgs) -> Result<(), Fail> {
    let report = Report::new("demo", args.json);
    check(&args)?;
    let mut countdown = Countdown::new(args.seconds)?;
    let mut signals = Signals::listen()?;
    let here: Multiaddr = [Protocol::Ip4(Ipv4Addr::LOCALHOST), Protocol::Udp(0), Protocol::QuicV1]
        .into_iter()
        .collect();
    let common = Common { ephemeral: true, listen: vec![here.clone()], ..Common::default() };
    let bootstrap = roommate_bootstrap::run(roommate_bootstrap::Config {
        listen: vec![here],
        identity: Identity::Fresh,
        registry: Default::default(),
    })
    .await
    .map_err(Fail::new)?;

    let name = args.common.name.clone().unwrap_or_else(|| "publisher".into());
    let publisher_common = Common { name: Some(name), ..common.clone() };
    let publisher_desk = Desk::open(&publisher_common)?;
    let opened = source::open(args.source.as_deref(), args.repeats(), publisher_desk.clock)?;
    let invite = demo_room(publisher_desk.me, bootstrap.listen_addrs())?;
    let page = Page::serve(args.common.viewer, publisher_desk.clock, invite.expires()).await?;
    let (publisher_node, room, _events) = publisher_desk.join(&publisher_common, &invite).await?;
    let url = page.url().to_owned();
    if !args.no_open {
        page.open();
    } else if !args.json {
        say::note(&format!("The page is at {url}"));
    }
    let mut page = Some(page);
    let mut viewers = Vec::new();
    for number in 1..=usize::from(args.viewers) {
        viewers.push(viewer(&args, &common, &invite, (number, page.take())).await?);
    }
    let peer = viewers.first().map(|viewer| viewer.room.me().to_string());
    report.line(json!({"ready": true, "peer": peer, "viewer_url": url}));

    let trace = args.trace.as_deref().map(|base| trace::path_of(base, "publish", None));
    let trace = trace.as_deref().map(Trace::create).transpose().map_err(Fail::new)?;
    let demo = Demo { report, bootstrap, viewers };
    demo.all_here(&room).await;
    let mut publishing = Publishing::begin(&publisher_desk, room, opened, trace).await?;
    let wait = demo.live(&publishing, &mut countdown, &mut signals).await;
    let ended = publishing.end().await;
    demo.last_pictures().await;
    demo.report.summary(demo.json(&publishing, true).await);
    demo.close().await;
    publisher_node.shutdown().await;
    wait.and(ended)
}

fn demo_room(me: PeerId, bootstraps: &[Multiaddr]) -> Result<Invite, Fail> {
    let wish = Wish {
        title: Some("Demo".into()),
        bootstraps,
        listen: &[],
        roles: Roles::USUAL,
        expires: None,
    };
    make_room(&DataDir::ephemeral(), (me, 0), wish).map_err(Fail::new)
}

async fn viewer(
    args: &DemoArgs,
    common: &Common,
    invite: &Invite,
    (number, page): (usize, Option<Page>),
) -> Result<Viewer, Fail> {
    let common = Common { name: Some(format!("viewer {number}")), ..common.clone() };
    let desk = Desk::open(&common)?;
    let start = desk.clock.mono();
    let (node, room, mut events) = desk.join(&common, invite).await?;
    // Everything that the demo shows is in the status.
    tokio::spawn(async move { while events.next().await.is_some() {} });
    let config = WatchingConfig {
        clock: desk.clock,
        latency: LATENCY,
        peer: None,
        start,
        trace: args.trace.as_deref().map(|base| trace::path_of(base, "watch", Some(number))),
        sinks: Box::new(Outlets::new(Wishes::default(), page.as_ref().map(Page::feed))),
    };
    let watching = Arc::new(Mutex::new(Watching::new(room.clone(), config)?));
    let stop = CancellationToken::new();
    let name = format!("viewer {number}");
    let following = follow(room.clone(), watching.clone(), (name, page), stop.clone());
    let task = tokio::spawn(following);
    Ok(Viewer { node, room, watching, task, stop })
}

struct Demo {
    report: Report,
    bootstrap: Running,
    viewers: Vec<Viewer>,
}

impl Demo {
    /// Waits until every viewer is connected with the publisher, so that none misses the begin.
    async fn all_here(&self, room: &Room) {
        let count = self.viewers.len();
        let mut status = room.watch();
        let publisher = room.me();
        let all = async {
            let _ = status.wait_for(|status| status.members.len() >= count).await;
            for viewer in &self.viewers {
                let mut status = viewer.room.watch();
                let sees = |status: &RoomStatus| status.members.iter().any(|m| m.peer == publisher);
                let _ = status.wait_for(sees).await;
            }
        };
        let _ = tokio::time::timeout(ALL_HERE, all).await;
    }

    /// Until the source, the clock or the person ends it.
    async fn live(
        &self,
        publishing: &Publishing,
        countdown: &mut Countdown,
        signals: &mut Signals,
    ) -> Result<(), Fail> {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut state = publishing.state();
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    self.report.line(self.json(publishing, false).await);
                    self.show(publishing).await;
                }
                changed = state.changed() => {
                    let state = state.borrow_and_update().clone();
                    if changed.is_err() || matches!(state, State::Finished(_)) {
                        return Ok(());
                    }
                    countdown.begin();
                    for viewer in &self.viewers {
                        viewer.watching.lock().await.count_from_now();
                    }
                }
                () = countdown.wait() => return Ok(()),
                () = signals.wait() => return Ok(()),
            }
        }
    }

    /// Waits until every viewer has shown what is on its way.
    async fn last_pictures(&self) {
        let all = async {
            for viewer in &self.viewers {
                let mut status = viewer.room.watch();
                while viewer.watching.lock().await.is_playing() {
                    let _ = status.changed().await;
                }
            }
        };
        let _ = tokio::time::timeout(LAST_PICTURES, all).await;
    }

    async fn json(&self, publishing: &Publishing, summary: bool) -> Value {
        let mut viewers = Vec::new();
        for viewer in &self.viewers {
            let mut watching = viewer.watching.lock().await;
            viewers.push(Value::Object(if summary {
                watching.summary()
            } else {
                watching.lines().into_iter().next().unwrap_or_default()
            }));
        }
        let bootstrap = self.bootstrap.counts();
        json!({
            "publisher": publishing.json(),
            "viewers": viewers,
            "bootstrap": {
                "registrations": bootstrap.registry.registrations,
                "media_bytes": bootstrap.media_bytes,
            },
        })
    }

    /// The one live line for people.
    async fn show(&self, publishing: &Publishing) {
        if self.report.wanted() {
            return;
        }
        let mut line = publishing.sentence();
        if let Some(viewer) = self.viewers.first() {
            line = format!("{line} | {}", viewer.watching.lock().await.sentence());
        }
        let mut err = stderr().lock();
        let _ = if err.is_terminal() {
            write!(err, "\r\u{1b}[2K{line}").and_then(|()| err.flush())
        } else {
            writeln!(err, "{line}")
        };
    }

    async fn close(self) {
        if !self.report.wanted() && stderr().is_terminal() {
            say::note("");
        }
        for viewer in self.viewers {
            viewer.stop.cancel();
            let _ = viewer.task.await;
            viewer.watching.lock().await.end().await;
            viewer.node.shutdown().await;
        }
        self.bootstrap.shutdown().await;
    }
}

/// Follows the room of one viewer, and shows it in the page if this viewer has one.
async fn follow(
    room: Room,
    watching: Arc<Mutex<Watching>>,
    (name, mut page): (String, Option<Page>),
    stop: CancellationToken,
) {
    let mut status = room.watch();
    loop {
        let newest = status.borrow_and_update().clone();
        let seen = {
            let mut watching = watching.lock().await;
            // Only `--peer` can fail, and the demo has none.
            if watching.follow(&newest).await.is_err() {
                break;
            }
            watching.seen()
        };
        if let Some(page) = &page {
            let me = room.me().to_string();
            page.tell((&me, &name), &room.room().to_string(), &newest, &seen);
        }
        let request = async {
            match &mut page {
                Some(page) => page.serve_request(&room, &newest).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = status.changed() => {
                if changed.is_err() {
                    break;
                }
            }
            () = request => {}
            () = stop.cancelled() => break,
        }
    }
    if let Some(page) = page {
        page.shutdown().await;
    }
}

/// Everything of the demo is on this machine and keeps nothing. The flags of every command are
/// accepted all the same; those that were typed and can change nothing are named in one sentence.
/// What the environment says is meant for other commands.
fn check(args: &DemoArgs) -> Result<(), Fail> {
    super::session::check(&args.common)?;
    if let Some(sentence) = idle(std::env::args().skip(1)) {
        say::note(&sentence);
    }
    Ok(())
}

fn idle(typed: impl Iterator<Item = String>) -> Option<String> {
    let flags = ["--bootstrap", "--listen", "--data-dir"];
    let of = |typed: &String| {
        flags.iter().position(|flag| typed.split('=').next() == Some(flag)).map(|at| flags[at])
    };
    let found: BTreeSet<_> = typed.filter_map(|typed| of(&typed)).collect();
    let found: Vec<_> = found.into_iter().collect();
    (!found.is_empty()).then(|| {
        format!(
            "demo has its own bootstrap, addresses on 127.0.0.1 and keys that nobody keeps: {} \
             changes nothing here",
            found.join(", ")
        )
    })
}

impl DemoArgs {
    /// A file is shown again and again: a demo has no last picture.
    fn repeats(&self) -> bool {
        self.source.as_deref().is_some_and(|source| source.starts_with("file:"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_in_vain_is_named_once_and_nothing_else_is() {
        let said = |line: &str| idle(line.split(' ').map(str::to_owned));
        assert_eq!(said("demo --viewers 2 --name Anna --ephemeral --no-mdns --json"), None);
        let line = "demo --listen /ip4/127.0.0.1/udp/0/quic-v1 --listen=x --data-dir=/tmp/x";
        let sentence = said(line).unwrap();
        assert_eq!(sentence.matches("--listen").count(), 1, "{sentence}");
        assert!(sentence.contains("--data-dir") && !sentence.contains("--bootstrap"), "{sentence}");
    }
}
