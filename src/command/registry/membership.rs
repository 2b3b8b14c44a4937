//! The end of a membership, and the way back: expiry, the journal of deleted members, `restore --member`.

use std::time::Duration;

use crate::os::database::{Leaf, Removal, Tables};
use crate::os::log::NOTABLE;
use crate::proto::certificate::{Certificate, Issuer, Terms};
use crate::proto::prefix::{Network, Prefix};
use crate::proto::registry::clock::{KEPT, is_expired};
use crate::proto::time::UnixTime;

use super::applicants::CERTIFICATE_LASTS;
use super::certificates::{certificate_of, is_due, next_serial, put_certificate};
use super::network::{HELD, RESERVED, registry_prefix};
use super::refusal::Refusal;
use super::restore::make_room;

/// How the row of a prefix begins whose member has expired: it is given away only after that.
pub(super) const EXPIRED: &str = "expired, kept until ";

/// Marks members whose certificates ended more than the grace period ago, and frees the prefixes of those
/// that were marked long enough, and of revoked ones whose certificates have ended.
pub(super) fn expire(tables: &Tables<'_>, grace: Duration, now: UnixTime) -> Result<(), Refusal> {
    let own = registry_prefix(tables)?;
    for leaf in tables.leaves()? {
        let Some(text) = leaf.certificate.as_deref() else { continue };
        if let Some(until) = kept_until(text) {
            if now > until {
                tracing::info!("{}: free again", leaf.prefix);
                tables.put_leaf(&Leaf { prefix: leaf.prefix, email: None, certificate: None })?;
            }
            continue;
        }
        let Ok(certificate) = Certificate::from_pem(text.as_bytes()) else { continue };
        if !is_expired(certificate.not_after(), now, grace) {
            continue;
        }
        if own == Some(leaf.prefix) {
            tracing::error!(
                "the certificate of the registry's own node ended; is the clock right?"
            );
            continue;
        }
        record_removal(tables, &leaf, "expired", now)?;
        let until = now + KEPT;
        let prefix = leaf.prefix;
        tracing::info!(target: NOTABLE, "{prefix} has expired; its prefix is kept until {until}");
        let certificate = Some(format!("{EXPIRED}{}", until.as_secs()));
        tables.put_leaf(&Leaf { prefix, email: leaf.email, certificate })?;
    }
    Ok(())
}

/// Until when the prefix of a former member is kept, if the text of its row says so.
fn kept_until(text: &str) -> Option<UnixTime> {
    let until = text.strip_prefix(HELD).or_else(|| text.strip_prefix(EXPIRED))?;
    until.parse().ok().map(UnixTime::from_secs)
}

/// Whether the text of a row is no certificate on purpose.
pub(super) fn is_marked(text: &str) -> bool {
    text == RESERVED || text.starts_with(HELD) || text.starts_with(EXPIRED)
}

/// Writes the member at `leaf`, if there is one, to the journal before it is deleted.
pub(super) fn record_removal(
    tables: &Tables<'_>,
    leaf: &Leaf,
    reason: &str,
    now: UnixTime,
) -> Result<(), Refusal> {
    let Some(certificate) = leaf.certificate.clone().filter(|text| !is_marked(text)) else {
        return Ok(());
    };
    let (prefix, email, reason) = (leaf.prefix, leaf.email.clone(), reason.to_owned());
    Ok(tables.record_removal(&Removal { date: now, prefix, email, certificate, reason })?)
}

/// The prefix that an operator means: a node as 2/16, its addresses as 2001:db8:42:2::/64, or its bits.
pub(super) fn member_name(text: &str, network: Network) -> Option<Prefix> {
    if let Ok(prefix) = text.parse::<Prefix>() {
        return Some(prefix);
    }
    if let Ok(cidr) = text.parse::<crate::proto::cidr::Cidr>()
        && let std::net::IpAddr::V6(address) = cidr.address()
    {
        let length = cidr.length().checked_sub(network.cidr().length())?;
        let within = network.contains(address) && length > 0;
        return within.then(|| network.prefix_at(address, length));
    }
    Prefix::from_bits(text).ok().filter(|prefix| prefix.length() > 0)
}

/// A member that came back.
pub(super) struct Returned {
    /// When and why it was deleted.
    pub removal: Removal,
    /// The last moment of its certificate.
    pub not_after: UnixTime,
    /// Its certificate is revoked: its node has to renew it.
    pub is_revoked: bool,
}

/// Brings a deleted member back from the journal, with its prefix, its key and its owner.
pub(super) fn restore_member(
    tables: &Tables<'_>,
    issuer: &Issuer,
    prefix: Prefix,
    now: UnixTime,
) -> Result<Returned, Refusal> {
    let found = tables.journal()?.into_iter().rfind(|removal| removal.prefix == prefix);
    let removal = found.ok_or(Refusal::NotInJournal(prefix))?;
    let mut leaves = tables.leaves()?;
    let overlaps = |leaf: &&Leaf| leaf.prefix.covers(prefix) || prefix.covers(leaf.prefix);
    let taken = leaves.iter().filter(overlaps).find(|leaf| certificate_of(leaf).is_some());
    if let Some(taken) = taken {
        return Err(Refusal::PrefixTaken(taken.prefix));
    }
    let certificate = Certificate::from_pem(removal.certificate.as_bytes())?;
    let before = leaves.clone();
    make_room(&mut leaves, prefix);
    for gone in before.iter().filter(|leaf| !leaves.contains(leaf)) {
        tables.remove_leaf(gone.prefix)?;
    }
    for new in leaves.iter().filter(|leaf| !before.contains(leaf)) {
        tables.put_leaf(new)?;
    }
    let is_revoked = match certificate.serial() {
        Some(serial) => tables.is_revoked(serial)?,
        None => false,
    };
    // One that ends soon would expire again before its node has renewed it.
    let certificate = if is_due(&certificate, now) {
        let terms = Terms {
            prefix,
            subject_serial: certificate.subject_serial().unwrap_or_default(),
            serial: next_serial(tables)?,
            not_before: now,
            not_after: now + CERTIFICATE_LASTS,
        };
        issuer.reissue(&certificate, terms)?
    } else {
        certificate
    };
    put_certificate(tables, prefix, removal.email.clone(), &certificate)?;
    tracing::info!(target: NOTABLE, "{prefix} is a member again");
    Ok(Returned { removal, not_after: certificate.not_after(), is_revoked })
}
