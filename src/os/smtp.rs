//! Mail to a server (RFC 5321), with STARTTLS (RFC 3207) and a login (RFC 4954) if wanted. Blocks.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openssl::ssl::{SslConnector, SslMethod};

use crate::os::clock::Clock;

/// Octets of a reply; a longer one is an error (RFC 5321 §4.5.3.1.5 allows 512 a line).
const REPLY_OCTETS_MAX: u64 = 16_384;

/// The port if none is given.
const PORT: u16 = 25;

/// A mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether to encrypt; the server must then show a certificate for its name.
    pub starttls: bool,
    /// User and password.
    pub login: Option<(String, String)>,
}

/// Does not show the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({} {})", self.host, self.port)
    }
}

/// Reads `HOST`, `HOST:PORT`, an IPv6 address or `[ADDRESS]:PORT`.
pub fn host_and_port(text: &str) -> Option<(String, u16)> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some((text.into(), PORT));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, PORT),
    };
    let within = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_good = match within {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']']),
    };
    is_good.then(|| (within.unwrap_or(host).into(), port))
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// Not there, too slow, or gone.
    #[error("the mail server: {0}")]
    Io(#[from] io::Error),
    /// It does not prove to be who it should.
    #[error("the mail server's TLS: {0}")]
    Tls(String),
    /// It said no.
    #[error("the mail server answered {said:?} to {asked}")]
    Refused {
        /// The command, without what is secret.
        asked: &'static str,
        /// Its answer.
        said: String,
    },
}

/// Hands `mail`, whose lines end in CR LF, to `server`, which has `patience` for all of it.
pub fn send(
    server: &Server,
    (from, to): (&str, &str),
    mail: &str,
    patience: Duration,
) -> Result<(), SmtpError> {
    let stream = Bounded::connect(&server.host, server.port, patience)?;
    let greeting = greeting(stream.stream.local_addr()?.ip());
    let mut dialogue = Dialogue(BufReader::new(stream));
    dialogue.expect("the connection", 220)?;
    dialogue.ask("EHLO", &greeting, 250)?;
    if server.starttls {
        dialogue.ask("STARTTLS", "STARTTLS", 220)?;
        let plain = dialogue.0.into_inner();
        let tls = SslConnector::builder(SslMethod::tls_client())
            .and_then(|builder| builder.build().configure())
            .map_err(|error| SmtpError::Tls(error.to_string()))?;
        let stream =
            tls.connect(&server.host, plain).map_err(|error| SmtpError::Tls(error.to_string()))?;
        let mut dialogue = Dialogue(BufReader::new(stream));
        dialogue.ask("EHLO", &greeting, 250)?;
        return dialogue.deliver(server, from, to, mail);
    }
    dialogue.deliver(server, from, to, mail)
}

/// Whom we say we are: a host may have no name that others can look up (RFC 5321 §4.1.3).
fn greeting(own: IpAddr) -> String {
    match own.to_canonical() {
        IpAddr::V4(address) => format!("EHLO [{address}]"),
        IpAddr::V6(address) => format!("EHLO [IPv6:{address}]"),
    }
}

/// A connection that ends in time, however slowly the other end goes on.
#[derive(Debug)]
struct Bounded {
    stream: TcpStream,
    clock: Clock,
    patience: Duration,
}

impl Bounded {
    fn connect(host: &str, port: u16, patience: Duration) -> io::Result<Self> {
        let clock = Clock::start();
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, left(clock, patience)?) {
                Ok(stream) => return Ok(Self { stream, clock, patience }),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

impl Read for Bounded {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.clock, self.patience)?))?;
        self.stream.read(octets).map_err(in_words)
    }
}

impl Write for Bounded {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.clock, self.patience)?))?;
        self.stream.write(octets).map_err(in_words)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// The kernel calls it "try again" when a stream's time is up.
fn in_words(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

/// What is left of the patience; an error if there is none.
fn left(clock: Clock, patience: Duration) -> io::Result<Duration> {
    let left = patience.saturating_sub(clock.now().since_start());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Commands and replies over some stream.
struct Dialogue<S: Read + Write>(BufReader<S>);

impl<S: Read + Write> Dialogue<S> {
    fn deliver(
        &mut self,
        server: &Server,
        from: &str,
        to: &str,
        mail: &str,
    ) -> Result<(), SmtpError> {
        if let Some((user, password)) = &server.login {
            let both = STANDARD.encode(format!("\0{user}\0{password}"));
            self.ask("AUTH", &format!("AUTH PLAIN {both}"), 235)?;
        }
        self.ask("MAIL", &format!("MAIL FROM:<{from}>"), 250)?;
        self.ask("RCPT", &format!("RCPT TO:<{to}>"), 250)?;
        self.ask("DATA", "DATA", 354)?;
        // A line that is a dot would end the mail (RFC 5321 §4.5.2).
        let dotted: String = mail
            .split_inclusive("\r\n")
            .map(|line| if line.starts_with('.') { format!(".{line}") } else { line.to_owned() })
            .collect();
        self.ask("the mail", &format!("{dotted}."), 250)?;
        // It has the mail: how the server takes leave does not matter.
        let _ = self.ask("QUIT", "QUIT", 221);
        Ok(())
    }

    fn ask(&mut self, asked: &'static str, line: &str, wanted: u16) -> Result<(), SmtpError> {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes())?;
        self.0.get_mut().flush()?;
        self.expect(asked, wanted)
    }

    /// Reads a reply of one or more lines: `250-…` goes on, `250 …` ends it.
    fn expect(&mut self, asked: &'static str, wanted: u16) -> Result<(), SmtpError> {
        let mut reply = (&mut self.0).take(REPLY_OCTETS_MAX);
        loop {
            let mut line = String::new();
            if reply.read_line(&mut line)? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if line.as_bytes().get(3) == Some(&b'-') {
                continue;
            }
            let status = line.get(..3).and_then(|status| status.parse::<u16>().ok());
            return if status == Some(wanted) {
                Ok(())
            } else {
                Err(SmtpError::Refused { asked, said: line.trim().to_owned() })
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn server(listener: &TcpListener) -> Server {
        let (host, port) = ("127.0.0.1".into(), listener.local_addr().unwrap().port());
        Server { host, port, starttls: false, login: None }
    }

    #[test]
    fn a_server_is_written_as_hosts_are() {
        let read = |text: &str| host_and_port(text);
        let is = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(read("mail.example.com"), is("mail.example.com", 25));
        assert_eq!(read("mail.example.com:587"), is("mail.example.com", 587));
        assert_eq!(read("192.0.2.1:2525"), is("192.0.2.1", 2_525));
        assert_eq!(read("2001:db8::25"), is("2001:db8::25", 25));
        assert_eq!(read("[2001:db8::25]"), is("2001:db8::25", 25));
        assert_eq!(read("[2001:db8::25]:587"), is("2001:db8::25", 587));
        for text in ["", ":25", "mail:smtp", "mail:99999", "mail:", "[mail]:25", "[::1", "a:b:25"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(greeting("2001:db8::1".parse().unwrap()), "EHLO [IPv6:2001:db8::1]");
    }

    /// Goal: one who goes on slowly, always in time for the next octet, is left in the end.
    #[test]
    fn a_server_has_so_long_for_all_it_says() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = server(&listener);
        let sending = std::thread::spawn(move || {
            send(&server, ("a@b", "c@d"), "To: c@d\r\n\r\n", Duration::from_millis(300))
        });
        let (mut stream, _) = listener.accept().unwrap();
        // It says something until nobody listens: that there is an end is what is tested.
        while stream.write_all(b"2").is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let error = sending.join().unwrap().unwrap_err();
        let SmtpError::Io(error) = error else { panic!("{error}") };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
    }

    #[test]
    fn a_line_that_is_a_dot_does_not_end_the_mail() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = server(&listener);
        let mail = ".\r\n..x\r\nRCPT TO:<e@f>\r\n";
        let sending = std::thread::spawn(move || {
            send(&server, ("a@b", "c@d"), mail, Duration::from_secs(20))
        });
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut asked = |reply: &str| {
            stream.write_all(reply.as_bytes()).unwrap();
            lines.next().unwrap().unwrap()
        };
        assert_eq!(asked("220 here\r\n"), "EHLO [127.0.0.1]");
        assert_eq!(asked("250-here\r\n250 DSN\r\n"), "MAIL FROM:<a@b>");
        assert_eq!(asked("250 ok\r\n"), "RCPT TO:<c@d>");
        assert_eq!(asked("250 ok\r\n"), "DATA");
        let mailed: Vec<String> =
            ["354 go on\r\n", "", "", ""].into_iter().map(&mut asked).collect();
        assert_eq!(mailed, ["..", "...x", "RCPT TO:<e@f>", "."]);
        assert_eq!(asked("250 taken\r\n"), "QUIT");
        stream.write_all(b"221 bye\r\n").unwrap();
        sending.join().unwrap().unwrap();
    }
}
