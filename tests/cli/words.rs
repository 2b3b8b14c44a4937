//! Options that make no sense: nothing is tried, and the answer names what was wrong.

use super::refuses;

#[test]
fn what_is_no_command_is_named() {
    refuses(&["nonsense"], 2, &["nonsense"]);
    refuses(&["node", "nonsense"], 2, &["nonsense"]);
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
        ("ping-matrix run --targets - --planes ipv4,ipv9", "ipv9"),
        ("ping-matrix report --format tiff", "tiff"),
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        refuses(&arguments, 2, &[words]);
    }
}
