//! Tells the linker what running daemons execute: `bin/daemon.ld`.

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("Cargo sets it");
    println!("cargo::rerun-if-changed=bin/daemon.ld");
    println!("cargo::rustc-link-arg-bins=-T{folder}/bin/daemon.ld");
}
