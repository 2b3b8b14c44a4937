//! The authority of a network, and a node's identity under it.

use std::sync::Arc;

use openssl::pkey::{HasPublic, PKeyRef};
use openssl::x509::X509;

use super::{Certificate, CertificateError, KeyRule, PrivateKey};
use crate::proto::prefix::{Network, Prefix};
use crate::proto::time::UnixTime;

/// The authority of one network.
#[derive(Clone)]
pub struct Authority {
    certificate: Certificate,
    network: Network,
    key_rule: KeyRule,
}

/// Who we are: the network's authority, our certificate and our key, which fit each other.
#[derive(Clone)]
pub struct Identity {
    /// The network's authority.
    pub authority: Authority,
    /// Our certificate, issued by it.
    pub certificate: Certificate,
    /// The key of our certificate.
    pub key: Arc<PrivateKey>,
    /// Our prefix, from the certificate.
    pub prefix: Prefix,
}

impl Authority {
    /// Reads the PEM of an authority's certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        Self::new(Certificate::from_pem(pem)?)
    }

    /// The authority that `certificate` is of.
    pub fn new(certificate: Certificate) -> Result<Self, CertificateError> {
        let network = Network::from_serial(&certificate.serial_octets())
            .map_err(|_| CertificateError::NoNetwork)?;
        let key_rule = KeyRule::new(certificate.key_octets());
        Ok(Self { certificate, network, key_rule })
    }

    /// Its certificate.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its network.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// Which keys its members may have.
    pub const fn key_rule(&self) -> &KeyRule {
        &self.key_rule
    }

    /// Whether `newer` is this very authority and ends later: its key, its name and its network are the same,
    /// so whatever it issued stays valid, and only who has its key can have made it.
    pub fn is_renewed_by(&self, newer: &Self) -> bool {
        let (old, new) = (self.certificate.x509(), newer.certificate.x509());
        let (Ok(key), Ok(same)) = (old.public_key(), new.public_key()) else { return false };
        let name = |x509: &X509| x509.subject_name().to_der().ok();
        key.public_eq(&same)
            && self.network == newer.network
            && name(old).is_some()
            && name(old) == name(new)
            && newer.certificate.not_after() > self.certificate.not_after()
            && issued_with(&newer.certificate, &key)
    }

    /// Checks that `leaf` was issued by this authority for a key that a member may have, and is valid at
    /// `now`; gives its prefix.
    /// Revocation is the caller's: only it knows the list.
    pub fn verify(&self, leaf: &Certificate, now: UnixTime) -> Result<Prefix, CertificateError> {
        let key = self.certificate.0.public_key()?;
        if !issued_with(leaf, &key) {
            return Err(CertificateError::OtherAuthority);
        }
        self.key_rule.check(&*leaf.0.public_key()?)?;
        if now < leaf.not_before() {
            return Err(CertificateError::NotYetValid(leaf.not_before()));
        }
        if now > leaf.not_after() {
            return Err(CertificateError::Expired(leaf.not_after()));
        }
        if now > self.certificate.not_after() {
            return Err(CertificateError::AuthorityExpired(self.certificate.not_after()));
        }
        leaf.prefix()
    }
}

impl Identity {
    /// Reads the three PEM texts and checks that they fit each other at `now`.
    pub fn from_pem(
        ca: &[u8],
        certificate: &[u8],
        key: &[u8],
        now: UnixTime,
    ) -> Result<Self, CertificateError> {
        let authority = Authority::from_pem(ca)?;
        let certificate = Certificate::from_pem(certificate)?;
        let key = PrivateKey::from_pem(key)?;
        if !key.belongs_to(&certificate) {
            return Err(CertificateError::OtherKey);
        }
        let prefix = authority.verify(&certificate, now)?;
        Ok(Self { authority, certificate, key: Arc::new(key), prefix })
    }

    /// The same node with another certificate, which must be for its key and its prefix.
    pub fn renewed(
        &self,
        certificate: Certificate,
        now: UnixTime,
    ) -> Result<Self, CertificateError> {
        if !self.key.belongs_to(&certificate) {
            return Err(CertificateError::OtherKey);
        }
        if self.authority.verify(&certificate, now.max(certificate.not_before()))? != self.prefix {
            return Err(CertificateError::OtherPrefix);
        }
        Ok(Self { certificate, ..self.clone() })
    }
}

fn issued_with<T: HasPublic>(leaf: &Certificate, key: &PKeyRef<T>) -> bool {
    leaf.0.verify(key).unwrap_or(false)
}
