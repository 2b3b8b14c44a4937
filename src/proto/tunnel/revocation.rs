//! Authorities' own lists of revoked certificates (RFC 5280 §5), one or several in a file.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use openssl::asn1::Asn1Time;
use openssl::x509::{CrlStatus, X509Crl, X509NameRef, X509Ref};

use crate::proto::time::UnixTime;
use crate::proto::tunnel::credentials::Credentials;

/// The lists of a file; copies are the same ones.
#[derive(Clone)]
pub struct RevocationList(Arc<RwLock<Vec<X509Crl>>>);

/// Why a file of lists is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ListError {
    /// There is none in it.
    #[error("is not a list of revoked certificates in PEM form")]
    Malformed,
    /// Somebody else made all of them.
    #[error("was not signed by the authority")]
    OtherAuthority,
}

impl RevocationList {
    /// Reads PEM, and checks that an authority of ours signed one of them. Others may be of authorities
    /// between one of ours and certificates, which only peers show.
    pub fn from_pem(pem: &[u8], credentials: &Credentials) -> Result<Self, ListError> {
        Ok(Self(Arc::new(RwLock::new(read(pem, credentials)?))))
    }

    /// Takes newer ones in its place: for new sessions, and for old ones when they next renew their keys.
    pub fn renew(&self, pem: &[u8], credentials: &Credentials) -> Result<(), ListError> {
        let lists = read(pem, credentials)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = lists;
        Ok(())
    }

    /// Whether an authority should have made another one since.
    pub fn is_outdated(&self, today: UnixTime) -> bool {
        let today = i64::try_from(today.as_secs()).unwrap_or(i64::MAX);
        let Ok(today) = Asn1Time::from_unix(today) else { return false };
        self.lists().iter().any(|list| list.next_update().is_some_and(|next| *next < *today))
    }

    /// Whether it has a certificate that `signer` issued.
    pub fn has(&self, certificate: &X509Ref, signer: &X509Ref) -> bool {
        let of_signer = |list: &&X509Crl| is_signed_by(list, signer);
        self.lists().iter().filter(of_signer).any(|list| {
            matches!(list.get_by_serial(certificate.serial_number()), CrlStatus::Revoked(_))
        })
    }

    fn lists(&self) -> RwLockReadGuard<'_, Vec<X509Crl>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(pem: &[u8], credentials: &Credentials) -> Result<Vec<X509Crl>, ListError> {
    let text = std::str::from_utf8(pem).map_err(|_| ListError::Malformed)?;
    let lists: Result<Vec<X509Crl>, _> = text
        .split_inclusive(END)
        .filter(|part| part.contains(END))
        .map(|part| X509Crl::from_pem(part.as_bytes()))
        .collect();
    let lists = lists.map_err(|_| ListError::Malformed)?;
    if lists.is_empty() {
        return Err(ListError::Malformed);
    }
    let mut known = credentials.authorities().chain(credentials.chain());
    if known.any(|signer| lists.iter().any(|list| is_signed_by(list, signer))) {
        Ok(lists)
    } else {
        Err(ListError::OtherAuthority)
    }
}

/// What ends each of several in a file; OpenSSL reads only one.
const END: &str = "-----END X509 CRL-----";

fn is_signed_by(list: &X509Crl, signer: &X509Ref) -> bool {
    let same = |a: &X509NameRef, b: &X509NameRef| a.try_cmp(b).is_ok_and(|order| order.is_eq());
    same(list.issuer_name(), signer.subject_name())
        && signer.public_key().is_ok_and(|key| list.verify(&key).unwrap_or(false))
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevocationList")
    }
}
