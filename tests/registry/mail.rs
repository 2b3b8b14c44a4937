//! Tokens by mail servers: Python's own, and one that wants TLS and a login.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use re6st::proto::limits::REGISTRY_MAILS_SENT_MAX;
use tempfile::TempDir;

use super::process::{Registry, re6st_must, re6st_refused, split};
use crate::namespace::{Process, eventually, run};

/// Speaks just enough SMTP to insist on TLS and on `user` with `password`.
const STRICT: &str = r#"
import base64, socket, ssl, sys
port, certificate, key = sys.argv[1:]
listener = socket.create_server(('127.0.0.1', int(port)))
print('ready', flush=True)
while True:
    stream, _ = listener.accept()
    secure = known = False
    def say(text):
        stream.sendall(text.encode() + b'\r\n')
    def line():
        text = b''
        while not text.endswith(b'\n'):
            octet = stream.recv(1)
            if not octet:
                raise EOFError
            text += octet
        return text.decode().rstrip('\r\n')
    try:
        say('220 strict ready')
        while True:
            text = line()
            word = text.split(' ')[0]
            if word == 'EHLO':
                say('250-strict\r\n250-STARTTLS\r\n250 AUTH PLAIN')
            elif word == 'STARTTLS':
                say('220 go on')
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(certificate, key)
                stream = context.wrap_socket(stream, server_side=True)
                secure = True
            elif word == 'AUTH':
                known = base64.b64decode(text.split(' ')[2]) == b'\0user\0password'
                say('235 welcome' if secure and known else '535 no')
            elif word == 'DATA':
                say('354 go on')
                while True:
                    text = line()
                    if text == '.':
                        break
                    print('>', text, flush=True)
                say('250 taken')
            elif word in ('MAIL', 'RCPT'):
                print(text, flush=True)
                say('250 ok' if secure and known else '530 not like this')
            else:
                say('221 bye')
                break
    except (EOFError, OSError) as error:
        print('ended:', error, flush=True)
    stream.close()
"#;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn python(folder: &Path, name: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new("python3");
    command.env("PYTHONUNBUFFERED", "1").args(arguments);
    Process::start(command, folder, name)
}

fn registry() -> Registry {
    let folder = TempDir::with_prefix("re6st-registry-mail-").unwrap();
    let dir = folder.path().to_str().unwrap();
    let network = ["--network", "2001:db8:42::/48", "--email", "ca@example.com"];
    re6st_must(&[&["registry", "init", "--dir", dir][..], &network].concat());
    Registry::serve(folder, &[])
}

fn mailed(server: &Process) -> String {
    eventually("a mail", Duration::from_secs(20), || {
        let printed = server.printed();
        printed.contains("network is: ").then_some(printed)
    })
}

#[test]
fn a_mail_server_sends_the_token() {
    let mut registry = registry();
    let port = free_port().to_string();
    let address = format!("127.0.0.1:{port}");
    // Debian's own Python still has smtpd; later ones do not.
    let words = ["-W", "ignore", "-m", "smtpd", "-n", "-c", "DebuggingServer", &address];
    let server = python(registry.path(), "smtpd", &words);
    registry.restart(&["--mailhost", &address]);
    eventually("the mail server listens", Duration::from_secs(20), || {
        (registry.get("/requestToken?email=one@example.com", "").0 == 204).then_some(())
    });
    let printed = mailed(&server);
    assert!(printed.contains("To: one@example.com"), "{printed}");
    assert!(printed.contains("From: ca@example.com"), "{printed}");
    // Whoever asks, one address gets so many and no more.
    let refused = (0..30).any(|_| registry.get("/requestToken?email=one@example.com", "").0 == 403);
    assert!(refused);
}

#[test]
fn a_strict_mail_server_gets_tls_and_a_login() {
    let mut registry = registry();
    let path = |name: &str| registry.path().join(name).to_str().unwrap().to_owned();
    let (certificate, key, script) = (path("mail.crt"), path("mail.key"), path("strict.py"));
    fs::write(&script, STRICT).unwrap();
    let words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
                 -addext subjectAltName=DNS:localhost -quiet -keyout";
    let words: Vec<&str> = words.split_whitespace().filter(|word| *word != "-quiet").collect();
    run("openssl", &[&words[..], &[&key, "-out", &certificate]].concat());
    let port = free_port().to_string();
    let server = python(registry.path(), "strict", &[&script, &port, &certificate, &key]);
    eventually("the mail server listens", Duration::from_secs(20), || {
        server.printed().contains("ready").then_some(())
    });
    let host = format!("localhost:{port}");
    let login = ["--mailhost", &host, "--smtp-user", "user", "--smtp-pwd", "password"];
    let ask = |registry: &Registry| registry.get("/requestToken?email=one@example.com", "").0;

    registry.restart(&login);
    assert_eq!(ask(&registry), 500, "it wants TLS");
    registry.restart(&[&login[..], &["--smtp-starttls"]].concat());
    assert_eq!(ask(&registry), 500, "nobody vouches for its certificate");
    assert!(registry.printed().contains("TLS"), "{}", registry.printed());
    registry.restart_trusting(&certificate, &[&login[..], &["--smtp-starttls"]].concat());
    assert_eq!(ask(&registry), 204, "{}", server.printed());
    let printed = mailed(&server);
    assert!(printed.contains("MAIL FROM:<ca@example.com>"), "{printed}");
    assert!(printed.contains("RCPT TO:<one@example.com>"), "{printed}");
    let wrong = ["--mailhost", &host, "--smtp-user", "user", "--smtp-pwd", "secret"];
    registry.restart_trusting(&certificate, &[&wrong[..], &["--smtp-starttls"]].concat());
    assert_eq!(ask(&registry), 500);
    assert!(!registry.printed().contains("secret"), "{}", registry.printed());
}

/// Goal: a mail server that takes connections and says nothing, or says it an octet at a time, costs those
/// who ask for a mail their time, and nobody else.
/// Method: thrice as many ask for one as may be sent at a time; some hang up at once; others call meanwhile.
#[test]
fn a_mail_server_that_hangs_holds_up_nobody_else() {
    let mut registry = registry();
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hanging.local_addr().unwrap().to_string();
    registry.restart(&["--mailhost", &address, "--anonymous-prefix-length", "16"]);
    let ask = |number: usize| {
        let mut stream = TcpStream::connect(("127.0.0.1", registry.url().port)).unwrap();
        let target = format!("/requestToken?email=a{number}@example.com");
        write!(stream, "GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    };
    let mut asked: Vec<TcpStream> = Vec::new();
    let mut mails = Vec::new();
    for number in 0..REGISTRY_MAILS_SENT_MAX {
        let stream = ask(number);
        // The mail server was called: this one has its place.
        mails.push(hanging.accept().unwrap());
        // Half of them do not wait for the end.
        if number % 2 == 0 {
            asked.push(stream);
        }
    }
    for number in 100..100 + 2 * REGISTRY_MAILS_SENT_MAX {
        let mut reply = Vec::new();
        ask(number).read_to_end(&mut reply).unwrap();
        let (status, body) = split(&reply);
        assert_eq!(status, 503, "no more are sent at a time");
        assert!(String::from_utf8(body).unwrap().contains("mail server is slow"));
    }
    registry.join("one", &["--anonymous"]);
    // When the server hangs up, its places are free, and the tokens that nobody was told are gone.
    drop((mails, hanging));
    for mut stream in asked {
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert_eq!(split(&reply).0, 500);
    }
    eventually("all places are free", Duration::from_secs(20), || {
        (registry.get("/requestToken?email=a@example.com", "").0 == 500).then_some(())
    });
    let dir = registry.path().to_str().unwrap();
    assert_eq!(re6st_must(&["registry", "token", "list", "--dir", dir, "--json"]), "");
}

#[test]
fn without_an_address_to_send_from_no_server_is_asked() {
    let registry = Registry::start(&[]);
    let dir = registry.path().to_str().unwrap();
    let serve = ["registry", "serve", "--dir", dir, "--port", "0", "--mailhost", "mail.example"];
    assert!(re6st_refused(&serve, 2).contains("registry init --email"));
    let registry = self::registry();
    let dir = registry.path().to_str().unwrap();
    let serve =
        ["registry", "serve", "--dir", dir, "--port", "0", "--mailhost", "mail.example:smtp"];
    assert!(re6st_refused(&serve, 2).contains("HOST:PORT"));
}
