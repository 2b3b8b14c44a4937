//! What strangers can ask for is limited, for each and in all, and nobody is locked out by that.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use re6st::proto::certificate::{CertificateRequest, PrivateKey};
use re6st::proto::registry::call::target;
use tempfile::TempDir;

use super::process::{Registry, re6st_must, re6st_refused};
use crate::internet::Internet;
use crate::interop::stock::ours::OurRegistry;
use crate::namespace::{Namespace, RE6ST};

/// The status that a registry answers a call with.
fn status(address: &str, target: &str) -> u16 {
    let mut stream = TcpStream::connect((address, 80)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[9..12]).parse().unwrap()
}

/// Goal: a stranger's hellos in a member's name, and applications, are refused after some; a member of another
/// address gets through all the while.
#[test]
fn stranger_is_limited_and_locks_nobody_out() {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let (host, member, stranger) =
        (internet.host("reg", 2), internet.host("member", 3), internet.host("stranger", 4));
    let _registry = OurRegistry::start(&host, directory.path(), &[]);
    let (address, url) = ("10.77.0.2", "http://10.77.0.2/");
    let folder = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let join = |host: &Namespace, name: &str| {
        let folder = folder(name);
        host.run(RE6ST, &["cert", "join", "--registry", url, "--anonymous", "--dir", &folder]);
    };
    join(&host, "own");
    join(&member, "member");
    let count = |target: &str, times: usize, wanted: u16| {
        stranger.enter(|| (0..times).filter(|_| status(address, target) == wanted).count())
    };
    let hello = "/hello?client_prefix=0000000000000001&protocol=10";
    assert!(count(hello, 300, 200) <= 130, "hellos are not limited");
    assert_eq!(count(hello, 1, 429), 1);
    let renew = ["cert", "renew", "--dir", &folder("member"), "--registry", url];
    let said = member.run(RE6ST, &renew);
    assert!(said.contains("long enough"), "{said}");
    let key = PrivateKey::generate(2_048).unwrap();
    let request = CertificateRequest::create(&key, &[]).unwrap().unwrap();
    let request = String::from_utf8(request).unwrap();
    let guess = target("requestCertificate", &[("token", "abcdefgh"), ("req", &request)]);
    assert!(count(&guess, 40, 204) <= 22, "tokens can be tried without end");
    let apply = target("requestCertificate", &[("token", ""), ("req", &request)]);
    assert!(count(&apply, 60, 200) <= 32, "anonymous certificates are not limited");
    let nodes = host.run(RE6ST, &["registry", "nodes", "--json", "--dir", &folder("registry")]);
    assert!(nodes.lines().count() <= 34, "{nodes}");
    let metrics = host.run("curl", &["-s", "http://127.0.0.1/metrics"]);
    assert!(metrics.contains("re6st_registry_requests_total{status=\"429\"}"), "{metrics}");
    join(&member, "late");
}

/// Goal: a certificate for another key, which somebody on the way to a registry without TLS had issued, is not
/// installed, and the newcomer is told.
#[test]
fn certificate_for_another_key_is_not_installed() {
    let registry = Registry::start(&["--anonymous-prefix-length", "16"]);
    registry.join("own", &["--anonymous"]);
    let key = PrivateKey::generate(2_048).unwrap();
    let request = CertificateRequest::create(&key, &[]).unwrap().unwrap();
    let request = String::from_utf8(request).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (between, port) = (listener.local_addr().unwrap(), registry.url().port);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            pass(client.unwrap(), port, &request);
        }
    });
    let folder = registry.path().join("victim");
    let url = format!("http://{between}/");
    let join =
        ["cert", "join", "--registry", &url, "--anonymous", "--dir", folder.to_str().unwrap()];
    let said = re6st_refused(&join, 1);
    assert!(
        said.contains("for another key than") && said.contains("revoke serial number 2"),
        "{said}"
    );
    assert!(!folder.join("cert.crt").exists() && folder.join("cert.key").exists());
    // Without anybody in between, the same folder joins.
    let url = registry.url().to_string();
    re6st_must(&[
        "cert",
        "join",
        "--registry",
        &url,
        "--anonymous",
        "--dir",
        folder.to_str().unwrap(),
    ]);
}

/// Passes one call on, with another request for a certificate.
fn pass(mut client: TcpStream, port: u16, request: &str) {
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut octet).unwrap_or(0) == 1 {
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let line = head.split(' ').nth(1).unwrap_or("/getCa");
    let line = if line.starts_with("/requestCertificate") {
        target("requestCertificate", &[("token", ""), ("req", request)])
    } else {
        line.to_owned()
    };
    let mut registry = TcpStream::connect(("127.0.0.1", port)).unwrap();
    registry.write_all(format!("GET {line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    registry.read_to_end(&mut answer).unwrap();
    let _ = client.write_all(&answer);
}
