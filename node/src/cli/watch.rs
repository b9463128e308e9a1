//! `roommate watch`: joins a room and shows, records or traces what is broadcast there.

use std::path::Path;
use std::time::Duration;

use roommate_protocol::room::{Event, LeftWhy, RetractedWhy};
use serde_json::{Value, json};

use super::args::WatchArgs;
use super::end::{Countdown, Signals};
use super::fail::Fail;
use super::say;
use super::session::Desk;
use super::watching::{NoSinks, Watching, WatchingConfig};
use crate::node::{Room, RoomEvent, RoomEvents};
use crate::report::Report;

/// With `--out`, how long a room without a broadcast is waited in.
const OUT_WAIT: Duration = Duration::from_secs(10);

/// Runs the command to its end.
///
/// # Errors
/// [`Fail`]
pub(super) async fn run(args: WatchArgs) -> Result<(), Fail> {
    let report = Report::new("watch", args.json);
    refuse_later(&args)?;
    let mut countdown = Countdown::new(args.seconds)?;
    let desk = Desk::open(&args.common)?;
    let start = desk.clock.mono();
    let invite = desk.read_link(&args.link)?;
    let mut signals = Signals::listen()?;
    let (node, room, mut events) = desk.join(&args.common, &invite).await?;
    report.line(json!({"ready": true, "peer": desk.me.to_string(), "viewer_url": null}));
    countdown.begin();
    let config = WatchingConfig {
        clock: desk.clock,
        latency: Duration::from_millis(args.latency.into()),
        start,
        trace: args.trace.clone(),
        sinks: Box::new(NoSinks),
    };
    let mut watching = Watching::new(room.clone(), config)?;
    let until_over = (args.out.is_some() && !args.wait).then_some(OUT_WAIT);
    let result = watch(&report, &mut watching, (&room, &mut events), until_over, async {
        tokio::select! {
            () = countdown.wait() => {}
            () = signals.wait() => {}
        }
    })
    .await;
    watching.end().await;
    report.summary(Value::Object(watching.summary()));
    if !args.json {
        say::note(&watching.sentence());
    }
    node.shutdown().await;
    result
}

fn refuse_later(args: &WatchArgs) -> Result<(), Fail> {
    if args.out.as_deref() == Some(Path::new("-")) {
        if args.json {
            return Err(Fail::usage(
                "--json and --out - both want standard output; choose one of them",
            ));
        }
        return Err(Fail::later("--out -"));
    }
    if args.record.is_some() {
        return Err(Fail::later("--record"));
    }
    if args.parent.is_some() {
        return Err(Fail::later("--parent"));
    }
    Ok(())
}

/// Until the person, the clock, the room or the last broadcast ends it.
pub(super) async fn watch(
    report: &Report,
    watching: &mut Watching,
    (room, events): (&Room, &mut RoomEvents),
    until_over: Option<Duration>,
    end: impl Future<Output = ()>,
) -> Result<(), Fail> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut status = room.watch();
    let mut idle_since = None;
    let mut waiting_told = false;
    tokio::pin!(end);
    loop {
        let newest = status.borrow_and_update().clone();
        watching.follow(&newest).await;
        if watching.is_playing() {
            idle_since = None;
            waiting_told = false;
        } else {
            idle_since.get_or_insert_with(tokio::time::Instant::now);
            if !std::mem::replace(&mut waiting_told, true) && !report.wanted() {
                say::note(&watching.sentence());
            }
        }
        let over = async {
            match (until_over, idle_since, watching.has_played()) {
                (Some(wait), Some(since), true) => tokio::time::sleep_until(since + wait).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = tick.tick() => {
                for line in watching.lines() {
                    report.line(Value::Object(line));
                }
            }
            changed = status.changed() => {
                if changed.is_err() {
                    return Err(Fail::new("the node has ended"));
                }
            }
            event = events.next() => match event {
                Some(RoomEvent::Room(Event::Ended { reason })) => return Err(Fail::new(reason)),
                Some(event) => tell(report, &event),
                None => return Err(Fail::new("the node has ended")),
            },
            () = over => return Ok(()),
            () = &mut end => return Ok(()),
        }
    }
}

/// Says what happened, to people; in JSON what a script must not miss.
pub(super) fn tell(report: &Report, event: &RoomEvent) {
    let RoomEvent::Room(event) = event else { return };
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
            format!(
                "the link, and everyone who came by it, ends in {} minutes",
                left.as_secs() / 60
            )
        }
        Event::Titled { .. }
        | Event::Admitted { .. }
        | Event::Unfed { .. }
        | Event::TurnedAway { .. }
        | Event::Ended { .. } => return None,
    })
}
