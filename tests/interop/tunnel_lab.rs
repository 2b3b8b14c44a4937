//! Two hosts, an authority and certificates: what the tests of tunnels begin with, and how ours and Debian's
//! OpenVPN are started on them.
//!
//! ```text
//!   left ── e0 10.9.0.1/24 ──────── 10.9.0.2/24 e0 ── right
//!     server's interface ══════ tunnel ══════ client's interface
//! ```

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::namespace::{Namespace, Process, RE6ST, eventually, run};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Two hosts, an authority and certificates in a folder.
pub(super) struct Lab {
    pub(super) left: Namespace,
    pub(super) right: Namespace,
    pub(super) folder: TempDir,
}

/// What a tunnel is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) protocol: &'static str,
    pub(super) cipher: &'static str,
}

pub(super) const KINDS: [Kind; 4] = [
    Kind { protocol: "udp", cipher: "AES-256-GCM" },
    Kind { protocol: "udp", cipher: "none" },
    Kind { protocol: "tcp", cipher: "AES-256-GCM" },
    Kind { protocol: "tcp", cipher: "none" },
];

impl Lab {
    pub(super) fn new() -> Self {
        let (left, right) = (Namespace::new("left"), Namespace::new("right"));
        left.connect("e0", &right, "e0");
        left.ip("address add 10.9.0.1/24 dev e0");
        right.ip("address add 10.9.0.2/24 dev e0");
        let folder = tempfile::tempdir().unwrap();
        authority(folder.path());
        for (name, common_name, serial) in
            [("server", "0/16", "1"), ("client", "1/16", "2"), ("other", "2/16", "3")]
        {
            certificate(folder.path(), name, common_name, serial);
        }
        Self { left, right, folder }
    }

    pub(super) fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// `--ca F --cert F --key F`, which both programs take alike.
    pub(super) fn credentials(&self, name: &str) -> Vec<String> {
        credentials(self.folder.path(), name)
    }

    pub(super) fn spawn(
        &self,
        host: &Namespace,
        name: &str,
        program: &str,
        words: &str,
        who: &str,
    ) -> Process {
        spawn(self.folder.path(), host, name, (program, words), who)
    }

    pub(super) fn listen(&self, kind: Kind, more: &str) -> Process {
        let Kind { protocol, cipher } = kind;
        let words = format!("tunnel listen --protocol {protocol} --cipher {cipher} --json {more}");
        let listener = self.spawn(&self.left, "listen", RE6ST, &words, "server");
        eventually("a listener", PATIENCE, || {
            listener.printed().contains("listening").then_some(())
        });
        listener
    }

    pub(super) fn connect(&self, kind: Kind, who: &str, more: &str) -> Process {
        let Kind { protocol, cipher } = kind;
        let words =
            format!("tunnel connect 10.9.0.1,1194,{protocol} --cipher {cipher} --json {more}");
        self.spawn(&self.right, &format!("connect-{who}"), RE6ST, &words, who)
    }

    /// An OpenVPN server as re6stnet starts it.
    pub(super) fn openvpn_server(&self, kind: Kind, more: &str) -> Process {
        let protocol = if kind.protocol == "udp" { "udp4" } else { "tcp-server" };
        let words = format!(
            "--dev-type tap --dev ovs --persist-tun --persist-key --tls-server --mode server \
             --dh none --max-clients 20 --port 1194 --proto {protocol} {} --verb 3 {} {more}",
            mtu(kind),
            ciphers(kind)
        );
        let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        words.extend(["--push".to_owned(), "setenv-safe external_ip 192.0.2.9".to_owned()]);
        words.extend(self.credentials("server"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let server = self.left.spawn(self.folder.path(), "openvpn-server", "openvpn", &words);
        let ready = "Initialization Sequence Completed";
        eventually("an OpenVPN server", PATIENCE, || {
            server.printed().contains(ready).then_some(())
        });
        self.left.ip("link set ovs up");
        server
    }

    /// An OpenVPN client as re6stnet starts it.
    pub(super) fn openvpn_client(&self, kind: Kind, more: &str) -> Process {
        let protocol = if kind.protocol == "udp" { "udp4" } else { "tcp-client" };
        let words = format!(
            "--dev-type tap --dev ovc --nobind --client --remote 10.9.0.1 1194 {protocol} \
             --verify-x509-name 0/16 name --resolv-retry 0 --connect-retry-max 3 --tls-exit \
             --remap-usr1 SIGTERM --ping-exit 60 {} --verb 3 {} {more}",
            mtu(kind),
            ciphers(kind)
        );
        self.spawn(&self.right, "openvpn", "openvpn", &words, "client")
    }

    /// Sets up the interface of an OpenVPN client, as re6stnet does: one that is down blocks OpenVPN at the
    /// first frame.
    pub(super) fn raise_openvpn_client(&self) {
        eventually("OpenVPN's interface", PATIENCE, || {
            self.right.output("ip", &["link", "set", "ovc", "up"]).status.success().then_some(())
        });
    }

    /// Waits until both ends answer each other, then sends 120 echo requests each way within six
    /// seconds: none may be lost.
    pub(super) fn assert_both_ways(&self, left: &str, right: &str) {
        let address = |host: &Namespace, interface: &str| {
            eventually(&format!("an address on {interface}"), PATIENCE, || {
                let shown = host.output("ip", &["-6", "-o", "address", "show", "dev", interface]);
                let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
                let found = shown.split_whitespace().find(|word| word.starts_with("fe80"))?;
                let usable = !shown.contains("tentative");
                usable.then(|| found.split('/').next().unwrap_or_default().to_owned())
            })
        };
        let (of_left, of_right) = (address(&self.left, left), address(&self.right, right));
        let (to_left, to_right) = (format!("{of_left}%{right}"), format!("{of_right}%{left}"));
        eventually("an answer", PATIENCE, || self.right.pings(&to_left).then_some(()));
        let ping = |host: &Namespace, to: &str| {
            let arguments = ["-q", "-c", "120", "-i", "0.05", "-s", "1200", to];
            let mut command = host.command("ping", &arguments);
            command.stdout(std::process::Stdio::piped()).spawn().unwrap()
        };
        let pings = [ping(&self.right, &to_left), ping(&self.left, &to_right)];
        for ping in pings {
            let output = ping.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains(" 0% packet loss"), "{text}");
        }
    }
}

fn mtu(kind: Kind) -> &'static str {
    if kind.protocol == "udp" { "--tun-mtu 1372 --mtu-disc yes" } else { "" }
}

fn ciphers(kind: Kind) -> &'static str {
    match kind.cipher {
        "none" => "--cipher none --data-ciphers none --data-ciphers-fallback none",
        _ => "",
    }
}

fn credentials(folder: &Path, name: &str) -> Vec<String> {
    let files = [("--ca", "ca.crt".to_owned()), ("--cert", format!("{name}.crt"))];
    let files = files.into_iter().chain([("--key", format!("{name}.key"))]);
    files
        .flat_map(|(option, file)| [option.to_owned(), folder.join(file).display().to_string()])
        .collect()
}

/// Starts a program on a host, with its words and the certificate of `who`.
pub(super) fn spawn(
    folder: &Path,
    host: &Namespace,
    name: &str,
    (program, words): (&str, &str),
    who: &str,
) -> Process {
    let mut arguments: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    arguments.extend(credentials(folder, who));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    host.spawn(folder, name, program, &arguments)
}

pub(super) fn authority(folder: &Path) {
    authority_called(folder, "test");
}

pub(super) fn authority_called(folder: &Path, name: &str) {
    let (key, certificate) = (folder.join("ca.key"), folder.join("ca.crt"));
    let words = format!(
        "req -x509 -newkey rsa:2048 -nodes -days 2 -sha512 -set_serial 0x120010db80042 -subj /CN={name} \
         -keyout"
    );
    let mut arguments: Vec<&str> = words.split_whitespace().collect();
    arguments.extend([key.to_str().unwrap(), "-out", certificate.to_str().unwrap()]);
    run("openssl", &arguments);
}

/// Makes `NAME.key` and an X.509 version 1 `NAME.crt`.
pub(super) fn certificate(folder: &Path, name: &str, common_name: &str, serial: &str) {
    let path = |file: &str| folder.join(file).display().to_string();
    let (key, request) = (path(&format!("{name}.key")), path(&format!("{name}.csr")));
    let subject = format!("/CN={}", common_name.replace('/', "\\/"));
    let words = ["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", &subject];
    run("openssl", &[&words[..], &["-keyout", &key, "-out", &request]].concat());
    let (ca, ca_key, out) = (path("ca.crt"), path("ca.key"), path(&format!("{name}.crt")));
    let words = ["x509", "-req", "-sha512", "-days", "1", "-set_serial", serial];
    let files = ["-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-out", &out];
    run("openssl", &[&words[..], &files].concat());
}

/// The JSON objects of one event that a process printed.
pub(super) fn events(process: &Process, event: &str) -> Vec<serde_json::Value> {
    let printed = process.printed();
    let objects = printed.lines().filter_map(|line| serde_json::from_str(line).ok());
    objects.filter(|object: &serde_json::Value| object["event"] == event).collect()
}

pub(super) fn expect_event(process: &Process, event: &str) -> serde_json::Value {
    eventually(&format!("event {event}"), PATIENCE, || events(process, event).pop())
}
