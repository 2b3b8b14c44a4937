//! How tunnels with Debian's OpenVPN end and are refused: by silence, by a farewell, by name; in both
//! directions, each told to the other end.

use std::fs;

use crate::interop::tunnel_lab::{KINDS, Lab, PATIENCE, events, expect_event};
use crate::namespace::{Process, RE6ST, eventually};

/// Seconds of silence that end a tunnel here.
const SILENCE: u64 = 3;

impl Lab {
    /// Without IPv6, kernels have nothing to say on an interface: what passes is pings.
    fn without_ipv6() -> Self {
        let lab = Self::new();
        for host in [&lab.left, &lab.right] {
            host.sysctl("net.ipv6.conf.default.disable_ipv6=1");
        }
        lab
    }
}

/// Waits until more pings came than silence takes seconds: the tunnel lives though nothing is sent.
fn assert_kept_alive(process: &Process) {
    eventually("pings", PATIENCE, || {
        assert!(events(process, "down").is_empty(), "{}", process.printed());
        let statistics = events(process, "statistics").pop()?;
        (statistics["packets_in"].as_u64()? > 2 * SILENCE + 1).then_some(())
    });
}

fn says(process: &Process, text: &str) {
    eventually(text, PATIENCE, || process.printed().contains(text).then_some(()));
}

/// An end of a tunnel that neither hears nor says anything while this lives.
struct Stopped<'a>(&'a Process);

impl<'a> Stopped<'a> {
    fn new(process: &'a Process) -> Self {
        process.signal("STOP");
        Self(process)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.signal("CONT");
    }
}

/// An OpenVPN server sends pings, and then is silent.
fn ends_by_silence(theirs: &str, ours: &str) {
    let lab = Lab::without_ipv6();
    let server = lab.openvpn_server(KINDS[0], theirs);
    let words = format!("--statistics-every 1s {ours}");
    let mut connection = lab.connect(KINDS[0], "client", &words);
    expect_event(&connection, "up");
    assert_kept_alive(&connection);
    let stopped = Stopped::new(&server);
    let reason = expect_event(&connection, "down")["reason"].clone();
    assert_eq!(reason, format!("nothing heard for {SILENCE} s"));
    assert_eq!(connection.stop(), Some(1));
    drop(stopped);
    assert!(!server.printed().contains("Inactivity"), "{}", server.printed());
}

#[test]
fn silence_of_an_openvpn_server_ends_a_tunnel_on_its_terms() {
    ends_by_silence(&format!("--keepalive 1 {SILENCE}"), "");
}

#[test]
fn silence_of_an_openvpn_server_ends_a_tunnel_on_our_terms() {
    ends_by_silence("--keepalive 1 60", &format!("--ping-exit {SILENCE}s"));
}

/// A server of ours has its clients wait for pings as `keepalive` says; one that waited in vain comes again.
#[test]
fn silence_of_ours_has_an_openvpn_client_begin_anew_or_end() {
    let lab = Lab::without_ipv6();
    fs::write(lab.file("server.ovpn"), format!("keepalive 1 {SILENCE}\n")).unwrap();
    let words = format!("--statistics-every 1s --config {}", lab.file("server.ovpn"));
    let mut listener = lab.listen(KINDS[0], &words);
    let words = "--client --nobind --remote 10.9.0.1 1194 udp4 --dev-type tap --verb 3";
    let openvpn = |name: &str, who: &str, more: &str| {
        let words = format!("{words} --dev {name} {more}");
        lab.spawn(&lab.right, name, "openvpn", &words, who)
    };
    let client = openvpn("ovc", "client", "--connect-retry 1");
    let mut leaver = openvpn("ovl", "other", "--pull-filter ignore ping --ping 1 --ping-exit 3");
    eventually("two tunnels", PATIENCE, || (events(&listener, "up").len() == 2).then_some(()));
    assert_kept_alive(&listener);
    let stopped = Stopped::new(&listener);
    says(&client, "Inactivity timeout (--ping-restart), restarting");
    says(&leaver, "Inactivity timeout (--ping-exit), exiting");
    eventually("an end", PATIENCE, || (!leaver.is_running()).then_some(()));
    drop(stopped);
    eventually("a third tunnel", PATIENCE, || (events(&listener, "up").len() == 3).then_some(()));
    assert_eq!(events(&listener, "up")[2]["peer"], "1/16");
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn who_leaves_says_so_and_is_understood() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[0], "");
    let mut client = lab.openvpn_client(KINDS[0], "--explicit-exit-notify 1");
    expect_event(&listener, "up");
    client.stop();
    assert_eq!(expect_event(&listener, "down")["reason"], "the peer left");
    let other = lab.openvpn_client(KINDS[0], "");
    lab.raise_openvpn_client();
    eventually("a tunnel", PATIENCE, || (events(&listener, "up").len() == 2).then_some(()));
    assert_eq!(listener.stop(), Some(0));
    says(&other, "remote-exit");

    let lab = Lab::new();
    let mut server = lab.openvpn_server(KINDS[0], "--explicit-exit-notify 1");
    let mut first = lab.connect(KINDS[0], "client", "");
    expect_event(&first, "up");
    assert_eq!(first.stop(), Some(0));
    says(&server, "remote-exit");
    let mut second = lab.connect(KINDS[0], "other", "");
    expect_event(&second, "up");
    server.stop();
    assert_eq!(expect_event(&second, "down")["reason"], "the server restarts");
    assert_eq!(second.stop(), Some(1));
}

#[test]
fn an_openvpn_client_too_many_is_told_so() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[0], "--max-clients 1");
    let mut connection = lab.connect(KINDS[0], "other", "");
    expect_event(&connection, "up");
    let client = lab.openvpn_client(KINDS[0], "");
    says(&client, "AUTH_FAILED,there are as many clients as are allowed");
    assert!(events(&listener, "down").is_empty());
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_name_that_is_taken_is_called_that_before_anybody_is_asked() {
    let lab = Lab::new();
    let listener = lab.listen(KINDS[0], "");
    let mut first = lab.connect(KINDS[0], "other", "--interface taken");
    expect_event(&first, "up");
    let mut connection = lab.connect(KINDS[0], "client", "--interface taken");
    eventually("an end", PATIENCE, || (!connection.is_running()).then_some(()));
    assert_eq!(connection.stop(), Some(1));
    let printed = connection.printed();
    assert!(printed.contains("there is one of that name: choose another"), "{printed}");
    assert!(events(&connection, "connecting").is_empty(), "{printed}");
    assert_eq!(events(&listener, "up").len(), 1);
    assert_eq!(first.stop(), Some(0));
}

/// Whether there can be an interface is tried once, however many servers there are.
#[test]
fn the_interface_is_tried_once_for_all_servers() {
    let lab = Lab::new();
    let monitor = lab.right.spawn(lab.folder.path(), "monitor", "ip", &["monitor", "link"]);
    let servers: String = (1..=3).map(|n| format!("remote 10.9.0.1 {}\n", 2000 + n)).collect();
    fs::write(lab.file("servers.ovpn"), servers).unwrap();
    let words = "tunnel connect --json --interface tried --handshake-timeout 1s --config";
    let words = format!("{words} {}", lab.file("servers.ovpn"));
    let seen = || {
        let gone = |line: &&str| line.starts_with("Deleted") && line.contains("tried");
        monitor.printed().lines().filter(gone).count()
    };
    // The monitor prints nothing when it begins.
    eventually("a monitor", PATIENCE, || {
        lab.right.ip("tuntap add tried mode tap");
        lab.right.ip("tuntap delete tried mode tap");
        (seen() > 0).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    let before = seen();
    let mut connection = lab.spawn(&lab.right, "connect", RE6ST, &words, "client");
    eventually("an end", PATIENCE, || (!connection.is_running()).then_some(()));
    assert_eq!(connection.stop(), Some(1));
    assert_eq!(events(&connection, "connecting").len(), 3, "{}", connection.printed());
    assert_eq!(seen() - before, 1, "{}", monitor.printed());
}

/// Who stops it while a name is looked up does not wait for whoever does not answer.
#[test]
fn a_name_that_is_looked_up_slowly_holds_up_nobody() {
    let lab = Lab::new();
    let rules = "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; \
                 add rule inet cut in udp dport 53 drop";
    lab.left.run("nft", &[rules]);
    let resolver = Resolver::new(&lab);
    let words = "tunnel connect slow.example,1194,udp --json";
    let mut connection = lab.spawn(&lab.right, "connect", RE6ST, words, "client");
    let sockets = || lab.right.run("ss", &["-Hun"]);
    eventually("a question", PATIENCE, || sockets().contains("10.9.0.1:53").then_some(()));
    connection.signal("INT");
    #[allow(clippy::disallowed_methods, reason = "waits for a real process")]
    let start = std::time::Instant::now();
    assert_eq!(connection.stop(), Some(0), "{}", connection.printed());
    assert!(start.elapsed().as_secs() < 4, "after {:?}", start.elapsed());
    drop(resolver);
}

/// Names are asked of the host on the left by that on the right.
struct Resolver(std::path::PathBuf);

impl Resolver {
    fn new(lab: &Lab) -> Self {
        // `ip netns exec` puts what lies there over what lies in /etc.
        let folder = std::path::Path::new("/etc/netns").join(&lab.right.name);
        fs::create_dir_all(&folder).unwrap();
        let settings = "nameserver 10.9.0.1\noptions timeout:10 attempts:2\n";
        fs::write(folder.join("resolv.conf"), settings).unwrap();
        Self(folder)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // Others may have theirs there.
        let _ = fs::remove_dir("/etc/netns");
    }
}

#[test]
fn compression_is_refused_by_name() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[0], "");
    let client = lab.openvpn_client(KINDS[0], "--comp-lzo yes --allow-compression yes");
    says(&client, "AUTH_FAILED,the peer wants compression (comp-lzo)");
    assert_eq!(listener.stop(), Some(0));
    for (words, named) in [("--comp-lzo yes", "comp-lzo"), ("--compress stub-v2", "compress")] {
        let server = lab.openvpn_server(KINDS[0], &format!("{words} --allow-compression yes"));
        let mut connection = lab.connect(KINDS[0], "client", "");
        let reason = expect_event(&connection, "down")["reason"].to_string();
        assert!(reason.contains(named), "{reason}");
        assert_eq!(connection.stop(), Some(1));
        assert!(connection.printed().contains("take compression out"), "{}", connection.printed());
        for log in [server.log.clone(), connection.log.clone()] {
            fs::remove_file(log).unwrap();
        }
    }
}
