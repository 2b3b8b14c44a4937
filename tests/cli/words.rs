//! Options that make no sense: nothing is tried, and the answer names what was wrong.

use std::process::{Command, Stdio};

use super::refuses;
use crate::namespace::RE6ST;

#[test]
fn what_is_no_command_is_named() {
    refuses(&["nonsense"], 2, &["nonsense"]);
    refuses(&["node", "nonsense"], 2, &["nonsense"]);
}

/// Goal: `re6st … | head` is no failure, and nobody is shown a panic.
#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    super::re6st(&["registry", "init", "--network", "2001:db8:42::/48", "--dir", dir]);
    let (ca, node) = (format!("{dir}/ca.crt"), "http://127.0.0.1/");
    let invite = ["registry", "invite", "a@b", "--registry", node, "--qr", "--dir", dir];
    for arguments in [
        &["cert", "fingerprint", &ca][..],
        &["cert", "show", &ca],
        &["cert", "show", &ca, "--json"],
        &invite,
        &["registry", "token", "add", "a@b", "--dir", dir],
        &["registry", "token", "list", "--dir", dir],
        &["registry", "token", "list", "--dir", dir, "--json"],
        &["registry", "nodes", "--dir", dir],
        &["registry", "rotate-key", "--dir", dir],
        &["registry", "topology", "--dot", "--dir", dir],
        &["registry", "export", "--dir", dir],
        &["registry", "login", "--dir", dir],
        &["registry", "backup", &format!("{dir}/copy.db"), "--dir", dir],
        &["registry", "renew-ca", "--dir", dir, "--days", "5000"],
        &["lab", "scenario"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output =
            Command::new(RE6ST).args(arguments).stdout(writer).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {said}");
        let panicked = said.contains("panicked") || said.contains("Broken pipe");
        assert!(!panicked, "{arguments:?}: {said}");
    }
}

#[test]
fn every_command_names_an_option_it_does_not_know() {
    for command in [
        "registry init",
        "registry serve",
        "registry nodes",
        "registry token add",
        "cert join",
        "cert show",
        "cert verify",
        "node up",
        "node status",
        "node peers",
        "node tunnels",
        "node routes",
        "node down",
        "babel run",
        "babel dump",
        "babel monitor",
        "tunnel listen",
        "tunnel connect",
        "ping-matrix run",
        "ping-matrix merge",
        "ping-matrix report",
        "lab up",
        "lab down",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--nonsense"]).collect();
        refuses(&words, 2, &["--nonsense"]);
    }
}

#[test]
fn values_that_make_no_sense_are_named() {
    let join = "cert join --registry http://127.0.0.1:1/ --dir /nowhere";
    let node = "node up --registry http://127.0.0.1:1/ --ca a --cert b --key c";
    let listen = "tunnel listen --ca a --cert b --key c";
    let connect = "tunnel connect --ca a --cert b --key c";
    for (command, words) in [
        ("registry init --dir /nowhere --network 10.0.0.0/8", "IPv6"),
        ("registry init --dir /nowhere --network 2001:db8::/129", "--network"),
        ("registry init --dir /nowhere --network house", "house"),
        ("registry serve --dir /nowhere --port 70000", "70000"),
        ("registry serve --dir /nowhere --hello soon", "soon"),
        (&format!("{join} --anonymous --token abcdefgh"), "--anonymous"),
        (join, "--anonymous"),
        (&format!("{join} --anonymous --fingerprint sha256:abc"), "fingerprint"),
        (&format!("{join} --anonymous --fingerprint crc32:00"), "fingerprint"),
        ("cert join --registry ftp://127.0.0.1/ --dir /nowhere --anonymous", "ftp"),
        (&format!("{node} --ip 300.1.2.3"), "300.1.2.3"),
        (&format!("{node} --pp 1194 quic"), "quic"),
        (&format!("{node} --pp 0 udp"), "0"),
        (&format!("{node} --disable-proto ipx"), "ipx"),
        (&format!("{node} --client-count many"), "many"),
        (&format!("{node} --neighbour paris"), "paris"),
        ("node up --ca a --cert b --key c", "--registry"),
        (&format!("{listen} --port 1194 --protocol sctp"), "sctp"),
        (&format!("{listen} --port 1194 --protocol udp --cipher ROT13"), "ROT13"),
        (&format!("{connect} 203.0.113.7"), "203.0.113.7"),
        (&format!("{connect} 203.0.113.7,1194,sctp"), "sctp"),
        (&format!("{connect} 203.0.113.7,1194,udp6"), "family"),
        (&format!("{connect} 203.0.113.7,0,udp"), "port"),
        ("ping-matrix run --targets - --planes ipv4,ipv9", "ipv9"),
        ("ping-matrix report --format tiff", "tiff"),
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        refuses(&arguments, 2, &[words]);
    }
}
