//! `re6st ping-matrix`: reports as committed texts (`BLESS=1` rewrites them), probes against real hosts.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::namespace::{Namespace, RE6ST, run};

/// Three hosts: one pair cut over IPv4, one that loses probes, one host dead on every plane.
fn pings() -> PathBuf {
    folder().join("pings.jsonl")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix")
}

fn assert_text(name: &str, actual: &str) {
    let file = folder().join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(expected == actual, "{name}: run BLESS=1 cargo test matrix; it is now\n{actual}");
}

#[test]
fn every_format_of_a_report_is_as_committed() {
    let pings = pings();
    for format in ["table", "json", "csv", "markdown", "html", "svg"] {
        let printed =
            run(RE6ST, &["ping-matrix", "report", pings.to_str().unwrap(), "--format", format]);
        assert_text(&format!("report.{format}"), &printed);
    }
}

#[test]
fn merging_what_was_merged_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let merged = run(RE6ST, &["ping-matrix", "merge", pings().to_str().unwrap()]);
    let file = folder.path().join("merged.jsonl");
    std::fs::write(&file, &merged).unwrap();
    assert_eq!(run(RE6ST, &["ping-matrix", "merge", file.to_str().unwrap()]), merged);
    // Files that overlap: what both have counts once, what was measured later is another round.
    let later = folder.path().join("later.jsonl");
    std::fs::write(&later, merged.replace("2026-", "2027-")).unwrap();
    let first = pings();
    let files = [file.to_str().unwrap(), first.to_str().unwrap(), later.to_str().unwrap()];
    let sent = |files: &[&str]| -> u64 {
        let lines = run(RE6ST, &[&["ping-matrix", "merge"], files].concat());
        objects(&lines).iter().map(|o| o["sent"].as_u64().unwrap()).sum()
    };
    assert_eq!(sent(&files[..2]), sent(&files[..1]));
    assert_eq!(sent(&files), 2 * sent(&files[..1]));
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() {
    let page =
        run(RE6ST, &["ping-matrix", "report", pings().to_str().unwrap(), "--format", "html"]);
    for word in ["<script", "<link", "<img", "src=", "@import", "url("] {
        assert!(!page.contains(word), "{word}");
    }
    // The only address in it is the name of the SVG language.
    assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
}

/// Goal: only the target's own reply counts. Method: a router that answers "unreachable" for one target, a
/// target that is there, and one to which there is no route at all.
#[test]
fn an_icmp_error_is_not_a_reply() {
    let (host, router) = (Namespace::new("host"), Namespace::new("router"));
    host.connect("eth0", &router, "eth0");
    host.ip("address add 10.9.0.1/24 dev eth0");
    router.ip("address add 10.9.0.2/24 dev eth0");
    router.run("sysctl", &["-qw", "net.ipv4.ip_forward=1"]);
    host.ip("route add 10.9.9.0/24 via 10.9.0.2");
    router.ip("route add unreachable 10.9.9.0/24");
    let folder = tempfile::tempdir().unwrap();
    let targets = folder.path().join("targets");
    std::fs::write(&targets, "here 10.9.0.2\nrefused 10.9.9.9\nnowhere 10.8.8.8\n").unwrap();
    let printed = host.run(
        RE6ST,
        &[
            "ping-matrix",
            "run",
            "--targets",
            targets.to_str().unwrap(),
            "--source",
            "me",
            "--count",
            "3",
            "--interval",
            "50ms",
            "--timeout",
            "500ms",
            "--json",
        ],
    );
    let received = |target: &str| {
        let rows = objects(&printed);
        let row = rows.iter().find(|row| row["target"] == target).unwrap().clone();
        assert_eq!((row["type"].as_str(), row["sent"].as_u64()), (Some("ping"), Some(3)), "{row}");
        (row["received"].as_u64().unwrap(), row["rtt_p50_us"].clone())
    };
    assert_eq!(received("here").0, 3);
    assert_eq!(received("refused"), (0, Value::Null));
    assert_eq!(received("nowhere"), (0, Value::Null));
}

#[test]
fn what_makes_no_sense_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (empty, rubbish) = (write("empty", "# nobody\n"), write("rubbish", "{}\n"));
    let good = write("good", "a 192.0.2.1\n");
    let cases: &[(&[&str], &str)] = &[
        (&["run", "--targets", &empty], "names no target"),
        (&["run", "--targets", &rubbish], "rubbish: line 1: missing field `type`"),
        (&["run", "--targets", &good, "--planes", "ipv5"], "a plane is ipv4, ipv6 or sdn"),
        (&["run", "--targets", &good, "--count", "0"], "0 is not in 1..=1000"),
        (&["report", &empty], "there are no ping objects to show"),
        (&["report", &rubbish], "rubbish: line 1: missing field `type`"),
        (&["report"], "required arguments"),
    ];
    for (words, sentence) in cases {
        let output = Command::new(RE6ST).arg("ping-matrix").args(*words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(sentence), "{words:?}: {said}");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    }
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
