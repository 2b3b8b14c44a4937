//! A full disk: said in a sentence, and nothing that was there is lost.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::assert_refusal;
use crate::internet::Internet;
use crate::interop::stock::node::Application;
use crate::interop::stock::ours::{OurNode, OurRegistry};
use crate::namespace::{Namespace, RE6ST};

/// Runs `re6st` with a file system of that size, full but for some octets, mounted at `folder`.
fn with_full_disk(
    namespace: &Namespace,
    folder: &Path,
    octets_left: usize,
    arguments: &str,
) -> std::process::Output {
    fs::create_dir_all(folder).unwrap();
    let folder = folder.display();
    let used = 64 * 1024 - octets_left;
    // `ip netns exec` gives every program mounts of its own.
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=755 none {folder} && \
         head -c {used} /dev/zero > {folder}/ballast; \
         exec timeout 20 {RE6ST} {arguments}"
    );
    namespace.output("sh", &["-c", &script])
}

#[test]
fn joining_on_a_full_disk_says_so() {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let host = internet.host("reg", 2);
    let _registry = OurRegistry::start(&host, directory.path(), &[]);
    let folder = directory.path().join("node");
    let join =
        format!("cert join --registry http://127.0.0.1/ --anonymous --dir {}", folder.display());
    let output = with_full_disk(&host, &folder, 0, &join);
    assert_refusal("cert join", &output, 1, &["No space left"]);
}

#[test]
fn making_an_authority_on_a_full_disk_says_so() {
    let namespace = Namespace::new("full");
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("registry");
    let init = format!("registry init --network 2001:db8:42::/48 --dir {}", folder.display());
    let output = with_full_disk(&namespace, &folder, 0, &init);
    assert_refusal("registry init", &output, 1, &["No space left"]);
}

/// A node whose state folder is full still joins the network: the cache is a convenience.
#[test]
fn a_node_with_a_full_state_folder_says_so_and_runs() {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let host = internet.host("reg", 2);
    let registry = OurRegistry::start(&host, directory.path(), &["--hello", "4"]);
    let node = OurNode::join(
        host,
        &directory.path().join("node"),
        "http://127.0.0.1/",
        &registry.fingerprint,
        Application::Anonymous,
    );
    let folder = node.directory.display();
    let up = format!(
        "node up --registry http://127.0.0.1/ --ca {folder}/ca.crt --cert {folder}/cert.crt \
         --key {folder}/cert.key --ip 10.77.0.2 --run {folder}/run --state {folder}/state"
    );
    let output = with_full_disk(&node.namespace, &node.directory.join("state"), 0, &up);
    let said = String::from_utf8_lossy(&output.stderr);
    // Either it goes on until `timeout` ends it, or it says what it needs.
    assert!(said.contains("No space left") || said.contains("full"), "{said}");
    assert!(matches!(output.status.code(), Some(0 | 1 | 124)), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}
