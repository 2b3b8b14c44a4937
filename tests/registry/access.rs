//! Who may administer a registry: by its Unix socket, from the loopback interface, through proxies, in browsers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::postgres::Postgres;
use super::process::{Registry, re6st, re6st_must, re6st_refused, split};
use crate::namespace::{Process, RE6ST, eventually};

const ANONYMOUS: &[&str] = &["--anonymous-prefix-length", "16"];

/// The status of a private call over HTTP with these header lines, as bytes.
fn status(registry: &Registry, target: &str, headers: &[&[u8]]) -> u16 {
    let mut request = format!("GET {target} HTTP/1.1\r\n").into_bytes();
    if !headers.iter().any(|header| header.starts_with(b"Host:")) {
        request.extend(b"Host: 127.0.0.1\r\n");
    }
    for header in headers {
        request.extend(*header);
        request.extend(b"\r\n");
    }
    request.extend(b"\r\n");
    split(&registry.talk(&request)).0
}

#[test]
fn every_header_line_of_a_proxy_counts() {
    let listed = ["--authorized-origin", "127.0.0.1", "--authorized-origin", "192.0.2.1"];
    let registry = Registry::start(&[ANONYMOUS, &listed].concat());
    let admitted: &[&[&[u8]]] = &[
        &[],
        &[b"X-Forwarded-For: 192.0.2.1"],
        &[b"X-Forwarded-For: 192.0.2.1, 127.0.0.1", b"Via: 1.1 proxy"],
        &[b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-For: 127.0.0.1"],
    ];
    for headers in admitted {
        assert_eq!(status(&registry, "/tokens", headers), 200, "{headers:?}");
    }
    let refused: &[&[&[u8]]] = &[
        &[b"X-Forwarded-For: \xff, 203.0.113.9"],
        &[b"X-Forwarded-For: \xff"],
        &[b"X-Forwarded-For:"],
        &[b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-For: 203.0.113.9"],
        &[b"X-Forwarded-For: 127.0.0.1", b"x-forwarded-for: \xff"],
        &[b"Forwarded: for=127.0.0.1"],
        &[b"X-Real-IP: 127.0.0.1"],
        &[b"Via: 1.1 proxy"],
    ];
    for headers in refused {
        assert_eq!(status(&registry, "/tokens", headers), 403, "{headers:?}");
        assert_eq!(status(&registry, "/web/tokens", headers), 303, "{headers:?}");
    }
}

#[test]
fn other_sites_pages_make_no_private_calls() {
    let registry = Registry::start(&[ANONYMOUS, &["--authorized-host", "re6st.example"]].concat());
    let admitted: &[&[&[u8]]] = &[
        &[b"Host: localhost:80"],
        &[b"Host: re6st.example"],
        &[b"Sec-Fetch-Site: none"],
        &[b"Sec-Fetch-Site: same-origin", b"Referer: http://127.0.0.1/web/overview"],
    ];
    for headers in admitted {
        assert_eq!(status(&registry, "/tokens", headers), 200, "{headers:?}");
    }
    let refused: &[&[&[u8]]] = &[
        &[b"Host: evil.example"],
        &[b"Host: evil.example", b"Sec-Fetch-Site: same-origin"],
        &[b"Host: 127.0.0.1", b"Host: evil.example"],
        &[b"Sec-Fetch-Site: cross-site", b"Referer: http://evil.example/"],
        &[b"Origin: http://evil.example"],
        &[b"Origin: \xff"],
        &[b"Referer: http://evil.example/"],
    ];
    for headers in refused {
        let status = status(&registry, "/addToken?email=evil@example.com", headers);
        // hyper itself refuses two Host lines.
        assert!(matches!(status, 400 | 403), "{headers:?}: {status}");
    }
    assert_eq!(
        re6st_must(&["registry", "export", "--dir", dir(&registry)]).matches("evil").count(),
        0
    );
}

/// Asks as another user of this host, who closes the connection early if told to; what came back.
fn ask_as_nobody(registry: &Registry, target: &str, then: &str) -> String {
    let port = registry.url().port.to_string();
    let script = r"
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
client = socket.socket(); client.connect(('127.0.0.1', int(sys.argv[1])))
client.sendall(('GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n' % sys.argv[2]).encode())
if sys.argv[3] == 'close': client.close()
else: print(client.recv(65536).decode())
";
    let output =
        Command::new("python3").args(["-c", script, &port, target, then]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn other_local_users_administer_only_if_authorized() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let mut registry = Registry::start(ANONYMOUS);
    assert_eq!(status(&registry, "/tokens", &[]), 200, "root asks");
    for call in
        ["tokens", "addToken?email=me@example.com", "revoke?cn_or_serial=0/16", "updateHMAC"]
    {
        let reply = ask_as_nobody(&registry, &format!("/{call}"), "listen");
        assert!(reply.starts_with("HTTP/1.1 403"), "{call}: {reply}");
        ask_as_nobody(&registry, &format!("/{call}"), "close");
    }
    let reply = ask_as_nobody(&registry, "/web/tokens", "listen");
    assert!(reply.starts_with("HTTP/1.1 303"), "{reply}");
    assert_eq!(re6st_must(&["registry", "token", "list", "--json", "--dir", dir(&registry)]), "");
    registry.restart(&[ANONYMOUS, &["--authorized-origin", "127.0.0.1"]].concat());
    let reply = ask_as_nobody(&registry, "/tokens", "listen");
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

fn dir(registry: &Registry) -> &str {
    registry.path().to_str().unwrap()
}

#[test]
fn commands_use_the_socket_of_the_running_registry() {
    let registry = Registry::start(&[ANONYMOUS, &["--verbose", "1"]].concat());
    registry.join("one", &["--anonymous"]);
    registry.join("two", &["--anonymous"]);
    let socket = registry.path().join("registry.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let token =
        re6st_must(&["registry", "token", "add", "alice@example.com", "--dir", dir(&registry)]);
    let sock = ["--socket", socket.to_str().unwrap()];
    let listed = re6st_must(&[&["registry", "token", "list", "--json"][..], &sock].concat());
    assert!(listed.contains(token.trim()), "{listed}");
    re6st_must(&[&["registry", "token", "remove", token.trim()][..], &sock].concat());
    re6st_must(&["registry", "revoke", "1/16", "--dir", dir(&registry)]);
    re6st_must(&["registry", "rotate-key", "--dir", dir(&registry)]);
    re6st_must(&["registry", "login", "--dir", dir(&registry)]);
    let printed = registry.printed();
    let user = format!("(uid {}, Unix socket): ", nix::unistd::geteuid());
    for act in [
        "added a token for alice@example.com",
        "removed the token",
        "revoked 1/16",
        "took the next step to a new Babel key",
        "made login ticket",
    ] {
        assert!(printed.contains(&format!("{user}{act}")), "{act}: {printed}");
    }
    assert!(!printed.contains(token.trim()), "a token is a secret");
    // A browser's headers count for nothing here; HTTP is checked as everywhere.
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(b"GET /tokens HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    assert_eq!(split(&reply).0, 200);
}

#[test]
fn socket_is_for_its_group_if_one_is_named() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = folder.path().join("admin.sock");
    let path = socket.to_str().unwrap();
    let options = ["--socket", path, "--admin-group", "nogroup"];
    let mut registry = Registry::start(&[ANONYMOUS, &options].concat());
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let ask = |gid: u32| {
        let script = r"
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
try: client.connect(sys.argv[1])
except PermissionError: print('refused'); sys.exit()
try:
    client.sendall(b'GET /tokens HTTP/1.1\r\nHost: x\r\n\r\n')
    print(client.recv(65536).decode() or 'refused')
except ConnectionError: print('refused')
";
        let gid = gid.to_string();
        let output = Command::new("python3").args(["-c", script, path, &gid]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(ask(65_534).starts_with("HTTP/1.1 200"), "{}", ask(65_534));
    // Whoever widens the mode does not widen who is allowed.
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
    registry.restart(&[ANONYMOUS, &["--socket", path]].concat());
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(ask(65_534).starts_with("refused"), "{}", ask(65_534));
}

#[test]
fn login_ticket_is_used_once_and_logout_ends_the_session() {
    let mut registry = Registry::start(ANONYMOUS);
    let ticket = re6st_must(&["registry", "login", "--dir", dir(&registry)]);
    let post = |registry: &Registry, target: &str, more: &str, form: &str| {
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: re6st.example\r\n{more}Content-Length: {}\r\n\r\n{form}",
            form.len()
        );
        String::from_utf8_lossy(&registry.talk(request.as_bytes())).into_owned()
    };
    let form = format!("ticket={}", ticket.trim());
    // A proxy at a trusted address that took the request over TLS.
    let logged_in = post(&registry, "/web/login", "X-Forwarded-Proto: https\r\n", &form);
    assert!(logged_in.starts_with("HTTP/1.1 303") && logged_in.contains("; Secure"), "{logged_in}");
    let (_, rest) = logged_in.split_once("Set-Cookie: ").unwrap();
    let cookie = format!("Cookie: {}\r\n", rest.split(';').next().unwrap());
    let again = post(&registry, "/web/login", "", &form);
    assert!(again.starts_with("HTTP/1.1 403"), "{again}");
    registry.restart(ANONYMOUS);
    assert!(
        post(&registry, "/web/login", "", &form).starts_with("HTTP/1.1 403"),
        "after a restart"
    );
    let get = |registry: &Registry| {
        let request = format!("GET /web/overview HTTP/1.1\r\nHost: re6st.example\r\n{cookie}\r\n");
        String::from_utf8_lossy(&registry.talk(request.as_bytes())).into_owned()
    };
    let page = get(&registry);
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let (_, rest) = page.split_once("name=\"form\" value=\"").unwrap();
    let out = format!("form={}", rest.split('"').next().unwrap());
    assert!(post(&registry, "/web/logout", &cookie, &out).contains("Max-Age=0"));
    assert!(get(&registry).starts_with("HTTP/1.1 303"), "a copy of the cookie is worth nothing");
    registry.restart(ANONYMOUS);
    assert!(get(&registry).starts_with("HTTP/1.1 303"), "after a restart");
    let printed = registry.printed();
    assert!(!printed.contains(ticket.trim()), "{printed}");
}

#[test]
fn files_with_secrets_are_their_owners() {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut registry = Registry::start(ANONYMOUS);
    let path = registry.path().to_owned();
    let mbox = path.join("mbox");
    let options = [ANONYMOUS, &["--mailhost", mbox.to_str().unwrap()]].concat();
    for name in ["registry.db", "registry.conf"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        std::fs::set_permissions(path.join(name), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    registry.restart(&options);
    let mut stream = TcpStream::connect(("127.0.0.1", registry.url().port)).unwrap();
    stream.write_all(b"GET /requestToken?email=a@example.com HTTP/1.0\r\n\r\n").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
    for name in ["registry.db", "registry.conf", "mbox", "ca.key", "registry.sock"] {
        assert_eq!(mode(&path.join(name)), 0o600, "{name}");
    }
    assert!(registry.printed().contains("registry.db holds secrets and had mode 0644"));
    let backup = path.join("backup");
    re6st_must(&["registry", "backup", backup.to_str().unwrap(), "--dir", dir(&registry)]);
    assert_eq!(mode(&backup), 0o600);
    let made = path.join("new/folder");
    let new = made.to_str().unwrap();
    let output = re6st(&["registry", "init", "--network", "2001:db8:43::/48", "--dir", new]);
    assert!(output.status.success());
    assert_eq!(mode(&made), 0o700);
}

/// A PostgreSQL server that offers no TLS and asks for the password in clear; what it is told.
const FALSE_SERVER: &str = r"
import socket, struct
server = socket.socket(); server.bind(('127.0.0.1', 0)); server.listen(5)
print('port', server.getsockname()[1], flush=True)
while True:
    client, _ = server.accept(); client.settimeout(3)
    try:
        first = client.recv(8)
        if len(first) == 8 and struct.unpack('>II', first)[1] == 80877103:
            client.sendall(b'N'); print('asked for TLS', flush=True)
        print('told', client.recv(2000), flush=True)
        client.sendall(b'R' + struct.pack('>II', 8, 3)); print('told', client.recv(200), flush=True)
    except OSError: pass
    client.close()
";

#[test]
fn password_is_not_sent_to_a_database_without_tls() {
    let registry = Registry::start(ANONYMOUS);
    let mut command = Command::new("python3");
    command.args(["-u", "-c", FALSE_SERVER]);
    let server = Process::start(command, registry.path(), "server");
    let port = eventually("the server is ready", Duration::from_secs(20), || {
        let printed = server.printed();
        printed.split_once("port ")?.1.lines().next()?.parse::<u16>().ok()
    });
    for query in ["", "?sslmode=prefer", "?sslmode=verify-full"] {
        let db = format!("postgres://re6st:s3cret@127.0.0.1:{port}/re6st{query}");
        let serve = ["registry", "serve", "--dir", dir(&registry), "--port", "0", "--db", &db];
        let said = re6st_refused(&serve, 1);
        assert!(said.contains("sslmode=disable"), "{said}");
        assert!(said.contains("every user of this host can read the password in --db"), "{said}");
    }
    let printed = server.printed();
    assert!(printed.contains("asked for TLS") && !printed.contains("s3cret"), "{printed}");
    let db = format!("postgres://re6st:s3cret@192.0.2.1:{port}/re6st?sslmode=disable");
    let said = re6st_refused(
        &["registry", "serve", "--dir", dir(&registry), "--port", "0", "--db", &db],
        1,
    );
    assert!(said.contains("loopback address only"), "{said}");
}

#[test]
fn token_is_read_from_a_file_or_standard_input() {
    let registry = Registry::start(&[]);
    let url = registry.url().to_string();
    let path = registry.path().join("token");
    for (at, source) in [path.to_str().unwrap(), "-"].into_iter().enumerate() {
        let token =
            re6st_must(&["registry", "token", "add", "a@example.com", "--dir", dir(&registry)]);
        std::fs::write(&path, &token).unwrap();
        let folder = registry.path().join(format!("node{at}"));
        let joined = Command::new(RE6ST)
            .args(["cert", "join", "--registry", &url, "--token-file", source, "--dir"])
            .arg(&folder)
            .stdin(std::fs::File::open(&path).unwrap())
            .output()
            .unwrap();
        assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stderr));
        assert!(folder.join("cert.crt").exists());
    }
}

#[test]
fn what_others_wrote_steers_no_terminal() {
    let registry = Registry::start(ANONYMOUS);
    let database = registry.path().join("registry.db");
    let row = "INSERT INTO token VALUES ('t', 'a' || char(27) || '[2J' || char(155) || char(10) || 'x' \
               || char(8238) || '@b', 16, strftime('%s', 'now'))";
    crate::namespace::run("sqlite3", &[database.to_str().unwrap(), row]);
    let list = ["registry", "token", "list", "--dir", dir(&registry)];
    let table = re6st_must(&list);
    assert!(table.contains("a\\u{1b}[2J\\u{9b}\\u{a}x\\u{202e}@b"), "{table}");
    let lines = re6st_must(&[&list[..], &["--json"]].concat());
    assert!(lines.contains("a\\u001b[2J\\u009b\\nx\\u202e@b"), "{lines}");
}

/// Goal: the database's certificate is verified.
/// Method: a server on the loopback interface with a certificate of a CA of the test's own.
#[test]
fn database_is_verified_against_a_ca() {
    let run = crate::namespace::run;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Postgres::start_with(|folder| {
        let of = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let [ca, ca_key, other, other_key] = ["ca.pem", "ca.key", "other.pem", "other.key"].map(of);
        for (certificate, key) in [(&ca, &ca_key), (&other, &other_key)] {
            let new = [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2",
            ];
            run("openssl", &[&new[..], &["-keyout", key, "-out", certificate]].concat());
        }
        let [key, certificate] = ["server.key", "server.pem"].map(of);
        let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1"];
        let san =
            ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"];
        let signed =
            ["-CA", &ca, "-CAkey", &ca_key, "-days", "2", "-keyout", &key, "-out", &certificate];
        run("openssl", &[&new[..], &san, &signed].concat());
        if nix::unistd::geteuid().is_root() {
            run("chown", &["postgres", &key, &certificate]);
        }
        let port = port.to_string();
        let mut options = vec!["-h".to_owned(), "127.0.0.1".to_owned(), "-p".to_owned(), port];
        for setting in
            ["ssl=on", &format!("ssl_cert_file={certificate}"), &format!("ssl_key_file={key}")]
        {
            options.extend(["-c".to_owned(), setting.to_owned()]);
        }
        options
    });
    let folder = server.folder().to_str().unwrap();
    let to = |query: &str| format!("postgres://re6st@127.0.0.1:{port}/postgres{query}");
    let registry = Registry::start(ANONYMOUS);
    registry.signal("TERM");
    let from = registry.path().join("registry.db");
    let migrate = |query: &str| {
        re6st(&["registry", "migrate", "--from", from.to_str().unwrap(), "--to", &to(query)])
    };
    eventually("the registry ended", Duration::from_secs(20), || {
        let said = String::from_utf8(migrate("?sslmode=allow").stderr).unwrap();
        said.contains("sslmode=allow is not known").then_some(())
    });
    for query in ["", &format!("?sslrootcert={folder}/other.pem")] {
        let said = String::from_utf8(migrate(query).stderr).unwrap();
        assert!(said.contains("name the file of its CA's certificate"), "{said}");
    }
    let output = migrate(&format!("?sslrootcert={folder}/ca.pem"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
