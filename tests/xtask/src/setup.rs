//! What the suites need from the system, and how it gets there: apt for root on Debian and its
//! kin, for everybody else the exact line to type. Only what is missing is installed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::suites::Suite;

struct Need {
    /// Found in the search path, or, with a slash, at this very place.
    probe: &'static str,
    package: &'static str,
    /// None: every suite, because the build needs it.
    suites: Option<&'static [Suite]>,
}

const REAL: Option<&[Suite]> = Some(&[Suite::E2e, Suite::Browser]);
const BROWSER: Option<&[Suite]> = Some(&[Suite::Browser]);

const NEEDS: [Need; 10] = [
    Need { probe: "c++", package: "build-essential", suites: None },
    // Without it the encoder is built without its assembly and is 2.4 times slower, for good: what
    // was built once is not built again.
    Need { probe: "nasm", package: "nasm", suites: None },
    Need { probe: "ffmpeg", package: "ffmpeg", suites: REAL },
    Need { probe: "ffprobe", package: "ffmpeg", suites: REAL },
    Need { probe: "ip", package: "iproute2", suites: REAL },
    Need { probe: "nft", package: "nftables", suites: REAL },
    Need { probe: "chromium", package: "chromium", suites: BROWSER },
    Need { probe: "firefox-esr", package: "firefox-esr", suites: BROWSER },
    Need { probe: "npm", package: "npm", suites: BROWSER },
    // A browser without a font draws a page without a word.
    Need { probe: "/usr/share/fonts/truetype", package: "fonts-dejavu-core", suites: BROWSER },
];

/// What checks the page's accessibility; kept beside the tests' output, out of the repository.
const AXE: &str = "axe-core@4.14.1";
const NPM_FOLDER: &str = "target/test-output/npm";

/// Installs what `suites` lack, or says what to install.
pub(crate) fn run(suites: &[Suite]) -> Result<(), String> {
    system(suites)?;
    if suites.contains(&Suite::Browser) { axe(&crate::root()) } else { Ok(()) }
}

fn axe(root: &Path) -> Result<(), String> {
    let folder = root.join(NPM_FOLDER);
    if folder.join("node_modules/axe-core/axe.min.js").exists() {
        return Ok(());
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let install = ["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"];
    let status = Command::new("npm").arg("--prefix").arg(&folder).args(install).arg(AXE).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(format!("npm could not install {AXE}")),
        Err(error) => Err(format!("npm does not start: {error}")),
    }
}

fn system(suites: &[Suite]) -> Result<(), String> {
    let missing = missing(suites, present);
    if missing.is_empty() {
        return Ok(());
    }
    if !(is_root() && present("apt-get")) {
        return Err(how_to(&missing));
    }
    eprintln!("xtask: installing {}", missing.join(" "));
    apt(&["update"])?;
    let install = ["install", "--yes", "--no-install-recommends"];
    apt(&[&install[..], &missing[..]].concat())
}

fn missing(suites: &[Suite], present: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let wanted = |need: &&Need| {
        need.suites.is_none_or(|some| some.iter().any(|suite| suites.contains(suite)))
    };
    let mut packages: Vec<_> =
        NEEDS.iter().filter(wanted).filter(|n| !present(n.probe)).map(|n| n.package).collect();
    packages.dedup();
    packages
}

fn how_to(missing: &[&str]) -> String {
    let list = missing.join(" ");
    format!(
        "these are missing: {list}. Install them, on Debian or Ubuntu with\n  \
         sudo apt-get update && sudo apt-get install --yes --no-install-recommends {list}"
    )
}

fn apt(args: &[&str]) -> Result<(), String> {
    let status = Command::new("apt-get")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .map_err(|error| format!("apt-get does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("apt-get {} failed", args.join(" "))) }
}

/// Administrators' folders are searched too: an ordinary user's path on Debian lacks them.
fn present(probe: &str) -> bool {
    if probe.contains('/') {
        return Path::new(probe).exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(Into::into);
    std::env::split_paths(&path).chain(more).any(|folder| folder.join(probe).is_file())
}

/// Whether packages can be installed from here.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_and_wanted_is_named_once() {
        assert_eq!(missing(&[Suite::Unit], |_| true), [""; 0]);
        assert_eq!(missing(&[Suite::Unit], |_| false), ["build-essential", "nasm"]);
        let e2e = missing(&[Suite::E2e], |probe| probe == "c++" || probe == "nft");
        assert_eq!(e2e, ["nasm", "ffmpeg", "iproute2"]);
        assert!(missing(&Suite::ALL, |_| false).contains(&"chromium"));
    }

    #[test]
    fn who_cannot_install_is_told_the_line_to_type() {
        let sentence = how_to(&["nasm", "ffmpeg"]);
        assert!(sentence.contains("apt-get install --yes --no-install-recommends nasm ffmpeg"));
    }

    #[test]
    fn programs_and_places_are_found() {
        assert!(present("sh"));
        assert!(present("/proc/self"));
        assert!(!present("no-such-program-anywhere"));
        assert!(!present("/no/such/place"));
    }
}
