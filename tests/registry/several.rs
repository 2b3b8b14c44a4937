//! Several registries, one network: they share a database, and any of them may die.

use std::collections::BTreeSet;
use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use re6st::command::registry::client::{self, RegistryClient};
use re6st::os::clock::unix_time;
use re6st::proto::certificate::{Authority, CertificateRequest, Identity, PrivateKey};
use re6st::proto::prefix::Prefix;
use re6st::proto::registry::url::RegistryUrl;
use tempfile::TempDir;

use super::postgres::Postgres;
use super::process::{Registry, re6st_must, re6st_refused};

const ANONYMOUS: &[&str] = &["--anonymous-prefix-length", "16"];

/// Goal: two registries serve one network as one, and none misses the other when it is killed.
/// Method: applicants with a token and members ask both in turn through one address; one is killed in the
/// middle and started again; whoever gets no answer asks again.
#[test]
fn one_of_two_registries_is_killed_under_load() {
    let postgres = Postgres::start();
    let (mut one, mut other, options) = pair(&postgres);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    // The first certificate is that of the registry's own node.
    one.join("own", &["--anonymous"]);
    let tokens: Vec<String> = (0..60)
        .map(|at| {
            let (status, token) = one.get(&format!("/addToken?email=node{at}@example.com"), "");
            assert_eq!(status, 200);
            String::from_utf8(token).unwrap()
        })
        .collect();
    let turns = Turns::start(&[&one, &other]);
    let done = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let applicants: Vec<_> = {
        let key = PrivateKey::generate(2_048).unwrap();
        let make = |token: String| {
            let (key, url, done) = (key.to_pem().unwrap(), turns.url(), Arc::clone(&done));
            runtime.spawn(async move {
                let identity = join(&url, &token, &key).await;
                let prefix = work(&url, identity.clone()).await;
                done.fetch_add(1, Ordering::Relaxed);
                (prefix, identity.certificate.serial().unwrap())
            })
        };
        tokens.into_iter().map(make).collect()
    };
    let wait_for = |count: usize| {
        crate::namespace::eventually("some are done", Duration::from_secs(60), || {
            (done.load(Ordering::Relaxed) >= count).then_some(())
        });
    };
    wait_for(5);
    other.signal("KILL");
    wait_for(25);
    other.restart(&options);
    turns.replace(1, &other);
    let given: Vec<(Prefix, u64)> = runtime
        .block_on(async { futures_util::future::join_all(applicants).await })
        .into_iter()
        .map(Result::unwrap)
        .collect();

    let prefixes: BTreeSet<Prefix> = given.iter().map(|(prefix, _)| *prefix).collect();
    let serials: BTreeSet<u64> = given.iter().map(|(_, serial)| *serial).collect();
    assert_eq!((prefixes.len(), serials.len()), (60, 60), "nothing is given twice");
    let place = place(&one, &postgres);
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    assert_eq!(re6st_must(&[&["registry", "check"], &place[..]].concat()), "");
    let known = re6st_must(&[&["registry", "nodes", "--json"], &place[..]].concat());
    for prefix in &prefixes {
        assert!(known.contains(&format!("\"{prefix}\"")), "{prefix} was given and forgotten");
    }
    assert_eq!(known.lines().count(), 61, "no token was worth two");
    one.restart(&options);
    assert!(!one.printed().contains("panicked") && !other.printed().contains("panicked"));
}

/// Goal: a network moves to PostgreSQL and back without losing anything.
#[test]
fn a_database_moves_there_and_back() {
    let postgres = Postgres::start();
    let mut registry = Registry::start(ANONYMOUS);
    for name in ["one", "two", "three"] {
        registry.join(name, &["--anonymous"]);
    }
    let (dir, url) = (registry.path().to_str().unwrap().to_owned(), registry.url().to_string());
    let dir = dir.as_str();
    re6st_must(&["registry", "revoke", "1/16", "--registry", &url]);
    re6st_must(&["registry", "token", "add", "a@example.com", "--dir", dir, "--token", "abc"]);
    registry.stop();
    let (there, back) = (format!("{dir}/registry.db"), format!("{dir}/back.db"));
    let server = postgres.url();
    let said = re6st_must(&["registry", "migrate", "--from", &there, "--to", &server]);
    assert!(said.contains("2 members"), "{said}");
    assert!(!said.contains("re6st@"), "no user, no password: {said}");
    let again = ["registry", "migrate", "--from", &there, "--to", &server];
    assert!(re6st_refused(&again, 1).contains("holds a network already"));
    re6st_must(&["registry", "migrate", "--from", &server, "--to", &back]);
    let dump = |path: &str| crate::namespace::run("sqlite3", &[path, ".dump"]);
    let sorted = |text: String| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(sorted(dump(&there)), sorted(dump(&back)));
    let backup = format!("{dir}/backup.db");
    re6st_must(&["registry", "backup", &backup, "--dir", dir, "--db", &server]);
    assert_eq!(sorted(dump(&there)), sorted(dump(&backup)));
}

/// Goal: a registry whose database went away says so, and works again when it is back.
#[test]
fn a_database_that_is_away_is_told_in_words() {
    let mut postgres = Postgres::start();
    let (one, _other, _) = pair(&postgres);
    one.join("own", &["--anonymous"]);
    let place = place(&one, &postgres);
    postgres.stop();
    let output = one.try_join(&one.path().join("x"), &["--anonymous"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot use its database"), "{said}");
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    let said = re6st_refused(&[&["registry", "nodes"], &place[..]].concat(), 1);
    assert!(said.contains("cannot use postgres://"), "{said}");
    assert!(one.get("/getCa", "").0 == 200 && !one.printed().contains("panicked"));
}

/// Two registries of one network, and their options.
fn pair(postgres: &Postgres) -> (Registry, Registry, Vec<String>) {
    let mut one = Registry::start(ANONYMOUS);
    let folder = TempDir::with_prefix("re6st-registry-").unwrap();
    for name in ["ca.crt", "ca.key"] {
        std::fs::copy(one.path().join(name), folder.path().join(name)).unwrap();
    }
    let options: Vec<String> =
        [ANONYMOUS, &["--db", &postgres.url()]].concat().iter().map(ToString::to_string).collect();
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    one.restart(&words);
    let other = Registry::serve(folder, &words);
    (one, other, options)
}

fn place(registry: &Registry, postgres: &Postgres) -> [String; 4] {
    let dir = registry.path().to_str().unwrap().to_owned();
    ["--dir".into(), dir, "--db".into(), postgres.url()]
}

/// Asks for a certificate until there is one.
async fn join(url: &RegistryUrl, token: &str, key: &[u8]) -> Identity {
    let key = PrivateKey::from_pem(key).unwrap();
    let request = CertificateRequest::create(&key, &[]).unwrap().unwrap();
    let request = String::from_utf8(request).unwrap();
    for _ in 0..TRIES {
        let asked = client::request_certificate(url, None, token, &request, "").await;
        let (Ok(given), Ok(authority)) = (asked, client::get_ca(url, None).await) else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let certificate = given.expect("a token is good until its certificate has arrived");
        return identity(&authority, &certificate.to_pem().unwrap(), &key);
    }
    panic!("no certificate in {TRIES} tries");
}

fn identity(authority: &Authority, certificate: &[u8], key: &PrivateKey) -> Identity {
    let ca = authority.certificate().to_pem().unwrap();
    Identity::from_pem(&ca, certificate, &key.to_pem().unwrap(), unix_time()).unwrap()
}

/// A member's calls, each until it is answered.
async fn work(url: &RegistryUrl, identity: Identity) -> Prefix {
    let prefix = identity.prefix;
    let mut client = RegistryClient::new(url.clone(), identity);
    for _ in 0..5 {
        let mut tries = 0;
        while client.get_network_config().await.is_err() {
            tries += 1;
            assert!(tries < TRIES, "no parameters in {TRIES} tries");
            tokio::time::sleep(PAUSE).await;
        }
    }
    prefix
}

const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// One address for several registries, which get connections in turn.
struct Turns {
    port: u16,
    ports: Arc<Vec<AtomicUsize>>,
}

impl Turns {
    fn start(registries: &[&Registry]) -> Self {
        let ports = registries.iter().map(|it| AtomicUsize::new(it.url().port.into()));
        let ports = Arc::new(ports.collect::<Vec<_>>());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let turns = Self { port: listener.local_addr().unwrap().port(), ports: Arc::clone(&ports) };
        std::thread::spawn(move || {
            for (turn, stream) in listener.incoming().enumerate() {
                let port = ports[turn % ports.len()].load(Ordering::Relaxed) as u16;
                std::thread::spawn(move || forward(&stream.ok()?, port).ok());
            }
        });
        turns
    }

    fn url(&self) -> RegistryUrl {
        format!("http://127.0.0.1:{}/", self.port).parse().unwrap()
    }

    fn replace(&self, at: usize, registry: &Registry) {
        self.ports[at].store(registry.url().port.into(), Ordering::Relaxed);
    }
}

fn forward(client: &TcpStream, port: u16) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port))?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let upwards = std::thread::spawn(move || copy(&mut from, &mut to).map(drop));
    copy(&mut &server, &mut &*client)?;
    client.shutdown(Shutdown::Both)?;
    server.shutdown(Shutdown::Both)?;
    let _ = upwards.join();
    Ok(())
}
