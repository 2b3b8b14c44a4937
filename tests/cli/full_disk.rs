//! A full disk: said in a sentence, and nothing that was there is lost.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::assert_refusal;
use crate::internet::Internet;
use crate::interop::stock::ours::OurRegistry;
use crate::namespace::{Namespace, RE6ST, run};
use crate::node::underlay::Underlay;

/// A file system of 512 KiB, mounted where it is wanted.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    fn mount(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let place = folder.to_str().unwrap();
        run("mount", &["-t", "tmpfs", "-o", "size=512k,mode=755", "none", place]);
        Self { folder: folder.into() }
    }

    /// Fills it up but for so many octets.
    fn fill(&self, octets_left: usize) {
        fs::write(self.folder.join("ballast"), vec![0; 1 << 20]).ok();
        let ballast = File::options().write(true).open(self.folder.join("ballast")).unwrap();
        let filled = ballast.metadata().unwrap().len() as usize;
        ballast.set_len((filled - octets_left) as u64).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.folder.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}

#[test]
fn joining_on_a_full_disk_says_so() {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let host = internet.host("reg", 2);
    let _registry = OurRegistry::start(&host, directory.path(), &[]);
    let folder = directory.path().join("node");
    let disk = Disk::mount(&folder);
    disk.fill(0);
    let folder = folder.to_str().unwrap();
    let join = ["cert", "join", "--registry", "http://127.0.0.1/", "--dir", folder];
    let output = host.output(RE6ST, &[&join[..], &["--anonymous"]].concat());
    assert_refusal("cert join", &output, 1, &["No space left", folder, "make room"]);
    // A token works once: it is not spent for a certificate that there is no room for.
    let place = directory.path().join("registry");
    let add = ["registry", "token", "add", "one@example.com", "--dir", place.to_str().unwrap()];
    let token = host.run(RE6ST, &add);
    let join = [&join[..], &["--token", token.trim()]].concat();
    disk.fill(3 * 4_096);
    let output = host.output(RE6ST, &join);
    assert_refusal("cert join", &output, 1, &["cert.crt", "No space left", "make room"]);
    assert!(Path::new(folder).join("cert.key").exists(), "the key was to fit");
    disk.empty();
    host.run(RE6ST, &join);
}

/// Goal: a registry whose disk is full refuses what it cannot store, answers everything else, and has lost
/// nothing when there is room again.
#[test]
fn registry_on_a_full_disk_refuses_and_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let host = internet.host("reg", 2);
    let disk = Disk::mount(&directory.path().join("registry"));
    let mailbox = directory.path().join("registry/mbox");
    let _registry =
        OurRegistry::start(&host, directory.path(), &["--mailhost", mailbox.to_str().unwrap()]);
    let folder = directory.path().join("registry");
    let folder = folder.to_str().unwrap();
    let node = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let join = |name: &str| {
        let folder = node(name);
        let url = ["--registry", "http://127.0.0.1/", "--anonymous", "--dir", &folder];
        host.output(RE6ST, &[&["cert", "join"], &url[..]].concat())
    };
    assert!(join("own").status.success() && join("member").status.success());
    let nodes = ["registry", "nodes", "--json", "--dir", folder];
    let before = host.run(RE6ST, &nodes);
    disk.fill(0);
    let full = "disk is full";
    assert_refusal("cert join", &join("late"), 1, &[full, "operator has to make room"]);
    let backup = ["registry", "backup", &format!("{folder}/backup.db"), "--dir", folder];
    assert_refusal("registry backup", &host.output(RE6ST, &backup), 1, &[full, "make room"]);
    let add = ["registry", "token", "add", "one@example.com", "--dir", folder];
    assert_refusal("registry token add", &host.output(RE6ST, &add), 1, &[full, "make room"]);
    let revoke = ["registry", "revoke", "1/16", "--dir", folder];
    assert_refusal("registry revoke", &host.output(RE6ST, &revoke), 1, &[full, "make room"]);
    // A mail that could not be written is no reason to keep its token.
    let status = |target: &str| {
        let arguments = ["-s", "-o", "/dev/null", "-w", "%{http_code}"];
        host.run("curl", &[&arguments[..], &[&format!("http://127.0.0.1/{target}")]].concat())
    };
    assert_ne!(status("requestToken?email=two@example.com"), "204");
    assert_eq!(status("getCa"), "200");
    assert_eq!(host.run(RE6ST, &nodes), before);
    disk.empty();
    assert_eq!(host.run(RE6ST, &["registry", "check", "--dir", folder]), "");
    assert_eq!(host.run(RE6ST, &["registry", "token", "list", "--json", "--dir", folder]), "");
    for done in [&add[..], &backup, &revoke] {
        host.run(RE6ST, done);
    }
    assert!(join("late").status.success());
}

#[test]
fn making_an_authority_on_a_full_disk_says_so() {
    let namespace = Namespace::new("full");
    let directory = TempDir::new().unwrap();
    let disk = Disk::mount(directory.path());
    disk.fill(0);
    let folder = directory.path().to_str().unwrap();
    let init = ["registry", "init", "--network", "2001:db8:42::/48", "--dir", folder];
    let output = namespace.output(RE6ST, &init);
    assert_refusal("registry init", &output, 1, &["No space left", folder, "make room"]);
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["ballast"], "half an authority is left");
}

/// Goal: a node whose state folder is full is part of the network, says it once, and forgets nothing
/// that it knew: an administrator may need the network to get there.
/// Method: the disk fills up while the node runs; it is restarted without a registry; room is made.
#[test]
fn a_node_with_a_full_state_folder_says_so_once_and_runs() {
    let mut underlay = Underlay::new(3, &[]);
    let state = underlay.node_folder(1).join("state");
    let disk = Disk::mount(&state);
    underlay.start(0, &[]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    disk.fill(0);
    // Something to remember.
    underlay.start(2, &[]);
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE);
    let said = format!("the state folder {} cannot be written", state.display());
    let times = |underlay: &Underlay| underlay.printed(1).matches(&said).count();
    underlay.stop_registry();
    underlay.stop(1);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE);
    // Once each time it runs, if there was something to write at all.
    let told = times(&underlay);
    assert!((1..=2).contains(&told), "{}", underlay.printed(1));
    assert!(underlay.printed(1).contains("make room in it"));
    disk.empty();
    underlay.stop(1);
    let cache = fs::metadata(state.join("cache.db")).unwrap().len();
    assert!(cache > 0);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1, 2], PATIENCE);
    assert_eq!(times(&underlay), told, "there is room: {}", underlay.printed(1));
    underlay.stop(1);
}

/// Goal: a node that never ran finds its way with a full state folder, too.
#[test]
fn a_new_node_with_a_full_state_folder_asks_the_registry_each_time() {
    let mut underlay = Underlay::new(2, &[]);
    let state = underlay.node_folder(1).join("state");
    let disk = Disk::mount(&state);
    disk.fill(0);
    underlay.start(0, &[]);
    for _ in 0..2 {
        underlay.start(1, &[]);
        underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
        underlay.stop(1);
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
