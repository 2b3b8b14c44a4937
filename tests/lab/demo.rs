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

/// What the farewell says to look around with works, and what it says to end with ends it.
#[test]
fn a_demo_of_ones_own_scenario_stays_up_if_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("two.toml");
    std::fs::write(&scenario, TWO_TOWNS).unwrap();
    let name = format!("r6t-{}-keep", std::process::id());
    let kept = Kept(name.clone());
    let output = Command::new(RE6ST)
        .args(["lab", "demo", "--keep", "--name", &name, "--scenario"])
        .arg(&scenario)
        .arg("--report")
        .arg(folder.path().join("demo.html"))
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(text(&output.stdout).contains("0 of 2 pairs unreachable"), "{output:?}");
    let advice: Vec<&str> =
        said.lines().map(str::trim_start).filter(|l| l.starts_with(RE6ST)).collect();
    let (end, look) = advice.split_last().unwrap();
    assert_eq!(look.len(), 4, "{said}");
    let shell = |command: &str| Command::new("sh").args(["-c", command]).output().unwrap();
    for command in look {
        let output = shell(command);
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
    }
    assert!(!is_gone(&name));
    assert!(shell(end).status.success(), "{end}");
    assert!(is_gone(&name));
    drop(kept);
}

/// A lab that must not outlive its test.
struct Kept(String);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = Command::new(RE6ST).args(["lab", "down", "--name", &self.0]).output();
    }
}

const TWO_TOWNS: &str = r#"
registry = "oslo"

host = [
    { name = "oslo", region = "north", ipv4 = "192.0.2.1" },
    { name = "rome", region = "south", ipv4 = "192.0.2.2" },
]

[rtt_ms]
north = { south = 20 }
"#;

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
