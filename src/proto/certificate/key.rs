//! Private keys: RSA, PKCS#1 v1.5 for what is signed and what is opened.

use std::fmt;

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Signer;

use super::{Certificate, CertificateError};

/// A private key.
#[derive(Clone)]
pub struct PrivateKey(PKey<Private>);

impl PrivateKey {
    /// Reads PEM, PKCS#8 or PKCS#1.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        PKey::private_key_from_pem(pem).map(Self).map_err(|_| CertificateError::Malformed)
    }

    /// Makes an RSA key with OpenSSL's own randomness.
    pub fn generate(bits: u32) -> Result<Self, CertificateError> {
        Ok(Self(PKey::from_rsa(Rsa::generate(bits)?)?))
    }

    /// Writes PEM, PKCS#8, not encrypted.
    pub fn to_pem(&self) -> Result<Vec<u8>, CertificateError> {
        Ok(self.0.private_key_to_pem_pkcs8()?)
    }

    /// Takes a key that OpenSSL made.
    pub const fn from_pkey(pkey: PKey<Private>) -> Self {
        Self(pkey)
    }

    /// For OpenSSL's own functions.
    pub const fn pkey(&self) -> &PKey<Private> {
        &self.0
    }

    /// Whether `certificate` is for this key.
    pub fn belongs_to(&self, certificate: &Certificate) -> bool {
        certificate.x509().public_key().is_ok_and(|key| key.public_eq(&self.0))
    }

    /// Signs: PKCS#1 v1.5, SHA-512.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let mut signer = Signer::new(MessageDigest::sha512(), &self.0)?;
        Ok(signer.sign_oneshot_to_vec(message)?)
    }

    /// Opens what was encrypted for its certificate: PKCS#1 v1.5. Every failure is the same.
    pub fn decrypt(&self, cipher: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let rsa = self.0.rsa()?;
        let mut message = vec![0; rsa.size() as usize];
        let length = rsa.private_decrypt(cipher, &mut message, Padding::PKCS1)?;
        message.truncate(length);
        Ok(message)
    }
}

/// Never shows the key.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}
