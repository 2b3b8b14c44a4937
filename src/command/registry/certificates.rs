//! Certificates as the database has them: found, described, put in their place.

use crate::os::database::{Leaf, Tables};
use crate::proto::certificate::{Certificate, renewal};
use crate::proto::prefix::Prefix;
use crate::proto::time::UnixTime;

use super::refusal::{Given, Refusal};

/// What a log says of a certificate.
pub(super) fn told(certificate: &Certificate) -> String {
    let name = certificate.common_name().unwrap_or_default();
    let serial = certificate.serial().unwrap_or_default();
    format!("{name}, serial number {serial}, until {}", certificate.not_after())
}

/// Puts a certificate in its place; gives its PEM.
pub(super) fn put_certificate(
    tables: &Tables<'_>,
    prefix: Prefix,
    email: Option<String>,
    certificate: &Certificate,
) -> Given {
    let pem = certificate.to_pem()?;
    let certificate = Some(String::from_utf8_lossy(&pem).into_owned());
    tables.put_leaf(&Leaf { prefix, email, certificate })?;
    Ok(pem)
}

/// Counts certificates up, for ever: revocation is by this number.
pub(super) fn next_serial(tables: &Tables<'_>) -> Result<u64, Refusal> {
    let serial = 1 + tables.config::<i64>("serial")?.unwrap_or(0);
    tables.set_config("serial", Some(serial))?;
    Ok(serial.cast_unsigned())
}

/// A leaf's certificate, if it has one.
pub(super) fn certificate_of(leaf: &Leaf) -> Option<Certificate> {
    Certificate::from_pem(leaf.certificate.as_ref()?.as_bytes()).ok()
}

/// The certificate of the member with `prefix`.
pub(super) fn member(tables: &Tables<'_>, prefix: Prefix) -> Result<(Leaf, Certificate), Refusal> {
    let leaf = tables.leaf(prefix)?.ok_or(Refusal::UnknownNode(prefix))?;
    let certificate = certificate_of(&leaf).ok_or(Refusal::UnknownNode(prefix))?;
    Ok((leaf, certificate))
}

/// Whether a certificate is to be renewed by now.
pub(super) fn is_due(certificate: &Certificate, now: UnixTime) -> bool {
    now >= renewal::due(certificate)
}
