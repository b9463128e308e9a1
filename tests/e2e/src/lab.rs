//! A small network of its own: hosts on one switch, in network namespaces of this machine.
//!
//! Each host can have a slow line, and counts what crosses its interface. Nothing reaches a real
//! interface. Needs root; everything is removed at drop, and what a killed run left behind is
//! removed by the next one.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::fields::Fields;

const PREFIX: &str = "roommate-e2e-";
/// Administrators' tools are not in every path.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The switch and its hosts.
#[derive(Debug)]
pub struct Lab {
    prefix: String,
    hosts: Vec<Host>,
}

/// A host: give it to a program's command.
#[derive(Clone, Debug)]
pub struct Host {
    prefix: String,
    name: String,
    /// Its address on the switch.
    pub ip: Ipv4Addr,
    port: String,
}

/// Bytes of IP packets at a host's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

impl Traffic {
    /// Both directions.
    #[must_use]
    pub fn total(self) -> u64 {
        self.received + self.sent
    }
}

impl Lab {
    /// Builds a switch with these hosts.
    ///
    /// # Panics
    /// Without root, or if the kernel refuses.
    #[must_use]
    pub fn new(hosts: &[&str]) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test lays network namespaces under programs, which needs root: run it as root, or \
             `cargo xtask test`, which counts it as skipped"
        );
        remove_leftovers();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut lab =
            Self { prefix: format!("{PREFIX}{}-{number}-", std::process::id()), hosts: vec![] };
        lab.namespace("switch");
        lab.at("switch", &["ip", "link", "add", "sw", "type", "bridge"]);
        lab.at("switch", &["ip", "link", "set", "sw", "up"]);
        for (index, name) in hosts.iter().enumerate() {
            lab.add(name, u8::try_from(index + 1).expect("few hosts"));
        }
        lab
    }

    /// The host of that name.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn host(&self, name: &str) -> &Host {
        let host = self.hosts.iter().find(|host| host.name == name);
        host.unwrap_or_else(|| panic!("the lab has no host {name}"))
    }

    fn add(&mut self, name: &str, number: u8) {
        self.namespace(name);
        let port = format!("port{number}");
        let ip = Ipv4Addr::new(10, 77, 0, number);
        let peer = format!("{}{name}", self.prefix);
        let cable =
            ["ip", "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &peer];
        self.at("switch", &cable);
        // A batch of UDP segments would cross as one packet: one loss, one count, one burst.
        self.at("switch", &["ip", "link", "set", &port, "master", "sw", "gso_max_segs", "1", "up"]);
        self.at(name, &["ip", "link", "set", "eth0", "gso_max_segs", "1", "up"]);
        self.at(name, &["ip", "addr", "add", &format!("{ip}/24"), "dev", "eth0"]);
        for (counter, hook, device) in
            [("received", "input", "iifname"), ("sent", "output", "oifname")]
        {
            let rules = format!(
                "table inet {counter} {{ counter {counter} {{ }}; chain c {{ type filter hook {hook} \
                 priority -300; {device} != \"lo\" counter name {counter}; }}; }}"
            );
            self.at(name, &["nft", &rules]);
        }
        let (prefix, name) = (self.prefix.clone(), name.to_owned());
        self.hosts.push(Host { prefix, name, ip, port });
    }

    fn namespace(&self, name: &str) {
        try_run(&["ip", "netns", "add", &format!("{}{name}", self.prefix)]).unwrap_or_else(|why| {
            panic!(
                "the kernel refuses a network namespace, for which root needs CAP_SYS_ADMIN and \
                 CAP_NET_ADMIN (a container often has neither): {why}"
            )
        });
        self.at(name, &["ip", "link", "set", "lo", "up"]);
        let off = "net.ipv6.conf.all.disable_ipv6=1";
        self.at(name, &["sysctl", "-qw", off, "net.ipv6.conf.default.disable_ipv6=1"]);
    }

    fn at(&self, name: &str, command: &[&str]) -> String {
        at(&self.prefix, name, command)
    }
}

impl Host {
    /// Runs `program` here. The command becomes the program: signals reach it.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &format!("{}{}", self.prefix, self.name)]).arg(program);
        command
    }

    /// What comes to this host passes at `kbit` per second through a queue of `queue` bytes, from
    /// now on. May be called again while packets flow.
    pub fn download(&self, kbit: u32, queue: u32) {
        // What the kernel's clock lets pass at once: a hundredth of a second, but two packets.
        let burst = (kbit * 10 / 8).max(3_100);
        let limit = (queue + burst).to_string();
        let (rate, burst) = (format!("{kbit}kbit"), burst.to_string());
        let shape = ["tc", "qdisc", "replace", "dev", &self.port, "root", "tbf", "rate", &rate];
        at(&self.prefix, "switch", &[&shape[..], &["burst", &burst, "limit", &limit]].concat());
    }

    /// What has crossed its interface since the lab was built.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic { received: self.counter("received"), sent: self.counter("sent") }
    }

    fn counter(&self, name: &str) -> u64 {
        let told =
            at(&self.prefix, &self.name, &["nft", "-j", "list", "counter", "inet", name, name]);
        let told: Value = serde_json::from_str(&told).expect("nft writes JSON");
        let counters = told.list("nftables").iter().find_map(|entry| entry.find("counter"));
        counters.expect("nft lists the counter").count("bytes")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in namespaces().iter().filter(|name| name.starts_with(&self.prefix)) {
            delete(name);
        }
    }
}

fn at(prefix: &str, name: &str, command: &[&str]) -> String {
    run(&[&["ip", "netns", "exec", &format!("{prefix}{name}")], command].concat())
}

fn run(command: &[&str]) -> String {
    try_run(command).unwrap_or_else(|why| panic!("{why}"))
}

fn try_run(command: &[&str]) -> Result<String, String> {
    let output = Command::new(command[0])
        .args(&command[1..])
        .env("PATH", PATH)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error} (cargo xtask setup installs it)"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{command:?}: {complaint}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn namespaces() -> Vec<String> {
    let Ok(files) = std::fs::read_dir("/run/netns") else { return Vec::new() };
    let mut names: Vec<_> =
        files.filter_map(|file| file.ok()?.file_name().into_string().ok()).collect();
    names.retain(|name| name.starts_with(PREFIX));
    names
}

/// Removes the namespaces of test programs that are no more.
fn remove_leftovers() {
    for name in namespaces() {
        let process = name[PREFIX.len()..].split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(process).exists() {
            delete(&name);
        }
    }
}

fn delete(name: &str) {
    let deleted = Command::new("ip").args(["netns", "del", name]).env("PATH", PATH).status();
    if !deleted.is_ok_and(|status| status.success()) {
        eprintln!("the network namespace {name} stays behind");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;
    use std::time::{Duration, Instant};

    const SEND: &str = "dd if=/dev/zero bs=10000 count=50 2>/dev/null >/dev/tcp/10.77.0.2/9";
    const SOON: Duration = Duration::from_secs(20);

    /// Sends 500 kB from one host to the other; returns how long that took.
    fn send(lab: &Lab) -> Duration {
        // Only bash and dd: whoever listens is a tiny program of every system with ffmpeg.
        let mut sink = lab.host("b").command(Path::new("ffmpeg"));
        sink.args(["-v", "error", "-f", "u8", "-ar", "8000", "-i", "tcp://10.77.0.2:9?listen=1"]);
        sink.args(["-f", "null", "-"]);
        let sink = Process::start("sink", sink);
        let mut source = lab.host("a").command(Path::new("bash"));
        source.args(["-c", &format!("until {SEND}; do :; done 2>/dev/null")]);
        let start = Instant::now();
        let source = Process::start("source", source).finish(SOON);
        assert_eq!(source.code, Some(0), "{}", source.story());
        sink.finish(SOON);
        start.elapsed()
    }

    #[test]
    fn lines_are_slow_when_told_and_bytes_are_counted_and_nothing_stays() {
        let lab = Lab::new(&["a", "b"]);
        let before = lab.host("b").traffic();
        send(&lab);
        let after = lab.host("b").traffic();
        assert!(after.received - before.received > 500_000, "{before:?} {after:?}");
        assert!(after.sent > before.sent && after.sent < 100_000, "{after:?}");
        lab.host("b").download(2_000, 25_000);
        let took = send(&lab);
        // 500 kB at 2 Mbit/s are 2 s.
        assert!((1.8..6.0).contains(&took.as_secs_f64()), "{took:?}");
        let prefix = lab.prefix.clone();
        drop(lab);
        assert!(!namespaces().iter().any(|name| name.starts_with(&prefix)));
    }
}
