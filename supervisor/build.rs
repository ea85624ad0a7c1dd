//! Leaves out of the shipped binary what it does not need: a seventh of its size.
//!
//! The unwind tables, because the shipped profile aborts on a panic, and a stripped binary has no names for a
//! backtrace to show. And the long form of relative relocations: the short one is understood by glibc 2.36 and musl
//! 1.2.4, which are older than any Rust that builds this; a linker that does not know it says so and goes on.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=no-unwind.ld");
    // Cargo does not tell a build script the profile's `panic`; release aborts.
    let aborts = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let linux = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if aborts && linux {
        let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
        let script = here.join("no-unwind.ld");
        println!("cargo::rustc-link-arg-bin=twobox=-Wl,-T,{}", script.display());
        println!("cargo::rustc-link-arg-bin=twobox=-Wl,-z,pack-relative-relocs");
    }
}
