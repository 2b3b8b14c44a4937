//! The corpora of the fuzz targets, replayed: what once made a target do something new must not panic.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
mod entries;

/// One test a target, so that they run side by side and one that fails is named.
macro_rules! replay {
    ($($target:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        $(
            #[test]
            fn $target() {
                replay(stringify!($target), entries::$target);
            }
        )*
    };
}

replay! {
    babel_configuration babel_control babel_packet babel_router certificate lab_packet lab_scenario
    mesh_node registry_request registry_text tunnel_frame tunnel_options tunnel_packet tunnel_profile
    tunnel_session tunnel_text
}

fn replay(target: &str, entry: impl Fn(&[u8])) {
    let mut files: Vec<_> = fs::read_dir(Path::new("fuzz/corpus").join(target))
        .unwrap_or_else(|error| panic!("{target} has no corpus: {error}"))
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{target} has a corpus of {} files", files.len());
    for file in files {
        // A panic ends the test: this names the file that is its cause.
        println!("{}", file.display());
        entry(&fs::read(file).unwrap());
    }
}

/// Goal: no target is forgotten here, and none in `fuzz/`.
#[test]
fn every_target_is_replayed() {
    let mut targets: Vec<String> = fs::read_dir("fuzz/targets")
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    targets.sort();
    assert_eq!(targets, TARGETS);
    let manifest = fs::read_to_string("fuzz/Cargo.toml").unwrap();
    for target in targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
    }
}

/// Goal: what is in the repository stays small: what is large tells nothing more.
#[test]
fn corpora_are_small() {
    for target in TARGETS {
        let mut count = 0;
        for file in fs::read_dir(Path::new("fuzz/corpus").join(target)).unwrap() {
            let file = file.unwrap();
            let octets = file.metadata().unwrap().len();
            assert!(octets <= 1_024, "{}: {octets} octets", file.path().display());
            count += 1;
        }
        assert!(count <= 200, "{target}: {count} files");
    }
}
