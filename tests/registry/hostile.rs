//! What strangers get from a registry, and what strange registries get from us.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use re6st::os::clock::unix_time;
use re6st::proto::registry::url::RegistryUrl;

use super::process::{Registry, re6st_refused, split, wait};

const ANONYMOUS: &[&str] = &["--anonymous-prefix-length", "16"];

#[test]
fn every_wrong_request_has_its_status() {
    let registry = Registry::start(ANONYMOUS);
    registry.join("one", &["--anonymous"]);
    let own = "0000000000000000";
    let ec = "-----BEGIN+CERTIFICATE+REQUEST-----%0AMA%3D%3D%0A-----END+CERTIFICATE+REQUEST-----";
    for (target, status) in [
        ("/nothing".to_owned(), 400),
        ("/getCa/x".into(), 400),
        ("/getCa?x=1".into(), 400),
        ("/../../etc/passwd".into(), 400),
        ("/hello".into(), 400),
        (format!("/hello?client_prefix={own}&protocol=x"), 400),
        ("/hello?client_prefix=0000000000000111&protocol=10".into(), 404),
        ("/hello?client_prefix=1&protocol=10".into(), 404),
        (format!("/getNetworkConfig?cn={own}"), 400),
        ("/getDh?cn=".into(), 400),
        ("/requestToken?email=a@b".into(), 403),
        ("/requestCertificate?token=&req=rubbish".into(), 400),
        (format!("/requestCertificate?token=&req={ec}"), 400),
        ("/requestCertificate?token=unknown&req=rubbish".into(), 400),
        ("/revoke?cn_or_serial=x".into(), 400),
        ("/revoke?cn_or_serial=7%2F16".into(), 404),
        ("/revoke?cn_or_serial=77".into(), 404),
        ("/addToken?email=a%0D%0ABcc:c@d&token=t".into(), 400),
        ("/addToken?email=nobody&token=t".into(), 400),
    ] {
        assert_eq!(registry.get(&target, "").0, status, "{target}");
    }
    let wrong = "Re6stHMAC: AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    assert_eq!(registry.get(&format!("/getDh?cn={own}"), wrong).0, 401, "no session yet");
    assert_eq!(registry.get(&format!("/hello?client_prefix={own}&protocol=10"), "").0, 200);
    assert_eq!(registry.get(&format!("/getDh?cn={own}"), wrong).0, 400);
    assert_eq!(registry.get(&format!("/getDh?cn={own}"), "Re6stHMAC: !").0, 400);
    for method in ["POST", "HEAD", "PUT", "DELETE", "X"] {
        let request = format!("{method} /getCa HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(split(&registry.talk(request.as_bytes())).0, 501, "{method}");
    }
}

#[test]
fn a_forged_proxy_header_opens_nothing() {
    let registry = Registry::start(&[ANONYMOUS, &["--authorized-origin", "127.0.0.1"]].concat());
    for (header, status) in [
        ("X-Forwarded-For: 127.0.0.1", 200),
        ("X-Forwarded-For: 203.0.113.9", 403),
        ("X-Forwarded-For: 127.0.0.1, 203.0.113.9", 403),
        ("X-Forwarded-For: 203.0.113.9, 127.0.0.1", 403),
        ("X-Forwarded-For: rubbish", 403),
        ("X-Forwarded-For:", 403),
    ] {
        assert_eq!(registry.get("/topology", header).0, status, "{header}");
    }
    // Who is no configured proxy is not believed, whomever he says he speaks for; 127.0.0.2 is a stranger.
    for header in ["", "X-Forwarded-For: 127.0.0.1\r\n", "X-Forwarded-For: ::1, 127.0.0.1\r\n"] {
        for (target, status) in [("/topology", 403), ("/nodes", 403), ("/web/overview", 303)] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n");
            let reply = registry.talk_from("127.0.0.2", request.as_bytes());
            assert_eq!(split(&reply).0, status, "{target} {header}");
        }
    }
    // The owner of the process stays authorized on this host; another user may be behind the proxy.
    let another = Registry::start(&["--authorized-origin", "192.0.2.1"]);
    assert_eq!(another.get("/topology", "").0, 200);
    assert_eq!(another.get("/topology", "X-Forwarded-For: 192.0.2.1").0, 200);
    for other in ["192.0.2.2", "127.0.0.1"] {
        assert_eq!(another.get("/topology", &format!("X-Forwarded-For: {other}")).0, 403);
    }
}

#[test]
fn what_is_too_large_or_no_http_ends_its_own_connection_only() {
    let registry = Registry::start(ANONYMOUS);
    let long = "x".repeat(100_000);
    let bomb: String = (0..5_000).map(|at| format!("X-{at}: {at}\r\n")).collect();
    for octets in [
        b"\r\n\r\n".to_vec(),
        b"rubbish\r\n\r\n".to_vec(),
        vec![0; 4_096],
        vec![0xff; 100_000],
        format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes(),
        format!("GET /getCa HTTP/1.1\r\n{bomb}\r\n").into_bytes(),
        format!("GET /getCa HTTP/1.1\r\nHost: {long}\r\n\r\n").into_bytes(),
    ] {
        let (status, _) = split(&registry.talk(&octets));
        assert!(status == 0 || (400..=499).contains(&status), "{status}");
    }
    // A body is never read: its sender is answered and cut off.
    let request = "POST /getCa HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n";
    let mut octets = request.as_bytes().to_vec();
    octets.extend(vec![b'x'; 1 << 20]);
    let (status, _) = split(&registry.talk(&octets));
    assert!(status == 501 || status == 0, "{status}");
    assert_eq!(registry.get("/getCa", "").0, 200);
    assert!(!registry.printed().contains("panicked"), "{}", registry.printed());
}

#[test]
fn slow_clients_are_cut_off_and_keep_nobody_out() {
    let registry = Registry::start(ANONYMOUS);
    let port = registry.url().port;
    let idle: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    let mut slow = TcpStream::connect(("127.0.0.1", port)).unwrap();
    slow.write_all(b"GET /getCa HTT").unwrap();
    assert_eq!(registry.get("/getCa", "").0, 200);
    slow.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut rest = Vec::new();
    let ended = slow.read_to_end(&mut rest);
    assert!(ended.is_ok() || ended.is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock));
    drop(idle);
}

/// A server that answers every connection with `octets`.
fn answering(octets: &'static [u8]) -> RegistryUrl {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 4_096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(octets);
        }
    });
    format!("http://127.0.0.1:{port}/").parse().unwrap()
}

#[test]
fn a_registry_that_answers_rubbish_gets_one_sentence() {
    let registry = Registry::start(ANONYMOUS);
    let folder = registry.join("one", &["--anonymous"]);
    let target = registry.path().join("x");
    for octets in [
        &b""[..],
        b"rubbish\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nrubbish",
        b"HTTP/1.0 200 OK\r\nContent-Length: 999\r\n\r\ncut off",
        b"HTTP/1.0 204 No Content\r\n\r\n",
        b"HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n",
        b"HTTP/1.0 500 Internal Server Error\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"HTTP/1.0 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    ] {
        let url = answering(octets);
        let shown = String::from_utf8_lossy(octets).into_owned();
        let text = url.to_string();
        let join = ["cert", "join", "--registry", &text, "--anonymous", "--dir"];
        let said = re6st_refused(&[&join[..], &[target.to_str().unwrap()]].concat(), 1);
        let said: Vec<&str> = said.lines().filter(|line| !line.contains("believed")).collect();
        assert_eq!(said.len(), 1, "{shown}: {said:?}");
        let renew = ["cert", "renew", "--dir", folder.to_str().unwrap(), "--registry", &text];
        let said = re6st_refused(&renew, 1);
        assert_eq!(said.lines().count(), 1, "{shown}: {said}");
    }
    let mut client = registry.client(&folder, unix_time());
    assert!(wait(client.get_network_config()).is_ok(), "and nothing is lost");
}

/// Goal: ten thousand who connect and say nothing keep nobody out and cost little.
#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    let me = std::process::id().to_string();
    crate::namespace::run("prlimit", &["--pid", &me, "--nofile=15000:"]);
    let registry = Registry::start(ANONYMOUS);
    let port = registry.url().port;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answered = runtime.block_on(async {
        let mut idle = Vec::new();
        let mut answered = 0;
        for at in 0..10_000 {
            let connect = tokio::net::TcpStream::connect(("127.0.0.1", port));
            if let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(2), connect).await {
                idle.push(stream);
            }
            if at % 1_000 == 999 {
                let url = registry.url();
                let asked = re6st::command::registry::client::get_ca(&url, None).await;
                answered += usize::from(asked.is_ok());
            }
        }
        assert!(idle.len() > 9_900, "{}", idle.len());
        answered
    });
    assert_eq!(answered, 10, "everybody else is answered meanwhile");
    let (_, peak) = super::load::used(registry.id());
    println!("{peak} KiB at most");
    assert!(peak < 64 * 1_024, "{peak} KiB");
    assert!(!registry.printed().contains("panicked"), "{}", registry.printed());
}

/// Goal: a body without end is not kept, whatever the method and however it is framed.
#[test]
fn a_body_without_end_is_not_kept() {
    let registry = Registry::start(ANONYMOUS);
    for (head, piece) in [
        (
            "GET /getCa HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n",
            vec![b'x'; 65_536],
        ),
        (
            "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
            [&b"10000\r\n"[..], &[b'x'; 65_536], b"\r\n"].concat(),
        ),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", registry.url().port)).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let sent = (0..16_384).take_while(|_| stream.write_all(&piece).is_ok()).count();
        assert!(sent < 1_000, "cut off: {sent} pieces of 64 KiB were taken");
    }
    let (_, peak) = super::load::used(registry.id());
    assert!(peak < 64 * 1_024, "{peak} KiB");
    assert_eq!(registry.get("/getCa", "").0, 200);
}
