//! The demo, with fewer hosts: the network comes up, the measurements are printed, nothing is left behind.

use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::lab::{is_gone, text};
use crate::namespace::{RE6ST, eventually};

#[test]
fn every_pair_of_the_network_answers_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("demo.html");
    let name = format!("r6t-{}-demo", std::process::id());
    let arguments = ["lab", "demo", "--hosts", "5", "--json", "--name", &name, "--report"];
    let output = Command::new(RE6ST).args(arguments).arg(&page).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let printed = text(&output.stdout);
    let objects: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdict = objects.last().unwrap();
    assert_eq!(verdict["type"], "verdict", "{verdict}");
    assert_eq!(verdict["pairs"], 20, "{verdict}");
    assert_eq!(verdict["planes"]["sdn"]["reachable"], 20, "{verdict}");
    // London and Tokyo do not reach each other over IPv4, either way.
    assert_eq!(verdict["planes"]["ipv4"]["reachable"], 18, "{verdict}");
    assert_eq!(verdict["sdn_routed_around"], 2, "{verdict}");
    assert!(std::fs::read_to_string(page).unwrap().contains("</svg>"));
    assert!(said.contains("every host has a route to every other one (20)"), "{said}");
    assert!(is_gone(&name));
}

#[test]
fn an_interrupted_demo_removes_everything() {
    let name = format!("r6t-{}-interrupted", std::process::id());
    let mut demo = Command::new(RE6ST)
        .args(["lab", "demo", "--hosts", "3", "--name", &name])
        .current_dir(std::env::temp_dir())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("a node runs on a host", Duration::from_secs(60), || {
        std::fs::exists(format!("/run/re6st-lab/{name}/tokyo/run/re6st.sock"))
            .unwrap()
            .then_some(())
    });
    Command::new("kill").args(["-s", "INT", &demo.id().to_string()]).status().unwrap();
    let ended = eventually("the demo ends", Duration::from_secs(20), || demo.try_wait().unwrap());
    assert_eq!(ended.code(), Some(1));
    assert!(is_gone(&name));
}
