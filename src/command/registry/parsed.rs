//! Certificates as OpenSSL knows them, kept: reading one anew takes it longer than all the rest of a call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::os::database::{Leaf, Tables};
use crate::proto::certificate::Certificate;
use crate::proto::limits::REGISTRY_PARSED_MAX;
use crate::proto::prefix::Prefix;

use super::certificates::certificate_of;
use super::refusal::Refusal;

/// Each with the text that it was read from: only the database says which one a member has.
#[derive(Default)]
pub(super) struct Parsed(Mutex<HashMap<Prefix, (String, Certificate)>>);

impl Parsed {
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

    /// The certificate of the member with `prefix`.
    pub fn member(
        &self,
        tables: &Tables<'_>,
        prefix: Prefix,
    ) -> Result<(Leaf, Certificate), Refusal> {
        let leaf = tables.leaf(prefix)?.ok_or(Refusal::UnknownNode(prefix))?;
        let certificate = self.of(&leaf).ok_or(Refusal::UnknownNode(prefix))?;
        Ok((leaf, certificate))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Prefix, (String, Certificate)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
