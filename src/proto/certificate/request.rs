//! Requests for certificates (PKCS#10): a key, the fields its owner wants in the subject, a signature.

use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::x509::{X509Name, X509NameEntryRef, X509NameRef, X509Req};

use super::{CertificateError, PrivateKey};

/// Fields of an applicant's subject; more are refused.
const FIELDS_MAX: usize = 16;

/// Octets of an applicant's subject; more are refused, for certificates travel in one datagram.
const SUBJECT_OCTETS_MAX: usize = 1_024;

/// A request whose signature fits its key.
pub struct CertificateRequest {
    request: X509Req,
    key: PKey<Public>,
}

impl CertificateRequest {
    /// Reads PEM; the signature must fit, which shows that the applicant has the key.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let malformed = |_| CertificateError::Malformed;
        let request = X509Req::from_pem(pem).map_err(malformed)?;
        let key = request.public_key().map_err(malformed)?;
        if key.id() != Id::RSA || !request.verify(&key).unwrap_or(false) {
            return Err(CertificateError::Refused);
        }
        let subject = request.subject_name();
        if subject.entries().count() > FIELDS_MAX || subject.to_der()?.len() > SUBJECT_OCTETS_MAX {
            return Err(CertificateError::Malformed);
        }
        Ok(Self { request, key })
    }

    /// A request for `key` with `fields` (`O`, `My company`, …), PEM. An unknown field is `Err(index)`.
    pub fn create(
        key: &PrivateKey,
        fields: &[(String, String)],
    ) -> Result<Result<Vec<u8>, usize>, CertificateError> {
        let mut name = X509Name::builder()?;
        for (index, (field, value)) in fields.iter().enumerate() {
            if name.append_entry_by_text(field, value).is_err() {
                return Ok(Err(index));
            }
        }
        let mut builder = X509Req::builder()?;
        builder.set_subject_name(&name.build())?;
        builder.set_pubkey(key.pkey())?;
        builder.sign(key.pkey(), MessageDigest::sha512())?;
        Ok(Ok(builder.build().to_pem()?))
    }

    /// The applicant's key.
    pub const fn key(&self) -> &PKey<Public> {
        &self.key
    }

    /// Octets of a cipher text or signature made with its key.
    pub fn key_octets(&self) -> usize {
        self.key.size()
    }

    /// The applicant's fields.
    pub fn subject(&self) -> &X509NameRef {
        self.request.subject_name()
    }
}

/// The fields of `subject` without those that the registry sets.
pub(super) fn own_fields(subject: &X509NameRef) -> impl Iterator<Item = &X509NameEntryRef> {
    let set = [Nid::COMMONNAME, Nid::SERIALNUMBER];
    subject.entries().filter(move |entry| !set.contains(&entry.object().nid()))
}
