//! The registry of stock re6stnet, with a certificate authority made by openssl.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::node::stock_command;
use crate::namespace::{Namespace, Process, eventually, run};

/// The network 2001:db8:42::/48, as the serial number of its CA tells it.
const SERIAL: &str = "0x120010db80042";

/// A certificate authority on disk.
pub struct Authority {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// `sha256:` and the digest of the certificate.
    pub fingerprint: String,
}

impl Authority {
    /// Makes `ca.crt` and `ca.key` in `directory`, as re6st's manual says.
    pub fn new(directory: &Path) -> Self {
        let (certificate, key) = (directory.join("ca.crt"), directory.join("ca.key"));
        let paths = [&certificate, &key].map(|path| path.to_str().unwrap());
        let openssl = |words: &str| {
            let words: Vec<&str> = words.split(' ').collect();
            run("openssl", &words)
        };
        openssl(&format!("genpkey -out {} -algorithm rsa -pkeyopt rsa_keygen_bits:2048", paths[1]));
        openssl(&format!(
            "req -nodes -new -x509 -key {} -set_serial {SERIAL} -days 3650 \
             -subj /CN=re6st.example.com/emailAddress=re6st@example.com -out {}",
            paths[1], paths[0]
        ));
        let printed = openssl(&format!("x509 -noout -fingerprint -sha256 -in {}", paths[0]));
        let digest = printed.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
        Self { certificate, key, fingerprint: format!("sha256:{digest}") }
    }
}

/// A running `re6st-registry`, on port 80 of its host.
pub struct StockRegistry {
    process: Process,
    /// Where it puts mails.
    pub mailbox: PathBuf,
}

impl StockRegistry {
    /// Starts it with its database in `directory`, and waits until it answers.
    pub fn start(
        host: &Namespace,
        directory: &Path,
        authority: &Authority,
        options: &[&str],
    ) -> Self {
        let dh = directory.join("dh2048.pem");
        let group = "genpkey -genparam -algorithm DH -pkeyopt dh_param:ffdhe2048 -out";
        let group: Vec<&str> = group.split(' ').chain([dh.to_str().unwrap()]).collect();
        run("openssl", &group);
        let mailbox = directory.join("mbox");
        fs::write(&mailbox, "").unwrap();
        let mut arguments = vec!["--ca", authority.certificate.to_str().unwrap()];
        arguments.extend(["--key", authority.key.to_str().unwrap(), "--dh", dh.to_str().unwrap()]);
        // An absolute path is a mailbox to re6st-registry, anything else a host name.
        arguments.extend(["--mailhost", mailbox.to_str().unwrap(), "--db", "registry.db"]);
        arguments.extend(["--prefix-length", "16", "--anonymous-prefix-length", "16"]);
        arguments.extend(["--logfile", "./re6st-registry.log", "-v", "4", "--run", "reg/run"]);
        arguments.extend(options);
        let command = stock_command(host, directory, "re6st-registry", &arguments);
        let process = Process::start(command, directory, "registry");
        eventually("the stock registry answers", Duration::from_secs(30), || {
            let get = ["-s", "-f", "-o", "/dev/null", "http://127.0.0.1/getCa"];
            host.output("curl", &get).status.success().then_some(())
        });
        Self { process, mailbox }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it without waiting.
    pub fn ask_to_stop(&self) {
        self.process.signal("TERM");
    }

    /// What it printed so far.
    pub fn printed(&self) -> String {
        self.process.printed()
    }
}
