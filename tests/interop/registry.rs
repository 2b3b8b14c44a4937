//! Our registry and stock's tools, stock's registry and our tools, one database under both in turn.

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use re6st::os::clock::Clock;
use tempfile::TempDir;

use super::stock::node::{Application, StockNode, stock_command};
use super::stock::registry::{Authority, StockRegistry};
use crate::namespace::{Namespace, Process, RE6ST, eventually, run};
use crate::registry::load::{all_at_once, members, used};

/// Our registry in `directory`, on port 80 of `host`.
fn start_ours(host: &Namespace, directory: &Path) -> Process {
    let dir = directory.to_str().unwrap();
    let mailbox = directory.join("mbox");
    let arguments = ["registry", "serve", "--dir", dir, "--anonymous-prefix-length", "16"];
    let arguments =
        [&arguments[..], &["--mailhost", mailbox.to_str().unwrap(), "-v", "3"]].concat();
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

fn joined(host: &Namespace, folder: &Path, how: &[&str]) -> String {
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
    let mut ours = start_ours(&host, directory.path());
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

    let mut ours = start_ours(&host, directory.path());
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

/// What a registry makes of a load.
struct Load {
    /// CPU time of the registry for one call.
    cpu: Duration,
    /// Its memory at most, in KiB.
    memory: u64,
    /// Calls answered in a second.
    rate: f64,
    /// 99 of 100 members had a call answered within this time.
    p99: Duration,
}

/// Puts `count` members at once to the registry `process` on `host`: parameters, renewal, Diffie-Hellman.
fn load(host: &Namespace, process: u32, count: usize) -> Load {
    let namespace = fs::File::open(format!("/run/netns/{}", host.name)).unwrap();
    let work = move || {
        nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        // Its threads are made by this one and live where it does.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = "http://127.0.0.1/".parse().unwrap();
            let members = members(&url, count).await;
            let (clock, (before, _)) = (Clock::start(), used(process));
            let took = all_at_once(&url, members).await;
            let (seconds, (after, memory)) =
                (clock.now().since_start().as_secs_f64(), used(process));
            let calls = took.len() * 3;
            Load {
                cpu: (after - before) / u32::try_from(calls).unwrap(),
                memory,
                rate: calls as f64 / seconds,
                p99: took[took.len() * 99 / 100],
            }
        })
    };
    std::thread::spawn(work).join().unwrap()
}

#[test]
fn a_call_costs_a_fraction_of_what_it_costs_stock() {
    let host = Namespace::new("registry");
    let directory = TempDir::with_prefix("re6st-interop-").unwrap();
    let authority = Authority::new(directory.path());
    let stock = StockRegistry::start(&host, directory.path(), &authority, &[]);
    // `scripts/bench registry` asks for more.
    let count = std::env::var("RE6ST_LOAD_MEMBERS").map_or(20, |count| count.parse().unwrap());
    let theirs = load(&host, stock.id(), count);
    drop(stock);
    let ours = start_ours(&host, directory.path());
    let ours = load(&host, ours.id(), count);
    for (name, load) in [("stock", &theirs), ("re6st", &ours)] {
        println!(
            "{name}: {count} members, {:?} CPU a call, {:.0} calls/s, 99 of 100 within {:?}, {} KiB",
            load.cpu, load.rate, load.p99, load.memory
        );
    }
    let ratio = theirs.cpu.as_secs_f64() / ours.cpu.as_secs_f64();
    println!("{ratio:.1} times less CPU a call, {:.1} times the rate", ours.rate / theirs.rate);
    assert!(ratio > 3.0, "{ratio}");
    assert!(ours.memory < 64 * 1_024, "{} KiB", ours.memory);
}
