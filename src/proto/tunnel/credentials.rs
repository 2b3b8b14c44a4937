//! What a tunnel shows to its peer, and what it checks the peer's certificate against.

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use crate::proto::certificate::{Certificate, CertificateError, Identity, PrivateKey};

/// An authority, a certificate of its, and that certificate's key: a node's, or any OpenVPN user's.
#[derive(Clone, Debug)]
pub struct Credentials {
    authority: Certificate,
    certificate: Certificate,
    key: PrivateKey,
}

impl Credentials {
    /// Reads the three PEM texts and checks that certificate and key belong together. Unlike
    /// [`Identity`], names and serial numbers may be any.
    pub fn from_pem(ca: &[u8], certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let authority = Certificate::from_pem(ca)?;
        let certificate = Certificate::from_pem(certificate)?;
        let key = PrivateKey::from_pem(key)?;
        if !certificate.x509().public_key()?.public_eq(key.pkey()) {
            return Err(CertificateError::OtherKey);
        }
        Ok(Self { authority, certificate, key })
    }

    /// The authority that must have issued the peer's certificate.
    pub fn authority(&self) -> &X509 {
        self.authority.x509()
    }

    /// Our certificate.
    pub fn certificate(&self) -> &X509 {
        self.certificate.x509()
    }

    /// Its key.
    pub fn key(&self) -> &PKey<Private> {
        self.key.pkey()
    }
}

impl From<&Identity> for Credentials {
    fn from(identity: &Identity) -> Self {
        Self {
            authority: identity.authority.certificate().clone(),
            certificate: identity.certificate.clone(),
            key: PrivateKey::clone(&identity.key),
        }
    }
}
