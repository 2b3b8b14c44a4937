//! What the registry does for members: sessions, parameters, certificates renewed, peers to begin with.

use std::sync::Arc;

use crate::os::database::Tables;
use crate::os::log::NOTABLE;
use crate::os::member_routes;
use crate::proto::certificate::{Certificate, Terms};
use crate::proto::limits::{REGISTRY_BOOTSTRAP_PEERS, REGISTRY_ROUTED_LASTS};
use crate::proto::prefix::Prefix;
use crate::proto::registry::call::MemberCall;
use crate::proto::registry::configuration::{self, Sent};
use crate::proto::registry::session::{HelloNonce, SessionKey, hello_statement};
use crate::proto::time::UnixTime;

use super::applicants::CERTIFICATE_LASTS;
use super::certificates::{certificate_of, is_due, next_serial, put_certificate, told};
use super::network;
use super::own_node::{OwnNode, Question};
use super::refusal::{Given, Refusal};
use super::replaced;
use super::state::Registry;

/// The first protocol in which an address may end with its country.
const COUNTRIES_SINCE: u32 = 7;

impl Registry {
    /// A key for a session, encrypted for the node and signed by the authority.
    pub(super) fn hello(&self, prefix: Prefix, nonce: Option<HelloNonce>, protocol: u32) -> Given {
        if self.policy.native_only && nonce.is_none() {
            return Err(Refusal::Forbidden(
                "this registry is for native nodes only: it does not sign upstream's hello",
            ));
        }
        let (_, certificate) = self.read(|tables| self.parsed.member(tables, prefix))?;
        let key = SessionKey::new(self.state().random.octets());
        let mut reply = certificate.encrypt(key.octets())?;
        let signature = match nonce {
            Some(nonce) => self.issuer.key().sign(&hello_statement(prefix, &nonce, &reply))?,
            None => self.issuer.key().sign(&reply)?,
        };
        reply.extend(signature);
        self.begin_session(prefix, key, protocol)?;
        Ok(reply)
    }

    /// Answers an authenticated call.
    pub(super) async fn member(
        self: &Arc<Self>,
        prefix: Prefix,
        call: MemberCall,
        protocol: u32,
    ) -> Given {
        match call {
            MemberCall::GetDh => {
                self.blocking(move |registry| {
                    registry.read(|tables| registry.parsed.member(tables, prefix))
                })
                .await?;
                Ok(self.policy.dh.clone())
            }
            MemberCall::GetNetworkConfig => {
                self.blocking(move |registry| registry.network_config(prefix)).await
            }
            MemberCall::RenewCertificate => {
                self.blocking(move |registry| registry.renew(prefix)).await
            }
            MemberCall::GetBootstrapPeer => self.bootstrap_peer(prefix, protocol).await,
            MemberCall::GetCountry(address) => {
                let countries = self.policy.countries.as_ref();
                let countries =
                    countries.ok_or(Refusal::Bad("this registry knows no countries"))?;
                Ok(countries.at(address).map_or_else(Vec::new, |(country, _)| country.into()))
            }
        }
    }

    fn network_config(&self, prefix: Prefix) -> Given {
        let (certificate, parameters, version, crl_signed, keys, valid_until) =
            self.read(|tables| {
                let (_, certificate) = self.parsed.member(tables, prefix)?;
                let own = network::registry_prefix(tables)?.ok_or(Refusal::Empty)?;
                let crl: Vec<u64> =
                    tables.revoked()?.into_iter().map(|(serial, _)| serial).collect();
                let parameters = self.policy.settings.parameters(own, &crl);
                let valid_until: Option<i64> = tables.config("valid_until")?;
                let version = network::version(tables)?;
                let crl = network::signed_crl(tables)?;
                Ok((certificate, parameters, version, crl, network::keys(tables)?, valid_until))
            })?;
        let mut babel_hmac = Vec::new();
        for (name, key) in keys.in_use() {
            let sealed = if key.is_empty() { Vec::new() } else { certificate.encrypt(key)? };
            babel_hmac.push((name, sealed));
        }
        let valid_until = valid_until.map(|at| UnixTime::from_secs(at.cast_unsigned()));
        let crl_signed = crl_signed.as_deref();
        let sent = Sent { version: &version, crl_signed, babel_hmac, valid_until };
        Ok(configuration::encode(parameters, &sent))
    }

    /// A certificate that lasts longer, the same one if it lasts long enough. One whose serial number was
    /// revoked is replaced without lasting longer.
    fn renew(&self, prefix: Prefix) -> Given {
        let now = self.time();
        // Most ask too early: who only looks waits for nobody.
        let early = self.read(|tables| {
            let (leaf, certificate) = self.parsed.member(tables, prefix)?;
            Ok::<_, Refusal>(
                not_after(tables, &certificate, now)?.map_or(leaf.certificate, |_| None),
            )
        })?;
        if let Some(same) = early {
            return Ok(same.into_bytes());
        }
        let (given, renewed) = self.write(|tables| {
            let (leaf, certificate) = self.parsed.member(tables, prefix)?;
            let Some(not_after) = not_after(tables, &certificate, now)? else {
                return Ok((certificate.to_pem()?, None));
            };
            let terms = Terms {
                prefix,
                subject_serial: certificate.subject_serial().unwrap_or_default(),
                serial: next_serial(tables)?,
                not_before: now,
                not_after,
            };
            let renewed = self.issuer.reissue(&certificate, terms)?;
            replaced::remember(tables, prefix, &certificate, now)?;
            Ok((put_certificate(tables, prefix, leaf.email, &renewed)?, Some(renewed)))
        })?;
        if let Some(renewed) = renewed {
            tracing::info!(target: NOTABLE, "renewed {}", told(&renewed));
        }
        Ok(given)
    }

    /// The addresses of a member that is routed, chosen at random, sealed; nothing if none of several
    /// answers.
    async fn bootstrap_peer(self: &Arc<Self>, asking: Prefix, protocol: u32) -> Given {
        let peers = self.blocking(move |registry| registry.choose_peers(asking)).await?;
        let Some((peer, addresses)) = OwnNode::ask_first(&peers, Question::Addresses).await else {
            tracing::info!("none of {} nodes tells its addresses", peers.len());
            return Ok(Vec::new());
        };
        let addresses =
            if protocol < COUNTRIES_SINCE { without_countries(&addresses) } else { addresses };
        self.blocking(move |registry| {
            let (_, certificate) =
                registry.read(|tables| registry.parsed.member(tables, asking))?;
            let room = certificate.key_octets().saturating_sub(SEAL_OCTETS);
            Ok(match fitting(&peer.to_bits(), &addresses, room) {
                Some(text) => certificate.encrypt(text.as_bytes())?,
                None => Vec::new(),
            })
        })
        .await
    }

    /// The next routed members, each in turn, in random order, and the registry's own node if there are few.
    /// Babel alone does not make a prefix a node's: any member can originate prefixes that belong to no node.
    fn choose_peers(&self, asking: Prefix) -> Result<Vec<Prefix>, Refusal> {
        let own = self.read(network::registry_prefix)?.ok_or(Refusal::Empty)?;
        let now = self.now();
        if self.state().routed.1 <= now || self.state().routed.0.is_empty() {
            let routed = member_routes::routed(self.network()).unwrap_or_default();
            let mut members = self.read(|tables| {
                let mut members = Vec::new();
                for prefix in routed {
                    let leaf = tables.leaf(prefix)?;
                    if leaf.is_some_and(|leaf| certificate_of(&leaf).is_some()) {
                        members.push(prefix);
                    }
                }
                Ok::<_, Refusal>(members)
            })?;
            members.push(own);
            let mut state = self.state();
            state.random.shuffle(&mut members);
            state.routed = (members, now + REGISTRY_ROUTED_LASTS);
        }
        let mut state = self.state();
        let left = state.routed.0.len().saturating_sub(REGISTRY_BOOTSTRAP_PEERS);
        let mut peers = state.routed.0.split_off(left);
        peers.retain(|&peer| peer != asking);
        if peers.is_empty() {
            peers.push(own);
        }
        Ok(peers)
    }
}

/// Octets that PKCS#1 v1.5 adds to what it seals.
const SEAL_OCTETS: usize = 11;

/// `PREFIX ADDRESS;ADDRESS…`, with as many addresses as there is room for; `None` if not even one fits.
fn fitting(prefix: &str, addresses: &str, room: usize) -> Option<String> {
    let mut addresses = addresses;
    while prefix.len() + 1 + addresses.len() > room {
        addresses = addresses.rsplit_once(';')?.0;
    }
    (!addresses.is_empty()).then(|| format!("{prefix} {addresses}"))
}

fn without_countries(addresses: &str) -> String {
    let three = |address: &str| address.splitn(4, ',').take(3).collect::<Vec<_>>().join(",");
    addresses.split(';').map(three).collect::<Vec<_>>().join(";")
}

/// When a new certificate would end; `None` if there is to be none yet.
fn not_after(
    tables: &Tables<'_>,
    certificate: &Certificate,
    now: UnixTime,
) -> Result<Option<UnixTime>, Refusal> {
    Ok(if is_due(certificate, now) {
        Some(now + CERTIFICATE_LASTS)
    } else if is_revoked(certificate, &tables.revoked()?) {
        Some(certificate.not_after())
    } else {
        None
    })
}

fn is_revoked(certificate: &Certificate, revoked: &[(u64, UnixTime)]) -> bool {
    certificate.serial().is_some_and(|serial| revoked.iter().any(|(other, _)| *other == serial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut_to_what_one_seal_holds() {
        assert_eq!(fitting("01", "a,1,udp;b,2,tcp", 20), Some("01 a,1,udp;b,2,tcp".into()));
        assert_eq!(fitting("01", "a,1,udp;b,2,tcp", 17), Some("01 a,1,udp".into()));
        assert_eq!(fitting("01", "a,1,udp;b,2,tcp", 9), None);
        assert_eq!(fitting("01", "", 9), None);
    }

    #[test]
    fn old_nodes_are_not_told_countries() {
        assert_eq!(without_countries("a,1,udp,FR;b,2,tcp"), "a,1,udp;b,2,tcp");
    }
}
