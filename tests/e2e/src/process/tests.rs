//! Small scripts in the place of the programs.

use super::*;

fn shell(script: &str) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::start("script", command)
}

const SOON: Duration = Duration::from_secs(10);

#[test]
fn lines_are_awaited_and_the_summary_is_read() {
    let script = shell(r#"echo '{"n":1}'; read x </dev/null; echo '{"n":2,"summary":true}'"#);
    assert_eq!(script.line("second", SOON, |line| line.count("n") == 2).count("n"), 2);
    assert_eq!(script.line("first", SOON, |line| line.count("n") == 1).count("n"), 1);
    assert_eq!(script.finish(SOON).summary().count("n"), 2);
}

#[test]
#[should_panic(expected = "why I failed")]
fn a_missing_line_shows_the_log() {
    shell("echo why I failed >&2").line("line", SOON, |_| true);
}

#[test]
#[should_panic(expected = "still running")]
fn who_does_not_end_is_not_waited_for_for_ever() {
    let _ = shell("exec sleep 1000").finish(Duration::from_millis(50));
}

#[test]
#[should_panic(expected = "no JSON")]
fn other_output_than_json_is_a_fault() {
    let _ = shell(r#"echo hello; echo '{"summary":true}'"#).finish(SOON).summary();
}

#[test]
#[should_panic(expected = "failed")]
fn a_failed_program_has_no_summary() {
    let _ = shell(r#"echo '{"summary":true}'; exit 1"#).finish(SOON).summary();
}

#[test]
fn the_whole_group_ends_with_the_test() {
    let script = shell(r#"sleep 1000 & echo "{\"pid\":$!}"; wait"#);
    let pid = script.line("child", SOON, |line| line.find("pid").is_some()).count("pid");
    let alive = || std::fs::read_to_string(format!("/proc/{pid}/stat"));
    assert!(alive().is_ok());
    drop(script);
    // Its outputs are closed by now, or the drop would not have returned: it is on its way out
    // (`PF_EXITING`), or ended and not yet collected by whoever inherits it.
    let ends = |stat: String| {
        let fields: Vec<_> = stat.split(") ").nth(1).unwrap_or_default().split(' ').collect();
        matches!(fields[0], "Z" | "X") || fields[6].parse::<u32>().unwrap() & 0x4 != 0
    };
    let then = alive();
    let told = format!("{then:?}");
    assert!(then.map_or(true, ends), "{told}");
}

#[test]
fn it_stands_still_under_sigstop_and_tells_how_it_ended() {
    let script = shell(r#"while :; do echo '{}'; sleep 0.01; done"#);
    script.line("line", SOON, |_| true);
    script.pause();
    script.resume();
    script.next("line after it went on", SOON, |_| true);
    assert!(script.resident() > 0);
    script.kill();
    let ended = script.finish(SOON);
    assert_eq!((ended.code, ended.signal), (None, Some(9)));
}

#[test]
fn the_log_is_awaited_too() {
    let script = shell("echo one >&2; echo two words >&2; exec sleep 1000");
    assert!(script.says("two", SOON).ends_with("two words"));
}
