//! X.509 as re6st uses it: certificates named by prefix, keys, and the authority that issues them.
//!
//! Leaves are X.509 version 1, which strict verifiers refuse and OpenSSL does not. RSA is PKCS#1 v1.5
//! throughout, for encryption and for SHA-512 signatures, because that is what stock peers speak.

use std::fmt;
use std::sync::Arc;

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private};
use openssl::rsa::Padding;
use openssl::sign::{Signer, Verifier};
use openssl::x509::X509;

use crate::proto::prefix::{Network, Prefix};
use crate::proto::time::UnixTime;

/// A node's certificate, or an authority's.
#[derive(Clone)]
pub struct Certificate(X509);

/// A private key.
#[derive(Clone)]
pub struct PrivateKey(PKey<Private>);

/// The authority of one network.
#[derive(Clone)]
pub struct Authority {
    certificate: Certificate,
    network: Network,
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

/// What is wrong with a certificate or key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// Neither PEM nor DER of what was expected.
    #[error("is not a certificate or key in PEM form")]
    Malformed,
    /// Its common name is not `value/length`.
    #[error("names no prefix (a common name like 1/16)")]
    NoPrefix,
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
    /// It and the key do not fit.
    #[error("does not belong to the key")]
    OtherKey,
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

    /// Whether `signature` of `message` was made with its key: PKCS#1 v1.5, SHA-512.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), CertificateError> {
        let key = self.0.public_key()?;
        let mut verifier = Verifier::new(MessageDigest::sha512(), &key)?;
        let fits = verifier.verify_oneshot(signature, message)?;
        fits.then_some(()).ok_or(CertificateError::Refused)
    }

    /// Encrypts so that only its key opens it: PKCS#1 v1.5.
    pub fn encrypt(&self, message: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let rsa = self.0.public_key()?.rsa()?;
        let mut cipher = vec![0; rsa.size() as usize];
        let length = rsa.public_encrypt(message, &mut cipher, Padding::PKCS1)?;
        cipher.truncate(length);
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

impl PrivateKey {
    /// Reads PEM, PKCS#8 or PKCS#1.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        PKey::private_key_from_pem(pem).map(Self).map_err(|_| CertificateError::Malformed)
    }

    /// Takes a key that OpenSSL made.
    pub const fn from_pkey(pkey: PKey<Private>) -> Self {
        Self(pkey)
    }

    /// For OpenSSL's own functions.
    pub const fn pkey(&self) -> &PKey<Private> {
        &self.0
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

impl Authority {
    /// Reads the PEM of an authority's certificate.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        Self::new(Certificate::from_pem(pem)?)
    }

    /// The authority that `certificate` is of.
    pub fn new(certificate: Certificate) -> Result<Self, CertificateError> {
        let network = Network::from_serial(&certificate.serial_octets())
            .map_err(|_| CertificateError::NoNetwork)?;
        Ok(Self { certificate, network })
    }

    /// Its certificate.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Its network.
    pub const fn network(&self) -> Network {
        self.network
    }

    /// Checks that `leaf` was issued by this authority and is valid at `now`; gives its prefix.
    /// Revocation is the caller's: only it knows the list.
    pub fn verify(&self, leaf: &Certificate, now: UnixTime) -> Result<Prefix, CertificateError> {
        let key = self.certificate.0.public_key()?;
        if !issued_with(leaf, &key) {
            return Err(CertificateError::OtherAuthority);
        }
        if now < leaf.not_before() {
            return Err(CertificateError::NotYetValid(leaf.not_before()));
        }
        if now > leaf.not_after() {
            return Err(CertificateError::Expired(leaf.not_after()));
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
        if !certificate.0.public_key()?.public_eq(&key.0) {
            return Err(CertificateError::OtherKey);
        }
        let prefix = authority.verify(&certificate, now)?;
        Ok(Self { authority, certificate, key: Arc::new(key), prefix })
    }
}

fn issued_with<T: HasPublic>(leaf: &Certificate, key: &PKeyRef<T>) -> bool {
    leaf.0.verify(key).unwrap_or(false)
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

/// Never shows the key.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}
