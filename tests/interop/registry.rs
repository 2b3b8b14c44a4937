//! Our registry and stock's tools, stock's registry and our tools, one database under both in turn.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use re6st::proto::certificate::Identity;
use re6st::proto::registry::call::MemberCall;
use re6st::proto::registry::client::Client;
use tempfile::TempDir;

use super::stock::node::{Application, StockNode, stock_command};
use super::stock::registry::{Authority, StockRegistry};
use crate::namespace::{Namespace, Process, RE6ST, eventually, run};
use crate::registry::authority::ending;
use crate::registry::load::{Asked, Load, Target, found, used};

/// Our registry in `directory`, on port 80 of `host`.
pub fn start_ours(host: &Namespace, directory: &Path, options: &[&str]) -> Process {
    let dir = directory.to_str().unwrap();
    let mailbox = directory.join("mbox");
    let arguments = ["registry", "serve", "--dir", dir, "--anonymous-prefix-length", "16"];
    let mailhost = ["--mailhost", mailbox.to_str().unwrap()];
    let arguments = [&arguments[..], &mailhost, options].concat();
    let process = host.spawn(directory, "ours", RE6ST, &arguments);
    eventually("our registry answers", Duration::from_secs(30), || {
        let get = ["-s", "-f", "-o", "/dev/null", "http://127.0.0.1/getCa"];
        host.output("curl", &get).status.success().then_some(())
    });
    process
}

fn join(host: &Namespace, folder: &Path, how: &[&str]) -> Output {
    let join = ["cert", "join", "--registry", "http://127.0.0.1/", "--dir"];
    let arguments = [&join[..], &[folder.to_str().unwrap()], how].concat();
    host.output(RE6ST, &arguments)
}

pub fn joined(host: &Namespace, folder: &Path, how: &[&str]) -> String {
    let output = join(host, folder, how);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What stock's own RegistryClient is told in one session by the registry on `host`.
fn ask_with_stocks_client(host: &Namespace, folder: &Path) -> String {
    let script = r#"
import sys, zlib
from re6st import registry, x509
folder = sys.argv[1]
cert = x509.Cert(folder + '/ca.crt', folder + '/cert.key', folder + '/cert.crt')
client = registry.RegistryClient('http://127.0.0.1/', cert)
for _ in range(3):
    assert client.getDh(cert.prefix).startswith(b'-----BEGIN DH PARAMETERS')
assert client.renewCertificate(cert.prefix) == open(folder + '/cert.crt', 'rb').read()
assert client.getBootstrapPeer(cert.prefix) == b''
assert client.getCountry(cert.prefix, '192.0.2.1') is None
print(zlib.decompress(client.getNetworkConfig(cert.prefix)).decode())
"#;
    let path = folder.join("ask.py");
    fs::write(&path, script).unwrap();
    let arguments = [path.to_str().unwrap(), folder.to_str().unwrap()];
    let output = stock_command(host, folder, "python", &arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn stock_tools_join_our_network() {
    let host = Namespace::new("registry");
    let directory = TempDir::with_prefix("re6st-interop-").unwrap();
    let dir = directory.path().to_str().unwrap();
    run(RE6ST, &["registry", "init", "--network", "2001:db8:42::/48", "--dir", dir]);
    let ca = directory.path().join("ca.crt");
    let fingerprint = run(RE6ST, &["cert", "fingerprint", ca.to_str().unwrap()]);
    let fingerprint = fingerprint.trim();
    let mut ours = start_ours(&host, directory.path(), &["-v", "3"]);
    let mailbox = directory.path().join("mbox");
    let token = run(RE6ST, &["registry", "token", "add", "two@example.com", "--dir", dir]);
    let applications = [
        ("one", Application::Anonymous, "0/16"),
        ("two", Application::Token(token.trim()), "1/16"),
        ("three", Application::Email(&mailbox), "2/16"),
    ];
    for (name, application, expected) in applications {
        let guest = Namespace::new(name);
        host.connect(&format!("to-{name}"), &guest, "eth0");
        host.ip(&format!("address add 10.{}.0.1/24 dev to-{name}", expected.as_bytes()[0]));
        guest.ip(&format!("address add 10.{}.0.2/24 dev eth0", expected.as_bytes()[0]));
        let registry = format!("http://10.{}.0.1/", expected.as_bytes()[0]);
        let folder = directory.path().join(name);
        let node = StockNode::join(guest, &folder, &registry, fingerprint, application);
        assert_eq!(node.common_name, expected);
        let told = ask_with_stocks_client(&host, &folder);
        assert!(told.contains("\"registry_prefix\": \"0000000000000000\""), "{told}");
        assert!(told.contains("babel_hmac_sign"), "{told}");
        let certificate = folder.join("cert.crt");
        let words = ["verify", "-CAfile", ca.to_str().unwrap(), certificate.to_str().unwrap()];
        run("openssl", &words);
    }
    assert_eq!(ours.stop(), Some(0));
}

#[test]
fn our_tools_join_a_stock_network_and_take_its_registry_over_and_back() {
    let host = Namespace::new("registry");
    let directory = TempDir::with_prefix("re6st-interop-").unwrap();
    let folder = |name: &str| directory.path().join(name);
    let authority = Authority::new(directory.path());
    let fingerprint = ["--anonymous", "--fingerprint", &authority.fingerprint];

    let stock = StockRegistry::start(&host, directory.path(), &authority, &[]);
    assert!(joined(&host, &folder("one"), &fingerprint).contains("CN=0/16"));
    let mailed = join(&host, &folder("x"), &["--token", "unknown"]);
    assert!(String::from_utf8_lossy(&mailed.stderr).contains("does not know the token"));
    let get = ["-s", "http://127.0.0.1/addToken?email=a@b&token=abcdefgh"];
    host.run("curl", &get);
    assert!(joined(&host, &folder("two"), &["--token", "abcdefgh"]).contains("CN=1/16"));
    let renewed = folder("one");
    let renew = ["cert", "renew", "--dir", renewed.to_str().unwrap()];
    assert!(host.run(RE6ST, &renew).contains("long enough"));
    drop(stock);

    let mut ours = start_ours(&host, directory.path(), &["-v", "3"]);
    // What a token was spent on is remembered in a table that stock does not know.
    host.run("curl", &["-s", "http://127.0.0.1/addToken?email=c@d&token=secondtk"]);
    assert!(joined(&host, &folder("three"), &["--token", "secondtk"]).contains("CN=2/16"));
    assert!(host.run(RE6ST, &renew).contains("long enough"));
    let revoke = ["registry", "revoke", "1/16"];
    host.run(RE6ST, &revoke);
    assert_eq!(ours.stop(), Some(0));

    let _stock = StockRegistry::start(&host, directory.path(), &authority, &[]);
    let told = ask_with_stocks_client(&host, &folder("three"));
    assert!(told.contains("\"crl\": [2]"), "{told}");
    assert!(host.run(RE6ST, &renew).contains("long enough"));
    let gone = folder("two");
    let gone = ["cert", "renew", "--dir", gone.to_str().unwrap()];
    assert!(!host.output(RE6ST, &gone).status.success(), "revoked by ours, unknown to stock");
    assert!(joined(&host, &folder("four"), &fingerprint).contains("CN=3/16"));
}

/// Goal: stock's nodes take the authority that our registry renewed, and their certificates stay valid.
#[test]
fn a_stock_node_takes_our_renewed_authority() {
    let host = Namespace::new("registry");
    let directory = ending(Duration::from_secs(20 * 86_400));
    let mut ours = start_ours(&host, directory.path(), &[]);
    let folder = directory.path().join("one");
    joined(&host, &folder, &["--anonymous"]);
    let dir = directory.path().to_str().unwrap();
    run(RE6ST, &["registry", "renew-ca", "--dir", dir]);
    let script = r#"
import sys
from re6st import registry, x509
folder = sys.argv[1]
cert = x509.Cert(folder + '/ca.crt', folder + '/cert.key', folder + '/cert.crt')
client = registry.RegistryClient('http://127.0.0.1/', cert)
cert.maybeRenew(client, [])
cert.loadVerify(open(folder + '/cert.crt', 'rb').read())
"#;
    let path = folder.join("renew.py");
    fs::write(&path, script).unwrap();
    let arguments = [path.to_str().unwrap(), folder.to_str().unwrap()];
    let output = stock_command(&host, &folder, "python", &arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |folder: &Path| fs::read(folder.join("ca.crt")).unwrap();
    assert_eq!(read(&folder), read(directory.path()));
    assert_eq!(ours.stop(), Some(0));
}

/// What a registry made of what it was asked, once for each kind.
struct Run {
    loads: Vec<Load>,
    memory: u64,
}

/// What members ask; the second time that they ask for renewal, certificates last long enough.
const ASKED: [(&str, Asked); 6] = [
    ("hello", Asked::Hello),
    ("renewCertificate (due)", Asked::Call(MemberCall::RenewCertificate)),
    ("renewCertificate", Asked::Call(MemberCall::RenewCertificate)),
    ("getNetworkConfig", Asked::Call(MemberCall::GetNetworkConfig)),
    ("getBootstrapPeer", Asked::Call(MemberCall::GetBootstrapPeer)),
    ("the last three at once", Asked::Everything),
];

/// Puts members at once to the registry `process` on `host`; there, the test is the registry's own node.
fn load(host: &Namespace, process: u32, identities: Vec<Identity>, times: usize) -> Run {
    host.enter(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let node = tokio::net::UdpSocket::bind("[::1]:326").await.unwrap();
            let node = tokio::spawn(tell_addresses(node));
            let mut members: Vec<Client> = identities.into_iter().map(Client::new).collect();
            let target = Target { address: ([127, 0, 0, 1], 80).into(), process };
            // Each opens its session before anything is measured.
            let dh = Asked::Call(MemberCall::GetDh);
            assert_eq!(target.bear(&mut members, dh, 1).await.failed, 0, "sessions");
            let mut loads = Vec::new();
            for (name, asked) in ASKED {
                let once = name.contains("due") || asked == Asked::Everything;
                let times = if once { 1 } else { times };
                loads.push(target.bear(&mut members, asked, times).await);
            }
            node.abort();
            Run { loads, memory: used(process).1 }
        })
    })
}

async fn tell_addresses(node: tokio::net::UdpSocket) {
    let mut question = [0; 64];
    while let Ok((length, from)) = node.recv_from(&mut question).await {
        let answer = [&question[..length], b"192.0.2.1,1194,udp;192.0.2.1,1194,tcp"].concat();
        let _ = node.send_to(&answer, from).await;
    }
}

/// Goal: a call costs a fraction of what it costs stock's registry, and nobody is left without an answer.
/// Method: each has a network of its own, as many members as it can answer, and is asked for everything;
/// both in turn, several times over if `scripts/bench registry` says so.
#[test]
fn a_call_costs_a_fraction_of_what_it_costs_stock() {
    let number = |name, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let members = number("RE6ST_LOAD_MEMBERS", 100);
    let (stock_members, rounds) = (number("RE6ST_LOAD_STOCK", 5), number("RE6ST_LOAD_ROUNDS", 1));
    let (mut stocks, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (host, directory) =
            (Namespace::new("registry"), TempDir::with_prefix("re6st-").unwrap());
        let authority = Authority::new(directory.path());
        let identities = found(directory.path(), stock_members);
        let quiet = ["-v", "1"];
        let stock = StockRegistry::start(&host, directory.path(), &authority, &quiet);
        stocks.push(load(&host, stock.id(), identities, 5));
        drop(stock);

        let host = Namespace::new("registry");
        fs::remove_file(directory.path().join("registry.db")).unwrap();
        let identities = found(directory.path(), members);
        let process = start_ours(&host, directory.path(), &quiet);
        ours.push(load(&host, process.id(), identities, 5));
    }
    let mut ratios = Vec::new();
    for (at, (name, _)) in ASKED.iter().enumerate() {
        let [stock, ours] = [&stocks, &ours].map(|runs| Figures::of(runs, at));
        println!(
            "{name}\n  stock, {stock_members} members: {stock}\n  re6st, {members} members: {ours}"
        );
        println!(
            "  {:.1} times the rate, {:.1} times less CPU",
            ours.rate / stock.rate,
            stock.cpu / ours.cpu
        );
        assert_eq!(ours.failed, 0, "{name}");
        ratios.push(stock.cpu / ours.cpu);
    }
    let memory = |runs: &[Run]| runs.iter().map(|run| run.memory).max().unwrap();
    println!("memory at most: stock {} KiB, re6st {} KiB", memory(&stocks), memory(&ours));
    assert!(ratios.iter().skip(3).all(|ratio| *ratio > 3.0), "{ratios:?}");
    assert!(memory(&ours) < 64 * 1_024, "{} KiB", memory(&ours));
}

/// Medians of several runs of one kind.
struct Figures {
    rate: f64,
    /// In milliseconds, as all times here.
    cpu: f64,
    p50: f64,
    p99: f64,
    failed: usize,
}

impl Figures {
    fn of(runs: &[Run], at: usize) -> Self {
        let median = |figure: fn(&Load) -> f64| {
            let mut figures: Vec<f64> = runs.iter().map(|run| figure(&run.loads[at])).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Self {
            rate: median(Load::rate),
            cpu: median(|load| load.cpu.as_secs_f64() * 1e3),
            p50: median(|load| load.percentile(50).as_secs_f64() * 1e3),
            p99: median(|load| load.percentile(99).as_secs_f64() * 1e3),
            failed: runs.iter().map(|run| run.loads[at].failed).sum(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rate, cpu, p50, p99, failed } = self;
        write!(f, "{rate:.0} calls/s, half within {p50:.1} ms, 99 of 100 within {p99:.1} ms, ")?;
        write!(f, "{cpu:.3} ms CPU each, {failed} failed")
    }
}
