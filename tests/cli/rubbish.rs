//! A registry that answers rubbish.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use tempfile::TempDir;

use super::{assert_refusal, re6st};

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
