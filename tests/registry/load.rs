//! Many members at once, of a network that a test founds without asking a registry for each of them: how fast
//! calls are answered, how much the server computes for one, how much memory it takes.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use re6st::os::clock::{Clock, unix_time};
use re6st::os::database::{Contents, Database, Leaf, Location, Value};
use re6st::proto::certificate::{CertificateRequest, Identity, Issuer, PrivateKey, Terms};
use re6st::proto::prefix::Prefix;
use re6st::proto::registry::allocation;
use re6st::proto::registry::call::{MemberCall, OpenCall};
use re6st::proto::registry::client::{Client, Progress, Reply, ReplyError, Request};
use re6st::proto::registry::session::MAC_HEADER;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

/// Fills `registry.db` in `folder`, where an authority is, with `count` members whose certificates are to be
/// renewed. They have one key between them, for making keys is slow and a registry does not mind.
pub fn found(folder: &Path, count: usize) -> Vec<Identity> {
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let issuer = Issuer::from_pem(&read("ca.crt"), &read("ca.key")).unwrap();
    let key = Arc::new(PrivateKey::generate(2_048).unwrap());
    let request = CertificateRequest::create(&key, &[]).unwrap().unwrap();
    let request = CertificateRequest::from_pem(&request).unwrap();
    let (mut free, now) = (BTreeSet::from([Prefix::WHOLE]), unix_time());
    let (mut leaves, mut identities) = (Vec::new(), Vec::new());
    for number in 0..count {
        let given = allocation::allocate(&free, Prefix::WHOLE, 16, 80).unwrap();
        free.remove(&given.cut_from);
        free.extend(given.left);
        let terms = Terms {
            prefix: given.taken,
            subject_serial: number as u32,
            serial: number as u64 + 1,
            not_before: now,
            not_after: now + Duration::from_secs(10 * 86_400),
        };
        let certificate = issuer.issue(&request, terms).unwrap();
        let pem = String::from_utf8(certificate.to_pem().unwrap()).unwrap();
        leaves.push(Leaf { prefix: given.taken, email: None, certificate: Some(pem) });
        let (authority, key) = (issuer.authority().clone(), Arc::clone(&key));
        identities.push(Identity { authority, certificate, key, prefix: given.taken });
    }
    leaves.extend(free.into_iter().map(|prefix| Leaf { prefix, email: None, certificate: None }));
    let config = vec![
        ("prefix".into(), Value::Text(identities[0].prefix.to_bits())),
        ("serial".into(), Value::Integer(count as i64)),
        ("babel_hmac0".into(), Value::Octets(vec![7; 16])),
    ];
    let contents = Contents { config, leaves, ..Contents::default() };
    let mut database = Database::open(&Location::File(folder.join("registry.db"))).unwrap();
    database.keep_octets(true);
    database.write(|tables| tables.replace(&contents)).unwrap();
    identities
}

/// What all members ask at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Sessions, whose keys stay sealed: opening them would cost the asker more than the registry.
    Hello,
    /// One call in a session.
    Call(MemberCall),
    /// Renewal, parameters, and a peer to begin with, one after the other.
    Everything,
}

/// What became of it.
pub struct Load {
    /// How long each call took, shortest first.
    pub took: Vec<Duration>,
    /// Calls without an answer as it should be.
    pub failed: usize,
    /// How long all of it took.
    pub whole: Duration,
    /// What the registry computed for one call.
    pub cpu: Duration,
}

impl Load {
    pub fn rate(&self) -> f64 {
        self.took.len() as f64 / self.whole.as_secs_f64()
    }

    pub fn percentile(&self, percent: usize) -> Duration {
        self.took.get(self.took.len() * percent / 100).copied().unwrap_or_default()
    }
}

/// A registry under load.
pub struct Target {
    pub address: SocketAddr,
    /// Its process.
    pub process: u32,
}

impl Target {
    /// Lets every member ask so many times, all members at once.
    pub async fn bear(&self, members: &mut Vec<Client>, asked: Asked, times: usize) -> Load {
        let (clock, (before, _)) = (Clock::start(), used(self.process));
        let asking: Vec<_> = members
            .drain(..)
            .map(|member| tokio::spawn(ask(self.address, member, asked, times)))
            .collect();
        let (mut took, mut failed) = (Vec::new(), 0);
        for one in asking {
            let (member, each, missed) = one.await.unwrap();
            members.push(member);
            took.extend(each);
            failed += missed;
        }
        let (whole, (after, _)) = (clock.now().since_start(), used(self.process));
        took.sort_unstable();
        let cpu = (after - before) / u32::try_from(took.len().max(1)).unwrap();
        Load { took, failed, whole, cpu }
    }
}

async fn ask(
    address: SocketAddr,
    mut member: Client,
    asked: Asked,
    times: usize,
) -> (Client, Vec<Duration>, usize) {
    use MemberCall::{GetBootstrapPeer, GetNetworkConfig, RenewCertificate};
    let calls = match asked {
        Asked::Hello => vec![None],
        Asked::Call(call) => vec![Some(call)],
        Asked::Everything => {
            vec![Some(RenewCertificate), Some(GetNetworkConfig), Some(GetBootstrapPeer)]
        }
    };
    let (clock, mut took, mut failed) = (Clock::start(), Vec::new(), 0);
    for call in calls.iter().cycle().take(calls.len() * times) {
        let begun = clock.now();
        let answered = match call {
            None => hello(address, &member).await,
            Some(call) => say(address, &mut member, *call).await,
        };
        match answered {
            Some(()) => took.push(clock.now() - begun),
            None => failed += 1,
        }
    }
    (member, took, failed)
}

async fn hello(address: SocketAddr, member: &Client) -> Option<()> {
    let target = OpenCall::Hello { prefix: member.identity().prefix, nonce: None }.target();
    let reply = get(address, &Request { target, mac: None }).await?;
    (reply.status == 200).then_some(())
}

/// One call, of which the answer's MAC is checked and what is sealed stays so.
async fn say(address: SocketAddr, member: &mut Client, call: MemberCall) -> Option<()> {
    let (mut exchange, mut request) = member.begin(call);
    loop {
        let reply = get(address, &request).await?;
        let progress: Result<Progress, ReplyError> = exchange.handle(member, reply);
        match progress.ok()? {
            Progress::Send(next) => request = next,
            Progress::Done(answer) => return (!answer.is_empty()).then_some(()),
        }
    }
}

/// HTTP with as little as will do, for who asks shares the processors with who answers.
async fn get(address: SocketAddr, request: &Request) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let mac = request.mac.as_ref().map(|mac| format!("{MAC_HEADER}: {mac}\r\n"));
    let target = &request.target;
    let text = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{}\r\n", mac.unwrap_or_default());
    stream.write_all(text.as_bytes()).await.ok()?;
    let mut octets = Vec::with_capacity(2_048);
    stream.read_to_end(&mut octets).await.ok()?;
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&octets[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mac = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case(MAC_HEADER).then(|| value.to_owned())
    });
    Some(Reply { status, mac, body: octets[end + 4..].to_vec() })
}

#[test]
fn a_thousand_members_at_once_are_all_answered() {
    let mut registry = Registry::start(&[]);
    let identities = found(registry.path(), 1_000);
    registry.restart(&[]);
    let mut members: Vec<Client> = identities.into_iter().map(Client::new).collect();
    let address = SocketAddr::from(([127, 0, 0, 1], registry.url().port));
    let target = Target { address, process: registry.id() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for asked in [Asked::Call(MemberCall::RenewCertificate), Asked::Call(MemberCall::GetDh)] {
        let load = runtime.block_on(target.bear(&mut members, asked, 1));
        assert_eq!((load.took.len(), load.failed), (1_000, 0), "{asked:?}");
    }
    let (_, peak) = used(registry.id());
    assert!(peak < 64 * 1_024, "{peak} KiB");
}
