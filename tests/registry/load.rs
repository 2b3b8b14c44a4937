//! Many members at once: no call fails, memory stays small; and how much the server computes for a call.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use re6st::command::registry::client::{self, RegistryClient};
use re6st::os::clock::{Clock, unix_time};
use re6st::proto::certificate::{Authority, CertificateRequest, Identity, PrivateKey};
use re6st::proto::registry::url::RegistryUrl;

use super::process::Registry;

/// What a process and its ended children used so far: CPU time, and memory at most, in KiB.
pub fn used(process: u32) -> (Duration, u64) {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // Its own and its children's, in user space and in the kernel.
    let ticks: u64 = fields[11..15].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak = peak.trim().trim_end_matches(" kB").parse().unwrap();
    (Duration::from_millis(ticks * 10), peak)
}

/// Members with one key between them, for making keys is slow and the registry does not mind.
pub async fn members(url: &RegistryUrl, count: usize) -> Vec<Identity> {
    let authority = client::get_ca(url, None).await.unwrap();
    let key = PrivateKey::generate(2_048).unwrap();
    let request = CertificateRequest::create(&key, &[]).unwrap().unwrap();
    let request = Arc::new(String::from_utf8(request).unwrap());
    let mut identities = Vec::new();
    for _ in 0..count {
        let given =
            client::request_certificate(url, None, "", &request, "").await.unwrap().unwrap();
        identities.push(identity(&authority, &given.to_pem().unwrap(), &key));
    }
    identities
}

fn identity(authority: &Authority, certificate: &[u8], key: &PrivateKey) -> Identity {
    let ca = authority.certificate().to_pem().unwrap();
    Identity::from_pem(&ca, certificate, &key.to_pem().unwrap(), unix_time()).unwrap()
}

/// Each member in a session of its own: parameters, renewal, Diffie-Hellman. How long each call took.
pub async fn all_at_once(url: &RegistryUrl, members: Vec<Identity>) -> Vec<Duration> {
    let clock = Clock::start();
    let sessions = members.into_iter().map(|identity| {
        let url = url.clone();
        tokio::spawn(async move {
            let mut client = RegistryClient::new(url, identity);
            let mut took = Vec::new();
            for _ in 0..3 {
                let begun = clock.now();
                client.get_network_config().await.unwrap();
                client.renew_certificate().await.unwrap();
                client.get_dh().await.unwrap();
                took.push((clock.now() - begun) / 3);
            }
            took
        })
    });
    let sessions: Vec<_> = sessions.collect();
    let mut took = Vec::new();
    for session in sessions {
        took.extend(session.await.unwrap());
    }
    took.sort_unstable();
    took
}

#[test]
fn a_hundred_members_at_once_are_all_answered() {
    let registry = Registry::start(&["--anonymous-prefix-length", "16"]);
    let url = registry.url();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = Clock::start();
        let members = members(&url, 100).await;
        let issued = clock.now().since_start();
        let (before, _) = used(registry.id());
        let took = all_at_once(&url, members).await;
        let (after, peak) = used(registry.id());
        let calls = u32::try_from(took.len()).unwrap() * 3;
        println!(
            "100 certificates in {issued:?}; {calls} calls: {:?} CPU each, half within {:?}, 99 of 100 \
             within {:?}; {peak} KiB",
            (after - before) / calls,
            took[took.len() / 2],
            took[took.len() * 99 / 100],
        );
        assert!(peak < 64 * 1_024, "{peak} KiB");
    });
}
