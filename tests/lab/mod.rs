//! `re6st lab`, live: hosts, the Internet between them, what is broken and mended, what is left behind.

mod demo;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::namespace::{RE6ST, eventually, run};

/// A lab that is removed at the end, also when a test fails.
struct Lab {
    name: String,
}

impl Lab {
    fn up(label: &str, scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let lab = Self { name: format!("r6t-{}-{label}", std::process::id()) };
        let file = file.to_str().unwrap();
        run(RE6ST, &["lab", "up", file, "--name", &lab.name, "--detach", "--seed", "1"]);
        lab
    }

    fn output(&self, words: &[&str]) -> Output {
        let (first, rest) = words.split_first().unwrap();
        let arguments = ["lab", first, "--name", &self.name];
        Command::new(RE6ST).args(arguments).args(rest).output().unwrap()
    }

    fn exec(&self, host: &str, words: &[&str]) -> Output {
        self.output(&[&["exec", host, "--"], words].concat())
    }

    fn fault(&self, words: &str) {
        let words: Vec<&str> = ["fault"].into_iter().chain(words.split(' ')).collect();
        let output = self.output(&words);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    }

    /// Mean round trip in milliseconds of three echo requests; `None` if one was not answered.
    fn ping(&self, host: &str, address: &str) -> Option<f64> {
        let output = self.exec(host, &["ping", "-c3", "-i0.1", "-W1", "-q", address]);
        let printed = text(&output.stdout);
        assert!(printed.contains("packets transmitted"), "{printed}{}", text(&output.stderr));
        let figures = printed.lines().find(|line| line.starts_with("rtt "))?;
        (printed.contains(" 0% packet loss")).then(|| figures.split('/').nth(4)?.parse().ok())?
    }

    fn is_gone(&self) -> bool {
        is_gone(&self.name)
    }
}

/// Whether neither a host nor a file of a lab is left.
fn is_gone(name: &str) -> bool {
    let names = run("ip", &["netns", "list"]);
    !names.contains(name) && !Path::new("/run/re6st-lab").join(name).exists()
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.output(&["down"]);
    }
}

/// Two public hosts 60 ms apart, one behind NAT that shares an Ethernet with the first.
const THREE: &str = r#"
host = [
    { name = "paris", region = "europe", ipv4 = "198.51.100.1", ipv6 = "3fff:0:1::1", lan = "office" },
    { name = "boston", region = "america", ipv4 = "198.51.100.2", ipv6 = "3fff:0:2::1" },
    { name = "home", region = "europe", ipv4 = "192.168.1.2", nat = "203.0.113.1", lan = "office" },
]
rtt_ms = { europe = { america = 60 } }
"#;

#[test]
fn a_lab_is_as_its_scenario_says_and_as_its_faults_change_it() {
    let lab = Lab::up("story", THREE);
    for address in ["198.51.100.2", "3fff:0:2::1", "boston"] {
        let rtt = lab.ping("paris", address).unwrap();
        assert!((60.0..160.0).contains(&rtt), "{address}: {rtt} ms");
    }
    assert!(lab.ping("home", "198.51.100.2").is_some(), "from behind NAT");
    assert_eq!(lab.ping("boston", "203.0.113.1"), None, "into NAT");
    let neighbours = lab.exec("home", &["ping", "-c2", "-i0.2", "-W1", "ff02::1%lan"]);
    let neighbours = text(&neighbours.stdout);
    assert!(neighbours.contains("duplicates"), "another host on the LAN: {neighbours}");

    lab.fault("delay paris boston 200ms");
    assert!(lab.ping("paris", "198.51.100.2").unwrap() >= 200.0);
    lab.fault("cut paris * --family ipv4");
    let status = text(&lab.output(&["status"]).stdout);
    for change in
        ["paris – boston, IPv4: cut, round trip 200ms", "paris – boston, IPv6: round trip 200ms"]
    {
        assert!(status.contains(change), "{status}");
    }
    assert_eq!(lab.ping("paris", "198.51.100.2"), None);
    assert!(lab.ping("paris", "3fff:0:2::1").is_some(), "IPv6 was not cut");
    lab.fault("heal paris *");
    assert!(lab.ping("paris", "198.51.100.2").unwrap() < 200.0);

    let status = lab.output(&["status"]);
    assert!(text(&status.stdout).contains("on cut paths"), "{}", text(&status.stdout));
    assert!(!text(&status.stdout).contains("changed"), "{}", text(&status.stdout));
    assert!(lab.output(&["down"]).status.success());
    assert!(lab.is_gone());
}

#[test]
fn udp_is_dropped_and_tcp_is_not_where_the_scenario_says_so() {
    let dropped = THREE.replace("\"198.51.100.2\",", "\"198.51.100.2\", udp_dropped = true,");
    let lab = Lab::up("udp", &dropped);
    // Sent until it is heard or ten seconds have passed: programs take their time to start.
    let send = |protocol: &str| {
        let once = format!("echo hello > /dev/{protocol}/198.51.100.2/9");
        lab.exec(
            "paris",
            &["bash", "-c", &format!("for i in $(seq 40); do {once}; sleep 0.25; done")],
        )
    };
    for (protocol, receive, arrives) in [
        (
            "tcp",
            "s=socket.create_server(('',9));s.settimeout(9);print(s.accept()[0].recv(9))",
            true,
        ),
        (
            "udp",
            "s=socket.socket(type=socket.SOCK_DGRAM);s.bind(('',9));s.settimeout(9);print(s.recv(9))",
            false,
        ),
    ] {
        let program = format!("import socket;{receive}");
        let heard = std::thread::scope(|scope| {
            scope.spawn(|| send(protocol));
            text(&lab.exec("boston", &["python3", "-c", &program]).stdout)
        });
        assert_eq!(heard.contains("hello"), arrives, "{protocol}: {heard}");
    }
    let status = text(&lab.output(&["status"]).stdout);
    assert!(status.contains("UDP where it is dropped"), "{status}");
}

#[test]
fn a_killed_lab_is_found_by_name_and_removed() {
    let lab = Lab::up("killed", THREE);
    assert!(!lab.is_gone());
    let again = Command::new(RE6ST).args(["lab", "up", "--name", &lab.name]).output().unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("is up: `re6st lab down"), "{}", text(&again.stderr));

    // A program that runs on a host must not outlive the lab.
    let mut sleeper = Command::new(RE6ST)
        .args(["lab", "exec", "--name", &lab.name, "boston", "--", "sleep", "300"])
        .spawn()
        .unwrap();
    run("kill", &["-KILL", &emulator_of(&lab.name)]);
    eventually("the lab does not answer any more", Duration::from_secs(10), || {
        (!lab.output(&["status"]).status.success()).then_some(())
    });
    assert!(lab.output(&["down"]).status.success());
    assert!(lab.is_gone());
    eventually("the program on the host has ended", Duration::from_secs(5), || {
        sleeper.try_wait().unwrap()
    });
}

/// The process that holds the control socket.
fn emulator_of(name: &str) -> String {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_ours = |id: &String| {
        let words = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words = text(&words).replace('\0', " ");
        words.contains(" lab up ") && words.contains(&format!("--name {name}"))
    };
    let numbers = processes.filter_map(|entry| entry.file_name().into_string().ok());
    numbers.filter(|id| id.parse::<u32>().is_ok()).find(is_ours).expect("the emulator runs")
}

#[test]
fn what_makes_no_sense_is_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, THREE.replace("boston", "paris")).unwrap();
    let file = file.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["up", file], "two hosts are called paris"),
        (&["up", "/no/such.toml"], "/no/such.toml: No such file"),
        (&["up", "--hosts", "0"], "a lab has 1 to 256 hosts, not 0"),
        (&["up", "--name", "a/b"], "use letters, digits and hyphens"),
        (&["exec", "paris", "--", "true"], "start one with `re6st lab up`"),
        (&["fault", "loss", "a", "b", "much"], "invalid value 'much'"),
        (&["status"], "start one with `re6st lab up`"),
    ];
    for (words, sentence) in cases {
        let mut command = Command::new(RE6ST);
        command.arg("lab").arg(words[0]);
        if !words.contains(&"--name") {
            command.args(["--name", "r6t-nobody"]);
        }
        let output = command.args(&words[1..]).output().unwrap();
        let said = text(&output.stderr);
        assert!(said.contains(sentence), "{words:?}: {said}");
        let expected = if sentence.starts_with("start") { 1 } else { 2 };
        assert_eq!(output.status.code(), Some(expected), "{words:?}: {said}");
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}
