//! Tells the program its commit.

#[path = "../node/build/commit.rs"]
mod commit;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    commit::tell();
}
