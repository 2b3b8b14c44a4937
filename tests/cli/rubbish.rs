//! Rubbish on every port of a running registry and node, and a registry that answers rubbish.

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use re6st::proto::random::Random;
use serde_json::Value;
use tempfile::TempDir;

use super::{assert_refusal, re6st};
use crate::internet::Internet;
use crate::interop::stock::node::Application;
use crate::interop::stock::ours::{OurNode, OurRegistry};
use crate::namespace::eventually;

/// Goal: whatever strangers and members send, the daemons go on.
/// Method: recorded packets cut off, changed and made up, on all ports; then ask the daemons.
#[test]
fn rubbish_on_every_port_changes_nothing() {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let (host, stranger) = (internet.host("reg", 2), internet.host("bad", 66));
    let mut registry = OurRegistry::start(&host, directory.path(), &["--hello", "4"]);
    let mut node = OurNode::join(
        host,
        &directory.path().join("node"),
        "http://127.0.0.1/",
        &registry.fingerprint,
        Application::Anonymous,
    );
    node.start("--ip 10.77.0.2 --pp 1194 udp --pp 1194 tcp --disable-proto none --interface eth0");
    eventually("the node is up", Duration::from_secs(20), || {
        node.namespace.output("ping", &["-c1", "-W1", &node.address]).status.success().then_some(())
    });
    // The stranger may speak as a member would, by the segment they share.
    let link_local = link_local(&node);
    stranger.ip("addr add 2001:db8:42:1::1/64 dev eth0 nodad");
    stranger.ip(&format!("route add {}/64 via {link_local} dev eth0", node.address));
    let tunnels = recorded("openvpn24.json");
    let mesh = recorded("vectors.json");
    let at = |port| format!("{}:{port}", "10.77.0.2").parse::<SocketAddr>().unwrap();
    let member = |port| format!("[{}]:{port}", node.address).parse::<SocketAddr>().unwrap();
    stranger.enter(|| {
        datagrams(at(1194), 0, &tunnels);
        datagrams(member(326), 0, &mesh);
        datagrams(member(326), 326, &mesh);
        let babel = [vec![42, 2, 0, 8, 4, 6, 0, 0, 0, 1, 0, 16]];
        for address in [link_local.as_str(), "ff02::1:6"] {
            let index = nix::net::if_::if_nametoindex("eth0").unwrap();
            let to = SocketAddrV6::new(address.parse().unwrap(), 6696, 0, index);
            datagrams(to.into(), 6696, &babel);
        }
        streams(at(1194), &tunnels);
        streams(at(80), &requests());
    });
    node.namespace.enter(|| datagrams("[::1]:326".parse().unwrap(), 0, &mesh));
    assert!(node.is_running(), "{}", node.printed());
    assert!(!node.printed().contains("panicked"), "{}", node.printed());
    assert!(!node.ask("status").is_empty());
    assert!(registry.is_running(), "{}", registry.printed());
    assert!(!registry.printed().contains("panicked"), "{}", registry.printed());
    let other = OurNode::join(
        internet.host("new", 3),
        &directory.path().join("new"),
        "http://10.77.0.2/",
        &registry.fingerprint,
        Application::Anonymous,
    );
    assert_eq!(other.common_name, "1/16");
    assert_eq!(node.stop(), Some(0));
}

/// Goal: a registry gone mad is named, and nothing is written.
/// Method: a server that answers every request with the same octets.
#[test]
fn a_registry_that_answers_rubbish_is_named() {
    let long = [b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), vec![b'x'; 4 << 20]].concat();
    for (what, answer) in [
        ("nothing", &b""[..]),
        ("no HTTP", b"220 mail.example.com ESMTP\r\n"),
        ("an error", b"HTTP/1.0 500 Internal Server Error\r\n\r\noops"),
        ("an empty page", b"HTTP/1.0 200 OK\r\n\r\n"),
        ("a page", b"HTTP/1.0 200 OK\r\n\r\n<html>hello</html>"),
        ("cut off", b"HTTP/1.0 200 OK\r\nContent-Length: 5000\r\n\r\n-----BEGIN"),
        ("too much", &long),
        ("octets", &[0xff; 64]),
    ] {
        let directory = TempDir::new().unwrap();
        let folder = directory.path().join("node");
        let url = format!("http://{}/", serve(answer.to_vec()));
        let arguments =
            ["cert", "join", "--registry", &url, "--anonymous", "--dir", folder.to_str().unwrap()];
        assert_refusal(what, &re6st(&arguments), 1, &[&url]);
        assert!(!folder.join("cert.crt").exists(), "{what}");
        assert!(!folder.join("ca.crt").exists(), "{what}");
    }
}

/// Answers every connection with `answer`; where.
fn serve(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(&answer);
        }
    });
    address
}

/// Sends each packet whole, cut off and changed, then draws.
fn datagrams(to: SocketAddr, from_port: u16, packets: &[Vec<u8>]) {
    let any = if to.is_ipv4() { "0.0.0.0" } else { "[::]" };
    let socket = UdpSocket::bind(format!("{any}:{from_port}")).unwrap();
    for octets in spoilt(packets) {
        // A full queue or an unreachable port is no failure of the test.
        let _ = socket.send_to(&octets, to);
    }
}

/// Opens a connection for each, sends it behind a length and without, and leaves.
fn streams(to: SocketAddr, packets: &[Vec<u8>]) {
    let patience = Duration::from_millis(200);
    for octets in spoilt(packets).into_iter().step_by(25) {
        let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_secs(5)) else {
            panic!("{to} does not accept connections any more");
        };
        let length = u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes();
        let _ = stream.set_read_timeout(Some(patience));
        let _ = stream.write_all(&length);
        let _ = stream.write_all(&octets);
    }
}

fn spoilt(packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut random = Random::from_number(7);
    let mut all = Vec::new();
    for packet in packets {
        all.push(packet.clone());
        for length in 0..packet.len().min(64) {
            all.push(packet[..length].to_vec());
        }
        for _ in 0..16.min(packet.len()) {
            let mut changed = packet.clone();
            let at = random.below(packet.len());
            changed[at] ^= random.below(255) as u8 + 1;
            all.push(changed);
        }
    }
    for length in 0..1400 {
        let mut drawn = vec![0; length];
        random.fill(&mut drawn);
        all.push(drawn);
    }
    all
}

/// Requests that a registry must survive.
fn requests() -> Vec<Vec<u8>> {
    let texts = [
        "GET / HTTP/1.0\r\n\r\n",
        "GET /hello?client_prefix=%00%ff&protocol=x HTTP/1.1\r\n\r\n",
        "GET /hello?client_prefix=0000000000000000&protocol=99999999999999999999 HTTP/1.1\r\n\r\n",
        "GET /requestCertificate?token=&req=rubbish&location=&ip= HTTP/1.1\r\n\r\n",
        "GET /requestToken?email=a%0d%0aBcc:b@example.com HTTP/1.1\r\n\r\n",
        "GET /getNetworkConfig?cn=0000000000000000 HTTP/1.1\r\nRe6stHMAC: AAAA\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\n\r\n",
        "POST /revoke?cn_or_serial=0/16 HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
    ];
    let mut requests: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    requests.push([b"GET /".to_vec(), vec![b'a'; 100_000], b" HTTP/1.1\r\n\r\n".to_vec()].concat());
    requests
}

/// Every packet in a file of recordings: what is hexadecimal and long enough to be one.
fn recorded(file: &str) -> Vec<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file);
    let value: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut packets = Vec::new();
    collect(&value, &mut packets);
    packets.truncate(400);
    packets
}

fn collect(value: &Value, packets: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => {
            packets.extend(unhex(text).filter(|p| p.len() > 8 && p.len() < 1500))
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, packets)),
        Value::Object(fields) => fields.values().for_each(|item| collect(item, packets)),
        _ => {}
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn link_local(node: &OurNode) -> String {
    let shown = node.namespace.ip("-6 -o addr show dev eth0 scope link");
    let (_, rest) = shown.split_once("inet6 ").expect("a link-local address");
    rest.split('/').next().unwrap().to_owned()
}
