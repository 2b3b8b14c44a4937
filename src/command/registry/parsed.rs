//! Certificates as OpenSSL knows them, kept: reading one anew takes it longer than all the rest of a call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::os::database::{Leaf, Tables};
use crate::proto::certificate::{Certificate, KeyRule};
use crate::proto::limits::REGISTRY_PARSED_MAX;
use crate::proto::prefix::Prefix;

use super::certificates::certificate_of;
use super::refusal::Refusal;

/// Each with the text that it was read from: only the database says which one a member has.
pub(super) struct Parsed {
    kept: Mutex<HashMap<Prefix, (String, Certificate)>>,
    key_rule: KeyRule,
}

impl Parsed {
    /// Nothing yet, of a network with that rule.
    pub fn new(key_rule: KeyRule) -> Self {
        Self { kept: Mutex::default(), key_rule }
    }

    /// A leaf's certificate, if it has one.
    pub fn of(&self, leaf: &Leaf) -> Option<Certificate> {
        let text = leaf.certificate.as_ref()?;
        if let Some((known, certificate)) = self.lock().get(&leaf.prefix)
            && known == text
        {
            return Some(certificate.clone());
        }
        let certificate = certificate_of(leaf)?;
        let mut kept = self.lock();
        if kept.len() >= REGISTRY_PARSED_MAX
            && let Some(any) = kept.keys().next().copied()
        {
            kept.remove(&any);
        }
        kept.insert(leaf.prefix, (text.clone(), certificate.clone()));
        Some(certificate)
    }

    /// The certificate of the member with `prefix`, whose key is one that a member may have: nothing is
    /// encrypted for another one, and nothing of what that gives is signed.
    pub fn member(
        &self,
        tables: &Tables<'_>,
        prefix: Prefix,
    ) -> Result<(Leaf, Certificate), Refusal> {
        let leaf = tables.leaf(prefix)?.ok_or(Refusal::UnknownNode(prefix))?;
        let certificate = self.of(&leaf).ok_or(Refusal::UnknownNode(prefix))?;
        let key = certificate.x509().public_key().map_err(Into::into);
        let checked = key.and_then(|key| self.key_rule.check(&key));
        checked.map_err(|error| Refusal::MemberKey(prefix, error))?;
        Ok((leaf, certificate))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Prefix, (String, Certificate)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
