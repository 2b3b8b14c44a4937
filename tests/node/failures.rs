//! What cannot work is said in one sentence, before anything on the host is changed.

use std::fs;
use std::process::Command;

use crate::namespace::RE6ST;
use crate::node::underlay::Underlay;

/// Runs `command` to its end; its exit code and the last line it printed.
fn last_words(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), text.lines().last().unwrap_or_default().to_owned())
}

#[test]
fn every_reason_not_to_start_is_one_sentence() {
    let mut underlay = Underlay::new(2, &[]);
    let before = underlay.traces(1);
    let folder = underlay.node_folder(1);
    let foreign = tempfile::tempdir().unwrap();
    let init = ["registry", "init", "--network", "2001:db8:99::/48", "--dir"];
    Command::new(RE6ST).args(init).arg(foreign.path()).output().unwrap();
    let foreign_ca = foreign.path().join("ca.crt");
    let other_key = underlay.node_folder(0).join("cert.key");
    let file = foreign.path().join("file");
    fs::write(&file, "").unwrap();
    let table: &[(&[&str], i32, &str)] = &[
        (&["--ca", foreign_ca.to_str().unwrap()], 1, "was not issued by this network's authority"),
        (&["--key", other_key.to_str().unwrap()], 1, "does not belong to the key"),
        (&["--cert", "/nowhere/cert.crt"], 1, "cannot read /nowhere/cert.crt"),
        (&["--state", file.to_str().unwrap()], 1, "cannot create the folder"),
        (&["--main-interface", "eth9"], 2, "there is no interface eth9"),
        (&["--pp", "99999", "udp"], 2, "99999 is no port"),
    ];
    for (options, code, words) in table {
        // The last of an option that is given twice counts only for these; clap refuses it.
        let mut command = underlay.node_command(1, &[]);
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut arguments = without(&arguments, options[0]);
        arguments.extend(options.iter().map(Into::into));
        command = Command::new("ip");
        command.args(arguments);
        let (got, sentence) = last_words(command);
        assert!(sentence.contains(words), "{options:?}: {sentence}");
        assert_eq!(got, Some(*code), "{sentence}");
    }
    underlay.stop_registry();
    let (code, sentence) = last_words(underlay.node_command(1, &[]));
    assert!(sentence.contains("cannot be reached"), "{sentence}");
    assert_eq!(code, Some(1));
    assert_eq!(underlay.traces(1), before);
    assert!(folder.join("state").exists());
}

/// The arguments without an option and its value.
fn without(arguments: &[std::ffi::OsString], option: &str) -> Vec<std::ffi::OsString> {
    let mut kept = Vec::new();
    let mut skip = 0;
    for argument in arguments {
        if argument == option {
            skip = 2;
        }
        if skip > 0 {
            skip -= 1;
        } else {
            kept.push(argument.clone());
        }
    }
    kept
}

#[test]
fn a_port_that_is_taken_is_named_and_nothing_is_left_on_the_host() {
    let underlay = Underlay::new(1, &[]);
    let before = underlay.traces(0);
    // The registry's own port.
    let (code, sentence) = last_words(underlay.node_command(0, &["--pp", "80", "tcp"]));
    assert!(sentence.contains("port 80 tcp is taken"), "{sentence}");
    assert_eq!(code, Some(1));
    assert_eq!(underlay.traces(0), before);
}

#[test]
fn a_second_node_on_one_host_is_refused() {
    let mut underlay = Underlay::new(1, &[]);
    underlay.start(0, &[]);
    crate::namespace::eventually("the node is up", std::time::Duration::from_secs(20), || {
        (!underlay.ask(0, "status").is_empty()).then_some(())
    });
    let (code, sentence) = last_words(underlay.node_command(0, &[]));
    assert!(sentence.contains("another node runs with the state folder"), "{sentence}");
    assert_eq!(code, Some(1));
    let traces = underlay.traces(0);
    let (code, sentence) = last_words(underlay.other_node_command(0));
    assert!(sentence.contains("UDP port 326"), "{sentence}");
    assert_eq!(code, Some(1));
    assert_eq!(underlay.traces(0), traces, "the refused node changed the host");
    underlay.stop(0);
}
