//! The rules of the house that a machine can check: layers, first sentences, words that stay out.

use std::fs;
use std::path::{Path, PathBuf};

/// Layer, and the only layers it may name after `crate::`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("src/proto/", &["proto"]),
    ("src/os/", &["os", "proto"]),
    ("src/command/", &["command", "os", "proto"]),
    ("src/cli/", &["cli", "command"]),
];

/// What all protocols share: the only modules of `proto` that one of them may name besides itself.
const SHARED: &[&str] = &[
    "bytes",
    "certificate",
    "cidr",
    "crl",
    "endpoint",
    "half_open",
    "limits",
    "prefix",
    "random",
    "rate_limit",
    "time",
    "version",
];

/// Words that would let the world into `src/proto/`, with what to do instead.
const NOT_IN_PROTO: &[(&str, &str)] = &[
    ("std::net::UdpSocket", "return an output"),
    ("std::net::TcpStream", "return an output"),
    ("std::fs", "take octets, return octets"),
    ("std::thread", "return a deadline"),
    ("std::env", "take an argument"),
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime::now", "take `now` as an argument"),
    ("async fn", "return an output"),
    (".await", "return an output"),
    ("tokio::", "return an output"),
    ("tracing::", "return a notice"),
    ("println!", "return a notice"),
    ("getrandom", "take a `Random`"),
];

/// Words that stay out of every source file.
const NOWHERE: &[&str] = &["FIXME", "XXX", "dbg!(", "todo!(", "unimplemented!("];

/// These panic when the reader of a pipe has gone: `command::print` ends instead.
const NOT_IN_COMMANDS: &[&str] = &[" println!(", " print!("];

#[test]
fn layers_import_downwards_only() {
    let mut broken = Vec::new();
    for (path, number, line) in lines_of("src") {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(layer, _)| path.starts_with(layer))
        else {
            continue;
        };
        for named in names_after(&line, "crate::") {
            if named == "{" || !allowed.contains(&named.as_str()) {
                broken.push(format!("{path}:{number}: may not use crate::{named}"));
            }
        }
        if line.contains("super::super") {
            broken.push(format!("{path}:{number}: write the path from crate::"));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn protocols_meet_only_in_commands() {
    let mut broken = Vec::new();
    for (path, number, line) in lines_of("src/proto") {
        let own =
            path.trim_start_matches("src/proto/").split(['/', '.']).next().unwrap().to_owned();
        for named in names_after(&line, "crate::proto::") {
            if named != own && !SHARED.contains(&named.as_str()) {
                broken.push(format!("{path}:{number}: {own} may not use {named}"));
            }
        }
        if own != "mod" && SHARED.contains(&own.as_str()) {
            continue;
        }
        for (word, instead) in NOT_IN_PROTO {
            if line.contains(word) && !line.trim_start().starts_with("//") {
                broken.push(format!("{path}:{number}: no `{word}` in proto: {instead}"));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut broken = Vec::new();
    for root in ["src", "bin", "tests"] {
        for path in files_of(Path::new(root)) {
            let text = fs::read_to_string(&path).unwrap();
            if !text.starts_with("//! ") {
                broken.push(format!("{}: begins without a sentence", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    let mut broken = Vec::new();
    for (path, number, line) in lines_of("src") {
        let in_commands = path.starts_with("src/command/") || path.starts_with("src/cli/");
        let more = if in_commands { NOT_IN_COMMANDS } else { &[] };
        for word in NOWHERE.iter().chain(more).filter(|&&word| line.contains(word)) {
            broken.push(format!("{path}:{number}: `{word}`"));
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// A guess that is compared octet by octet until one differs tells by its time how much of it is right.
#[test]
fn no_mac_is_compared_by_its_octets() {
    let makes_macs = |path: &str| {
        let text = fs::read_to_string(path).unwrap();
        ["hmac::", "cmac::", "mac::"].iter().any(|word| text.contains(word))
    };
    let words = ["mac", "hmac", "tag", "tags", "macs", "digest", "form", "header"];
    let (mut broken, mut looked) = (Vec::new(), 0);
    for path in files_of(Path::new("src")).iter().map(|path| path.display().to_string()) {
        if !makes_macs(&path) {
            continue;
        }
        looked += 1;
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (at, line) in text.lines().enumerate() {
            let compares = line.contains(" == ") || line.contains(" != ") || line.contains("_eq(");
            let code = line.split("//").next().unwrap();
            let mut names = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            let is_length = line.contains(".len()") || line.contains("memcmp::eq(");
            if compares && !is_length && names.any(|name| words.contains(&name)) {
                broken.push(format!("{path}:{}: compare by hmac::verify or memcmp::eq", at + 1));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    assert!(looked >= 4, "{looked} files make MACs");
}

/// The names that follow `prefix` in a line; `{` for a group, which would hide them.
fn names_after(line: &str, prefix: &str) -> Vec<String> {
    line.match_indices(prefix)
        .map(|(at, _)| {
            let rest = &line[at + prefix.len()..];
            if rest.starts_with('{') {
                return "{".to_owned();
            }
            rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
        })
        .collect()
}

fn lines_of(root: &str) -> Vec<(String, usize, String)> {
    let mut lines = Vec::new();
    for path in files_of(Path::new(root)) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.display().to_string();
        lines.extend(text.lines().enumerate().map(|(at, l)| (name.clone(), at + 1, l.to_owned())));
    }
    lines
}

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("fuzz") {
                files.extend(files_of(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
