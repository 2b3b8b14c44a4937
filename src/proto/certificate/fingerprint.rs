//! Fingerprints: how people name an authority to each other, `sha256:4b2174…`.

use std::fmt;
use std::str::FromStr;

use openssl::hash::MessageDigest;

use super::Certificate;

/// An algorithm, and a digest in hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    algorithm: String,
    digits: String,
}

/// Why a text is not a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FingerprintError {
    /// No colon.
    #[error("a fingerprint is written ALGORITHM:DIGITS, for example sha256:4b2174…")]
    Form,
    /// OpenSSL does not know it.
    #[error("there is no such algorithm; use sha256")]
    Algorithm,
    /// Not as many hexadecimal digits as the algorithm gives.
    #[error("a fingerprint of this algorithm has {0} hexadecimal digits")]
    Digits(usize),
}

impl Fingerprint {
    /// The fingerprint of `certificate` by the same algorithm.
    pub fn of_same_kind(&self, certificate: &Certificate) -> Option<Self> {
        let digits = certificate.digest(&self.algorithm)?;
        Some(Self { algorithm: self.algorithm.clone(), digits })
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (algorithm, digits) = text.split_once(':').ok_or(FingerprintError::Form)?;
        let digest = MessageDigest::from_name(algorithm).ok_or(FingerprintError::Algorithm)?;
        // openssl prints a colon between octets.
        let digits = digits.replace(':', "").to_lowercase();
        let wanted = 2 * digest.size();
        if digits.len() != wanted || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(FingerprintError::Digits(wanted));
        }
        Ok(Self { algorithm: algorithm.to_lowercase(), digits })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.digits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_people_and_openssl_write_it() {
        let digits = "ab".repeat(20);
        let with_colons = ["AB"; 20].join(":");
        for text in [format!("sha1:{digits}"), format!("SHA1:{with_colons}")] {
            assert_eq!(text.parse::<Fingerprint>().unwrap().to_string(), format!("sha1:{digits}"));
        }
    }

    #[test]
    fn what_is_no_fingerprint_says_why() {
        let error = |text: &str| text.parse::<Fingerprint>().unwrap_err();
        assert_eq!(error("abab"), FingerprintError::Form);
        assert_eq!(error("crc32:00000000"), FingerprintError::Algorithm);
        assert_eq!(error("sha256:abab"), FingerprintError::Digits(64));
        assert_eq!(error(&format!("sha1:{}", "xy".repeat(20))), FingerprintError::Digits(40));
    }
}
