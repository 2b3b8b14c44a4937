//! What a tunnel shows to its peer, and what it checks the peer's certificate against.

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use crate::proto::certificate::{Certificate, CertificateError, Identity, KeyRule, PrivateKey};

/// Authorities, a certificate and its key: a node's, or any OpenVPN user's.
#[derive(Clone, Debug)]
pub struct Credentials {
    authorities: Vec<Certificate>,
    certificate: Certificate,
    chain: Vec<Certificate>,
    key: PrivateKey,
    /// Which keys peers may have: a network's rule, none of other OpenVPN users.
    key_rule: Option<KeyRule>,
}

impl Credentials {
    /// Reads the PEM texts and checks that certificate and key belong together. There may be several
    /// authorities, and what leads from the certificate to its own may follow it. Unlike [`Identity`], names
    /// and serial numbers may be any.
    pub fn from_pem(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let authorities = Certificate::all_from_pem(ca)?;
        let mut chain = Certificate::all_from_pem(certificate)?;
        let certificate = chain.remove(0);
        let key = PrivateKey::from_pem(key)?;
        if !certificate.x509().public_key()?.public_eq(key.pkey()) {
            return Err(CertificateError::OtherKey);
        }
        Ok(Self { authorities, certificate, chain, key, key_rule: None })
    }

    /// The same, showing more certificates on the way to the authority.
    pub fn with_chain(mut self, pem: &[u8]) -> Result<Self, CertificateError> {
        self.chain.extend(Certificate::all_from_pem(pem)?);
        Ok(self)
    }

    /// The authorities, one of which must have issued the peer's certificate, or that of who did.
    pub fn authorities(&self) -> impl Iterator<Item = &X509> {
        self.authorities.iter().map(Certificate::x509)
    }

    /// Our certificate.
    pub fn certificate(&self) -> &X509 {
        self.certificate.x509()
    }

    /// What leads from it to its authority, if there is something between.
    pub fn chain(&self) -> impl Iterator<Item = &X509> {
        self.chain.iter().map(Certificate::x509)
    }

    /// The same, where peers may have only keys that satisfy a rule.
    #[must_use]
    pub fn with_key_rule(mut self, rule: KeyRule) -> Self {
        self.key_rule = Some(rule);
        self
    }

    /// Which keys peers may have; any if `None`.
    pub const fn key_rule(&self) -> Option<&KeyRule> {
        self.key_rule.as_ref()
    }

    /// Its key.
    pub fn key(&self) -> &PKey<Private> {
        self.key.pkey()
    }
}

impl From<&Identity> for Credentials {
    fn from(identity: &Identity) -> Self {
        Self {
            authorities: vec![identity.authority.certificate().clone()],
            certificate: identity.certificate.clone(),
            chain: Vec::new(),
            key: PrivateKey::clone(&identity.key),
            key_rule: Some(identity.authority.key_rule().clone()),
        }
    }
}
