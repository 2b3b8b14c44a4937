//! Who reaches whom over the mesh: everybody pings everybody.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::namespace::Namespace;

/// A host and its address in the mesh.
#[derive(Clone, Copy)]
pub struct Member<'a> {
    pub name: &'a str,
    pub namespace: &'a Namespace,
    pub address: &'a str,
}

/// The pairs that do not answer, `a>b`, each asked once.
pub fn unreachable(members: &[Member<'_>]) -> Vec<String> {
    let mut asked: Vec<(String, Child)> = Vec::new();
    for from in members {
        for to in members.iter().filter(|to| to.name != from.name) {
            let mut ping =
                from.namespace.command("ping", &["-6", "-n", "-q", "-c1", "-W1", to.address]);
            let child = ping.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ping");
            asked.push((format!("{}>{}", from.name, to.name), child));
        }
    }
    let mut silent = Vec::new();
    for (pair, mut child) in asked {
        if !child.wait().expect("ping").success() {
            silent.push(pair);
        }
    }
    silent
}

/// Waits until every pair answers; how long that took.
pub fn wait_for_all(members: &[Member<'_>], patience: Duration) -> Duration {
    #[allow(clippy::disallowed_methods, reason = "waits for real processes")]
    let start = Instant::now();
    let mut before = Vec::new();
    loop {
        let silent = unreachable(members);
        if silent.is_empty() {
            return start.elapsed();
        }
        if silent != before {
            eprintln!("{:5.1} s, silent: {}", start.elapsed().as_secs_f64(), silent.join(" "));
        }
        assert!(start.elapsed() < patience, "not within {patience:?}: {}", silent.join(" "));
        before = silent;
        std::thread::sleep(Duration::from_millis(500));
    }
}
