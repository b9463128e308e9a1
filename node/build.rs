//! Warns where the encoder will be slow: its build falls back to plain C++ in silence when there is
//! no `nasm`. What was really built is asked of the library at run time
//! (`media::openh264_raw::is_fast`); this only tells whoever builds while it can still be mended.
//! Also tells the program its commit.

use std::env;

#[path = "../build/commit.rs"]
mod commit;

fn main() {
    commit::tell();
    warn_if_slow();
}

fn warn_if_slow() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rerun-if-env-changed=OPENH264_NO_ASM");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    // Elsewhere the compiler itself assembles what there is.
    if !matches!(arch.as_str(), "x86" | "x86_64") {
        return;
    }
    if env::var_os("OPENH264_NO_ASM").is_some() {
        warn("OPENH264_NO_ASM is set");
    } else if !on_path("nasm") {
        warn("nasm is not installed");
    }
}

fn warn(why: &str) {
    println!(
        "cargo:warning={why}: the H.264 encoder is built without its fast routines and takes 2.4 \
         times as long. Install nasm, run `cargo clean -p openh264-sys2`, and build again"
    );
}

fn on_path(program: &str) -> bool {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::var_os("PATH")
        .is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(&name).is_file()))
}
