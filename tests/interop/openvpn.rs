//! Tunnels with Debian's OpenVPN, in both roles, over both transports, encrypted and not; and with ourselves.

use std::time::Duration;

use crate::interop::tunnel_lab::{KINDS, Kind, Lab, PATIENCE, events, expect_event};
use crate::namespace::{Namespace, RE6ST, eventually, run};

/// What an interface of ours is to take for a 2.4 at the other end to take it, too.
fn mtu(kind: Kind) -> u32 {
    match (kind.protocol, kind.cipher) {
        ("tcp", _) => 1500,
        (_, "none") => 1372,
        _ => 1348,
    }
}

fn serves_openvpn(kind: Kind) {
    let lab = Lab::new();
    let mut listener = lab.listen(kind, "");
    let mut client = lab.openvpn_client(kind, "--reneg-sec 3");
    let up = expect_event(&listener, "up");
    assert_eq!((&up["peer"], &up["cipher"]), (&"1/16".into(), &kind.cipher.into()));
    // What only re6st speaks stays between ends that both do.
    assert_eq!((&up["mtu_octets"], &up["native"]), (&mtu(kind).into(), &false.into()));
    lab.raise_openvpn_client();
    lab.assert_both_ways("re6st-1-16", "ovc");
    assert!(client.printed().contains("tls-ekm"), "{}", client.printed());
    assert!(!events(&listener, "rekeyed").is_empty(), "{}", listener.printed());
    assert!(client.is_running());
    assert_eq!(listener.stop(), Some(0));
    let left = lab.left.output("ip", &["link", "show", "re6st-1-16"]);
    assert!(!left.status.success(), "the interface is still there");
}

#[test]
fn openvpn_is_served_over_udp() {
    serves_openvpn(KINDS[0]);
}

#[test]
fn openvpn_is_served_over_udp_without_encryption() {
    serves_openvpn(KINDS[1]);
}

#[test]
fn openvpn_is_served_over_tcp() {
    serves_openvpn(KINDS[2]);
}

#[test]
fn openvpn_is_served_over_tcp_without_encryption() {
    serves_openvpn(KINDS[3]);
}

fn is_served_by_openvpn(kind: Kind) {
    let lab = Lab::new();
    let server = lab.openvpn_server(kind, "--reneg-sec 3");
    let mut connection = lab.connect(kind, "client", "--peer 0/16");
    let up = expect_event(&connection, "up");
    assert_eq!((&up["peer"], &up["cipher"]), (&"0/16".into(), &kind.cipher.into()));
    // What only re6st speaks stays between ends that both do.
    assert_eq!((&up["mtu_octets"], &up["native"]), (&mtu(kind).into(), &false.into()));
    assert_eq!(up["external_ip"], "192.0.2.9");
    lab.assert_both_ways("ovs", "re6st-tunnel");
    assert!(server.printed().contains("tls-ekm"), "{}", server.printed());
    assert!(!events(&connection, "rekeyed").is_empty(), "{}", connection.printed());
    assert_eq!(connection.stop(), Some(0));
    eventually("the server to hear that we left", PATIENCE, || {
        server.printed().contains("1/16/10.9.0.2").then_some(())
    });
}

#[test]
fn openvpn_serves_us_over_udp() {
    is_served_by_openvpn(KINDS[0]);
}

#[test]
fn openvpn_serves_us_over_udp_without_encryption() {
    is_served_by_openvpn(KINDS[1]);
}

#[test]
fn openvpn_serves_us_over_tcp() {
    is_served_by_openvpn(KINDS[2]);
}

#[test]
fn openvpn_serves_us_over_tcp_without_encryption() {
    is_served_by_openvpn(KINDS[3]);
}

#[test]
fn our_own_ends_renew_keys_under_traffic() {
    let lab = Lab::new();
    for kind in KINDS {
        let mut listener = lab.listen(kind, "--renegotiate-after 2s");
        let mut connection = lab.connect(kind, "client", "--peer 0/16 --renegotiate-after 2s");
        expect_event(&connection, "up");
        lab.assert_both_ways("re6st-1-16", "re6st-tunnel");
        assert!(events(&connection, "rekeyed").len() >= 2, "{}", connection.printed());
        assert_eq!(connection.stop(), Some(0));
        assert_eq!(expect_event(&listener, "down")["reason"], "the peer left");
        assert_eq!(listener.stop(), Some(0));
        std::fs::remove_file(&listener.log).unwrap();
        std::fs::remove_file(&connection.log).unwrap();
    }
}

#[test]
fn a_server_of_another_name_and_a_revoked_client_are_refused() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[0], "--revoked 3");
    let mut wrong = lab.connect(KINDS[0], "client", "--peer 7/16");
    let reason = expect_event(&wrong, "down")["reason"].clone();
    assert_eq!(reason, "the peer's certificate names 0/16, not 7/16");
    assert_eq!(wrong.stop(), Some(1));
    let last = "no tunnel to 10.9.0.1,1194,udp: the peer's certificate names 0/16, not 7/16";
    assert!(wrong.printed().contains(last), "{}", wrong.printed());
    let mut revoked = lab.connect(KINDS[0], "other", "");
    let reason = expect_event(&revoked, "down")["reason"].clone();
    assert_eq!(reason, "the server refused us: your certificate was revoked");
    assert_eq!(revoked.stop(), Some(1));
    assert!(events(&listener, "up").is_empty());
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_client_that_comes_anew_takes_the_place_of_its_earlier_self() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[0], "");
    let first = lab.connect(KINDS[0], "client", "");
    expect_event(&first, "up");
    // Killed, it cannot say that it leaves.
    first.signal("KILL");
    let mut second = lab.connect(KINDS[0], "client", "--interface again");
    eventually("the second tunnel", PATIENCE, || {
        (events(&listener, "up").len() == 2).then_some(())
    });
    assert_eq!(expect_event(&listener, "down")["reason"], "the client connected anew");
    lab.assert_both_ways("re6st-1-16", "again");
    assert_eq!(second.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_client_that_comes_to_nothing_leaves_its_earlier_self_alone_and_hears_what_to_do() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[1], "");
    let mut first = lab.connect(KINDS[1], "client", "");
    expect_event(&first, "up");
    let mut second = lab.connect(KINDS[0], "client", "--interface again");
    let wanted = "the peer does not encrypt, and we accept only AES-256-GCM";
    eventually("a refusal", PATIENCE, || {
        events(&second, "down").iter().any(|down| down["reason"] == wanted).then_some(())
    });
    assert_eq!(second.stop(), Some(1));
    assert!(second.printed().contains("add --cipher none"), "{}", second.printed());
    assert!(events(&listener, "down").is_empty(), "{}", listener.printed());
    lab.assert_both_ways("re6st-1-16", "re6st-tunnel");
    assert_eq!(first.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_plain_openvpn_server_has_us_name_the_option() {
    let lab = Lab::new();
    let _server = lab.openvpn_server(KINDS[1], "");
    let mut connection = lab.connect(KINDS[0], "client", "");
    expect_event(&connection, "down");
    assert_eq!(connection.stop(), Some(1));
    assert!(connection.printed().contains("add --cipher none"), "{}", connection.printed());
}

#[test]
fn a_cut_path_is_noticed_within_a_second_and_its_mending_too() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[0], "--address 10.77.0.1/24");
    let mut connection = lab.connect(KINDS[0], "client", "--address 10.77.0.2/24");
    assert_eq!(expect_event(&connection, "up")["native"], true);
    eventually("an answer", PATIENCE, || lab.right.pings("10.77.0.1").then_some(()));
    let arguments = ["-q", "-i", "0.02", "10.77.0.1"];
    let mut traffic = lab.right.spawn(lab.folder.path(), "ping", "ping", &arguments);
    std::thread::sleep(Duration::from_secs(1));
    assert!(events(&connection, "silent").is_empty(), "{}", connection.printed());
    let chains =
        "add table inet cut; add chain inet cut in { type filter hook input priority 0; };";
    let rules = format!("{chains} add rule inet cut in udp dport 1194 drop");
    #[allow(clippy::disallowed_methods, reason = "measures real processes")]
    let cut = std::time::Instant::now();
    lab.left.run("nft", &[&rules]);
    while events(&connection, "silent").is_empty() {
        assert!(cut.elapsed() < PATIENCE, "{}", connection.printed());
        std::thread::sleep(Duration::from_millis(10));
    }
    println!("noticed after {:?}", cut.elapsed());
    // Half a second is the goal; a busy machine may take its time.
    assert!(cut.elapsed() < Duration::from_secs(2), "noticed after {:?}", cut.elapsed());
    lab.left.run("nft", &["delete table inet cut"]);
    expect_event(&connection, "recovered");
    traffic.stop();
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

/// One listener takes clients over UDP and TCP, IPv4 and IPv6: an interface each, and one place for one name.
#[test]
fn one_listener_serves_every_transport_and_family() {
    let lab = Lab::new();
    for (host, address) in [(&lab.left, "fd00:9::1"), (&lab.right, "fd00:9::2")] {
        host.ip(&format!("address add {address}/64 dev e0 nodad"));
    }
    let mut listener = lab.listen(KINDS[0], "--protocol tcp --protocol udp6 --protocol tcp6");
    let connect = |to: &str, who: &str| {
        let words = format!("tunnel connect {to} --json --interface {who}");
        let process = lab.spawn(&lab.right, who, RE6ST, &words, who);
        expect_event(&process, "up");
        process
    };
    let first = connect("10.9.0.1,1194,udp", "client");
    let mut second = connect("fd00:9::1,1194,udp6", "other");
    lab.assert_both_ways("re6st-1-16", "client");
    lab.assert_both_ways("re6st-2-16", "other");
    // From elsewhere again: the same client, whose earlier tunnel makes room.
    first.signal("KILL");
    let mut again = connect("fd00:9::1,1194,tcp6", "client");
    assert_eq!(expect_event(&listener, "down")["reason"], "the client connected anew");
    assert_eq!(second.stop(), Some(0));
    let mut other = connect("10.9.0.1,1194,tcp", "other");
    lab.assert_both_ways("re6st-2-16", "other");
    let words = "--dev-type tap --dev ovc --nobind --client --remote fd00:9::1 1194 udp6";
    let _openvpn = lab.spawn(&lab.right, "openvpn", "openvpn", words, "server");
    eventually("five tunnels", PATIENCE, || (events(&listener, "up").len() == 5).then_some(()));
    for process in [&mut again, &mut other] {
        assert_eq!(process.stop(), Some(0));
    }
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn ip_packets_pass_where_no_frames_are_wanted() {
    let lab = Lab::new();
    let kind = KINDS[0];
    let mut listener = lab.listen(kind, "--device tun --address 10.77.0.1/24");
    let mut connection = lab.connect(kind, "client", "--device tun --address 10.77.0.2/24");
    expect_event(&connection, "up");
    eventually("an answer", PATIENCE, || lab.right.pings("10.77.0.1").then_some(()));
    assert!(lab.right.ip("-d link show re6st-tunnel").contains("tun type tun"));
    assert_eq!(connection.stop(), Some(0));
    assert_eq!(listener.stop(), Some(0));
}

#[test]
fn a_configuration_file_of_openvpn_serves_both_programs() {
    let lab = Lab::new();
    let read = |name: &str| std::fs::read_to_string(lab.file(name)).unwrap();
    run("openvpn", &["--genkey", "secret", &lab.file("ta.key")]);
    let client = format!(
        "client\ndev tap\ndev-type tap\nproto udp\nremote 10.9.0.1 1195\nnobind\n\
         <ca>\n{}</ca>\n<cert>\n{}</cert>\n<key>\n{}</key>\nkey-direction 1\n\
         <tls-auth>\n{}</tls-auth>\nauth SHA256\ndata-ciphers AES-128-GCM\n\
         verify-x509-name 0/16 name\nifconfig 10.77.0.2 255.255.255.0\nverb 3\n",
        read("ca.crt"),
        read("client.crt"),
        read("client.key"),
        read("ta.key"),
    );
    std::fs::write(lab.file("client.ovpn"), client).unwrap();
    let server = "mode server\ntls-server\ndev tap\nport 1195\nproto udp\nca ca.crt\ncert server.crt\n\
                  key server.key\ndh none\ntls-auth ta.key 0\nauth SHA256\ndata-ciphers AES-128-GCM\n\
                  ifconfig 10.77.0.1 255.255.255.0\nkeepalive 1 10\n";
    std::fs::write(lab.file("server.ovpn"), server).unwrap();
    let config = |name: &str| ["tunnel", name, "--json", "--config"].map(str::to_owned);
    let spawn = |host: &Namespace, name: &str, program: &str, words: &[String]| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        host.spawn(lab.folder.path(), name, program, &words)
    };
    let words = [&config("listen")[..], &[lab.file("server.ovpn")]].concat();
    let mut listener = spawn(&lab.left, "listen", RE6ST, &words);
    let dh = "line 9: dh does not apply here";
    eventually("a listener", PATIENCE, || listener.printed().contains("listening").then_some(()));
    assert!(listener.printed().contains(dh), "{}", listener.printed());

    let words = [&config("connect")[..], &[lab.file("client.ovpn")]].concat();
    let mut connection = spawn(&lab.right, "connect", RE6ST, &words);
    assert_eq!(expect_event(&connection, "up")["cipher"], "AES-128-GCM");
    eventually("an answer", PATIENCE, || lab.right.pings("10.77.0.1").then_some(()));
    assert_eq!(connection.stop(), Some(0));

    let words = ["--config".to_owned(), lab.file("client.ovpn")];
    let mut openvpn = spawn(&lab.right, "openvpn", "openvpn", &words);
    eventually("an answer", PATIENCE, || lab.right.pings("10.77.0.1").then_some(()));
    openvpn.stop();

    let words = [&config("connect")[..], &[lab.file("server.ovpn")]].concat();
    let mut wrong = spawn(&lab.right, "wrong", RE6ST, &words);
    eventually("an end", PATIENCE, || (!wrong.is_running()).then_some(()));
    assert_eq!(wrong.stop(), Some(2));
    assert!(wrong.printed().contains("use re6st tunnel listen"), "{}", wrong.printed());
    assert_eq!(listener.stop(), Some(0));
}
