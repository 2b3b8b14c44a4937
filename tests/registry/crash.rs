//! A registry that is killed at any moment: what it gave is remembered, and the database holds together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use re6st::command::registry::client::{self, RegistryClient};
use re6st::os::clock::unix_time;
use re6st::proto::certificate::{Certificate, CertificateRequest, Identity, PrivateKey};
use re6st::proto::random::Random;
use re6st::proto::registry::url::RegistryUrl;

use super::postgres::Postgres;
use super::process::{Registry, re6st_must};

/// How often a registry is killed: `scripts/soak registry-crash` asks for more.
fn times() -> u32 {
    std::env::var("RE6ST_CRASHES").map_or(10, |times| times.parse().unwrap())
}

#[test]
fn a_killed_registry_forgets_nothing_in_sqlite() {
    kill_again_and_again(&[]);
}

#[test]
fn a_killed_registry_forgets_nothing_in_postgresql() {
    let postgres = Postgres::start();
    kill_again_and_again(&["--db", &postgres.url()]);
}

/// Goal: whatever certificate reached a client is in the database, whenever the registry is killed.
/// Method: applicants and members ask without a pause; after a random time the registry is killed, its
/// database checked and compared with what clients received; then it is started again.
fn kill_again_and_again(place: &[&str]) {
    let options = [&["--anonymous-prefix-length", "20"], place].concat();
    let mut registry = Registry::start(&[]);
    let (mut random, key) = (Random::from_number(7), PrivateKey::generate(2_048).unwrap());
    let key = Arc::new(key.to_pem().unwrap());
    let received: Received = Arc::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for round in 0..times() {
        registry.restart(&options);
        let clients: Vec<_> = (0..6)
            .map(|_| {
                let (url, key, received) =
                    (registry.url(), Arc::clone(&key), Arc::clone(&received));
                runtime.spawn(async move { while ask(&url, &key, &received).await.is_some() {} })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(30 + random.below(400) as u64));
        registry.signal("KILL");
        for client in clients {
            runtime.block_on(client).unwrap();
        }
        let dir = registry.path().to_str().unwrap();
        let known = |command: &[&str]| {
            re6st_must(&[&["registry"], command, &["--dir", dir], place].concat())
        };
        assert_eq!(known(&["check"]), "", "round {round}");
        let nodes: BTreeMap<String, u64> = known(&["nodes", "--json"])
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|node| (node["name"].as_str().unwrap().into(), node["serial"].as_u64().unwrap()))
            .collect();
        for (name, serial) in received.lock().unwrap().iter() {
            assert_eq!(nodes.get(name), Some(serial), "round {round}: {name} was forgotten");
        }
    }
    let count = received.lock().unwrap().len();
    println!("{} kills, {count} certificates received, none forgotten", times());
    assert!(count > 10, "{count} certificates are no load");
}

/// Whose certificate has which serial number, as clients were told.
type Received = Arc<Mutex<BTreeMap<String, u64>>>;

/// Joins, and makes some calls; `None` when the registry is gone.
async fn ask(url: &RegistryUrl, key: &[u8], received: &Received) -> Option<()> {
    let key = PrivateKey::from_pem(key).unwrap();
    let request = CertificateRequest::create(&key, &[]).unwrap().unwrap();
    let request = String::from_utf8(request).unwrap();
    let authority = client::get_ca(url, None).await.ok()?;
    let given = client::request_certificate(url, None, "", &request, "").await.ok()??;
    keep(&given, received);
    let (ca, pem) = (authority.certificate().to_pem().unwrap(), given.to_pem().unwrap());
    let identity = Identity::from_pem(&ca, &pem, &key.to_pem().unwrap(), unix_time()).unwrap();
    let mut member = RegistryClient::new(url.clone(), identity);
    member.get_network_config().await.ok()?;
    keep(&member.renew_certificate().await.ok()?, received);
    Some(())
}

fn keep(certificate: &Certificate, received: &Received) {
    let (name, serial) = (certificate.common_name().unwrap(), certificate.serial().unwrap());
    received.lock().unwrap().insert(name, serial);
}
