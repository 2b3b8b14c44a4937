//! The systemd units start commands that exist, with options that are understood.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::assert_refusal;
use crate::namespace::RE6ST;

#[test]
fn units_start_what_is_there() {
    let table = [
        ("re6st-node.service", "re6stnet.conf", "registry http://127.0.0.1:9/\n", "ca.crt"),
        ("re6st-registry.service", "registry.conf", "ca ca.crt\nkey ca.key\ndb a.db\n", "ca.crt"),
    ];
    let folder = tempfile::tempdir().unwrap();
    for (unit, file, options, missing) in table {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/systemd").join(unit);
        let text = fs::read_to_string(place).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=@SBINDIR@/re6st "));
        let words: Vec<&str> = line.expect(unit).split(' ').collect();
        fs::write(folder.path().join(file), options).unwrap();
        let mut command = Command::new("timeout");
        command.args(["20", RE6ST]).args(words).current_dir(folder.path());
        let output = command.output().unwrap();
        // Understood, and then the first thing that is not there is missed.
        let resolved = folder.path().join(missing);
        let found = if unit.contains("node") { resolved.to_str().unwrap() } else { missing };
        assert_refusal(unit, &output, 1, &["cannot read", found]);
    }
}

/// Goal: the daemons run with few rights: systemd's own measure of what a unit is exposed to is at most 3 for
/// the registry and 5 for the node, of 10.
#[test]
fn units_are_hardened() {
    let folder = tempfile::tempdir().unwrap();
    for (unit, most) in [("re6st-registry.service", 3.0), ("re6st-node.service", 5.0)] {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/systemd").join(unit);
        let text = fs::read_to_string(place).unwrap().replace("@SBINDIR@", "/usr/local/sbin");
        let file = folder.path().join(unit);
        fs::write(&file, text).unwrap();
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager"])
            .arg(&file)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let level = printed.rsplit_once(&format!("for {unit}: "));
        let level = level.and_then(|(_, rest)| rest.split(' ').next()?.parse::<f64>().ok());
        let level = level.unwrap_or_else(|| panic!("{printed}{:?}", output.stderr));
        assert!(level <= most, "{unit}: {level}");
    }
}

/// Names in an options file are those of the folder in which the command is started, as stock's are.
#[test]
fn a_file_that_is_not_there_is_named_in_full() {
    let folder = tempfile::tempdir().unwrap();
    let options = folder.path().join("re6stnet.conf");
    fs::write(&options, "registry http://127.0.0.1:9/\nca ca.crt\n").unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    let file = format!("@{}", options.display());
    command.args(["20", RE6ST, "node", "up", &file]).current_dir(elsewhere.path());
    let resolved = elsewhere.path().join("ca.crt");
    let words = [resolved.to_str().unwrap(), "the folder in which the command is started"];
    assert_refusal("node up", &command.output().unwrap(), 1, &words);
}

#[test]
fn a_folder_that_is_no_registry_s_is_told_how_to_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("nope");
    let dir = dir.to_str().unwrap();
    for command in [
        &["serve"][..],
        &["nodes"],
        &["token", "add", "one@example.com"],
        &["token", "list"],
        &["revoke", "1/16"],
        &["rotate-key"],
        &["topology"],
        &["check"],
    ] {
        let arguments = [&["registry"], command, &["--dir", dir]].concat();
        super::refuses(&arguments, 1, &["`re6st registry init`", dir]);
        assert!(!Path::new(dir).exists(), "{command:?} made {dir}");
    }
}
