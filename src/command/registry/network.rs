//! What holds for the whole network: its version, raised and announced at every change; its keys; its age.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::os::clock::unix_time;
use crate::os::database::{Database, Leaf, Tables};
use crate::os::log::NOTABLE;
use crate::proto::certificate::Issuer;
use crate::proto::crl::SignedCrl;
use crate::proto::limits::REGISTRY_ANNOUNCE_LASTS;
use crate::proto::prefix::Prefix;
use crate::proto::random::Random;
use crate::proto::registry::allocation;
use crate::proto::registry::configuration::stored_text;
use crate::proto::registry::hmac::Keys;
use crate::proto::registry::request::Revoked;
use crate::proto::time::UnixTime;
use crate::proto::version::NetworkVersion;

use super::certificates::{certificate_of, member, told};
use super::membership::{expire, record_removal};
use super::own_node::{HandedOut, OwnNode, Question};
use super::policy::Policy;
use super::refusal::Refusal;
use super::replaced;
use super::state::Registry;

/// Names of Babel's keys in the database, by place.
const KEY_ROWS: [&str; 3] = ["babel_hmac0", "babel_hmac1", "babel_hmac2"];

/// The name of the signed revocation list in the database.
const CRL_ROW: &str = "crl_signed";

/// How the row of a prefix begins that is held back until its revoked certificate ends.
pub(super) const HELD: &str = "revoked until ";

/// What stands in the row of a prefix that nobody may have.
pub(super) const RESERVED: &str = "reserved";

/// Brings a database up to date when a registry starts: old entries, a first key, changed settings.
pub(super) fn begin(
    database: &Database,
    issuer: &Issuer,
    policy: &Policy,
    mut random: Random,
) -> Result<(), Refusal> {
    database.write(|tables| {
        match registry_prefix(tables)? {
            Some(_) => {
                refresh(tables, issuer, policy)?;
                // A database of upstream's, or of version 0.1.0, has none for its version yet.
                let version = NetworkVersion::parse(&version(tables)?, issuer.authority());
                let signed = signed_crl(tables)?;
                let signed = signed.and_then(|it| SignedCrl::parse(&it, issuer.authority()).ok());
                match version {
                    Ok(version) if signed.is_none_or(|crl| crl.version() != version.number()) => {
                        sign_crl(tables, issuer, version.number())
                    }
                    _ => Ok(()),
                }
            }
            // A new network authenticates Babel from the start.
            None if keys(tables)? == Keys::default() => {
                set_keys(tables, &Keys::first(random.octets()))
            }
            None => Ok(()),
        }
    })
}

/// The prefix of the registry's own node: that of the first certificate ever made.
pub(super) fn registry_prefix(tables: &Tables<'_>) -> Result<Option<Prefix>, Refusal> {
    let bits: Option<String> = tables.config("prefix")?;
    Ok(bits.and_then(|bits| Prefix::from_bits(&bits).ok()))
}

/// Makes `prefix` the registry's own node's, if there is none yet.
pub(super) fn set_registry_prefix(tables: &Tables<'_>, prefix: Prefix) -> Result<bool, Refusal> {
    if registry_prefix(tables)?.is_some() {
        return Ok(false);
    }
    tables.set_config("prefix", Some(prefix.to_bits()))?;
    Ok(true)
}

/// Raises the network's version if a parameter changed; whether it did.
pub(super) fn refresh(
    tables: &Tables<'_>,
    issuer: &Issuer,
    policy: &Policy,
) -> Result<bool, Refusal> {
    let Some(prefix) = registry_prefix(tables)? else { return Ok(false) };
    let crl: Vec<u64> = tables.revoked()?.into_iter().map(|(serial, _)| serial).collect();
    let text = stored_text(&policy.settings.parameters(prefix, &crl));
    if tables.config::<String>("last_config")?.as_ref() == Some(&text) {
        return Ok(false);
    }
    raise_version(tables, issuer)?;
    tables.set_config("last_config", Some(text))?;
    Ok(true)
}

/// The same, where only the list of revoked certificates may have changed: the settings of a registry
/// that runs need not be known.
fn refresh_revoked(tables: &Tables<'_>, issuer: &Issuer) -> Result<bool, Refusal> {
    let stored: Option<String> = tables.config("last_config")?;
    let stored = stored.and_then(|text| serde_json::from_str::<Map<String, Value>>(&text).ok());
    let Some(mut parameters) = stored else { return Ok(false) };
    let crl: Vec<u64> = tables.revoked()?.into_iter().map(|(serial, _)| serial).collect();
    if parameters.insert("crl".into(), json!(crl)) == Some(json!(crl)) {
        return Ok(false);
    }
    raise_version(tables, issuer)?;
    tables.set_config("last_config", Some(stored_text(&parameters)))?;
    Ok(true)
}

/// A certificate that was ended.
pub(super) struct Ended {
    /// When it would have ended by itself.
    pub not_after: UnixTime,
    /// Whether nodes are to be told.
    pub changed: bool,
}

/// Ends a membership, or one certificate.
pub(super) fn revoke(
    tables: &Tables<'_>,
    issuer: &Issuer,
    revoked: Revoked,
    now: UnixTime,
) -> Result<Ended, Refusal> {
    let (node, certificate) = match revoked {
        Revoked::Node(prefix) => {
            if registry_prefix(tables)? == Some(prefix) {
                return Err(Refusal::Bad("that is the registry's own node, which must stay"));
            }
            let (leaf, certificate) = member(tables, prefix)?;
            record_removal(tables, &leaf, "revoked", now)?;
            // Who gets the prefix next must not meet a certificate that still names it.
            hold(tables, prefix, certificate.not_after())?;
            replaced::revoke(tables, prefix, now)?;
            (prefix, certificate)
        }
        Revoked::Serial(serial) => {
            let found = tables.leaves()?.into_iter().find_map(|leaf| {
                let found = certificate_of(&leaf).filter(|it| it.serial() == Some(serial));
                found.map(|certificate| (leaf.prefix, certificate))
            });
            found.ok_or(Refusal::UnknownSerial(serial))?
        }
    };
    let not_after = certificate.not_after();
    let serial = certificate.serial().ok_or(Refusal::UnknownNode(node))?;
    if now < not_after {
        tables.revoke(serial, not_after)?;
    }
    let changed = refresh_revoked(tables, issuer)?;
    tracing::info!(target: NOTABLE, "revoked {}", told(&certificate));
    Ok(Ended { not_after, changed })
}

/// What nodes are told of a change: the signed version, and the signed revocation list.
pub(super) struct News {
    own: Prefix,
    version: Vec<u8>,
    crl: Option<Vec<u8>>,
    /// The number of the version.
    pub number: u64,
}

/// What there is to tell; `None` before the first member has joined.
pub(super) fn news(tables: &Tables<'_>, issuer: &Issuer) -> Result<Option<News>, Refusal> {
    let Some(own) = registry_prefix(tables)? else { return Ok(None) };
    let version = version(tables)?;
    let number = NetworkVersion::parse(&version, issuer.authority()).map_or(0, |it| it.number());
    Ok(Some(News { own, version, crl: signed_crl(tables)?, number }))
}

impl News {
    /// Tells the registry's own node, which tells the others. Without a node there, the next one to ask the
    /// registry gets the new version.
    pub(super) async fn announce(&self) {
        let Ok(node) = OwnNode::open().await else { return };
        // The list itself, and not only that there is one: this registry may end at any moment.
        if let Some(crl) = &self.crl {
            let _ = node.tell(self.own, Question::Crl, crl).await;
        }
        let _ = node.tell(self.own, Question::NewVersion, &self.version).await;
        // The node looks up who owns the socket: it must still be open.
        tokio::time::sleep(REGISTRY_ANNOUNCE_LASTS).await;
    }

    /// Has every node told; how many have the version when that is over.
    pub(super) async fn hand_out(&self, patience: Duration) -> Option<HandedOut> {
        OwnNode::hand_out(self.own, self.number, patience).await
    }
}

/// The signed version, as it travels.
pub(super) fn version(tables: &Tables<'_>) -> Result<Vec<u8>, Refusal> {
    Ok(tables.config("version")?.unwrap_or_else(|| vec![0]))
}

fn raise_version(tables: &Tables<'_>, issuer: &Issuer) -> Result<(), Refusal> {
    let stored = version(tables)?;
    // Before there is a first one, the number zero stands alone.
    let number = NetworkVersion::parse(&stored, issuer.authority()).map_or(0, |v| v.number());
    raise_version_above(tables, issuer, number).map(drop)
}

/// Signs the version after `number`, and has what it stands for compared anew.
pub(super) fn raise_version_above(
    tables: &Tables<'_>,
    issuer: &Issuer,
    number: u64,
) -> Result<u64, Refusal> {
    let version = NetworkVersion::sign(number + 1, issuer.key())?;
    tables.set_config("version", Some(version.octets()))?;
    sign_crl(tables, issuer, number + 1)?;
    Ok(number + 1)
}

fn sign_crl(tables: &Tables<'_>, issuer: &Issuer, version: u64) -> Result<(), Refusal> {
    let serials = tables.revoked()?.into_iter().map(|(serial, _)| serial).collect();
    let crl = SignedCrl::sign(version, &serials, issuer.key())?;
    Ok(tables.set_config(CRL_ROW, Some(crl.octets()))?)
}

/// The signed revocation list of the present version; `None` before there is one.
pub(super) fn signed_crl(tables: &Tables<'_>) -> Result<Option<Vec<u8>>, Refusal> {
    Ok(tables.config(CRL_ROW)?)
}

/// Babel's keys.
pub(super) fn keys(tables: &Tables<'_>) -> Result<Keys, Refusal> {
    let mut keys = Keys::default();
    for (row, key) in KEY_ROWS.iter().zip(&mut keys.0) {
        *key = tables.config(row)?;
    }
    Ok(keys)
}

fn set_keys(tables: &Tables<'_>, keys: &Keys) -> Result<(), Refusal> {
    for (row, key) in KEY_ROWS.iter().zip(&keys.0) {
        tables.set_config(row, key.as_ref())?;
    }
    Ok(())
}

/// Takes the next of three steps to a new key of Babel's.
pub(super) fn change_keys(
    tables: &Tables<'_>,
    issuer: &Issuer,
    new: [u8; Keys::OCTETS],
    now: UnixTime,
) -> Result<(), Refusal> {
    set_keys(tables, &keys(tables)?.next(new))?;
    // Nodes that miss the notice ask again within the hour.
    tables.set_config("valid_until", Some((now.as_secs() + 3_600).cast_signed()))?;
    raise_version(tables, issuer)?;
    tracing::info!(target: NOTABLE, "Babel's keys: {}", keys(tables)?.step().sentence());
    Ok(())
}

/// Forgets what is older than the grace period: tokens, members, revocations; frees and joins prefixes. For
/// a plausible clock only.
pub(super) fn forget_old(
    tables: &Tables<'_>,
    policy: &Policy,
    now: UnixTime,
) -> Result<(), Refusal> {
    let old = UnixTime::from_duration(now.since_1970().saturating_sub(policy.grace));
    for token in tables.tokens()?.into_iter().filter(|token| token.date <= old) {
        tables.delete_token(&token.token)?;
    }
    expire(tables, policy.grace, now)?;
    tables.purge_revoked(now)?;
    merge_free(tables)
}

/// Gives a prefix back; at once, or when the certificate that still names it has ended.
pub(super) fn hold(tables: &Tables<'_>, prefix: Prefix, until: UnixTime) -> Result<(), Refusal> {
    let certificate = Some(format!("{HELD}{}", until.as_secs()));
    Ok(tables.put_leaf(&Leaf { prefix, email: None, certificate })?)
}

fn merge_free(tables: &Tables<'_>) -> Result<(), Refusal> {
    let free: BTreeSet<Prefix> = tables.free()?.into_iter().collect();
    let merged = allocation::merge(&free);
    for gone in free.difference(&merged) {
        tables.remove_leaf(*gone)?;
    }
    for whole in merged.difference(&free) {
        tables.put_leaf(&Leaf { prefix: *whole, email: None, certificate: None })?;
    }
    Ok(())
}

impl Registry {
    /// How many members there are, and the network's version.
    pub fn summary(&self) -> Result<(usize, u64), Refusal> {
        self.read(|tables| {
            let members = tables.leaves()?.iter().filter_map(certificate_of).count();
            let version = NetworkVersion::parse(&version(tables)?, self.issuer.authority());
            Ok((members, version.map_or(0, |version| version.number())))
        })
    }

    /// Forgets what is too old, unless the clock is implausible; to be called now and then. Whether the
    /// nodes are to be told.
    pub fn forget_old(&self) -> Result<bool, Refusal> {
        self.write(|tables| {
            if self.judge_clock(tables)? {
                forget_old(tables, &self.policy, unix_time())?;
            }
            refresh(tables, &self.issuer, &self.policy)
        })
    }

    /// Tells the nodes that there is a new version.
    pub async fn announce(self: &Arc<Self>) {
        if let Ok(Some(news)) = self.news().await {
            tokio::spawn(async move { news.announce().await });
        }
    }

    /// What nodes are to be told.
    pub(super) async fn news(self: &Arc<Self>) -> Result<Option<News>, Refusal> {
        self.blocking(|registry| registry.read(|tables| news(tables, &registry.issuer))).await
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::command::registry::access::Administrators;
    use crate::command::registry::certificates::put_certificate;
    use crate::os::database::Location;
    use crate::proto::certificate::{AuthoritySubject, CertificateRequest, PrivateKey, Terms};
    use crate::proto::prefix::Network;
    use crate::proto::registry::clock::KEPT;
    use crate::proto::registry::community::Communities;
    use crate::proto::registry::configuration::Settings;

    const BEGIN: UnixTime = UnixTime::from_secs(1_800_000_000);
    const LASTS: Duration = Duration::from_secs(365 * 86_400);
    const SECOND: Duration = Duration::from_secs(1);

    fn issuer() -> Issuer {
        let key = PrivateKey::generate(2_048).unwrap();
        let network = Network::new("2001:db8:42::/48".parse().unwrap()).unwrap();
        let subject = AuthoritySubject { name: "test", email: None };
        let pem = Issuer::create_authority(network, subject, &key, (BEGIN, BEGIN + LASTS * 9));
        Issuer::from_pem(&pem.unwrap(), &key.to_pem().unwrap()).unwrap()
    }

    fn policy() -> Policy {
        let settings = Settings {
            hello: 15,
            encrypt: false,
            client_count: 10,
            max_clients: 20,
            tunnel_refresh: 300,
            min_protocol: 1,
            same_country: Vec::new(),
            ipv4: None,
        };
        Policy {
            ca: PathBuf::new(),
            settings,
            prefix_length: Some(16),
            anonymous_prefix_length: Some(16),
            native_only: false,
            grace: Duration::from_secs(100 * 86_400),
            mailbox: None,
            dh: Vec::new(),
            communities: Communities::default(),
            administrators: Administrators::default(),
            countries: None,
        }
    }

    /// A member with that serial number whose certificate lasts a year from the beginning.
    fn add(tables: &Tables<'_>, issuer: &Issuer, prefix: Prefix, serial: u64) {
        let key = PrivateKey::generate(2_048).unwrap();
        let request = CertificateRequest::create(&key, &[]).unwrap().unwrap();
        let request = CertificateRequest::from_pem(&request).unwrap();
        let subject_serial = u32::try_from(serial).unwrap();
        let (not_before, not_after) = (BEGIN, BEGIN + LASTS);
        let terms = Terms { prefix, subject_serial, serial, not_before, not_after };
        let certificate = issuer.issue(&request, terms).unwrap();
        put_certificate(tables, prefix, None, &certificate).unwrap();
    }

    /// Goal: who renewed and is revoked has no certificate left, of those before, either.
    #[test]
    fn what_a_renewal_replaced_is_revoked_with_its_node() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&Location::File(folder.path().join("registry.db"))).unwrap();
        let issuer = issuer();
        let [own, one, other] = ["0/2", "1/2", "2/2"].map(|name| name.parse::<Prefix>().unwrap());
        let serials = |revoked: Vec<(u64, UnixTime)>| -> Vec<u64> {
            revoked.into_iter().map(|(serial, _)| serial).collect()
        };
        let work = |tables: &Tables<'_>| {
            tables.remove_leaf(Prefix::from_bits("").unwrap())?;
            for (serial, prefix) in [(1, own), (2, one), (3, other), (4, one), (5, other), (6, one)]
            {
                if let Some(replaced) = tables.leaf(prefix)?.as_ref().and_then(certificate_of) {
                    replaced::remember(tables, prefix, &replaced, BEGIN)?;
                }
                add(tables, &issuer, prefix, serial);
            }
            set_registry_prefix(tables, own)?;
            let before = tables.contents()?;
            revoke(tables, &issuer, Revoked::Node(one), BEGIN + SECOND)?;
            assert_eq!(serials(tables.revoked()?), [2, 4, 6]);
            // Those of the other node are still known; what ended by itself needs no revocation.
            replaced::merge(tables, &before, BEGIN + SECOND)?;
            revoke(tables, &issuer, Revoked::Node(other), BEGIN + LASTS)?;
            assert_eq!(serials(tables.revoked()?), [2, 4, 6]);
            assert_eq!(tables.config::<String>("replaced")?, None);
            Ok::<_, Refusal>(())
        };
        database.write(work).unwrap();
    }

    /// Goal: nobody gets a prefix, or is told that a serial number is good, while a revoked certificate still
    /// names it; afterwards the prefix is free, and the list is short again. The prefix of a member that has
    /// expired is kept for it, and the journal has both members.
    #[test]
    fn a_revoked_prefix_is_free_when_its_certificate_has_ended_and_no_sooner() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&Location::File(folder.path().join("registry.db"))).unwrap();
        let (issuer, policy) = (issuer(), policy());
        let [own, revoked, left] =
            ["0/2", "1/2", "2/2"].map(|name| name.parse::<Prefix>().unwrap());
        let write =
            |work: &dyn Fn(&Tables<'_>) -> Result<(), Refusal>| database.write(work).unwrap();
        write(&|tables| {
            tables.remove_leaf(Prefix::from_bits("").unwrap())?;
            for (serial, prefix) in [(1, own), (2, revoked), (3, left)] {
                add(tables, &issuer, prefix, serial);
            }
            let rest = Leaf { prefix: "3/2".parse().unwrap(), email: None, certificate: None };
            tables.put_leaf(&rest)?;
            set_registry_prefix(tables, own)?;
            let ended = revoke(tables, &issuer, Revoked::Node(revoked), BEGIN + SECOND)?;
            assert_eq!(ended.not_after, BEGIN + LASTS);
            Ok(())
        });
        let (end, grace) = (BEGIN + LASTS, policy.grace);
        for (now, free, crl) in [
            (BEGIN + SECOND, vec!["3/2"], vec![2]),
            (end, vec!["3/2"], vec![2]),
            (end + SECOND, vec!["1/2", "3/2"], vec![]),
            (end + grace, vec!["1/2", "3/2"], vec![]),
            (end + grace + KEPT, vec!["1/2", "3/2"], vec![]),
            (end + grace + KEPT + SECOND, vec!["1/2", "1/1"], vec![]),
        ] {
            write(&|tables| {
                forget_old(tables, &policy, now)?;
                let names: Vec<String> = tables.free()?.iter().map(ToString::to_string).collect();
                assert_eq!(names, free, "{now}");
                let serials: Vec<u64> =
                    tables.revoked()?.iter().map(|(serial, _)| *serial).collect();
                assert_eq!(serials, crl, "{now}");
                Ok(())
            });
        }
        write(&|tables| {
            let journal = tables.journal()?;
            let told: Vec<_> = journal.iter().map(|it| (it.prefix, it.reason.as_str())).collect();
            assert_eq!(told, [(revoked, "revoked"), (left, "expired")]);
            Ok(())
        });
    }
}
