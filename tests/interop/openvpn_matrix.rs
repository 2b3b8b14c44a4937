//! Every way to make a tunnel with Debian's OpenVPN: role × transport × cipher × TLS × protection of the
//! control channel × device, with new keys under way and not a packet lost.
//!
//! Some that have every pair of choices in them run with the tests; `scripts/soak tunnel-matrix` has all
//! of them run, and for longer: `RE6ST_MATRIX` is `all` or the words of one case, `RE6ST_MATRIX_SECONDS`
//! the length of each.

use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use crate::interop::tunnel_lab::{authority, certificate, events};
use crate::namespace::{Namespace, Process, RE6ST, eventually, run};

const PATIENCE: Duration = Duration::from_secs(30);

/// How many cases are under way at once.
const AT_ONCE: usize = 6;

/// What can be chosen: for each choice its values.
const CHOICES: [&[&str]; 6] = [
    &["client", "server"],
    &["udp", "tcp"],
    &["AES-256-GCM", "CHACHA20-POLY1305", "none", "AES-128-GCM"],
    &["tls1.3", "tls1.2"],
    &["plain", "tls-auth", "tls-crypt", "tls-crypt-v2", "tls-auth-sha256"],
    &["tap", "tun"],
];

/// One way: our role, transport, cipher, TLS, protection, device.
type Case = [&'static str; 6];

fn all() -> Vec<Case> {
    let mut cases = vec![[""; 6]];
    for (at, values) in CHOICES.iter().enumerate() {
        let extend = |case: &Case| {
            let case = *case;
            values.iter().map(move |value| {
                let mut case = case;
                case[at] = value;
                case
            })
        };
        cases = cases.iter().flat_map(extend).collect();
    }
    // Without encryption OpenVPN's `auth` is for frames, too, and there it must be SHA1.
    cases.retain(|case| !(case[2] == "none" && case[4] == "tls-auth-sha256"));
    cases
}

/// So many that every pair of two choices' values is in one of them: always the case with most new pairs.
fn some() -> Vec<Case> {
    let pairs = |case: &Case| {
        let case = *case;
        (0..6).flat_map(move |a| (a + 1..6).map(move |b| ((a, case[a]), (b, case[b]))))
    };
    let mut missing: std::collections::BTreeSet<_> = all().iter().flat_map(pairs).collect();
    let mut chosen = Vec::new();
    while !missing.is_empty() {
        let new = |case: &Case| pairs(case).filter(|pair| missing.contains(pair)).count();
        let best = all().into_iter().max_by_key(new).unwrap();
        pairs(&best).for_each(|pair| {
            missing.remove(&pair);
        });
        chosen.push(best);
    }
    chosen
}

#[test]
fn tunnels_of_every_kind_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    authority(path);
    certificate(path, "server", "0/16", "1");
    certificate(path, "client", "1/16", "2");
    let file = |name: &str| path.join(name).display().to_string();
    run("openvpn", &["--genkey", "secret", &file("ta.key")]);
    run("openvpn", &["--genkey", "tls-crypt-v2-server", &file("v2-server.key")]);
    let (server, client) = (file("v2-server.key"), file("v2-client.key"));
    run("openvpn", &["--tls-crypt-v2", &server, "--genkey", "tls-crypt-v2-client", &client]);

    let wanted = std::env::var("RE6ST_MATRIX").unwrap_or_default();
    let cases = match wanted.as_str() {
        "" => some(),
        "all" => all(),
        words => all().into_iter().filter(|case| case.join(" ").contains(words)).collect(),
    };
    let seconds = std::env::var("RE6ST_MATRIX_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds = seconds.unwrap_or(3);
    assert!(!cases.is_empty(), "there is no case {wanted}");
    println!("{} cases of {}, {seconds} s each", cases.len(), all().len());
    let (waiting, failed) = (Mutex::new(cases), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = { waiting.lock().unwrap().pop() } {
                    match try_case(case, path, seconds) {
                        Ok(()) => println!("{}: no loss", case.join(" ")),
                        Err(why) => {
                            failed.lock().unwrap().push(format!("{}: {why}", case.join(" ")))
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn try_case(case: Case, folder: &Path, seconds: u32) -> Result<(), String> {
    std::panic::catch_unwind(|| one_case(case, folder, seconds)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
            .unwrap_or_default()
    })
}

/// Six packets a second and 20 a second, both ways, over two renewals of the keys.
fn one_case(case: Case, folder: &Path, seconds: u32) {
    let [role, transport, cipher, tls, protection, device] = case;
    let (left, right) = (Namespace::new("ml"), Namespace::new("mr"));
    left.connect("e0", &right, "e0");
    left.ip("address add 10.9.0.1/24 dev e0");
    right.ip("address add 10.9.0.2/24 dev e0");
    let label = case.join("-");
    let we_serve = role == "server";
    let ours = our_words(case, folder);
    let theirs = their_words(case, folder);
    let (our_host, their_host) = if we_serve { (&left, &right) } else { (&right, &left) };
    let start = |host: &Namespace, who: &str, program: &str, words: &str| {
        let words: Vec<&str> = words.split_whitespace().collect();
        host.spawn(folder, &format!("{label}-{who}"), program, &words)
    };
    let ready = |process: &Process, text: &str| {
        eventually(text, PATIENCE, || process.printed().contains(text).then_some(()));
    };
    let (us, _them);
    if we_serve {
        us = start(our_host, "us", RE6ST, &ours);
        ready(&us, "listening");
        _them = start(their_host, "openvpn", "openvpn", &theirs);
    } else {
        _them = start(their_host, "openvpn", "openvpn", &theirs);
        ready(&_them, "Initialization Sequence Completed");
        us = start(our_host, "us", RE6ST, &ours);
    }
    let up = eventually("a tunnel", PATIENCE, || events(&us, "up").pop());
    assert_eq!(up["cipher"], cipher);
    eventually("an answer", PATIENCE, || right.pings("10.77.0.1").then_some(()));
    let before = events(&us, "rekeyed").len();
    let count = (seconds * 20).to_string();
    let ping = |host: &Namespace, to: &str| {
        let arguments = ["-q", "-c", &count, "-i", "0.05", "-s", "1200", to];
        host.command("ping", &arguments).stdout(Stdio::piped()).spawn().unwrap()
    };
    for ping in [ping(&right, "10.77.0.1"), ping(&left, "10.77.0.2")] {
        let output = ping.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.contains(" 0% packet loss"),
            "{tls} {transport} {protection} {device}: {text}"
        );
    }
    let rekeyed = events(&us, "rekeyed").len() - before;
    assert!(rekeyed > 0, "no new keys: {}", us.printed());
}

fn our_words(case: Case, folder: &Path) -> String {
    let [role, transport, cipher, _, protection, device] = case;
    let f = folder.display();
    let (verb, who, end) = match role {
        "server" => (format!("listen --protocol {transport}"), "server", "0"),
        _ => (format!("connect 10.9.0.1,1194,{transport} --peer 0/16"), "client", "1"),
    };
    let protection = match protection {
        "tls-auth" => format!("--tls-auth {f}/ta.key --key-direction {end}"),
        "tls-auth-sha256" => format!("--tls-auth {f}/ta.key --auth SHA256"),
        "tls-crypt" => format!("--tls-crypt {f}/ta.key"),
        "tls-crypt-v2" => format!("--tls-crypt-v2 {f}/v2-{who}.key"),
        _ => String::new(),
    };
    let address = if role == "server" { 1 } else { 2 };
    format!(
        "tunnel {verb} --ca {f}/ca.crt --cert {f}/{who}.crt --key {f}/{who}.key --cipher {cipher} \
         --device {device} --address 10.77.0.{address}/24 --renegotiate-after 2s {protection} --json"
    )
}

fn their_words(case: Case, folder: &Path) -> String {
    let [role, transport, cipher, tls, protection, device] = case;
    let f = folder.display();
    let (who, direction) = if role == "server" { ("client", "1") } else { ("server", "0") };
    let protection = match protection {
        "tls-auth" => format!("--tls-auth {f}/ta.key {direction}"),
        "tls-auth-sha256" => format!("--tls-auth {f}/ta.key --auth SHA256"),
        "tls-crypt" => format!("--tls-crypt {f}/ta.key"),
        "tls-crypt-v2" => format!("--tls-crypt-v2 {f}/v2-{who}.key"),
        _ => String::new(),
    };
    let ends = match (role, transport) {
        ("server", "udp") => "--client --nobind --remote 10.9.0.1 1194 udp4".to_owned(),
        ("server", _) => "--client --nobind --remote 10.9.0.1 1194 tcp4-client".to_owned(),
        (_, transport) => {
            let protocol = if transport == "udp" { "udp4" } else { "tcp4-server" };
            format!("--mode server --tls-server --dh none --port 1194 --proto {protocol}")
        }
    };
    let addresses = match (role, device) {
        ("server", _) => "--ifconfig 10.77.0.2 255.255.255.0 --topology subnet",
        (_, "tun") => "--server 10.77.0.0 255.255.255.0 --topology subnet",
        _ => "--ifconfig 10.77.0.1 255.255.255.0",
    };
    let cipher = match cipher {
        "none" => "--cipher none --data-ciphers none --data-ciphers-fallback none".to_owned(),
        cipher => format!("--data-ciphers {cipher}"),
    };
    let tls = if tls == "tls1.2" { "--tls-version-max 1.2" } else { "" };
    let mtu = if transport == "udp" { "--tun-mtu 1372" } else { "" };
    format!(
        "{ends} --dev-type {device} --dev ovpn0 --ca {f}/ca.crt --cert {f}/{who}.crt \
         --key {f}/{who}.key --verb 3 {addresses} {cipher} {tls} {mtu} {protection}"
    )
}
