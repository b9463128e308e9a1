//! The README's words on JSON lines, traces and environment: what it promises comes, and nothing
//! comes that it does not name.

use std::collections::BTreeSet;

use e2e::cast::{self, Bootstrap, Roommate, START, TEST_PICTURE};
use e2e::check::must;
use e2e::fields::Fields as _;
use e2e::process::Ended;
use e2e::promise::{Fields, Table, fields, kept};
use e2e::stage::{Stage, fixture, readme};
use serde_json::Value;

use crate::leave::left_us;
use crate::room::{end, peer, playing};

fn promises() -> Table {
    must(Table::read(&readme()))
}

fn named(names: &[&str]) -> Fields {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn together<const N: usize>(parts: [Fields; N]) -> Fields {
    parts.into_iter().flatten().collect()
}

fn starting_with(fields: &Fields, start: &str) -> Fields {
    fields.iter().filter(|field| field.starts_with(start)).cloned().collect()
}

/// What every line begins with.
fn head() -> Fields {
    named(&["t", "role"])
}

/// The lines of a program, by what they are.
struct Lines<'a> {
    first: &'a Value,
    seconds: Vec<&'a Value>,
    ends: Vec<&'a Value>,
    summary: &'a Value,
}

fn lines<'a>(ended: &'a Ended, role: &str) -> Lines<'a> {
    let summary = ended.summary();
    let all: Vec<_> = ended.lines().iter().map(|line| &line.value).collect();
    for pair in all.windows(2) {
        assert!(pair[0].num("t") <= pair[1].num("t"), "time goes back: {} {}", pair[0], pair[1]);
    }
    assert!(all.iter().all(|line| line.text("role") == role), "{}", ended.story());
    let (ends, seconds) =
        all[1..all.len() - 1].iter().copied().partition(|line| line.find("ends_in_s").is_some());
    Lines { first: all[0], seconds, ends, summary }
}

/// Checks the seconds and the summary of a program against its rows.
#[track_caller]
fn keeps(role: &str, lines: &Lines<'_>, promised: &Fields) {
    must(kept(role, &(promised | &head()), &lines.seconds));
    let whole = together([promised.clone(), head(), named(&["summary"])]);
    // What a list holds may be gone by then.
    let top: Fields = whole.iter().filter(|field| !field.contains('.')).cloned().collect();
    let printed = fields(lines.summary);
    let other: Vec<_> = printed.difference(&whole).collect();
    assert!(other.is_empty(), "the summary of {role} prints {other:?}");
    let missing: Vec<_> = top.difference(&printed).collect();
    assert!(missing.is_empty(), "the summary of {role} lacks {missing:?}");
}

#[test]
fn a_publisher_a_viewer_and_a_bootstrap_print_what_is_promised() {
    let stage = Stage::shared();
    let table = promises();
    let bootstrap = Bootstrap::start(&stage, None);
    // Ten minutes before it ends that is told.
    let created = cast::made_room(&stage, None, &bootstrap, ["--open-until", "9m"]);
    let link = created.text("link").to_owned();
    must(kept("room create", &table.of(&["room create"]), &[&created]));
    let show = Roommate::bare(&stage, None, "show").args(["room", "show", &link, "--json"]);
    let show = show.path("--data-dir", stage.path("owner")).start().finish(START);
    must(kept("room show", &table.of(&["room show"]), &[&show.lines()[0].value]));

    let publisher = cast::publish(&stage, None, "publisher", &link, TEST_PICTURE).ready();
    let viewer = cast::watch(&stage, None, "viewer", &link).ready();
    let other = cast::watch(&stage, None, "other", &link).ready();
    let gone = peer(&other);
    playing(&other);
    publisher.line("two children", START, |line| {
        line.find("children").and_then(Value::as_array).is_some_and(|list| list.len() == 2)
    });
    end(other);
    left_us(&publisher, &gone);
    left_us(&viewer, &gone);
    let (viewer, publisher) = (end(viewer), end(publisher));

    let first = table.of(&["first line"]);
    let joined = together([&first - &named(&["link"]), head()]);
    let people = table.of(&["publish, watch"]);
    let line = &people - &named(&["ends_in_s"]);
    for (role, ended) in [("publish", &publisher), ("watch", &viewer)] {
        let lines = lines(ended, role);
        must(kept(&format!("the first line of {role}"), &joined, &[lines.first]));
        must(kept("the warning", &together([named(&["ends_in_s"]), head()]), &lines.ends));
        keeps(role, &lines, &(&table.of(&[role]) | &line));
    }

    let bootstrap = end(bootstrap.process);
    let lines = lines(&bootstrap, "bootstrap");
    let promised = table.of(&["bootstrap"]);
    let listen = named(&["listen"]);
    assert!(promised.is_superset(&listen), "listen is not in the table");
    must(kept("the first line of bootstrap", &(&listen | &head()), &[lines.first]));
    keeps("bootstrap", &lines, &(&promised - &listen));
}

#[test]
fn whoever_makes_the_room_gets_its_link_and_a_file_has_no_encoder() {
    let stage = Stage::shared();
    let bootstrap = Bootstrap::start(&stage, None);
    let source = format!("file:{}", fixture("bbb.mp4").display());
    let publisher = Roommate::new(&stage, None, "publisher", "publish")
        .args(["--json", "--bootstrap", bootstrap.quic(), "--source", &source, "--loop"])
        .ready();
    publisher.line("pictures", START, |line| line.find("access_units").is_some());
    let ended = end(publisher);
    let first = together([promises().of(&["first line"]), head()]);
    must(kept("the first line", &first, &[&ended.lines()[0].value]));
    for name in ["target_kbps", "encode_ms.p50", "encode_ms.p99"] {
        assert!(ended.summary().at(name).is_null(), "{name}: {}", ended.story());
    }
}

#[test]
fn a_demo_prints_what_is_promised_of_its_parts() {
    let stage = Stage::shared();
    let table = promises();
    let demo = Roommate::bare(&stage, None, "demo")
        .args(["demo", "--json", "--no-open", "--seconds", "3", "--viewers", "2"])
        .path("--trace", stage.path("FILE"))
        .path("--data-dir", stage.path("data"));
    let ended = demo.start().finish(START * 2);
    let people = table.of(&["publish, watch"]);
    // Nobody leaves a demo, and nothing ends in it.
    let line = &(&people - &starting_with(&people, "departed.")) - &named(&["ends_in_s"]);
    let inside = |part: &str, role: &str| -> Fields {
        let inside = &table.of(&[role]) | &line;
        inside.iter().map(|field| format!("{part}.{field}")).collect()
    };
    let promised =
        together([table.of(&["demo"]), inside("publisher", "publish"), inside("viewers", "watch")]);
    let lines = lines(&ended, "demo");
    let joined = together([&table.of(&["first line"]) - &named(&["link"]), head()]);
    must(kept("the first line of demo", &joined, &[lines.first]));
    keeps("demo", &lines, &promised);
    let files: BTreeSet<_> = std::fs::read_dir(stage.folder())
        .expect("the test's folder")
        .filter_map(|file| file.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("FILE"))
        .collect();
    assert_eq!(files, named(&["FILE.publish", "FILE.watch1", "FILE.watch2"]));
    assert!(readme().contains("`FILE.publish`, `FILE.watch1`"));
    traces_hold(&stage, "FILE.publish", "encode_us");
    traces_hold(&stage, "FILE.watch1", "ready_us");
}

/// Every line of a trace holds what all have, and the time that is this role's own.
#[track_caller]
fn traces_hold(stage: &Stage, file: &str, own: &str) {
    let text = std::fs::read_to_string(stage.path(file)).expect("a trace");
    let said = readme();
    let said = said.split("\n\n").find(|part| part.starts_with("`--trace FILE`"));
    let said = said.expect("the README tells of traces");
    let promised = named(&["track", "group", "seq", "captured_us", "bytes", own]);
    for field in &promised {
        assert!(said.contains(&format!("`{field}`")), "{field} is not in: {said}");
    }
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    must(kept(file, &promised, &lines.iter().collect::<Vec<_>>()));
}

/// The options of a command by its own help, with their variables.
fn options(stage: &Stage, command: &[&str]) -> Vec<(String, Option<String>)> {
    let bare = Roommate::bare(stage, None, "help");
    let bare = command.iter().fold(bare, |line, word| line.args([*word]));
    let ended = bare.args(["--help"]).start().finish(START);
    assert_eq!(ended.code, Some(0), "{}", ended.story());
    let mut options: Vec<(String, Option<String>)> = Vec::new();
    for line in ended.junk() {
        if let Some((_, name)) = line.split_once("--").filter(|(start, _)| start.len() <= 6) {
            let name = name.split([' ', '<', '.']).next().expect("a name");
            options.push((name.to_owned(), None));
        }
        if let Some((_, variable)) = line.split_once("[env: ")
            && let Some(last) = options.last_mut()
        {
            last.1 = variable.split(['=', ']']).next().map(str::to_owned);
        }
    }
    options
}

#[test]
fn every_flag_that_all_commands_share_is_a_variable_too() {
    let stage = Stage::shared();
    let commands: [&[&str]; 5] =
        [&["demo"], &["publish"], &["watch"], &["room", "create"], &["room", "show"]];
    let all = commands.map(|command| options(&stage, command));
    let shared: Vec<_> =
        all[0].iter().filter(|option| all.iter().all(|some| some.contains(option))).collect();
    assert!(shared.len() >= 9, "{shared:?}");
    for (name, variable) in shared {
        let named = format!("ROOMMATE_{}", name.to_uppercase().replace('-', "_"));
        let expected = (!matches!(name.as_str(), "verbose" | "help")).then_some(named);
        assert_eq!(*variable, expected, "{name}");
    }
    // A flag without a value is set as people set one.
    let create = Roommate::bare(&stage, None, "create").args(["room", "create"]);
    let create = create.env("ROOMMATE_EPHEMERAL", "yes").env("ROOMMATE_JSON", "1");
    let ended = create.start().finish(START);
    assert_eq!(ended.lines().len(), 1, "{}", ended.story());
}
