//! Every option of stock's re6st-conf, each by what it changes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use re6st::os::clock::unix_time;
use tempfile::TempDir;

use super::process::{Registry, identity, re6st_must};
use super::stock_options::{names, options_of};
use crate::namespace::{Namespace, Process, RE6ST, eventually};

/// What an option does, shown by somebody who gives it.
type Effect = fn(&Applicant);

/// The options of re6st-conf, in the order of its help.
const CONF: &[(&str, Effect)] = &[
    ("--registry", |it| {
        it.refused(&["--registry", "http://127.0.0.1:1/", "--anonymous"], "127.0.0.1:1");
    }),
    ("--fingerprint", |it| {
        it.joins(&["--anonymous", "--fingerprint", &it.fingerprint]);
        let wrong = format!("sha256:{}", "00".repeat(32));
        it.refused(&["--anonymous", "--fingerprint", &wrong], "another fingerprint");
    }),
    ("--is-needed", |it| {
        let output = it.run(&["--is-needed"]);
        assert!(output.status.success() && !it.folder.path().join("new").exists());
    }),
    ("--ca-only", |it| {
        let folder = it.done(&["--ca-only"]);
        assert_eq!(files(&folder), ["ca.crt"]);
    }),
    ("--dir", |it| {
        let folder = it.joins(&["--anonymous"]);
        assert_eq!(files(&folder), ["ca.crt", "cert.crt", "cert.key", "re6stnet.conf"]);
    }),
    ("--req", |it| {
        let folder = it.joins(&["--anonymous", "-r", "O", "Some one", "--req", "OU", "Some"]);
        assert!(it.subject(&folder).starts_with("O=Some one, OU=Some, serialNumber="));
    }),
    ("--email", |it| {
        let folder = it.joins(&["--email", "a@example.com"]);
        assert!(it.subject(&folder).ends_with("/21"));
    }),
    ("--token", |it| {
        let (_, token) = it.registry.get("/addToken?email=b@example.com", "");
        let folder = it.joins(&["--token", &String::from_utf8(token).unwrap()]);
        assert!(it.subject(&folder).ends_with("/21"));
    }),
    ("--anonymous", |it| {
        let folder = it.joins(&["--anonymous"]);
        assert!(it.subject(&folder).ends_with("/25"));
    }),
    ("--location", |it| {
        let prefix = |location| {
            let folder = it.joins(&["--anonymous", "--location", location]);
            identity(&folder, unix_time()).prefix.to_bits()
        };
        assert!(prefix("FR,EU").starts_with("10") && prefix("JP,AS").starts_with("11"));
    }),
];

/// Somebody who runs stock's re6st-conf, which is ours.
struct Applicant {
    registry: Registry,
    folder: TempDir,
    fingerprint: String,
}

impl Applicant {
    fn new() -> Self {
        let folder = TempDir::with_prefix("re6st-conf-").unwrap();
        let mut registry = Registry::start(&[]);
        let at = |name: &str| registry.path().join(name).to_str().unwrap().to_owned();
        let (mailbox, communities) = (at("mbox"), at("communities"));
        fs::write(&communities, "0 *\n10 FR\n11 @AS\n").unwrap();
        let fingerprint = re6st_must(&["cert", "fingerprint", &at("ca.crt")]).trim().to_owned();
        let lengths = ["--prefix-length", "20", "--anonymous-prefix-length", "24"];
        let rest = ["--mailhost", &mailbox, "--community", &communities];
        registry.restart(&[lengths, rest].concat());
        symlink(RE6ST, folder.path().join("re6st-conf")).unwrap();
        Self { registry, folder, fingerprint }
    }

    /// Into the folder `new`; whoever asks for a token is given the one that was mailed last.
    fn run(&self, options: &[&str]) -> Output {
        let mut command = Command::new(self.folder.path().join("re6st-conf"));
        command.arg("-d").arg(self.folder.path().join("new")).args(options);
        let url = self.registry.url().to_string();
        if !options.contains(&"--registry") {
            command.args(["--registry", &url]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if options.contains(&"--email") {
            let mailbox = self.registry.path().join("mbox");
            let token = eventually("a mail", Duration::from_secs(20), || {
                let mails = fs::read_to_string(&mailbox).ok()?;
                Some(mails.rsplit_once("network is: ")?.1.trim().to_owned())
            });
            writeln!(child.stdin.take().unwrap(), "{token}").unwrap();
        }
        child.wait_with_output().unwrap()
    }

    /// The same, which must succeed; the folder, under a name that nobody else uses.
    fn done(&self, options: &[&str]) -> PathBuf {
        let output = self.run(options);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let kept = TempDir::new_in(self.folder.path()).unwrap().keep();
        fs::rename(self.folder.path().join("new"), kept.join("new")).unwrap();
        kept.join("new")
    }

    /// The same, and the certificate must be good.
    fn joins(&self, options: &[&str]) -> PathBuf {
        let folder = self.done(options);
        let folder_text = folder.to_str().unwrap();
        re6st_must(&[
            "cert",
            "verify",
            "--ca",
            &format!("{folder_text}/ca.crt"),
            &format!("{folder_text}/cert.crt"),
        ]);
        folder
    }

    fn refused(&self, options: &[&str], sentence: &str) {
        let output = self.run(options);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(sentence), "{said}");
        assert!(!self.folder.path().join("new").exists(), "nothing is left");
    }

    fn subject(&self, folder: &Path) -> String {
        identity(folder, unix_time()).certificate.subject()
    }
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_option_of_stocks_re6st_conf_has_its_effect() {
    let applicant = Applicant::new();
    for (option, check) in CONF {
        println!("{option}");
        check(&applicant);
    }
    assert_eq!(names(CONF), options_of("re6st-conf"));
}

/// Goal: a host with an address of the network is told that it needs nothing.
#[test]
fn a_host_that_is_in_the_network_needs_no_certificate() {
    let host = Namespace::new("needed");
    let folder = TempDir::new().unwrap();
    let dir = folder.path().to_str().unwrap();
    re6st_must(&["registry", "init", "--network", "2001:db8:42::/48", "--dir", dir]);
    let serve = host.command(RE6ST, &["registry", "serve", "--dir", dir]);
    let process = Process::start(serve, folder.path(), "serve");
    eventually("it answers", Duration::from_secs(20), || {
        process.printed().contains("answers on http://").then_some(())
    });
    let asked = ["cert", "join", "--registry", "http://127.0.0.1/", "--is-needed"];
    assert!(host.output(RE6ST, &asked).status.success());
    let own = "2001:db8:42:7::1";
    let refused = || {
        let output = host.output(RE6ST, &asked);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(&format!("this host is in the network: {own}")), "{said}");
    };
    host.ip(&format!("address add {own}/64 dev lo"));
    refused();
    // As where a node runs.
    host.ip("route add unreachable 2001:db8:42::/48");
    refused();
    host.ip("route del unreachable 2001:db8:42::/48");
    host.ip(&format!("address del {own}/64 dev lo"));
    assert!(host.output(RE6ST, &asked).status.success());
}
