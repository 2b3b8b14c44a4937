//! Options that make no sense: nothing is tried, and the answer names what was wrong.

use super::refuses;

#[test]
fn what_is_no_command_is_named() {
    refuses(&["nonsense"], 2, &["nonsense"]);
    refuses(&["cert", "nonsense"], 2, &["nonsense"]);
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
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        refuses(&arguments, 2, &[words]);
    }
}
