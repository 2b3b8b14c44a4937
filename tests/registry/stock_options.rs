//! Every option of stock's re6st-registry, each by what it changes.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use re6st::command::registry::client::RegistryClient;
use re6st::os::clock::unix_time;
use re6st::proto::certificate::{Authority, Certificate, CertificateRequest, PrivateKey};
use re6st::proto::registry::call::OpenCall;
use re6st::proto::registry::parameters::Parameters;
use re6st::proto::version::NetworkVersion;
use tempfile::TempDir;

use super::options::mmdb;
use super::process::{connect, identity, re6st_must, split, wait};
use crate::namespace::{Process, RE6ST, eventually, run};

/// Where an option of stock's is shown to do what it does at stock.
enum Shown {
    /// Here, of a registry that was started with all of them in one file.
    Here(fn(&Served)),
    /// By a test of that name.
    By(&'static str),
}
use Shown::{By, Here};

/// The options of re6st-registry, in the order of its help.
const REGISTRY: &[(&str, Shown)] = &[
    ("--port", Here(|it| assert_eq!(it.get("127.0.0.1", "/getCa").0, 200))),
    ("--bind4", Here(|it| assert!(connect("127.0.0.1", "127.0.0.2", it.port).is_err()))),
    ("--bind6", Here(|it| assert_eq!(it.get("::1", "/getCa").0, 200))),
    ("--db", Here(|it| assert!(it.at("other.db").exists() && !it.at("registry.db").exists()))),
    ("--dh", Here(|it| assert_eq!(it.dh, fs::read(it.at("dh.pem")).unwrap()))),
    (
        "--ca",
        Here(|it| assert_eq!(it.get("127.0.0.1", "/getCa").1, fs::read(it.at("an.crt")).unwrap())),
    ),
    ("--key", Here(what_the_registry_says_is_signed_with_it)),
    ("--mailhost", Here(|it| assert!(it.mailed().contains("To: mailed@example.com\n")))),
    ("--smtp-user", By("registry::mail::a_strict_mail_server_gets_tls_and_a_login")),
    ("--smtp-pwd", By("registry::mail::a_strict_mail_server_gets_tls_and_a_login")),
    ("--smtp-starttls", By("registry::mail::a_strict_mail_server_gets_tls_and_a_login")),
    ("--prefix-length", Here(|it| assert_eq!(it.prefix_of(it.token(), "").len(), 21))),
    ("--anonymous-prefix-length", Here(|it| assert_eq!(it.prefix_of(String::new(), "").len(), 25))),
    ("--ipv4", Here(|it| assert_eq!(it.told.ipv4, Some(("10.43.0.0/16".parse().unwrap(), 8))))),
    ("--logfile", Here(|it| assert!(it.logged().contains("serving 2001:db8:42::/48")))),
    // Nodes are found in the kernel's routes: registry::own_node.
    ("--run", Here(|it| assert!(!it.at("run").exists()))),
    ("--verbose", Here(|it| assert!(it.logged().contains("GET /getCa")))),
    ("--min-protocol", Here(|it| assert_eq!(it.told.min_protocol, 8))),
    ("--authorized-origin", Here(asked_from_an_authorized_origin)),
    ("--community", Here(|it| assert!(it.prefix_of(String::new(), "FR,EU").starts_with("10")))),
    ("--grace-period", Here(a_token_lasts_as_long_as_the_grace_period)),
    ("--hello", Here(|it| assert_eq!(it.told.hello, Duration::from_secs(7)))),
    ("--encrypt", Here(|it| assert!(it.told.encrypt))),
    ("--client-count", Here(|it| assert_eq!(it.told.client_count, 3))),
    ("--max-clients", Here(|it| assert_eq!(it.told.max_clients, 11))),
    ("--tunnel-refresh", Here(|it| assert_eq!(it.told.tunnel_refresh, Duration::from_secs(77)))),
    ("--same-country", Here(|it| assert_eq!(it.told.same_country, ["JP", "FR"]))),
];

fn what_the_registry_says_is_signed_with_it(it: &Served) {
    let authority = Authority::from_pem(&fs::read(it.at("an.crt")).unwrap()).unwrap();
    assert!(NetworkVersion::parse(&it.told.version, &authority).is_ok());
}

fn asked_from_an_authorized_origin(it: &Served) {
    let topology = "/topology";
    assert_eq!(it.get_from("127.0.0.2", topology, "").0, 200);
    assert_eq!(it.get_from("127.0.0.3", topology, "").0, 403);
    // A proxy there is believed, whoever else says whom he speaks for is not.
    assert_eq!(it.get_from("127.0.0.2", topology, "X-Forwarded-For: 203.0.113.9\r\n").0, 403);
    assert_eq!(it.get_from("127.0.0.3", topology, "X-Forwarded-For: 127.0.0.1\r\n").0, 403);
}

fn a_token_lasts_as_long_as_the_grace_period(it: &Served) {
    for (seconds, status) in [(990, 200), (1_010, 204)] {
        let token = it.token();
        let age = format!("UPDATE token SET date = date - {seconds} WHERE token = '{token}'");
        run("sqlite3", &[it.at("other.db").to_str().unwrap(), &age]);
        assert_eq!(it.get("127.0.0.1", &request(token, "")).0, status, "{seconds} seconds");
    }
}

/// A registry that was started by stock's name, with stock's options in a file.
struct Served {
    folder: TempDir,
    process: Process,
    port: u16,
    told: Parameters,
    dh: Vec<u8>,
}

impl Served {
    fn start() -> Self {
        let folder = TempDir::with_prefix("re6st-registry-").unwrap();
        let dir = folder.path();
        let path = dir.to_str().unwrap();
        re6st_must(&["registry", "init", "--network", "2001:db8:42::/48", "--dir", path]);
        for (name, other) in [("ca.crt", "an.crt"), ("ca.key", "an.key")] {
            fs::rename(dir.join(name), dir.join(other)).unwrap();
        }
        run("openssl", &["dhparam", "-out", dir.join("dh.pem").to_str().unwrap(), "512"]);
        fs::write(dir.join("communities"), "0 *\n10 FR\n11 @AS\n").unwrap();
        fs::write(dir.join("countries"), mmdb(&[("192.0.2.0/24", "JP", "AS")])).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = format!(
            "# as stock's users write it\nport {port}\n4 127.0.0.1\n6 ::1\ndb other.db\ndh dh.pem\n\
             ca an.crt\nkey an.key\nmailhost {path}/mbox\nprefix-length 20\n\
             anonymous-prefix-length 24\nipv4 10.43.0.0/16 8\nlogfile registry.log\nrun run\n\
             verbose 2\nmin-protocol 8\nauthorized-origin 127.0.0.2\ncommunity communities\n\
             grace-period 1000\n\n@routing.conf\n"
        );
        fs::write(dir.join("registry.conf"), options).unwrap();
        let routing = "hello 7\nencrypt\nclient-count 3\nmax-clients 11\ntunnel-refresh 77\n\
                       same-country JP\nsame-country FR\n";
        fs::write(dir.join("routing.conf"), routing).unwrap();
        symlink(RE6ST, dir.join("re6st-registry")).unwrap();
        let mut command = Command::new(dir.join("re6st-registry"));
        command.arg("@registry.conf").current_dir(dir).env("GEOIP2_MMDB", "countries");
        let process = Process::start(command, dir, "serve");
        eventually("it answers", Duration::from_secs(20), || {
            process.printed().contains(&format!("http://127.0.0.1:{port}/")).then_some(())
        });
        let url = format!("http://127.0.0.1:{port}/");
        let node = dir.join("node");
        let join = ["cert", "join", "--registry", &url, "--anonymous", "--dir"];
        re6st_must(&[&join[..], &[node.to_str().unwrap()]].concat());
        let mut client = RegistryClient::new(url.parse().unwrap(), identity(&node, unix_time()));
        let (told, dh) = wait(async {
            (client.get_network_config().await.unwrap(), client.get_dh().await.unwrap())
        });
        Self { folder, process, port, told, dh }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn get(&self, at: &str, target: &str) -> (u16, Vec<u8>) {
        self.ask(connect(at, at, self.port).unwrap(), target, "")
    }

    fn get_from(&self, from: &str, target: &str, header: &str) -> (u16, Vec<u8>) {
        self.ask(connect(from, "127.0.0.1", self.port).unwrap(), target, header)
    }

    fn ask(&self, mut stream: TcpStream, target: &str, header: &str) -> (u16, Vec<u8>) {
        write!(stream, "GET {target} HTTP/1.0\r\n{header}\r\n").unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        split(&reply)
    }

    fn token(&self) -> String {
        let (status, token) = self.get("127.0.0.1", "/addToken?email=a@example.com");
        assert_eq!(status, 200);
        String::from_utf8(token).unwrap()
    }

    /// The bits of the prefix that an applicant gets.
    fn prefix_of(&self, token: String, location: &str) -> String {
        let (status, pem) = self.get("127.0.0.1", &request(token, location));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&pem));
        let certificate = Certificate::from_pem(&pem).unwrap();
        certificate.prefix().unwrap().to_bits()
    }

    fn mailed(&self) -> String {
        assert_eq!(self.get("127.0.0.1", "/requestToken?email=mailed@example.com").0, 204);
        fs::read_to_string(self.at("mbox")).unwrap()
    }

    fn logged(&self) -> String {
        fs::read_to_string(self.at("registry.log")).unwrap()
    }
}

fn request(token: String, location: &str) -> String {
    let key = PrivateKey::generate(2_048).unwrap();
    let request = CertificateRequest::create(&key, &[]).unwrap().unwrap();
    let (request, location) = (String::from_utf8(request).unwrap(), location.to_owned());
    OpenCall::RequestCertificate { token, request, location }.target()
}

#[test]
fn every_option_of_stocks_registry_has_its_effect() {
    let mut served = Served::start();
    for (option, shown) in REGISTRY {
        println!("{option}");
        match shown {
            Here(check) => check(&served),
            By(test) => assert!(is_a_test(test), "{option}: there is no test {test}"),
        }
    }
    served.process.signal("USR1");
    assert_eq!(served.get("127.0.0.1", "/getCa").0, 200, "it opens its log again, and goes on");
    assert_eq!(served.process.stop(), Some(0));
    assert_eq!(names(REGISTRY), options_of("re6st-registry"));
}

/// Whether a test of this file's executable has that name.
fn is_a_test(name: &str) -> bool {
    let listed = Command::new(std::env::current_exe().unwrap()).arg("--list").output().unwrap();
    String::from_utf8_lossy(&listed.stdout).contains(&format!("{name}: test\n"))
}

pub fn names<T>(table: &[(&'static str, T)]) -> Vec<String> {
    let mut names: Vec<String> = table.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.sort();
    names
}

/// The options that stock's program knows by its own help, sorted; short names stand for long ones.
pub fn options_of(program: &str) -> Vec<String> {
    let venv = std::env::var_os("RE6ST_STOCK_VENV").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/stock-venv"),
        PathBuf::from,
    );
    let help = Command::new(venv.join("bin").join(program)).arg("--help").output();
    let help = help.expect("scripts/test-setup installs it").stdout;
    let mut options: Vec<String> = String::from_utf8(help)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("  -"))
        .filter_map(|line| {
            let mut words = line.split([' ', ',']).filter(|word| word.starts_with('-'));
            let long = words.clone().find(|word| word.starts_with("--"));
            Some(long.or_else(|| words.next())?.to_owned())
        })
        .filter(|option| option != "--help")
        .map(|option| match option.as_str() {
            "-4" => "--bind4".to_owned(),
            "-6" => "--bind6".to_owned(),
            _ => option,
        })
        .collect();
    options.sort();
    options.dedup();
    options
}
