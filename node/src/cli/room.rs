//! `roommate room …`: makes rooms and says what a link holds. No packet is sent.

use std::io::{IsTerminal, stderr};

use roommate_protocol::trust::invite::Invite;
use roommate_protocol::trust::terms::Roles;
use serde_json::json;

use super::args::{RoomCommand, RoomCreateArgs, RoomShowArgs};
use super::fail::Fail;
use super::session::{check, data_dir};
use super::{say, time};
use crate::making::{Scope, Wish, make_room};
use crate::net::address::to_multiaddr;
use crate::report::print_object;
use roommate_clock::Clock;

/// Runs one of the room commands.
///
/// # Errors
/// [`Fail`]
pub(super) fn run(command: RoomCommand) -> Result<(), Fail> {
    match command {
        RoomCommand::Create(args) => create(args),
        RoomCommand::Show(args) => show(&args),
        RoomCommand::Invite(_) => Err(Fail::later("room invite")),
        RoomCommand::Members(_) => Err(Fail::later("room members")),
        RoomCommand::Kick(_) => Err(Fail::later("room kick")),
        RoomCommand::Close(_) => Err(Fail::later("room close")),
    }
}

fn create(args: RoomCreateArgs) -> Result<(), Fail> {
    let now = Clock::from_env().map_err(Fail::new)?.now();
    let expires = time::parse(&args.open_until, now.wall).map_err(Fail::usage)?;
    let roles = roles(&args.role)?;
    let data = data_dir(&args.common)?;
    check(&args.common)?;
    // The node that publishes later is the one that is kept here, also while another process is it.
    let node = data.kept().map_err(Fail::new)?;
    let wish = Wish {
        title: args.title.clone(),
        bootstraps: &args.common.bootstrap,
        listen: &args.common.listen,
        roles,
        expires,
    };
    let invite = make_room(&data, node, wish).map_err(Fail::new)?;
    if args.json {
        print_object(&json!({
            "link": invite.to_string(),
            "room": invite.room().to_string(),
            "title": args.title,
            "scope": Scope::of(&invite).word(),
        }));
    } else {
        say::line(&invite.to_string());
        explain(&invite);
    }
    Ok(())
}

/// Says on standard error what the link does, and on a terminal how to pass it on.
pub(super) fn explain(invite: &Invite) {
    if Scope::of(invite) == Scope::Lan {
        say::note(
            "This link works on this local network. For the internet, run roommate-bootstrap on a \
             public machine and name it with --bootstrap.",
        );
    }
    match invite.expires() {
        Some(end) => say::note(&format!(
            "The link, and everyone who came by it, ends at {}.",
            time::show(end)
        )),
        None => say::note("The link never ends."),
    }
    if stderr().is_terminal() {
        if let Some(code) = say::qr_code(&invite.to_string()) {
            say::note(&code);
        }
        say::note(&format!("Your friend types:\n  roommate watch {invite}"));
    }
}

fn show(args: &RoomShowArgs) -> Result<(), Fail> {
    let now = Clock::from_env().map_err(Fail::new)?.now();
    check(&args.common)?;
    let invite = Invite::parse(args.link.trim()).map_err(Fail::new)?;
    let data = data_dir(&args.common)?;
    let title = data.owned_room(&invite.room()).map_err(Fail::new)?.and_then(|room| room.title);
    let roles: Vec<_> = invite.roles().names().collect();
    let addresses: Vec<_> =
        invite.addresses().iter().map(|address| to_multiaddr(address).to_string()).collect();
    let ends_in_s = invite.expires().map(|end| (end.as_secs() - now.wall.as_secs()).max(0));
    if args.json {
        print_object(&json!({
            "room": invite.room().to_string(),
            "title": title,
            "roles": roles,
            "expires": invite.expires().map(time::show),
            "ends_in_s": ends_in_s,
            "scope": Scope::of(&invite).word(),
            "addresses": addresses,
        }));
        return Ok(());
    }
    say::line(&format!("room       {}", invite.room()));
    if let Some(title) = title {
        say::line(&format!("title      {}", say::escaped(&title)));
    }
    say::line(&format!("roles      {}", roles.join(", ")));
    say::line(&format!(
        "ends       {}",
        match (invite.expires(), ends_in_s) {
            (None, _) => "never".to_owned(),
            (Some(end), Some(0)) => format!("{}: it is over", time::show(end)),
            (Some(end), _) => time::show(end),
        }
    ));
    say::line(&format!(
        "reaches    {}",
        match Scope::of(&invite) {
            Scope::Lan => "this local network",
            Scope::Internet => "the internet",
        }
    ));
    for address in addresses {
        say::line(&format!("address    {address}"));
    }
    Ok(())
}

fn roles(names: &[String]) -> Result<Roles, Fail> {
    if names.is_empty() {
        return Ok(Roles::USUAL);
    }
    let mut roles = Roles::NONE;
    for name in names {
        roles = roles
            | Roles::from_name(name).ok_or_else(|| {
                Fail::usage(format!(
                    "{name:?} is no role: write view, forward, publish, moderate or invite"
                ))
            })?;
    }
    Ok(roles)
}
