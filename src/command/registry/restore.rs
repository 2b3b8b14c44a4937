//! Going back to a backup without forgetting: who was revoked stays so, who joined since stays a member.

use std::collections::BTreeSet;

use crate::os::database::{Contents, Leaf, Tables, Value};
use crate::proto::certificate::Issuer;
use crate::proto::prefix::Prefix;
use crate::proto::version::NetworkVersion;

use super::certificates::certificate_of;
use super::membership::record_removal;
use super::network::raise_version_above;
use super::refusal::Refusal;

/// What a restored database holds.
pub(super) struct Restored {
    /// Members that the backup knew.
    pub members: usize,
    /// Members that joined after it.
    pub kept: usize,
    /// Revoked certificates.
    pub revoked: usize,
    /// The network's version.
    pub version: u64,
}

/// How far serial numbers and the version go ahead where nothing tells how far they were.
const LEAP: u64 = 1_000;

/// Replaces what is there by `backup`, and adds to it what must not be forgotten.
pub(super) fn restore(
    tables: &Tables<'_>,
    issuer: &Issuer,
    mut backup: Contents,
) -> Result<Restored, Refusal> {
    let now = tables.contents()?;
    let members = backup.leaves.iter().filter(|leaf| certificate_of(leaf).is_some()).count();
    let (then_serial, now_serial) = (serial(&backup), serial(&now));
    let number = |contents: &Contents| {
        let found = contents.config.iter().find(|(name, _)| name == "version");
        let Some((_, Value::Octets(octets))) = found else { return 0 };
        NetworkVersion::parse(octets, issuer.authority()).map_or(0, |version| version.number())
    };
    // An empty database tells nothing of what was given since the backup.
    let is_lost = now_serial == 0;
    let ahead = if is_lost { LEAP } else { 0 };
    let version = number(&backup).max(number(&now)) + ahead;
    let revoked: BTreeSet<u64> = backup.revoked.iter().map(|(serial, _)| *serial).collect();
    backup.revoked.extend(now.revoked.iter().filter(|(it, _)| !revoked.contains(it)).copied());
    let time = super::clock::trusted_now(tables, issuer.authority())?;
    let last_run = super::clock::last_run(tables)?;
    let kept = keep_newer(&mut backup.leaves, &now, then_serial);
    backup.journal.extend(
        now.journal.iter().filter(|it| !backup.journal.contains(it)).cloned().collect::<Vec<_>>(),
    );
    tables.replace(&backup)?;
    super::clock::keep_last_run(tables, last_run)?;
    for gone in &now.leaves {
        let is_there = |leaf: &&Leaf| leaf.prefix == gone.prefix && leaf.certificate.is_some();
        if certificate_of(gone).is_some() && !backup.leaves.iter().any(|leaf| is_there(&leaf)) {
            record_removal(tables, gone, "restored", time)?;
        }
    }
    super::replaced::merge(tables, &now, time)?;
    let counter = then_serial.max(now_serial) + ahead;
    tables.set_config("serial", Some(counter.cast_signed()))?;
    // Whose certificate was revoked since is no member, whatever the backup says.
    for leaf in tables.leaves()? {
        let certificate = certificate_of(&leaf);
        let serial = certificate.as_ref().and_then(|certificate| certificate.serial());
        let gone =
            now.leaves.iter().any(|it| it.prefix == leaf.prefix && certificate_of(it).is_none());
        if let (Some(certificate), Some(serial)) = (certificate, serial)
            && gone
            && backup.revoked.iter().any(|(it, _)| *it == serial)
        {
            record_removal(tables, &leaf, "revoked", time)?;
            super::network::hold(tables, leaf.prefix, certificate.not_after())?;
        }
    }
    let version = raise_version_above(tables, issuer, version)?;
    Ok(Restored { members, kept, revoked: backup.revoked.len(), version })
}

fn serial(contents: &Contents) -> u64 {
    let found = contents.config.iter().find(|(name, _)| name == "serial");
    match found {
        Some((_, Value::Integer(serial))) => serial.cast_unsigned(),
        _ => 0,
    }
}

/// Puts members that joined or renewed after the backup into its tree, and prefixes that nobody may have:
/// of who joined and was revoked since, the backup knows nothing; how many joined.
fn keep_newer(leaves: &mut Vec<Leaf>, now: &Contents, then_serial: u64) -> usize {
    let mut joined = 0;
    for newer in &now.leaves {
        let certificate = certificate_of(newer);
        let is_member = certificate.is_some();
        let is_newer = match certificate {
            Some(it) => it.serial().is_some_and(|serial| serial > then_serial),
            None => newer.certificate.is_some(),
        };
        if !is_newer {
            continue;
        }
        let had = leaves.iter().find(|leaf| leaf.prefix == newer.prefix);
        let is_joined = had.is_none_or(|had| certificate_of(had).is_none());
        make_room(leaves, newer.prefix);
        leaves.push(newer.clone());
        joined += usize::from(is_member && is_joined);
    }
    joined
}

/// Takes `prefix` out of the tree. Whoever had a part of it, or all of it and more, is no member any more:
/// it was free when it was given to another.
pub(super) fn make_room(leaves: &mut Vec<Leaf>, prefix: Prefix) {
    leaves.retain(|leaf| !prefix.covers(leaf.prefix));
    let Some(at) = leaves.iter().position(|leaf| leaf.prefix.covers(prefix)) else { return };
    let mut rest = leaves.swap_remove(at).prefix;
    while rest != prefix
        && let Some((low, high)) = rest.split()
    {
        let (inner, outer) = if low.covers(prefix) { (low, high) } else { (high, low) };
        leaves.push(Leaf { prefix: outer, email: None, certificate: None });
        rest = inner;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(bits: &str, certificate: Option<&str>) -> Leaf {
        let prefix = Prefix::from_bits(bits).unwrap();
        Leaf { prefix, email: None, certificate: certificate.map(str::to_owned) }
    }

    /// Goal: who has a prefix now has it in the restored tree, however that was cut, and what is left of
    /// the tree still covers the rest, once.
    #[test]
    fn there_is_room_for_who_joined_since_however_the_tree_was_cut() {
        let trees = [
            // Whole, finer, half taken, taken by one who had more.
            vec![leaf("0", None), leaf("1", None)],
            vec![leaf("000", None), leaf("001", None), leaf("01", None), leaf("1", Some("other"))],
            vec![leaf("000", Some("gone")), leaf("001", None), leaf("01", None), leaf("1", None)],
            vec![leaf("0", Some("gone")), leaf("1", Some("other"))],
            vec![leaf("", None)],
        ];
        for tree in trees {
            let mut restored = tree.clone();
            make_room(&mut restored, Prefix::from_bits("00").unwrap());
            restored.push(leaf("00", Some("joined since")));
            let share = |leaf: &Leaf| 1.0 / f64::from(1 << leaf.prefix.length());
            assert_eq!(restored.iter().map(share).sum::<f64>(), 1.0, "{restored:?}");
            assert!(restored.iter().all(|it| it.certificate.as_deref() != Some("gone")));
            let others =
                |tree: &[Leaf]| tree.iter().filter(|it| **it == leaf("1", Some("other"))).count();
            assert_eq!(others(&restored), others(&tree));
        }
    }
}
