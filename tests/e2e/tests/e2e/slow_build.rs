//! Whoever builds without `nasm` is told while it can still be mended.

use std::path::Path;
use std::process::Command;

use e2e::stage::{Stage, source};

/// What the build script of the node says for this processor, with these programs at hand.
fn said(script: &Path, arch: &str, path: &Path) -> String {
    let mut command = Command::new(script);
    command.env_clear().env("CARGO_CFG_TARGET_ARCH", arch).env("PATH", path);
    let output = command.output().expect("the build script starts");
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines.lines().filter(|line| line.starts_with("cargo:warning=")).collect()
}

#[test]
fn a_build_without_nasm_warns_and_says_what_to_install() {
    let stage = Stage::shared();
    let script = stage.path("build-script");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-o"]).arg(&script).arg(source("node/media/build.rs"));
    assert!(rustc.status().expect("rustc starts").success());

    let told = said(&script, "x86_64", Path::new("/nowhere"));
    for words in ["nasm is not installed", "2.4 times", "Install nasm", "cargo clean -p"] {
        assert!(told.contains(words), "«{words}» is not in: {told}");
    }
    std::fs::write(stage.path("nasm"), "").unwrap();
    assert_eq!(said(&script, "x86_64", stage.folder()), "", "there is a nasm");
    assert_eq!(said(&script, "aarch64", Path::new("/nowhere")), "", "nasm is of no use there");
}
