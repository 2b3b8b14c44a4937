//! Certificates that cannot be used: missing, rubbish, expired, not yet valid, another network's.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::authority::{Authority, Days, VALID};
use super::{assert_refusal, refuses};
use crate::internet::Internet;
use crate::interop::stock::network::REGISTRY;
use crate::interop::stock::node::Application;
use crate::interop::stock::ours::{OurNode, OurRegistry};
use crate::namespace::{Namespace, RE6ST};

/// 2001:db8:42::/48, and the network after it.
const NETWORK: &str = "0120010db80042";
const OTHER_NETWORK: &str = "0120010db80043";

const EXPIRED: Days = (-400, -35);
const NOT_YET: Days = (10, 375);

/// What can be wrong, how the folder gets that way, and what is said of it.
type Case = (&'static str, fn(&Path), &'static [&'static str]);

const CASES: &[Case] = &[
    ("nothing there", |folder| fs::create_dir_all(folder).unwrap(), &["No such file"]),
    ("certificate is missing", |folder| remove(folder, "cert.crt"), &["cert.crt", "No such file"]),
    ("key is missing", |folder| remove(folder, "cert.key"), &["cert.key", "No such file"]),
    ("certificate is rubbish", |folder| scribble(folder, "cert.crt"), &["cert.crt", "PEM"]),
    ("certificate is empty", |folder| truncate(folder, "cert.crt"), &["cert.crt"]),
    ("authority is rubbish", |folder| scribble(folder, "ca.crt"), &["ca.crt", "PEM"]),
    ("key is rubbish", |folder| scribble(folder, "cert.key"), &["cert.key", "PEM"]),
    ("key of another", other_key, &["key"]),
    ("expired", |folder| issue(folder, "1/16", EXPIRED), &["cert.crt", "expired"]),
    ("not yet valid", |folder| issue(folder, "1/16", NOT_YET), &["cert.crt", "not valid before"]),
    ("expired authority", expired_authority, &["authority", "expired"]),
    ("another network's", other_network, &["cert.crt", "was not issued"]),
    ("no name", |folder| issue(folder, "paris", VALID), &["cert.crt", "prefix"]),
    ("authority without a network", no_network, &["ca.crt", "network"]),
];

#[test]
fn a_node_does_not_start_with_a_certificate_that_cannot_be_used() {
    let namespace = Namespace::new("cert");
    for (what, spoil, words) in CASES {
        let directory = TempDir::new().unwrap();
        spoil(directory.path());
        let folder = directory.path().display();
        let up = format!(
            "20 {RE6ST} node up --registry http://127.0.0.1:1/ --ca {folder}/ca.crt \
             --cert {folder}/cert.crt --key {folder}/cert.key \
             --state {folder}/state --run {folder}/run --log {folder}/log"
        );
        let arguments: Vec<&str> = up.split_whitespace().collect();
        let output = namespace.output("timeout", &arguments);
        assert_refusal(what, &output, 1, words);
        assert_eq!(namespace.ip("-6 addr show scope global"), "", "{what}");
        assert_eq!(namespace.ip("-6 route show table main"), "", "{what}");
    }
}

/// Goal: who was revoked is told so, and leaves nothing on its host.
/// Method: join, be revoked, start for the first time.
#[test]
fn a_node_does_not_start_with_a_revoked_certificate() {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let host = internet.host("reg", 2);
    let registry = OurRegistry::start(&host, directory.path(), &[]);
    let join = |name: &str, octet| {
        let (host, folder) = (internet.host(name, octet), directory.path().join(name));
        let fingerprint = &registry.fingerprint;
        OurNode::join(host, &folder, REGISTRY, fingerprint, Application::Anonymous)
    };
    let (_first, node) = (join("one", 11), join("two", 12));
    host.run(RE6ST, &["registry", "revoke", &node.common_name]);
    let folder = node.directory.display();
    let up = format!(
        "20 {RE6ST} node up --registry {REGISTRY} --ca {folder}/ca.crt --cert {folder}/cert.crt \
         --key {folder}/cert.key --state {folder}/state --run {folder}/run"
    );
    let arguments: Vec<&str> = up.split_whitespace().collect();
    let output = node.namespace.output("timeout", &arguments);
    assert_refusal("revoked", &output, 1, &["revoked"]);
    assert_eq!(node.namespace.ip("-6 addr show scope global"), "");
    assert_eq!(node.namespace.ip("-6 route show table main").matches("2001:db8:42").count(), 0);
}

/// A tunnel is tried all the same, for it may be a clock that is wrong.
#[test]
fn a_tunnel_warns_of_certificates_that_expired() {
    let directory = TempDir::new().unwrap();
    let (now, past) = (directory.path().join("now"), directory.path().join("past"));
    Authority::new(NETWORK, VALID).issue(&now, "1/16", VALID);
    Authority::new(NETWORK, EXPIRED).issue(&past, "1/16", EXPIRED);
    fs::write(directory.path().join("none.ovpn"), "").unwrap();
    let file = |folder: &Path, name: &str| folder.join(name).display().to_string();
    let config = file(directory.path(), "none.ovpn");
    let said = |ca: &str, folder: &Path| {
        let (cert, key) = (file(folder, "cert.crt"), file(folder, "cert.key"));
        let end = ["--ca", ca, "--cert", &cert, "--key", &key];
        // It ends before there is a tunnel, for there is no server.
        let output =
            super::re6st(&[&["tunnel", "connect", "--config", &config], &end[..]].concat());
        assert_refusal("no server", &output, 2, &["name a server"]);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let expired = "no peer believes it, unless a clock is wrong";
    assert!(!said(&file(&now, "ca.crt"), &now).contains("expired"));
    let warned = said(&file(&now, "ca.crt"), &past);
    assert!(warned.contains("past/cert.crt expired on 2") && warned.contains(expired), "{warned}");
    assert!(said(&file(&past, "ca.crt"), &now).contains("past/ca.crt expired on 2"));
    // Of several authorities, the others may do.
    let both = [now.join("ca.crt"), past.join("ca.crt")].map(|path| fs::read(path).unwrap());
    fs::write(directory.path().join("both.crt"), both.concat()).unwrap();
    let warned = said(&file(directory.path(), "both.crt"), &now);
    let wanted = "both.crt: the certificate of re6st.example.com expired on 2";
    assert!(warned.contains(wanted) && !warned.contains(expired), "{warned}");
}

#[test]
fn cert_verify_says_what_is_wrong() {
    for (what, spoil, words) in CASES {
        let directory = TempDir::new().unwrap();
        spoil(directory.path());
        let [certificate, key] = ["cert.crt", "cert.key"].map(|name| directory.path().join(name));
        let key = ["--key", key.to_str().unwrap()];
        let verify = ["cert", "verify", certificate.to_str().unwrap()];
        let output = super::re6st(&[&verify[..], &key].concat());
        assert_refusal(what, &output, 1, words);
    }
}

#[test]
fn cert_show_names_a_file_that_is_no_certificate() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("cert.crt");
    refuses(&["cert", "show", file.to_str().unwrap()], 1, &["cert.crt", "No such file"]);
    fs::write(&file, "rubbish").unwrap();
    refuses(&["cert", "show", file.to_str().unwrap()], 1, &["cert.crt"]);
}

#[test]
fn an_authority_is_never_overwritten() {
    let directory = TempDir::new().unwrap();
    let folder = directory.path().join("registry");
    let arguments =
        ["registry", "init", "--network", "2001:db8:42::/48", "--dir", folder.to_str().unwrap()];
    assert!(Command::new(RE6ST).args(arguments).output().unwrap().status.success());
    let key = fs::read(folder.join("ca.key")).unwrap();
    refuses(&arguments, 1, &["ca.key", "not be overwritten"]);
    assert_eq!(fs::read(folder.join("ca.key")).unwrap(), key);
}

fn issue(folder: &Path, common_name: &str, validity: Days) {
    Authority::new(NETWORK, VALID).issue(folder, common_name, validity);
}

fn remove(folder: &Path, file: &str) {
    issue(folder, "1/16", VALID);
    fs::remove_file(folder.join(file)).unwrap();
}

fn scribble(folder: &Path, file: &str) {
    issue(folder, "1/16", VALID);
    fs::write(folder.join(file), "-----BEGIN CERTIFICATE-----\nrubbish\n").unwrap();
}

fn truncate(folder: &Path, file: &str) {
    issue(folder, "1/16", VALID);
    fs::write(folder.join(file), "").unwrap();
}

fn other_key(folder: &Path) {
    let other = folder.join("other");
    issue(&other, "1/16", VALID);
    issue(folder, "1/16", VALID);
    fs::copy(other.join("cert.key"), folder.join("cert.key")).unwrap();
}

fn expired_authority(folder: &Path) {
    Authority::new(NETWORK, EXPIRED).issue(folder, "1/16", VALID);
}

fn other_network(folder: &Path) {
    Authority::new(OTHER_NETWORK, VALID).issue(folder, "1/16", VALID);
    Authority::new(NETWORK, VALID).write(folder);
}

fn no_network(folder: &Path) {
    Authority::new("01", VALID).issue(folder, "1/16", VALID);
}
