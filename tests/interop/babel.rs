//! `re6st babel` and Debian's babeld on the same links.
//!
//! ```text
//! theirs (babeld) ──── ours (re6st) ──── other (babeld, in one test)
//! ```

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::namespace::{Namespace, Process, RE6ST, eventually};

const PATIENCE: Duration = Duration::from_secs(20);
const BLAKE2S: &str = "c12df85b03907b82dca41df3b356be9d";
const SHA256: &str = "c12df85b03907b82dca41df3b356be9dc12df85b03907b82dca41df3b356be9d";

/// A host without duplicate address detection, which would only delay it.
fn host(label: &str) -> Namespace {
    let namespace = Namespace::new(label);
    for switch in ["default", "all"] {
        let setting = format!("net.ipv6.conf.{switch}.accept_dad=0");
        namespace.run("sysctl", &["-qw", &setting]);
    }
    namespace
}

/// Starts babeld in `host`; what it is told beyond the usual are its statements.
fn babeld(host: &Namespace, directory: &Path, interface: &str, statements: &[&str]) -> Process {
    let (socket, state) = (directory.join("babeld.sock"), directory.join("babeld.state"));
    let mut arguments = vec!["-I", "", "-S", state.to_str().unwrap(), "-h", "1", "-H", "1"];
    arguments.extend(["-g", socket.to_str().unwrap()]);
    for statement in statements {
        arguments.extend(["-C", statement]);
    }
    arguments.extend(["-C", "redistribute local deny", interface]);
    host.spawn(directory, "babeld", "babeld", &arguments)
}

/// What babeld knows.
fn babeld_dump(directory: &Path) -> String {
    let Ok(mut socket) = UnixStream::connect(directory.join("babeld.sock")) else {
        return String::new();
    };
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut read_to_ok = || {
        let (mut text, mut octets) = (String::new(), [0; 4096]);
        while !text.contains("ok\n") {
            match socket.read(&mut octets) {
                Ok(count @ 1..) => text.push_str(&String::from_utf8_lossy(&octets[..count])),
                _ => break,
            }
        }
        text
    };
    let _greeting = read_to_ok();
    socket.write_all(b"dump\n").unwrap();
    let (mut text, mut octets) = (String::new(), [0; 4096]);
    while !text.contains("ok\n") {
        match socket.read(&mut octets) {
            Ok(count @ 1..) => text.push_str(&String::from_utf8_lossy(&octets[..count])),
            _ => break,
        }
    }
    text
}

/// Starts `re6st babel run` in `host`.
fn re6st(host: &Namespace, directory: &Path, arguments: &[&str]) -> Process {
    let socket = directory.join("re6st.sock");
    let mut all = vec!["babel", "run", "--hello", "1s", "--socket", socket.to_str().unwrap()];
    all.extend(arguments);
    host.spawn(directory, "re6st", RE6ST, &all)
}

/// What the router knows.
fn dump(host: &Namespace, directory: &Path) -> Vec<Value> {
    let socket = directory.join("re6st.sock");
    let arguments = ["babel", "dump", "--json", "--socket", socket.to_str().unwrap()];
    let output = host.output(RE6ST, &arguments);
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The kernel's Babel routes of both families that begin with `prefix`.
fn routes(host: &Namespace, prefix: &str) -> Vec<String> {
    let all = host.ip("-6 route show proto babel") + &host.ip("-4 route show proto babel");
    all.lines().filter(|line| line.starts_with(prefix)).map(str::to_owned).collect()
}

fn appears(host: &Namespace, prefix: &str) -> String {
    let what = format!("a route to {prefix} in {}", host.name);
    eventually(&what, PATIENCE, || routes(host, prefix).pop())
}

fn disappears(host: &Namespace, prefix: &str, patience: Duration) {
    let what = format!("no route to {prefix} in {}", host.name);
    eventually(&what, patience, || routes(host, prefix).is_empty().then_some(()));
}

/// Goal: with both hashes, routes of both families lead both ways, delay is measured on both sides, and
/// an end is told.
#[test]
fn babel_and_babeld_route_for_each_other() {
    route_for_each_other("blake2s128", BLAKE2S);
    route_for_each_other("hmac-sha256", SHA256);
}

fn route_for_each_other(hash: &str, hex: &str) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (theirs, ours) = (host("theirs"), host("ours"));
    theirs.connect("v0", &ours, "v1");
    theirs.ip("addr add 2001:db8:42:1::1/64 dev lo");
    theirs.ip("addr add 10.43.1.1/32 dev lo");
    ours.ip("addr add 2001:db8:42:2::1/64 dev lo");
    ours.ip("addr add 10.43.2.1/32 dev lo");
    let key = format!("key type {hash} id sign value {hex}");
    let _babeld = babeld(
        &theirs,
        directory,
        "v0",
        &[
            &key,
            "default max-rtt-penalty 5000 rtt-max 500 rtt-decay 125 key sign",
            "interface v0 type tunnel",
            "redistribute local ip 2001:db8:42:1::/64",
            "redistribute local ip 10.43.1.1/32",
        ],
    );
    let key = format!("{hash}:{hex}");
    let mut re6st = re6st(
        &ours,
        directory,
        &[
            "v1",
            "--key",
            &key,
            "--redistribute",
            "2001:db8:42:2::/64",
            "--redistribute",
            "10.43.2.1/32",
            "--redistribute",
            "::/0 from 2001:db8:42::/48",
        ],
    );
    appears(&ours, "2001:db8:42:1::1 ");
    appears(&theirs, "2001:db8:42:2::/64 ");
    appears(&ours, "10.43.1.1 via inet6 ");
    appears(&theirs, "10.43.2.1 via inet6 ");
    appears(&theirs, "default from 2001:db8:42::/48 ");
    assert!(theirs.pings("2001:db8:42:2::1"));
    assert!(ours.pings("10.43.1.1"));

    check_delay_and_refmetrics(&ours, directory);
    assert_eq!(re6st.stop(), Some(0));
    disappears(&theirs, "2001:db8:42:2::/64 ", Duration::from_secs(2));
    disappears(&theirs, "default", Duration::from_secs(2));
    assert_eq!(routes(&ours, ""), [""; 0], "after the end");
}

/// Both sides measure the delay, and what babeld originates is seen as that.
fn check_delay_and_refmetrics(ours: &Namespace, directory: &Path) {
    eventually("delay measured by babeld", PATIENCE, || {
        babeld_dump(directory).contains(" rttcost ").then_some(())
    });
    eventually("delay measured by re6st", PATIENCE, || {
        let is_measured = |object: &Value| object["rtt_us"].is_u64() && object["cost"] == 96;
        dump(ours, directory).iter().any(is_measured).then_some(())
    });
    let known = dump(ours, directory);
    let is_installed = |object: &&Value| object["type"] == "route" && object["installed"] == true;
    let refmetrics: Vec<&Value> =
        known.iter().filter(is_installed).map(|route| &route["refmetric"]).collect();
    assert_eq!(refmetrics, [0, 0], "{known:?}");
}

/// Goal: a babeld without the key is not spoken to.
#[test]
fn babel_ignores_babeld_without_the_key() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (theirs, ours) = (host("theirs"), host("ours"));
    theirs.connect("v0", &ours, "v1");
    theirs.ip("addr add 2001:db8:42:1::1/64 dev lo");
    let local = "redistribute local ip 2001:db8:42:1::/64";
    let _babeld = babeld(&theirs, directory, "v0", &["interface v0 type tunnel", local]);
    let key = format!("blake2s128:{BLAKE2S}");
    let arguments = ["v1", "--key", &key, "--redistribute", "2001:db8:42:2::/64"];
    let _re6st = re6st(&ours, directory, &arguments);
    eventually("babeld hears us", PATIENCE, || {
        babeld_dump(directory).contains("add neighbour").then_some(())
    });
    std::thread::sleep(Duration::from_secs(4));
    let known = dump(&ours, directory);
    assert!(known.iter().all(|object| object["type"] != "neighbour"), "{known:?}");
    assert_eq!(routes(&ours, ""), [""; 0]);
}

/// Goal: a neighbour that dies without a word is left within the hold time; a router that died so and
/// starts again leaves no stale route.
#[test]
fn babel_and_babeld_notice_each_others_death() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (theirs, ours) = (host("theirs"), host("ours"));
    theirs.connect("v0", &ours, "v1");
    theirs.ip("addr add 2001:db8:42:1::1/64 dev lo");
    let local = "redistribute local ip 2001:db8:42:1::/64";
    let tunnel = "interface v0 type tunnel";
    let their_process = babeld(&theirs, directory, "v0", &[tunnel, local]);
    let arguments = ["v1", "--redistribute", "2001:db8:42:2::/64"];
    let mut our_process = re6st(&ours, directory, &arguments);
    appears(&ours, "2001:db8:42:1::1 ");
    appears(&theirs, "2001:db8:42:2::/64 ");

    our_process.signal("KILL");
    eventually("killed", PATIENCE, || (!our_process.is_running()).then_some(()));
    assert_eq!(routes(&ours, "2001:db8:42:1::1 ").len(), 1, "nobody removed it");
    // The link is cut, so that the route can only be a leftover.
    theirs.ip("link set v0 down");
    let _our_process = re6st(&ours, directory, &arguments);
    disappears(&ours, "2001:db8:42:1::1 ", PATIENCE);
    theirs.ip("link set v0 up");
    appears(&ours, "2001:db8:42:1::1 ");

    their_process.signal("KILL");
    eventually("an unreachable route instead", PATIENCE, || {
        let routes = routes(&ours, "unreachable 2001:db8:42:1::1 ");
        (!routes.is_empty()).then_some(())
    });
}

/// Goal: a route that moves from one neighbour to another is never missing.
/// Method: the kernel's own record of changes while the better of two neighbours retracts.
#[test]
fn babel_replaces_a_route_without_a_window() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (theirs, ours, other) = (host("theirs"), host("ours"), host("other"));
    theirs.connect("v0", &ours, "v1");
    other.connect("v0", &ours, "v2");
    for namespace in [&theirs, &other] {
        namespace.ip("addr add 2001:db8:42:1::1/64 dev lo");
    }
    let local = |metric| format!("redistribute local ip 2001:db8:42:1::/64 metric {metric}");
    let tunnel = "interface v0 type tunnel";
    let mut better = babeld(&theirs, directories[0].path(), "v0", &[tunnel, &local(10)]);
    let _worse = babeld(&other, directories[1].path(), "v0", &[tunnel, &local(500)]);
    let _re6st = re6st(&ours, directories[0].path(), &["v1", "v2"]);
    eventually("both neighbours", PATIENCE, || {
        let known = dump(&ours, directories[0].path());
        let routes = known.iter().filter(|object| object["type"] == "route");
        (routes.count() == 2).then_some(())
    });
    eventually("the better one", PATIENCE, || {
        routes(&ours, "2001:db8:42:1::1 ").pop().filter(|route| route.contains("dev v1"))
    });
    let monitor = ours.spawn(directories[0].path(), "monitor", "ip", &["-6", "monitor", "route"]);
    std::thread::sleep(Duration::from_millis(500));
    better.stop();
    eventually("the other one", PATIENCE, || {
        routes(&ours, "2001:db8:42:1::1 ").pop().filter(|route| route.contains("dev v2"))
    });
    std::thread::sleep(Duration::from_millis(500));
    let seen = monitor.printed();
    let changes: Vec<&str> =
        seen.lines().filter(|line| line.contains("2001:db8:42:1::1")).collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!(changes[0].contains("dev v2") && !changes[0].contains("Deleted"), "{changes:?}");
}

/// Goal: a router that is killed comes back under its name and with a higher number, so that nobody has to
/// ask for one; one that ends as well.
#[test]
fn babel_keeps_its_identity_over_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (theirs, ours) = (host("theirs"), host("ours"));
    theirs.connect("v0", &ours, "v1");
    let _babeld = babeld(&theirs, directory, "v0", &["interface v0 type tunnel"]);
    let state = directory.join("state");
    let prefix = "2001:db8:42:2::/64";
    let arguments = ["v1", "--redistribute", prefix, "--state", state.to_str().unwrap()];
    // What babeld says of our route: router-id and number.
    let seen = || {
        let dump = babeld_dump(directory);
        let word = |line: &str, name: &str| {
            let mut words = line.split(' ').skip_while(|word| *word != name);
            words.nth(1).map(str::to_owned)
        };
        let line =
            dump.lines().find(|line| line.starts_with("add route") && line.contains(prefix))?;
        (word(line, "metric")? != "65535").then_some(())?;
        word(line, "id")
    };
    let mut first = re6st(&ours, directory, &arguments);
    let name = eventually("our route in babeld", PATIENCE, seen);
    let number = || {
        let text = std::fs::read_to_string(&state).unwrap();
        text.split(' ').next().unwrap().parse::<u16>().unwrap()
    };
    let before = number();
    first.signal("KILL");
    eventually("killed", PATIENCE, || (!first.is_running()).then_some(()));
    let mut second = re6st(&ours, directory, &arguments);
    eventually("it runs again", PATIENCE, || {
        dump(&ours, directory).iter().any(|object| object["type"] == "neighbour").then_some(())
    });
    appears(&theirs, "2001:db8:42:2::/64 ");
    assert_eq!(eventually("our route again", PATIENCE, seen), name);
    assert_eq!(second.stop(), Some(0));
    assert!(number().wrapping_sub(before).cast_signed() > 0, "{before} and then {}", number());
    let _third = re6st(&ours, directory, &arguments);
    eventually("our route a third time", PATIENCE, || seen().filter(|third| *third == name));
}

/// Goal: a router that was to follow what does not work ends with a sentence, instead of waiting for ever.
#[test]
fn babel_ends_when_nothing_names_an_interface() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("re6st.sock");
    let ours = host("ours");
    let script = format!("false | {RE6ST} babel run --interfaces - --socket {}", socket.display());
    let output = ours.output("sh", &["-c", &script]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("standard input ended"), "{said}");
    assert!(said.lines().count() < 8, "{said}");
}

/// Goal: interfaces come and go by the lines that `re6st tunnel` prints.
#[test]
fn babel_follows_tunnels_told_on_standard_input() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let (theirs, ours) = (host("theirs"), host("ours"));
    theirs.connect("v0", &ours, "v1");
    theirs.ip("addr add 2001:db8:42:1::1/64 dev lo");
    let local = "redistribute local ip 2001:db8:42:1::/64";
    let _babeld = babeld(&theirs, directory, "v0", &["interface v0 type tunnel", local]);
    let socket = directory.join("re6st.sock");
    let arguments = [
        "babel",
        "run",
        "--hello",
        "1s",
        "--interfaces",
        "-",
        "--socket",
        socket.to_str().unwrap(),
    ];
    let mut command = ours.command(RE6ST, &arguments);
    command.stdin(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut tell = |event: &str| {
        let line = format!(
            r#"{{"type":"tunnel","time":"2026-11-22T00:00:00Z","interface":"v1","event":"{event}"}}"#
        );
        writeln!(input, "{line}").unwrap();
    };
    tell("up");
    appears(&ours, "2001:db8:42:1::1 ");
    tell("down");
    eventually("refused at once", Duration::from_secs(2), || {
        routes(&ours, "2001:db8:42:1::1 ").is_empty().then_some(())
    });
    tell("up");
    appears(&ours, "2001:db8:42:1::1 ");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(routes(&ours, ""), [""; 0], "after the end");
}
