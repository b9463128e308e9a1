//! `roommate watch`: joins a room and shows, records or traces what is broadcast there.

use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::time::Duration;

use roommate_protocol::room::{Event, LeftWhy, RetractedWhy};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::args::WatchArgs;
use super::end::{Countdown, Signals};
use super::fail::Fail;
use super::outage::Outages;
use super::outlets::Outlets;
use super::page::Page;
use super::peer::Wanted;
use super::recordings::Wishes;
use super::say;
use super::session::Desk;
use super::watching::{Watching, WatchingConfig};
use crate::node::{Room, RoomEvents};
use crate::play::recorder::Stopped;
use crate::report::Report;
use crate::status::{RoomEvent, RoomStatus};

/// With `--out`, how long a room without a broadcast is waited in.
const OUT_WAIT: Duration = Duration::from_secs(10);

/// Runs the command to its end.
///
/// # Errors
/// [`Fail`]
pub(super) async fn run(args: WatchArgs) -> Result<(), Fail> {
    let report = Report::new("watch", args.json);
    let wishes = wishes(&args)?;
    let wanted = args.peer.as_deref().map(Wanted::new).transpose()?;
    let mut countdown = Countdown::new(args.seconds)?;
    let desk = Desk::open(&args.common)?;
    let start = desk.clock.mono();
    let invite = desk.read_link(&args.link)?;
    let mut signals = Signals::listen()?;
    let page = Page::serve(args.common.viewer, desk.clock, invite.expires()).await?;
    let (node, room, mut events) = desk.join(&args.common, &invite).await?;
    report.line(json!({"ready": true, "peer": desk.me.to_string(), "viewer_url": page.url()}));
    if !args.no_open && !wishes.any() {
        page.open();
    } else if !args.json && args.out.is_none() {
        say::note(&format!("The page is at {}", page.url()));
    }
    countdown.begin();
    let outlets = Outlets::new(wishes, Some(page.feed()));
    let stopped = outlets.stopped();
    let config = WatchingConfig {
        clock: desk.clock,
        latency: Duration::from_millis(args.latency.into()),
        peer: wanted,
        start,
        trace: args.trace.clone(),
        sinks: Box::new(outlets),
    };
    let watching = match Watching::new(room.clone(), config) {
        Ok(watching) => watching,
        Err(fail) => {
            node.shutdown().await;
            return Err(fail);
        }
    };
    let until_over = (args.out.is_some() && !args.wait).then_some(OUT_WAIT);
    let name = super::session::name(&args.common, desk.me);
    let mut watch = Watch { report, watching, room, name, page, stopped, until_over };
    let result = watch
        .run(&mut events, async {
            tokio::select! {
                () = countdown.wait() => {}
                () = signals.wait() => {}
            }
        })
        .await;
    let recorded = watch.close().await;
    node.shutdown().await;
    result.and(recorded)
}

/// What is to be recorded.
fn wishes(args: &WatchArgs) -> Result<Wishes, Fail> {
    if args.parent.is_some() {
        return Err(Fail::later("--parent"));
    }
    let pipe = args.out.as_deref() == Some(Path::new("-"));
    if pipe && args.json {
        return Err(Fail::usage(
            "--json and --out - both want standard output; choose one of them",
        ));
    }
    if pipe && stdout().is_terminal() {
        return Err(Fail::usage(
            "--out - writes MPEG-TS to standard output, and that is a terminal: \
             pipe it into a player, as in '… --out - | ffplay -'",
        ));
    }
    if let Some(folder) = &args.record {
        let failed = |error| Fail::new(format!("cannot record into {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let out = args.out.clone().filter(|_| !pipe);
    Ok(Wishes { out, pipe, folder: args.record.clone() })
}

struct Watch {
    report: Report,
    watching: Watching,
    room: Room,
    name: String,
    page: Page,
    /// Tells that a recording has ended before its time.
    stopped: tokio::sync::watch::Receiver<Option<Stopped>>,
    until_over: Option<Duration>,
}

impl Watch {
    /// Until the person, the clock, the room, the disk or the last broadcast ends it.
    async fn run(
        &mut self,
        events: &mut RoomEvents,
        end: impl Future<Output = ()>,
    ) -> Result<(), Fail> {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        let mut status = self.room.watch();
        let mut idle = Idle::default();
        let mut outages = Outages::default();
        tokio::pin!(end);
        loop {
            let newest = status.borrow_and_update().clone();
            self.watching.follow(&newest).await?;
            if idle.look(self.watching.is_playing()) {
                say::note(&self.watching.sentence());
            }
            outages.look(&newest.bootstraps);
            self.tell_page(&newest);
            let over = idle.over(self.until_over.filter(|_| self.watching.has_played()));
            tokio::select! {
                _ = tick.tick() => {
                    for line in self.watching.lines() {
                        self.report.line(Value::Object(line));
                    }
                }
                changed = status.changed() => {
                    if changed.is_err() {
                        return Err(Fail::new("the node has ended"));
                    }
                }
                event = events.next() => match event {
                    Some(RoomEvent::Room(Event::Ended { reason })) => {
                        return Err(Fail::new(reason));
                    }
                    Some(event) => tell(&self.report, &event),
                    None => return Err(Fail::new("the node has ended")),
                },
                () = self.page.serve_request(&self.room, &newest) => {}
                why = stop(&mut self.stopped) => return why,
                () = over => return Ok(()),
                () = &mut end => return Ok(()),
            }
        }
    }

    fn tell_page(&self, status: &RoomStatus) {
        let me = self.room.me().to_string();
        let room = self.room.room().to_string();
        self.page.tell((&me, &self.name), &room, status, &self.watching.seen());
    }

    /// Ends the players, closes the recording, and tells the summary.
    async fn close(mut self) -> Result<(), Fail> {
        self.watching.end().await;
        let recorded = self.watching.finish_recordings().await;
        self.report.summary(Value::Object(self.watching.summary()));
        if !self.report.wanted() {
            say::note(&self.watching.sentence());
        }
        self.page.shutdown().await;
        recorded
    }
}

/// Since when nothing is on.
#[derive(Default)]
struct Idle(Option<Instant>);

impl Idle {
    /// Looks; true when it has just become idle.
    fn look(&mut self, playing: bool) -> bool {
        if playing {
            self.0 = None;
            return false;
        }
        let newly = self.0.is_none();
        self.0.get_or_insert_with(Instant::now);
        newly
    }

    /// Waits until it has been idle for `wait`; for ever without one.
    async fn over(&self, wait: Option<Duration>) {
        match wait.zip(self.0) {
            Some((wait, since)) => tokio::time::sleep_until(since + wait).await,
            None => std::future::pending().await,
        }
    }
}

/// A player that was closed ends the command as the person meant it; a full disk does not.
async fn stop(stopped: &mut tokio::sync::watch::Receiver<Option<Stopped>>) -> Result<(), Fail> {
    match stopped.wait_for(Option::is_some).await.map(|why| why.clone()) {
        Ok(Some(Stopped::Failed(why))) => Err(Fail::new(why)),
        Ok(Some(Stopped::Closed)) => Ok(()),
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// Says what happened, to people; in JSON what a script must not miss.
pub(super) fn tell(report: &Report, event: &RoomEvent) {
    let event = match event {
        RoomEvent::Room(event) => event,
        RoomEvent::BootstrapLeftOut(left_out) => return say::note(&left_out.to_string()),
        RoomEvent::Missed(_) => return,
    };
    if let Event::EndsSoon { left } = event {
        report.line(json!({"ends_in_s": left.as_secs()}));
    }
    if let Some(sentence) = sentence(event) {
        say::note(&sentence);
    }
}

fn sentence(event: &Event) -> Option<String> {
    Some(match event {
        Event::PeerJoined { peer, name, .. } => {
            format!("{} is here ({})", say::escaped(name), peer.short())
        }
        Event::PeerLeft { peer, why } => {
            let how = match why {
                LeftWhy::Goodbye => "has left",
                LeftWhy::Lost | LeftWhy::Faded => "is lost",
                LeftWhy::Displaced => "is no longer listed, for the list is full",
                LeftWhy::Expired => "has come to the end of their link",
                LeftWhy::Restarted => "has started anew",
            };
            format!("{} {how}", peer.short())
        }
        Event::Announced { broadcast } => format!("{} is live", broadcast.publisher.short()),
        Event::Retracted { publisher, why, .. } => {
            let how = match why {
                RetractedWhy::Ended => "has ended the broadcast",
                RetractedWhy::PublisherLeft => "has left, and the broadcast with them",
                RetractedWhy::Unconfirmed => "is back without the broadcast",
                RetractedWhy::NotAllowed => "may no longer publish",
            };
            format!("{} {how}", publisher.short())
        }
        Event::Refused { parent, reason, .. } => {
            format!("{} does not feed us: {reason}", parent.short())
        }
        Event::Unwelcome { peer, reason } => {
            format!("{} does not let us in: {reason}", peer.short())
        }
        Event::Elsewhere { newer } => format!(
            "this node's key is in the room from another process as well{}",
            if *newer { ", and that one counts" } else { "" }
        ),
        Event::EndsSoon { left } => {
            let left = match left.as_secs() {
                secs @ 0..120 => format!("{secs} seconds"),
                secs => format!("{} minutes", secs / 60),
            };
            format!("the link, and everyone who came by it, ends in {left}")
        }
        Event::Titled { .. }
        | Event::Admitted { .. }
        | Event::Unfed { .. }
        | Event::TurnedAway { .. }
        | Event::Ended { .. } => return None,
    })
}
