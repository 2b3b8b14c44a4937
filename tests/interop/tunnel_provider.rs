//! A configuration file as OpenVPN providers hand them out: several servers, inline certificates, addresses
//! that the server assigns, and much that is for OpenVPN alone.

use std::fs;

use crate::interop::tunnel_lab::{KINDS, Lab, PATIENCE, certificate, events, expect_event};
use crate::namespace::{Process, RE6ST, eventually};

const DEAD: &str = "10.9.0.7";

impl Lab {
    /// Debian's OpenVPN as a provider runs it: it assigns addresses.
    fn provider(&self) -> Process {
        let words = "--dev tun --dev-type tun --topology subnet --server 10.8.0.0 255.255.255.0 --port 1195 \
                     --proto udp4 --dh none --keepalive 5 20 --verb 3";
        let mut words: Vec<&str> = words.split_whitespace().collect();
        words.extend(["--push", "redirect-gateway def1", "--push", "dhcp-option DNS 10.8.0.1"]);
        let credentials = self.credentials("server");
        words.extend(credentials.iter().map(String::as_str));
        let server = self.left.spawn(self.folder.path(), "provider", "openvpn", &words);
        let ready = "Initialization Sequence Completed";
        eventually("a provider", PATIENCE, || server.printed().contains(ready).then_some(()));
        server
    }

    /// What it hands out, and what the caller adds.
    fn handed_out(&self, more: &str) -> String {
        let read = |name: &str| fs::read_to_string(self.file(name)).unwrap();
        let file = format!(
            "client\ndev tun\nproto udp\nresolv-retry infinite\nnobind\npersist-key\npersist-tun\n\
             server-poll-timeout 2\nverb 3\nauth-nocache\nscript-security 2\n\
             explicit-exit-notify 1\n<ca>\n{}</ca>\n<cert>\n{}</cert>\n<key>\n{}</key>\n{more}",
            read("ca.crt"),
            read("client.crt"),
            read("client.key"),
        );
        fs::write(self.file("client.ovpn"), file).unwrap();
        self.file("client.ovpn")
    }

    fn call(&self, name: &str, words: &[&str]) -> Process {
        let words = [&["tunnel", "connect", "--json"], words].concat();
        self.right.spawn(self.folder.path(), name, RE6ST, &words)
    }
}

#[test]
fn the_next_server_is_called_when_one_does_not_answer_and_its_address_is_taken() {
    let lab = Lab::new();
    let _provider = lab.provider();
    let servers = format!(
        "remote {DEAD} 1195\n<connection>\nremote 10.9.0.1 4443 tcp\n</connection>\n\
         remote nobody.invalid\nremote 10.9.0.1 1195\n"
    );
    let file = lab.handed_out(&servers);
    let mut call = lab.call("pulls", &["--config", &file]);
    expect_event(&call, "up");
    let called = events(&call, "connecting");
    let called = called.iter().map(|event| format!("{}", event["endpoint"]["address"]));
    let wanted = [DEAD, "10.9.0.1", "10.9.0.1"].map(|address| format!("{address:?}"));
    assert_eq!(called.collect::<Vec<_>>(), wanted);
    let reason = events(&call, "down")[0]["reason"].clone();
    assert_eq!(reason, "no answer within 2 s");
    eventually("an answer", PATIENCE, || lab.right.pings("10.8.0.1").then_some(()));
    for said in
        ["line 4: resolv-retry does not", "cannot find host nobody", "pushes redirect-gateway"]
    {
        assert!(call.printed().contains(said), "{said}: {}", call.printed());
    }
    assert_eq!(call.stop(), Some(0));

    // Who did not ask for it is told only.
    let credentials = lab.credentials("other");
    let mut words = vec!["10.9.0.1,1195,udp", "--device", "tun"];
    words.extend(credentials.iter().map(String::as_str));
    let mut call = lab.call("told", &words);
    expect_event(&call, "up");
    assert!(!lab.right.ip("address show re6st-tunnel").contains("10.8.0."));
    assert!(call.printed().contains("the server assigns 10.8.0."), "{}", call.printed());
    assert_eq!(call.stop(), Some(0));
}

#[test]
fn of_servers_that_all_fail_the_last_is_told_of_in_one_sentence() {
    let lab = Lab::new();
    let file = lab.handed_out(&format!("remote {DEAD} 1195\nremote nobody.invalid\n"));
    let mut call = lab.call("pulls", &["--config", &file]);
    eventually("an end", PATIENCE, || (!call.is_running()).then_some(()));
    let sentence =
        format!("re6st: no tunnel to {DEAD},1195,udp: no answer within 2 s: is a server");
    assert!(call.printed().contains(&sentence), "{}", call.printed());
    assert_eq!(call.stop(), Some(1));
}

/// An OpenVPN server says nothing to whom it does not believe.
#[test]
fn whose_certificate_is_not_believed_hears_what_to_look_at() {
    let lab = Lab::new();
    let _provider = lab.provider();
    let elsewhere = Lab::new();
    certificate(elsewhere.folder.path(), "stranger", "9/16", "9");
    let (certificate, key) = (elsewhere.file("stranger.crt"), elsewhere.file("stranger.key"));
    let server = ["10.9.0.1,1195,udp", "--device", "tun", "--handshake-timeout", "2s"];
    let files = ["--ca", &lab.file("ca.crt"), "--cert", &certificate, "--key", &key];
    let mut call = lab.call("stranger", &[&server[..], &files].concat());
    eventually("an end", PATIENCE, || (!call.is_running()).then_some(()));
    let sentence = "does the server believe our certificate: of its authority";
    assert!(call.printed().contains(sentence), "{}", call.printed());
    assert_eq!(call.stop(), Some(1));
}

/// The end of a tunnel, asked for or because the reader of its events is gone, is told to the other end.
/// SIGHUP ends nothing.
#[test]
fn tunnel_that_ends_tells_its_peer_and_sighup_ends_none() {
    let lab = Lab::new();
    let kind = KINDS[0];
    let mut listener = lab.listen(kind, "");
    let mut first = lab.connect(kind, "client", "");
    expect_event(&first, "up");
    for process in [&first, &listener] {
        process.signal("HUP");
        eventually("a line about SIGHUP", PATIENCE, || {
            process.printed().contains("SIGHUP: nothing is reloaded").then_some(())
        });
    }
    assert!(events(&listener, "down").is_empty() && events(&first, "down").is_empty());
    first.signal("TERM");
    eventually("a farewell", PATIENCE, || (events(&listener, "down").len() == 1).then_some(()));
    assert_eq!(first.stop(), Some(0));

    let credentials = lab.credentials("other").join(" ");
    let connect = format!(
        "{RE6ST} tunnel connect 10.9.0.1,1194,udp --json --statistics-every 1s {credentials} | head -n 2"
    );
    let shell = lab.right.spawn(lab.folder.path(), "shell", "sh", &["-c", &connect]);
    eventually("another farewell", PATIENCE, || {
        (events(&listener, "down").len() == 2).then_some(())
    });
    for down in events(&listener, "down") {
        assert_eq!(down["reason"], "the peer left");
    }
    assert!(shell.printed().contains("cannot write to standard output"), "{}", shell.printed());
    assert!(lab.left.ip("link show").lines().all(|line| !line.contains("re6st-")));

    let mut last = lab.connect(kind, "server", "");
    expect_event(&last, "up");
    listener.signal("TERM");
    assert_eq!(expect_event(&last, "down")["reason"], "the peer left");
    assert_eq!(listener.stop(), Some(0));
    assert_eq!(last.stop(), Some(1));
}
