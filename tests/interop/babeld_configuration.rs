//! What Debian's babeld takes as a statement, we take; what it refuses, we refuse.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use re6st::proto::babel::configuration::Configuration;
use re6st::proto::babel::configuration::problem::Fault;
use re6st::proto::random::Random;

use crate::namespace::{Namespace, RE6ST, eventually};

/// Whether babeld reads `statement`: it reads `-C` before `-V` makes it end.
fn babeld_takes(statement: &str) -> bool {
    let mut command = Command::new("babeld");
    command.args(["-C", statement, "-V"]).stdin(Stdio::null());
    let output = command.output().expect("babeld: run scripts/test-setup");
    output.status.success()
}

/// Whether we read it; what we name as not supported is read.
fn we_take(statement: &str) -> bool {
    let problems = Configuration::default().read_option(statement);
    problems.iter().all(|problem| matches!(problem.fault, Fault::Unsupported { .. }))
}

/// Pieces that statements are made of: most fit filters or interfaces, some fit nowhere.
const PIECES: &[&str] = &[
    "ip ::/0",
    "ip 10.0.0.0/8",
    "src-ip 2001:db8::/32",
    "src-ip 10.0.0.0/8",
    "eq 64",
    "le 24",
    "ge 0",
    "src-eq 48",
    "src-le 010",
    "src-ge 0x10",
    "neigh fe80::1",
    "neigh 10.0.0.1",
    "id 02:aa:bb:ff:fe:cc:dd:01",
    "id 2",
    "proto 4",
    "local",
    "if eth0",
    "if \"a b\"",
    "allow",
    "deny",
    "metric 256",
    "metric 0x10",
    "metric 65536",
    "src-prefix 2001:db8::/32",
    "table 10",
    "table 0",
    "pref-src 10.0.0.1",
    "pref-src ::1",
    "type auto",
    "type wired",
    "type tunnel",
    "type x",
    "wired false",
    "rxcost 12",
    "rxcost 65536",
    "hello-interval 1.5",
    "hello-interval 0",
    "hello-interval .5",
    "hello-interval 5.",
    "update-interval 16",
    "split-horizon auto",
    "link-quality true",
    "link-quality maybe",
    "rtt-min 10",
    "rtt-max 120.5",
    "rtt-decay 256",
    "rtt-decay 0",
    "max-rtt-penalty 96",
    "enable-timestamps yes",
    "accept-bad-signatures no",
    "unicast true",
    "channel 11",
    "channel interfering",
    "faraway true",
    "v4-via-v6 true",
    "rfc6126-compatible false",
    "# comment",
    "x",
    "",
];

/// Statements of the router as a whole, to be followed by pieces that do not belong there.
const OPTIONS: &[&str] = &[
    "protocol-port 6697",
    "kernel-priority 10",
    "export-table 10",
    "import-table 10",
    "router-id 02:aa:bb:ff:fe:cc:dd:01",
    "random-id true",
    "state-file \"a b\"",
    "debug 1",
    "skip-kernel-setup true",
    "smoothing-half-life 4",
    "diversity-factor 128",
    "diversity 3",
    "reflect-kernel-metric true",
    "local-port 33123",
    "ipv6-subtrees false",
    "daemonise true",
    "link-detect true",
    "log-file",
    "local-path /x",
    "protocol-group ff02::7",
];

/// Statements put together at random, always the same ones.
fn mixtures(count: usize) -> Vec<String> {
    let mut random = Random::from_number(7);
    let heads = ["in", "out", "redistribute", "install", "default", "interface eth0"];
    let mixture = |at: usize| {
        let heads = if at.is_multiple_of(8) { OPTIONS } else { &heads };
        let mut pieces = vec![*random.choose(heads).unwrap()];
        pieces.extend((0..at % 4).map(|_| *random.choose(PIECES).unwrap()));
        pieces.join(" ")
    };
    (0..count).map(mixture).collect()
}

/// Statements of which it matters what becomes of them.
const STATEMENTS: &[&str] = &[
    "interface lo wired true",
    "default rtt-max 500 rtt-decay 125",
    "in ip ::/0 eq 0 src-ip ::/0 src-eq 0 src-prefix 2001:db8::/32",
    "key type blake2s128 id a value 00112233",
    "key id a value 00112233 type blake2s128",
    "key id a type none value 00",
    "key id a type blake2s128 value 0",
    "interface \"eth 0\" hello-interval 0.5",
    "interface",
    "v4-via-v6 true",
    "redistribute metric 0",
    "redistribute metric 65535",
    "redistribute metric 65536",
    "default hello-interval 4s",
    "default hello-interval 655.35",
    "default update-interval 655.36",
    "install table 10 pref-src 10.0.0.1 ip ::/0",
    "in neigh fe80::1 id 02:aa:bb:ff:fe:cc:dd:01",
    "in id 02:aa:bb:cc:dd:01",
    "in ip 10.0.0.0",
    "in ip default",
    "in if eth0 allow deny",
    "keep-unfeasible true",
    "wired true",
    "in #x",
    "kernel-priority 0",
    "default nonsense true",
    "default channel 300",
    "link-detect maybe",
    "link-detect auto",
    "state-file",
    "state-file \"",
    "debug 1 2",
    "import-table 0",
    "default rfc6126-compatible auto",
    "redistribute proto static",
    "default rtt-decay 257",
    "default rxcost 0",
    "flush interface eth0",
    "dump",
    "router-id 1:2:3",
    "first-table-number 10",
];

#[test]
fn babeld_and_we_take_the_same_statements() {
    let mut differences = Vec::new();
    let written = STATEMENTS.iter().map(|statement| (*statement).to_owned());
    for statement in written.chain(mixtures(1500)) {
        let (babeld, we) = (babeld_takes(&statement), we_take(&statement));
        if babeld != we {
            let taker = if babeld { "babeld" } else { "we" };
            differences.push(format!("only {taker}: {statement}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Goal: a key that nobody defines is refused with its line before anything starts, whoever names it.
#[test]
fn a_key_that_does_not_exist_is_refused_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let host = Namespace::new("ours");
    let file = directory.path().join("babeld.conf");
    let file = file.to_str().unwrap();
    for (text, line) in [("\ninterface lo key nosuch", 2), ("default key nosuch\ninterface lo", 1)]
    {
        fs::write(file, text).unwrap();
        let theirs = ["babel", "babeld", "-I", "", "-c", file];
        for arguments in [&["babel", "run", "--config", file][..], &theirs] {
            let output = host.output(RE6ST, arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            let wanted = format!("{file}:{line}: no statement `key id nosuch …`");
            assert!(said.contains(&wanted) && said.lines().count() == 1, "{said}");
        }
    }
}

/// Goal: what the configuration says of files and of the identity is done: the log and the process id are
/// in theirs while it runs, and the identity is the state file's, or another each time.
#[test]
fn files_and_the_identity_are_what_the_configuration_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let host = Namespace::new("ours");
    let (log, pid, state, socket) = (path("log"), path("pid"), path("state"), path("socket"));
    let mut identities = Vec::new();
    for statement in ["debug 0", "debug 0", "random-id true", "random-id true"] {
        let text = format!(
            "{statement}\nlog-file {log}\npid-file {pid}\nstate-file {state}\ninterface lo\n"
        );
        fs::write(path("conf"), text).unwrap();
        let arguments = ["babel", "run", "--config", &path("conf"), "--socket", &socket];
        let mut router = host.spawn(directory.path(), "re6st", RE6ST, &arguments);
        let patience = Duration::from_secs(10);
        eventually("it answers", patience, || {
            let dump = ["babel", "dump", "--socket", &socket];
            host.output(RE6ST, &dump).status.success().then_some(())
        });
        assert!(fs::read_to_string(&pid).unwrap().parse::<u32>().is_ok());
        assert_eq!(router.stop(), Some(0), "{}", router.printed());
        assert!(!fs::exists(&pid).unwrap(), "the process id is left");
        let kept = fs::read_to_string(&state).unwrap();
        identities.push(kept.split(' ').nth(1).unwrap().to_owned());
    }
    assert!(fs::read_to_string(&log).unwrap().contains("every route is removed"));
    assert_eq!(identities[0], identities[1]);
    assert!(identities[1] != identities[2] && identities[2] != identities[3], "{identities:?}");
}

/// Goal: without anything that says who it is, a router is the one that babeld would be on this host, and
/// each goes on where the other ended.
/// Method: one after the other, with one state file; babeld's first own announcement is heard by a third.
#[test]
fn babeld_and_we_follow_each_other_under_one_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (host, witness) = (Namespace::new("ours"), Namespace::new("witness"));
    host.connect("e1", &witness, "e2");
    host.ip("link set e1 down");
    host.ip("link set e1 address 00:16:3e:00:00:03");
    host.ip("link set e1 up");
    host.ip("address add 10.9.0.1/32 dev lo");
    let socket = path("socket");
    let arguments = ["babel", "run", "e2", "--hello", "1s", "--kind", "wired", "--socket", &socket];
    let _witness = witness.spawn(directory.path(), "witness", RE6ST, &arguments);
    let announced = || {
        let shown = witness.output(RE6ST, &["babel", "dump", "--json", "--socket", &socket]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        let line = shown.lines().find(|line| line.contains("10.9.0.1/32"))?.to_owned();
        let object: serde_json::Value = serde_json::from_str(&line).ok()?;
        let seqno = object["seqno"].as_u64()?;
        object["next_hop"].as_str()?;
        Some((object["router_id"].as_str()?.to_owned(), u16::try_from(seqno).ok()?))
    };
    fs::write(path("state"), "4711\n").unwrap();
    let mut last = 4711_u16;
    let turns = ["babeld", RE6ST, "babeld", RE6ST];
    for (turn, program) in turns.into_iter().enumerate() {
        let words = if program == RE6ST { &["babel", "babeld"][..] } else { &[] };
        let pid = path(&format!("pid{turn}"));
        let (state, local) = (path("state"), "redistribute local ip 10.9.0.1/32");
        let arguments = [words, &["-S", &state, "-I", &pid, "-H", "1", "-C", local, "e1"]].concat();
        let mut router =
            host.spawn(directory.path(), &format!("router{turn}"), program, &arguments);
        let what = format!("{program} goes on after {last}");
        last = eventually(&what, Duration::from_secs(20), || {
            let (router_id, seqno) = announced()?;
            assert_eq!(router_id, "02:16:3e:ff:fe:00:00:03", "{program}");
            (1..1_000).contains(&seqno.wrapping_sub(last)).then_some(seqno)
        });
        router.stop();
    }
}

/// Goal: `-D` goes to the background as babeld does: the command ends, the router runs, with its process id
/// in its file and what it says in its log.
#[test]
fn a_router_goes_to_the_background_as_babeld_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let host = Namespace::new("ours");
    let (state, pid, log) = (path("state"), path("pid"), path("log"));
    for (program, words) in [("babeld", &[][..]), (RE6ST, &["babel", "babeld"])] {
        let files = ["-D", "-S", &state, "-I", &pid, "-L", &log, "lo"];
        let output = host.output(program, &[words, &files].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let id: i32 = eventually("it runs", Duration::from_secs(10), || {
            fs::read_to_string(&pid).ok()?.trim().parse().ok()
        });
        if program == RE6ST {
            // A second one finds the file, and says so where it can be read.
            assert!(host.output(program, &[words, &files].concat()).status.success());
            eventually("it is said in the log", Duration::from_secs(10), || {
                let said = fs::read_to_string(&log).unwrap();
                said.contains(&format!("cannot write {pid}")).then_some(())
            });
        }
        let id = nix::unistd::Pid::from_raw(id);
        nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
        eventually("it has ended", Duration::from_secs(10), || {
            (!fs::exists(&pid).unwrap()).then_some(())
        });
        let _ = fs::remove_file(&state);
    }
    assert!(fs::read_to_string(&log).unwrap().contains("every route is removed"));
}
