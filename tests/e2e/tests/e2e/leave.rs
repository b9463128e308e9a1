//! Everybody hears who comes and who goes, and soon.

use std::time::Duration;

use e2e::cast::TEST_PICTURE;
use e2e::fields::Fields;
use e2e::process::Process;
use e2e::stage::Stage;
use serde_json::Value;

use crate::room::{Room, end, peer, wall_us};

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
fn left_us(watcher: &Process, peer: &str) -> i64 {
    let is = |member: &&Value| member.text("peer") == peer;
    watcher.until(&format!("departure of {peer}"), LONG, |lines| {
        let lists = lines.iter().filter_map(|line| line.value.find("departed")?.as_array());
        lists.flatten().find(is)?.find("at_us")?.as_i64()
    })
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
    end(first);
    end(publisher);
}
