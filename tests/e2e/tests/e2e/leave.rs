//! Everybody hears who comes and who goes, and soon.

use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::fields::Fields;
use e2e::process::{Line, Process};
use e2e::stage::{Stage, wall_us};
use serde_json::Value;

use crate::room::{Room, end, peer};

const LONG: Duration = Duration::from_secs(20);

/// When `watcher` first had `peer` in its list, by the wall clock.
#[track_caller]
fn joined_us(watcher: &Process, peer: &str) -> i64 {
    let is = |member: &&Value| member.text("peer") == peer;
    watcher.until(&format!("member {peer}"), LONG, |lines| {
        let lists = lines.iter().filter_map(|line| line.value.find("members")?.as_array());
        lists.flatten().find(is)?.find("since_us")?.as_i64()
    })
}

/// When `watcher` took `peer` off its list, by the wall clock.
#[track_caller]
pub(crate) fn left_us(watcher: &Process, peer: &str) -> i64 {
    let is = |member: &&Value| member.text("peer") == peer;
    watcher.until(&format!("departure of {peer}"), LONG, |lines| {
        let lists = lines.iter().filter_map(|line| line.value.find("departed")?.as_array());
        lists.flatten().find(is)?.find("at_us")?.as_i64()
    })
}

/// The lines from the one on that first told of the departure of `peer`.
fn since_departure<'a>(lines: &'a [Line], peer: &str) -> Option<&'a [Line]> {
    let tells = |line: &Line| {
        let list = line.value.find("departed").and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|gone| gone.text("peer") == peer))
    };
    lines.get(lines.iter().position(tells)?..)
}

/// No list of members since the departure of `peer` holds it; there are at least `least` of them.
#[track_caller]
fn assert_gone(name: &str, lines: &[Line], peer: &str, least: usize) {
    let since = since_departure(lines, peer).expect("the departure was told");
    let lists: Vec<_> =
        since.iter().filter_map(|line| line.value.find("members")?.as_array()).collect();
    assert!(lists.len() >= least, "{name}: only {} lists since {peer} left", lists.len());
    for (index, list) in lists.into_iter().enumerate() {
        let is = |member: &Value| member.text("peer") == peer;
        assert!(!list.iter().any(is), "{name}: {peer} is in list {index} since it left: {list:?}");
    }
}

/// For three seconds of lists nobody has `peer` again.
#[track_caller]
fn stays_gone(watcher: &Process, peer: &str) {
    let three = Duration::from_secs(3);
    let lines = watcher.until("three seconds since the departure", LONG, |lines| {
        let since = since_departure(lines, peer)?;
        (since.last()?.at - since.first()?.at >= three).then(|| lines.to_vec())
    });
    assert_gone(watcher.name(), &lines, peer, 3);
}

fn names(line: &Value) -> Vec<&str> {
    let mut names: Vec<_> = line.list("members").iter().map(|member| member.text("name")).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_join_a_goodbye_and_a_death_are_seen_by_all() {
    let stage = Stage::new();
    let room = Room::open(&stage);
    let publisher = room.publisher("publisher", TEST_PICTURE).ready();
    let first = room.viewer("first").ready();
    let all = [&publisher, &first];
    joined_us(&publisher, &peer(&first));

    let begun = wall_us();
    let polite = room.viewer("polite").ready();
    let newcomer = peer(&polite);
    let heard = all.map(|member| joined_us(member, &newcomer));
    // From the moment that the newcomer was let in by anybody to the moment that all knew of it.
    let inside =
        all.map(|member| joined_us(&polite, &peer(member))).into_iter().fold(i64::MAX, i64::min);
    let latest = heard.into_iter().fold(i64::MIN, i64::max);
    assert!(
        latest - inside <= 500_000,
        "seen by all {} ms after it was in",
        (latest - inside) / 1000
    );
    assert!(
        latest - begun <= 3_000_000,
        "seen by all {} ms after its start",
        (latest - begun) / 1000
    );
    let line = first.next("list with three names", LONG, |line| {
        line.find("members").and_then(Value::as_array).is_some_and(|members| members.len() >= 2)
    });
    assert!(names(&line).contains(&"polite") && names(&line).contains(&"publisher"), "{line}");

    let asked = wall_us();
    end(polite);
    for member in all {
        let after = left_us(member, &newcomer) - asked;
        assert!(after <= 1_000_000, "{}: goodbye seen after {} ms", member.name(), after / 1000);
    }
    all.iter().for_each(|member| stays_gone(member, &newcomer));

    let killed = room.viewer("killed").ready();
    let victim = peer(&killed);
    for member in all {
        joined_us(member, &victim);
    }
    let death = wall_us();
    killed.kill();
    for member in all {
        let after = left_us(member, &victim) - death;
        assert!(after <= 12_000_000, "{}: death seen after {} ms", member.name(), after / 1000);
    }
    all.iter().for_each(|member| stays_gone(member, &victim));
    for ended in [end(first), end(publisher)] {
        for gone in [&newcomer, &victim] {
            assert_gone(&ended.name, ended.lines(), gone, 4);
        }
    }
}
