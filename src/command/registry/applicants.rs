//! What the registry does for applicants: tokens by mail, certificates for tokens or for nobody in particular.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::os::database::{Leaf, Tables, Token};
use crate::os::log::NOTABLE;
use crate::os::{mail, smtp};
use crate::proto::certificate::{Certificate, CertificateRequest, Terms};
use crate::proto::limits::{
    REGISTRY_MAIL_PATIENCE, REGISTRY_MAILS_MAX, REGISTRY_TOKENS_MAILED_MAX, REGISTRY_TOKENS_MAX,
};
use crate::proto::prefix::Prefix;
use crate::proto::registry::{allocation, token};
use crate::proto::time::UnixTime;

use super::certificates::{certificate_of, next_serial, put_certificate, told};
use super::network;
use super::parsed::Parsed;
use super::policy::Mailbox;
use super::refusal::{Given, Refusal};
use super::state::Registry;

/// How long a certificate lasts.
pub(super) const CERTIFICATE_LASTS: Duration = Duration::from_secs(365 * 86_400);

impl Registry {
    pub(super) fn request_token(&self, email: &str) -> Given {
        let mailbox = self.policy.mailbox.as_ref();
        let mailbox = mailbox.ok_or(Refusal::Forbidden("this registry sends no mail"))?;
        let waiting = self.read(|tables| Ok(tables.tokens()?))?;
        if waiting.len() >= REGISTRY_TOKENS_MAILED_MAX {
            return Err(Refusal::Busy("too many tokens are waiting to be used; ask the operator"));
        }
        if waiting.iter().filter(|token| token.email == email).count() >= REGISTRY_MAILS_MAX {
            return Err(Refusal::Forbidden("too many tokens are waiting at that address"));
        }
        let token = self.add_token(email, None, None)?;
        let text = token::mail(self.issuer.email().as_deref(), email, &token);
        let sent = match mailbox {
            Mailbox::File(path) => {
                mail::append(path, &text, Self::unix_time()).map_err(Refusal::Mail)
            }
            Mailbox::Server(server, from) => {
                smtp::send(server, (from, email), &text, REGISTRY_MAIL_PATIENCE)
                    .map_err(Refusal::Smtp)
            }
        };
        sent.inspect_err(|_| {
            // Nobody was told it; those that wait at an address are counted.
            let _ = self.write(|tables| Ok(tables.delete_token(&token)?));
        })?;
        Ok(Vec::new())
    }

    /// Makes a token; draws one if none is chosen.
    pub(super) fn add_token(
        &self,
        email: &str,
        chosen: Option<&str>,
        length: Option<u8>,
    ) -> Result<String, Refusal> {
        let usual = self.policy.prefix_length;
        let usual =
            usual.ok_or(Refusal::Forbidden("this registry does not register by mail or token"))?;
        let prefix_length = length.unwrap_or(usual);
        let longest = 128 - self.network().cidr().length();
        if !(1..=longest).contains(&prefix_length) {
            return Err(Refusal::Length { length: prefix_length, longest });
        }
        if !token::is_address(email) {
            return Err(Refusal::Bad("not the address of a mailbox"));
        }
        if chosen.is_some_and(|token| !token::is_usable(token)) {
            return Err(Refusal::Bad("not a token"));
        }
        let drawn = token::draw(&mut self.state().random);
        let token = Token {
            token: chosen.map_or(drawn, str::to_owned),
            email: email.into(),
            prefix_length,
            date: self.time(),
        };
        self.write(|tables| {
            if tables.tokens()?.len() >= REGISTRY_TOKENS_MAX {
                return Err(Refusal::Forbidden("too many tokens are waiting to be used"));
            }
            if tables.add_token(&token)? { Ok(token.token) } else { Err(Refusal::Conflict) }
        })
    }

    pub(super) fn request_certificate(
        &self,
        token: &str,
        request: &str,
        location: &str,
        from: IpAddr,
    ) -> Given {
        let found = match &self.policy.countries {
            Some(countries) if location.is_empty() => countries.at(from),
            _ => None,
        };
        let found = found.map(|(country, continent)| format!("{country},{continent}"));
        let location = found.as_deref().unwrap_or(location);
        let request = CertificateRequest::from_pem(request.as_bytes())
            .map_err(|_| Refusal::Bad("not a certificate request that its own RSA key signed"))?;
        let rule = self.issuer.authority().key_rule();
        rule.check(request.key()).map_err(Refusal::RequestKey)?;
        self.may_issue()?;
        let (given, issued, first) = self.write(|tables| {
            let Some((email, length)) = self.worth(tables, token)? else {
                return Ok((given_already(tables, token, &request, self.time())?, None, false));
            };
            let prefix = self.take_prefix(tables, self.policy.communities.at(location), length)?;
            let first = network::set_registry_prefix(tables, prefix)?;
            if first {
                network::refresh(tables, &self.issuer, &self.policy)?;
            }
            let now = self.time();
            let terms = Terms {
                prefix,
                subject_serial: free_subject_serial(tables, &self.parsed)?,
                serial: next_serial(tables)?,
                not_before: now,
                not_after: now + CERTIFICATE_LASTS,
            };
            let certificate = self.issuer.issue(&request, terms)?;
            let owner = email.clone().unwrap_or_else(|| "an anonymous node".into());
            let given = put_certificate(tables, prefix, email, &certificate)?;
            if !token.is_empty() {
                tables.keep_receipt(token, prefix, now)?;
            }
            Ok((given, Some((certificate, owner)), first))
        })?;
        if let Some((certificate, email)) = issued {
            tracing::info!(target: NOTABLE, "issued {} to {email}", told(&certificate));
        }
        if first {
            tracing::info!(target: NOTABLE, "the first certificate is that of the registry's own node");
        }
        Ok(given)
    }

    /// Whose a token is and how long a prefix it is worth; uses it up. `None` if there is no such token.
    fn worth(
        &self,
        tables: &Tables<'_>,
        token: &str,
    ) -> Result<Option<(Option<String>, u8)>, Refusal> {
        if token.is_empty() {
            let length = self.policy.anonymous_prefix_length;
            let length =
                length.ok_or(Refusal::Forbidden("this registry does not register anonymously"))?;
            return Ok(Some((None, length)));
        }
        if self.policy.prefix_length.is_none() {
            return Err(Refusal::Forbidden("this registry does not register by mail or token"));
        }
        let Some(token) = tables.token(token)? else { return Ok(None) };
        tables.delete_token(&token.token)?;
        let fresh = self.time().since(token.date) < self.policy.grace;
        Ok(fresh.then_some((Some(token.email), token.prefix_length)))
    }

    fn take_prefix(
        &self,
        tables: &Tables<'_>,
        community: Prefix,
        length: u8,
    ) -> Result<Prefix, Refusal> {
        let free: BTreeSet<Prefix> = tables.free()?.into_iter().collect();
        let longest = 128 - self.network().cidr().length();
        let allocation =
            allocation::allocate(&free, community, length, longest).ok_or_else(|| {
                let longest = longest.saturating_sub(community.length());
                if (1..=longest).contains(&length) {
                    Refusal::Exhausted(length)
                } else {
                    Refusal::Length { length, longest }
                }
            })?;
        tables.remove_leaf(allocation.cut_from)?;
        for prefix in allocation.left {
            tables.put_leaf(&Leaf { prefix, email: None, certificate: None })?;
        }
        for prefix in allocation.reserved {
            let certificate = Some(network::RESERVED.into());
            tables.put_leaf(&Leaf { prefix, email: None, certificate })?;
        }
        Ok(allocation.taken)
    }
}

/// The certificate that a token was spent on, for the very key it was spent with: its answer was lost.
fn given_already(
    tables: &Tables<'_>,
    token: &str,
    request: &CertificateRequest,
    now: UnixTime,
) -> Given {
    let Some(prefix) = tables.receipt(token, now)? else { return Ok(Vec::new()) };
    let certificate = tables.leaf(prefix)?.as_ref().and_then(certificate_of);
    let same = |certificate: &Certificate| {
        certificate.x509().public_key().is_ok_and(|key| key.public_eq(request.key()))
    };
    certificate.filter(same).map_or(Ok(Vec::new()), |certificate| Ok(certificate.to_pem()?))
}

/// The smallest number that no certificate's subject has, for IPv4 networks are small.
fn free_subject_serial(tables: &Tables<'_>, parsed: &Parsed) -> Result<u32, Refusal> {
    let leaves = tables.leaves()?;
    let certificates = leaves.iter().filter_map(|leaf| parsed.of(leaf));
    let used: BTreeSet<u32> = certificates.filter_map(|it| it.subject_serial()).collect();
    Ok((0..).find(|serial| !used.contains(serial)).unwrap_or_default())
}
