//! One SQLite file, one registry: whatever else would serve or replace it is refused while it is served.

use std::process::Command;

use super::process::{Registry, re6st_must, re6st_refused};
use crate::namespace::{Process, RE6ST, eventually};

#[test]
fn second_registry_on_one_file_is_refused() {
    let registry = Registry::start(&["--anonymous-prefix-length", "16"]);
    registry.join("own", &["--anonymous"]);
    let dir = registry.path().to_str().unwrap().to_owned();
    let serve = ["registry", "serve", "--dir", &dir, "--port", "0", "-4", "127.0.0.1", "-6", "::1"];
    let said = re6st_refused(&serve, 1);
    assert!(said.contains("registry.db") && said.contains("a registry is serving it"), "{said}");
    // The first one goes on, and the file is free as soon as that one has ended, however it ended.
    assert_eq!(registry.get("/getCa", "").0, 200);
    registry.signal("KILL");
    let mut command = Command::new(RE6ST);
    command.args(serve);
    let second = Process::start(command, registry.path(), "second");
    eventually("the second registry", std::time::Duration::from_secs(20), || {
        second.printed().contains("answers on").then_some(())
    });
}

#[test]
fn database_of_a_running_registry_is_neither_restored_nor_migrated() {
    let registry = Registry::start(&["--anonymous-prefix-length", "16"]);
    registry.join("own", &["--anonymous"]);
    let dir = registry.path().to_str().unwrap().to_owned();
    let path = |name: &str| format!("{dir}/{name}");
    re6st_must(&["registry", "backup", &path("backup.db"), "--dir", &dir]);
    registry.join("later", &["--anonymous"]);
    let restore = ["registry", "restore", &path("backup.db"), "--dir", &dir];
    let said = re6st_refused(&restore, 1);
    assert!(said.contains("stop that one first"), "{said}");
    for (from, to) in [("registry.db", "copy.db"), ("backup.db", "registry.db")] {
        let migrate = ["registry", "migrate", "--from", &path(from), "--to", &path(to)];
        let said = re6st_refused(&migrate, 1);
        assert!(said.contains("stop that one first"), "{said}");
    }
    let nodes = re6st_must(&["registry", "nodes", "--json", "--dir", &dir]);
    assert_eq!(nodes.lines().count(), 2, "{nodes}");
    registry.signal("TERM");
    eventually("the end", std::time::Duration::from_secs(20), || {
        registry.printed().contains("ended by a signal").then_some(())
    });
    let said = re6st_must(&restore);
    assert!(said.contains("1 that joined since"), "{said}");
}
