//! Data that goes astray, and TCP connections that come from an end which leaves them as they are.

use std::net::{TcpListener, TcpStream, UdpSocket};

use crate::interop::tunnel_lab::{KINDS, Lab, PATIENCE, events, expect_event};
use crate::namespace::{Process, eventually};

/// How many packets of a tunnel were refused, once its statistics were told twice more.
fn refused(listener: &Process, interface: &str) -> u64 {
    let told = || {
        let told = events(listener, "statistics").into_iter();
        told.filter(|event| event["interface"] == interface).collect::<Vec<_>>()
    };
    let before = told().len();
    eventually("statistics", PATIENCE, || {
        let mut told = told();
        (told.len() > before + 1).then(|| told.pop())?
    })["refused"]
        .as_u64()
        .unwrap()
}

/// A stranger sends data under every number there could be: each tunnel hears of its own number alone, and
/// nothing of it passes.
#[test]
fn data_under_any_number_disturbs_no_tunnel() {
    let lab = Lab::new();
    let mut listener = lab.listen(KINDS[0], "--statistics-every 200ms");
    let mut first = lab.connect(KINDS[0], "client", "");
    let mut second = lab.connect(KINDS[0], "other", "--interface second");
    eventually("two tunnels", PATIENCE, || (events(&listener, "up").len() == 2).then_some(()));
    let socket = lab.right.enter(|| UdpSocket::bind("10.9.0.2:0").unwrap());
    for number in (0..200_u32).chain([0xff_ffff]) {
        let [_, a, b, c] = number.to_be_bytes();
        let packet = [&[9 << 3, a, b, c][..], &[0, 0, 0, 9], &[0x5a; 60]].concat();
        socket.send_to(&packet, "10.9.0.1:1194").unwrap();
        // V1 has no number: it is for whom the address belongs to.
        let packet = [&[6 << 3][..], &[0, 0, 0, 9], &[0x5a; 60]].concat();
        socket.send_to(&packet, "10.9.0.1:1194").unwrap();
    }
    assert_eq!(["re6st-1-16", "re6st-2-16"].map(|name| refused(&listener, name)), [1, 1]);
    lab.assert_both_ways("re6st-1-16", "re6st-tunnel");
    lab.assert_both_ways("re6st-2-16", "second");
    assert!(events(&listener, "down").is_empty(), "{}", listener.printed());
    for process in [&mut first, &mut second, &mut listener] {
        assert_eq!(process.stop(), Some(0));
    }
}

/// The peer lowers nothing: what comes inward is lowered here, and what goes outward, too.
#[test]
fn segments_fit_whichever_end_begins_though_only_ours_sees_to_it() {
    let lab = Lab::new();
    let _server = lab.openvpn_server(KINDS[0], "--mssfix 0 --ifconfig 10.77.0.1 255.255.255.0");
    std::fs::write(lab.file("client.ovpn"), "mssfix 1000 fixed\n").unwrap();
    let words = format!("--address 10.77.0.2/24 --config {}", lab.file("client.ovpn"));
    let mut connection = lab.connect(KINDS[0], "client", &words);
    expect_event(&connection, "up");
    eventually("an answer", PATIENCE, || lab.left.pings("10.77.0.2").then_some(()));
    for (caller, called, address) in
        [(&lab.left, &lab.right, "10.77.0.2"), (&lab.right, &lab.left, "10.77.0.1")]
    {
        let listener = called.enter(|| TcpListener::bind((address, 7000)).unwrap());
        let outgoing = caller.enter(|| TcpStream::connect((address, 7000)).unwrap());
        let (incoming, _) = listener.accept().unwrap();
        for stream in [&outgoing, &incoming] {
            let octets = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::TcpMaxSeg);
            let octets = octets.unwrap();
            assert!((900..=960).contains(&octets), "segments of {octets} octets to {address}");
        }
    }
    assert_eq!(connection.stop(), Some(0));
}

/// A network that says `link-mtu` has interfaces as 2.4 would make them, and its frames pass.
#[test]
fn link_mtu_gives_the_interfaces_of_2_4() {
    let lab = Lab::new();
    for (kind, at_server, at_client) in [(KINDS[1], 1372, 1372), (KINDS[0], 1372, 1348)] {
        for (file, octets) in [("server", 1525), ("client", 1432)] {
            std::fs::write(lab.file(&format!("{file}.ovpn")), format!("link-mtu {octets}\n"))
                .unwrap();
        }
        let config = |file: &str| format!("--config {}", lab.file(&format!("{file}.ovpn")));
        let mut listener = lab.listen(kind, &config("server"));
        let mut connection = lab.connect(kind, "client", &config("client"));
        let mtu = |process: &Process| expect_event(process, "up")["mtu_octets"].as_u64();
        assert_eq!((mtu(&listener), mtu(&connection)), (Some(at_server), Some(at_client)));
        let link = lab.right.ip("link show re6st-tunnel");
        assert!(link.contains(&format!("mtu {at_client} ")), "{link}");
        lab.assert_both_ways("re6st-1-16", "re6st-tunnel");
        assert_eq!(connection.stop(), Some(0));
        assert_eq!(listener.stop(), Some(0));
        for process in [&listener, &connection] {
            std::fs::remove_file(&process.log).unwrap();
        }
    }
}
