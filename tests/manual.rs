//! Man pages and completions are what the executable would write; `BLESS=1` rewrites them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::namespace::{RE6ST, run};

#[test]
fn man_pages_and_completions_are_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        for folder in ["man", "completions"] {
            for name in generated(&root.join(folder)).keys() {
                fs::remove_file(root.join(folder).join(name)).unwrap();
            }
        }
        run(RE6ST, &["manual", "--to", root.to_str().unwrap()]);
    }
    let fresh = tempfile::tempdir().unwrap();
    run(RE6ST, &["manual", "--to", fresh.path().to_str().unwrap()]);
    for folder in ["man", "completions"] {
        let (committed, written) =
            (generated(&root.join(folder)), generated(&fresh.path().join(folder)));
        let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&committed), names(&written), "{folder}/: run BLESS=1 cargo test manual");
        for (name, text) in written {
            assert!(committed[&name] == text, "{folder}/{name}: run BLESS=1 cargo test manual");
        }
    }
}

/// The files of a folder, by name.
fn generated(folder: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeMap::new() };
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}
