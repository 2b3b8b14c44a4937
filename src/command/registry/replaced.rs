//! Certificates that a renewal replaced: they last for some weeks yet, unless their node's membership ends.

use crate::os::database::{Contents, Tables, Value};
use crate::proto::certificate::Certificate;
use crate::proto::prefix::Prefix;
use crate::proto::time::UnixTime;

use super::refusal::Refusal;

/// The row of the table `config` that remembers them, in JSON; stock's registry leaves it alone.
const ROW: &str = "replaced";

/// The bits of a prefix, the serial number of a certificate for it, and when that ends.
type Replaced = (String, u64, u64);

/// Remembers that `certificate` was replaced, until it ends.
pub(super) fn remember(
    tables: &Tables<'_>,
    prefix: Prefix,
    certificate: &Certificate,
    now: UnixTime,
) -> Result<(), Refusal> {
    let mut all = lasting(tables, now)?;
    if let Some(serial) = certificate.serial() {
        all.push((prefix.to_bits(), serial, certificate.not_after().as_secs()));
    }
    put(tables, &all)
}

/// Revokes all that were for `prefix`.
pub(super) fn revoke(tables: &Tables<'_>, prefix: Prefix, now: UnixTime) -> Result<(), Refusal> {
    let bits = prefix.to_bits();
    let (ended, rest): (Vec<_>, Vec<_>) =
        lasting(tables, now)?.into_iter().partition(|(of, ..)| *of == bits);
    for (_, serial, until) in ended {
        tables.revoke(serial, UnixTime::from_secs(until))?;
    }
    put(tables, &rest)
}

/// Adds what another state of the database remembers.
pub(super) fn merge(tables: &Tables<'_>, other: &Contents, now: UnixTime) -> Result<(), Refusal> {
    let mut all = lasting(tables, now)?;
    if let Some((_, Value::Text(text))) = other.config.iter().find(|(name, _)| name == ROW) {
        all.extend(parse(text));
    }
    all.sort();
    all.dedup();
    put(tables, &all)
}

fn lasting(tables: &Tables<'_>, now: UnixTime) -> Result<Vec<Replaced>, Refusal> {
    let text: Option<String> = tables.config(ROW)?;
    let mut all = text.as_deref().map(parse).unwrap_or_default();
    all.retain(|(.., until)| now.as_secs() < *until);
    Ok(all)
}

/// What makes no sense was not written by a registry of ours.
fn parse(text: &str) -> Vec<Replaced> {
    serde_json::from_str(text).unwrap_or_default()
}

fn put(tables: &Tables<'_>, all: &[Replaced]) -> Result<(), Refusal> {
    let text = (!all.is_empty()).then(|| serde_json::json!(all).to_string());
    Ok(tables.set_config(ROW, text)?)
}
