//! `roommate publish`: makes a room where none is named, and goes live in it.

use std::time::Duration;

use roommate_protocol::room::Event;
use roommate_protocol::trust::invite::Invite;
use roommate_protocol::trust::ticket::Roles;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::args::PublishArgs;
use super::end::{Countdown, Signals};
use super::fail::Fail;
use super::outage::Outages;
use super::publishing::Publishing;
use super::session::Desk;
use super::{say, source, time, watch};
use crate::making::{Wish, make_room};
use crate::node::{Room, RoomEvents};
use crate::play::publisher::State;
use crate::report::Report;
use crate::status::RoomEvent;
use crate::trace::Trace;

/// How long a link is good where nobody says otherwise.
const OPEN_DEFAULT: &str = "24h";

/// Runs the command to its end.
///
/// # Errors
/// [`Fail`]
pub(super) async fn run(args: PublishArgs) -> Result<(), Fail> {
    let report = Report::new("publish", args.json);
    let mut countdown = Countdown::new(args.seconds)?;
    let desk = Desk::open(&args.common)?;
    let mut signals = Signals::listen()?;
    let trace = args.trace.as_deref().map(Trace::create).transpose().map_err(Fail::new)?;
    let (wanted, repeat, clock) = (args.source.clone(), args.repeat, desk.clock);
    // On a thread that may block: nobody knows when something comes out of a pipe.
    let opening = spawn_blocking(move || source::open(wanted.as_deref(), repeat, clock));
    let opened = tokio::select! {
        opened = opening => opened.map_err(Fail::new)??,
        () = signals.wait() => return Ok(()),
    };
    let (invite, made) = match &args.link {
        Some(link) => (desk.read_link(link)?, false),
        None => (new_room(&args, &desk)?, true),
    };
    let (node, room, mut events) = desk.join(&args.common, &invite).await?;
    let mut first = json!({"ready": true, "peer": desk.me.to_string(), "viewer_url": null});
    if made {
        first["link"] = invite.to_string().into();
        if !args.json {
            say::line(&invite.to_string());
            super::room::explain(&invite);
        }
    }
    report.line(first);
    let mut publishing = match Publishing::begin(&desk, room.clone(), opened, trace).await {
        Ok(publishing) => publishing,
        Err(fail) => {
            node.shutdown().await;
            return Err(fail);
        }
    };
    let result =
        live(&report, (&mut publishing, &room), &mut events, &mut countdown, &mut signals).await;
    let ended = publishing.end().await;
    report.summary(Value::Object(publishing.json()));
    if !args.json {
        say::note(&publishing.sentence());
    }
    node.shutdown().await;
    result.and(ended)
}

fn new_room(args: &PublishArgs, desk: &Desk) -> Result<Invite, Fail> {
    let expires = time::parse(OPEN_DEFAULT, desk.clock.now().wall).map_err(Fail::new)?;
    let wish = Wish {
        title: None,
        bootstraps: &args.common.bootstrap,
        listen: &args.common.listen,
        roles: Roles::USUAL,
        expires,
    };
    make_room(&desk.data, (desk.me, desk.identity.port), wish).map_err(Fail::new)
}

/// Until the source, the person, the clock or the room ends it.
async fn live(
    report: &Report,
    (publishing, room): (&mut Publishing, &Room),
    events: &mut RoomEvents,
    countdown: &mut Countdown,
    signals: &mut Signals,
) -> Result<(), Fail> {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut state = publishing.state();
    let mut outages = Outages::default();
    loop {
        tokio::select! {
            _ = tick.tick() => {
                outages.look(&room.status().bootstraps);
                if publishing.is_live() {
                    report.line(Value::Object(publishing.json()));
                }
            }
            changed = state.changed() => {
                let state = state.borrow().clone();
                if changed.is_err() || matches!(state, State::Finished(_)) {
                    return Ok(());
                }
                countdown.begin();
            }
            event = events.next() => match event {
                Some(RoomEvent::Room(Event::Ended { reason })) => {
                    return Err(Fail::new(reason));
                }
                Some(event) => watch::tell(report, &event),
                None => return Err(Fail::new("the node has ended")),
            },
            () = countdown.wait() => return Ok(()),
            () = signals.wait() => return Ok(()),
        }
    }
}
