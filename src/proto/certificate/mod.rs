//! X.509 as re6st uses it: certificates named by prefix, keys, and the authority that issues them.
//!
//! Leaves are X.509 version 1, which strict verifiers refuse and OpenSSL does not. RSA is PKCS#1 v1.5
//! throughout, for encryption and for SHA-512 signatures, because that is what stock peers speak.

mod authority;
mod fingerprint;
mod issue;
mod key;
mod public_key;
pub mod renewal;
mod request;

use std::fmt;

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Padding;
use openssl::sign::Verifier;
use openssl::x509::{X509, X509NameEntryRef, X509NameRef};

use crate::proto::prefix::Prefix;
use crate::proto::time::UnixTime;

pub use authority::{Authority, Identity};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use issue::{AuthoritySubject, Issuer, Terms};
pub use key::PrivateKey;
pub use public_key::{KeyError, KeyRule};
pub use request::CertificateRequest;

/// A node's certificate, or an authority's.
#[derive(Clone)]
pub struct Certificate(X509);

/// What is wrong with a certificate or key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// Neither PEM nor DER of what was expected.
    #[error("is not a certificate or key in PEM form")]
    Malformed,
    /// A key that only a pass phrase opens.
    #[error(
        "is protected by a pass phrase, which nobody is here to type: take it off with openssl pkey"
    )]
    Protected,
    /// Its common name is not `value/length`.
    #[error("names no prefix (a common name like 1/16)")]
    NoPrefix,
    /// It names another node than it should.
    #[error("names another prefix than the one it is to replace")]
    OtherPrefix,
    /// The authority's serial number carries no network.
    #[error("is not the authority of a re6st network: its serial number carries no network")]
    NoNetwork,
    /// Another authority's signature, or none that fits.
    #[error("was not issued by this network's authority")]
    OtherAuthority,
    /// Its time has not come.
    #[error("is not valid before {0}; is the clock right?")]
    NotYetValid(UnixTime),
    /// Its time is over.
    #[error("expired on {0}")]
    Expired(UnixTime),
    /// Its issuer's time is over.
    #[error("was issued by an authority that expired on {0}")]
    AuthorityExpired(UnixTime),
    /// It and the key do not fit.
    #[error("does not belong to the key")]
    OtherKey,
    /// Its key is none that a member may have.
    #[error("is of a key that no member may have: it {0}")]
    Key(#[from] KeyError),
    /// A signature that does not fit, or a cipher text that does not open. Deliberately says no more.
    #[error("failed a cryptographic check")]
    Refused,
}

impl From<ErrorStack> for CertificateError {
    fn from(_: ErrorStack) -> Self {
        Self::Refused
    }
}

impl Certificate {
    /// Reads PEM.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        X509::from_pem(pem).map(Self).map_err(|_| CertificateError::Malformed)
    }

    /// Reads PEM of one or more, in their order.
    pub fn all_from_pem(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        match X509::stack_from_pem(pem) {
            Ok(found) if !found.is_empty() => Ok(found.into_iter().map(Self).collect()),
            _ => Err(CertificateError::Malformed),
        }
    }

    /// Reads DER.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        X509::from_der(der).map(Self).map_err(|_| CertificateError::Malformed)
    }

    /// Takes what OpenSSL parsed, for example a TLS peer's.
    pub const fn from_x509(x509: X509) -> Self {
        Self(x509)
    }

    /// For OpenSSL's own functions.
    pub const fn x509(&self) -> &X509 {
        &self.0
    }

    /// Writes PEM.
    pub fn to_pem(&self) -> Result<Vec<u8>, CertificateError> {
        Ok(self.0.to_pem()?)
    }

    /// Writes DER.
    pub fn to_der(&self) -> Result<Vec<u8>, CertificateError> {
        Ok(self.0.to_der()?)
    }

    /// The common name of its subject, if it has one that is text.
    pub fn common_name(&self) -> Option<String> {
        self.subject_entry(Nid::COMMONNAME)
    }

    /// The `serialNumber` of its *subject*, from which IPv4 addresses are derived.
    pub fn subject_serial(&self) -> Option<u32> {
        self.subject_entry(Nid::SERIALNUMBER)?.parse().ok()
    }

    /// The prefix its common name gives.
    pub fn prefix(&self) -> Result<Prefix, CertificateError> {
        let name = self.common_name().ok_or(CertificateError::NoPrefix)?;
        name.parse().map_err(|_| CertificateError::NoPrefix)
    }

    /// Its X.509 serial number, big endian, which revocation lists name.
    pub fn serial_octets(&self) -> Vec<u8> {
        self.0.serial_number().to_bn().map(|number| number.to_vec()).unwrap_or_default()
    }

    /// Its X.509 serial number, if it is a registry's counter (an authority's carries the network).
    pub fn serial(&self) -> Option<u64> {
        let octets = self.serial_octets();
        (octets.len() <= 8)
            .then(|| octets.iter().fold(0, |serial, &octet| serial << 8 | u64::from(octet)))
    }

    /// The first moment of its validity.
    pub fn not_before(&self) -> UnixTime {
        unix_time(self.0.not_before())
    }

    /// The last moment of its validity.
    pub fn not_after(&self) -> UnixTime {
        unix_time(self.0.not_after())
    }

    /// SHA-1 of its DER, by which UDP 326 names a certificate.
    pub fn sha1(&self) -> Result<[u8; 20], CertificateError> {
        let digest = self.0.digest(MessageDigest::sha1())?;
        digest.as_ref().try_into().map_err(|_| CertificateError::Refused)
    }

    /// SHA-256 of its DER, by which people name an authority.
    pub fn sha256(&self) -> Result<[u8; 32], CertificateError> {
        let digest = self.0.digest(MessageDigest::sha256())?;
        digest.as_ref().try_into().map_err(|_| CertificateError::Refused)
    }

    /// How people name it: `sha256:` and the digest in hexadecimal digits.
    pub fn fingerprint(&self) -> Result<String, CertificateError> {
        let digits = self.digest("sha256").ok_or(CertificateError::Refused)?;
        Ok(format!("sha256:{digits}"))
    }

    /// The digest of its DER in hexadecimal digits; `None` if there is no such algorithm.
    pub fn digest(&self, algorithm: &str) -> Option<String> {
        let digest = self.0.digest(MessageDigest::from_name(algorithm)?).ok()?;
        Some(digest.iter().map(|octet| format!("{octet:02x}")).collect())
    }

    /// All of its subject, `O=…, serialNumber=1, CN=1/16`.
    pub fn subject(&self) -> String {
        name_text(self.0.subject_name())
    }

    /// Who issued it.
    pub fn issuer(&self) -> String {
        name_text(self.0.issuer_name())
    }

    /// Whether `signature` of `message` was made with its key: PKCS#1 v1.5, SHA-512.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CertificateError> {
        let key = self.0.public_key()?;
        let mut verifier = Verifier::new(MessageDigest::sha512(), &key)?;
        let fits = verifier.verify_oneshot(signature, message)?;
        fits.then_some(()).ok_or(CertificateError::Refused)
    }

    /// Encrypts so that only its key opens it: PKCS#1 v1.5.
    pub fn encrypt(&self, message: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let key = self.0.public_key()?;
        let mut context = PkeyCtx::new(&key)?;
        context.encrypt_init()?;
        context.set_rsa_padding(Padding::PKCS1)?;
        let mut cipher = Vec::new();
        context.encrypt_to_vec(message, &mut cipher)?;
        Ok(cipher)
    }

    /// Octets of a cipher text or signature made with its key.
    pub fn key_octets(&self) -> usize {
        self.0.public_key().map_or(0, |key| key.size())
    }

    fn subject_entry(&self, nid: Nid) -> Option<String> {
        let entry = self.0.subject_name().entries_by_nid(nid).next()?;
        entry.data().to_string().ok()
    }
}

fn name_text(name: &X509NameRef) -> String {
    let field = |entry: &X509NameEntryRef| {
        let name = entry.object().nid().short_name().unwrap_or("?").to_owned();
        let value = String::from_utf8_lossy(entry.data().as_slice());
        // What an applicant wrote may be anything: it must not steer a terminal.
        let shown = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
        name + "=" + &shown.collect::<String>()
    };
    name.entries().map(field).collect::<Vec<_>>().join(", ")
}

fn unix_time(time: &openssl::asn1::Asn1TimeRef) -> UnixTime {
    let Ok(epoch) = Asn1Time::from_unix(0) else { return UnixTime::default() };
    let Ok(since) = epoch.diff(time) else { return UnixTime::default() };
    let seconds = i64::from(since.days) * 86_400 + i64::from(since.secs);
    UnixTime::from_secs(u64::try_from(seconds).unwrap_or(0))
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.common_name().unwrap_or_default();
        write!(f, "Certificate({name}, serial {:?})", self.serial())
    }
}
