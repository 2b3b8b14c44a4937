//! A registry for tests: its folder, its process, and ways to talk to it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use re6st::command::registry::client::RegistryClient;
use re6st::proto::certificate::Identity;
use re6st::proto::registry::url::RegistryUrl;
use re6st::proto::time::UnixTime;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::namespace::{Process, RE6ST, eventually};

/// A running registry on a free port of the loopback interface.
pub struct Registry {
    // The process ends before its folder goes.
    process: Option<Process>,
    folder: TempDir,
    port: u16,
}

impl Registry {
    /// Founds 2001:db8:42::/48 and serves it.
    pub fn start(options: &[&str]) -> Self {
        let folder = TempDir::with_prefix("re6st-registry-").unwrap();
        let dir = folder.path().to_str().unwrap();
        re6st_must(&["registry", "init", "--network", "2001:db8:42::/48", "--dir", dir]);
        Self::serve(folder, options)
    }

    /// Serves the network in `folder`.
    pub fn serve(folder: TempDir, options: &[&str]) -> Self {
        let mut registry = Self { process: None, folder, port: 0 };
        registry.restart(options);
        registry
    }

    /// Ends the process and starts it again, on another port.
    pub fn restart(&mut self, options: &[&str]) {
        self.start_again(Command::new(RE6ST), options);
    }

    /// The same, with the certificate at a path vouched for.
    pub fn restart_trusting(&mut self, certificate: &str, options: &[&str]) {
        let mut command = Command::new(RE6ST);
        command.env("SSL_CERT_FILE", certificate);
        self.start_again(command, options);
    }

    /// The same, with something in its environment.
    pub fn restart_with(&mut self, environment: &[(&str, &str)], options: &[&str]) {
        let mut command = Command::new(RE6ST);
        command.envs(environment.iter().copied());
        self.start_again(command, options);
    }

    fn start_again(&mut self, mut command: Command, options: &[&str]) {
        self.process = None;
        command.args(["registry", "serve", "--port", "0", "-4", "127.0.0.1", "-6", "::1"]);
        command.args(["--dir", self.path().to_str().unwrap()]).args(options);
        let log = self.path().join("serve.log");
        let _ = std::fs::remove_file(&log);
        let process = Process::start(command, self.path(), "serve");
        self.port = eventually("the registry answers", Duration::from_secs(30), || {
            let printed = process.printed();
            let (_, rest) = printed.split_once("http://127.0.0.1:")?;
            rest.split_once('/')?.0.parse().ok()
        });
        self.process = Some(process);
    }

    /// Ends its process, which has half a minute for it.
    pub fn stop(&mut self) {
        self.signal("TERM");
        eventually("the registry ends", Duration::from_secs(30), || {
            self.printed().contains("ended by a signal").then_some(())
        });
        self.process = None;
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self) -> RegistryUrl {
        format!("http://127.0.0.1:{}/", self.port).parse().unwrap()
    }

    /// Its port for TLS.
    pub fn tls_port(&self) -> u16 {
        let printed = self.printed();
        let (_, rest) = printed.split_once("https://127.0.0.1:").expect("it answers over TLS");
        rest.split_once('/').unwrap().0.parse().unwrap()
    }

    /// What it said so far.
    pub fn printed(&self) -> String {
        self.process.as_ref().map(Process::printed).unwrap_or_default()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Sends a signal to its process.
    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("it runs").signal(name);
    }

    /// `re6st cert join` into a new folder; it must succeed.
    pub fn join(&self, name: &str, how: &[&str]) -> PathBuf {
        let folder = self.path().join(name);
        let output = self.try_join(&folder, how);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    }

    pub fn try_join(&self, folder: &Path, how: &[&str]) -> Output {
        let url = self.url().to_string();
        let mut arguments = vec!["cert", "join", "--registry", &url];
        arguments.extend(["--dir", folder.to_str().unwrap()]);
        arguments.extend(how);
        re6st(&arguments)
    }

    /// A client for the node whose files are in `folder`.
    pub fn client(&self, folder: &Path, now: UnixTime) -> RegistryClient {
        RegistryClient::new(self.url(), identity(folder, now))
    }

    /// Sends `octets`, tells what came back until the connection ended; nothing if it was cut.
    pub fn talk(&self, octets: &[u8]) -> Vec<u8> {
        self.talk_from("127.0.0.1", octets)
    }

    /// The same, from another of this host's addresses.
    pub fn talk_from(&self, source: &str, octets: &[u8]) -> Vec<u8> {
        let mut stream = connect(source, "127.0.0.1", self.port).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        // It may have answered and closed before all of it was sent.
        let _ = stream.write_all(octets);
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply);
        reply
    }

    /// The status and body of a GET with one more header.
    pub fn get(&self, target: &str, header: &str) -> (u16, Vec<u8>) {
        let separator = if header.is_empty() { "" } else { "\r\n" };
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}{separator}\r\n");
        split(&self.talk(request.as_bytes()))
    }
}

/// A connection from one of this host's addresses to another.
pub fn connect(source: &str, to: &str, port: u16) -> io::Result<TcpStream> {
    let source = SocketAddr::new(source.parse().unwrap(), 0);
    let to = SocketAddr::new(to.parse().unwrap(), port);
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&source.into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

/// The status and body of a reply.
pub fn split(reply: &[u8]) -> (u16, Vec<u8>) {
    let end =
        reply.windows(4).position(|four| four == b"\r\n\r\n").map_or(reply.len(), |at| at + 4);
    let head = String::from_utf8_lossy(&reply[..end]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, reply[end..].to_vec())
}

/// The identity in a node's folder.
pub fn identity(folder: &Path, now: UnixTime) -> Identity {
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    Identity::from_pem(&read("ca.crt"), &read("cert.crt"), &read("cert.key"), now).unwrap()
}

/// Runs `re6st` to its end.
pub fn re6st(arguments: &[&str]) -> Output {
    Command::new(RE6ST).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs `re6st`, which must succeed; its standard output.
pub fn re6st_must(arguments: &[&str]) -> String {
    let output = re6st(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `re6st`, which must fail with `code`; the sentence it says.
pub fn re6st_refused(arguments: &[&str], code: i32) -> String {
    let output = re6st(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Runs a future to its end.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}
