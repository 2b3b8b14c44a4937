//! Private keys: RSA, PKCS#1 v1.5 for what is signed and what is opened.

use std::fmt;
use std::hint::black_box;

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::Signer;

use super::{Certificate, CertificateError};

/// A private key.
#[derive(Clone)]
pub struct PrivateKey(PKey<Private>);

impl PrivateKey {
    /// Reads PEM, PKCS#8 or PKCS#1. OpenSSL, left alone, would ask the terminal for a pass phrase.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let mut error = CertificateError::Malformed;
        let key = PKey::private_key_from_pem_callback(pem, |_| {
            error = CertificateError::Protected;
            Ok(0)
        });
        key.map(Self).map_err(|_| error)
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

    /// Opens a secret of `N` octets that was encrypted for its certificate by who knows whom: PKCS#1 v1.5.
    /// Zeros, which no peer draws, if it was not: by then every cipher has taken the same steps, so that
    /// neither an answer nor its time tells a stranger which ciphers are well padded (Bleichenbacher, 1998).
    pub fn decrypt_secret<const N: usize>(
        &self,
        cipher: &[u8],
    ) -> Result<[u8; N], CertificateError> {
        let rsa = self.0.rsa()?;
        let mut padded = vec![0; rsa.size() as usize];
        if cipher.len() != padded.len() {
            return Err(CertificateError::Malformed);
        }
        rsa.private_decrypt(cipher, &mut padded, Padding::NONE)?;
        let (padding, secret) = padded
            .split_last_chunk::<N>()
            .filter(|(padding, _)| padding.len() >= PADDING_OCTETS_MIN)
            .ok_or(CertificateError::Malformed)?;
        let good = is_padding(padding);
        Ok(secret.map(|octet| octet & good))
    }

    /// Opens what was encrypted for its certificate and came from who proved to be the registry: PKCS#1 v1.5.
    /// Its failures can be told from successes, so it is for nothing that a stranger can send.
    pub fn decrypt(&self, cipher: &[u8]) -> Result<Vec<u8>, CertificateError> {
        let rsa = self.0.rsa()?;
        let mut message = vec![0; rsa.size() as usize];
        let length = rsa.private_decrypt(cipher, &mut message, Padding::PKCS1)?;
        message.truncate(length);
        Ok(message)
    }
}

/// All ones if `padding` is 0, 2, eight or more octets that are not 0, and a 0 (RFC 8017 §7.2.1); else none.
/// Branches and indexes by nothing that is in it.
fn is_padding(padding: &[u8]) -> u8 {
    let last = padding.len() - 1;
    let wrong = padding.iter().enumerate().fold(0, |wrong, (at, octet)| {
        wrong
            | match at {
                0 => *octet,
                1 => *octet ^ 2,
                at if at == last => *octet,
                _ => is_zero(*octet),
            }
    });
    // The compiler must not make a branch of what follows from it.
    is_zero(black_box(wrong))
}

/// All ones for zero, else none: only then does a borrow reach the upper octet.
fn is_zero(octet: u8) -> u8 {
    (u16::from(octet).wrapping_sub(1) >> 8) as u8
}

/// The octets around the eight that PKCS#1 v1.5 pads with at least.
const PADDING_OCTETS_MIN: usize = 11;

/// Never shows the key.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

#[cfg(test)]
mod tests {
    use openssl::rsa::Rsa;

    use super::*;

    const OCTETS: usize = 256;

    #[test]
    fn a_key_with_a_pass_phrase_is_called_that_and_nobody_is_asked() {
        let key = PrivateKey::generate(1_024).unwrap();
        let cipher = openssl::symm::Cipher::aes_128_cbc();
        let pem = key.pkey().private_key_to_pem_pkcs8_passphrase(cipher, b"secret").unwrap();
        let error = PrivateKey::from_pem(&pem).err().unwrap();
        assert!(matches!(error, CertificateError::Protected), "{error}");
        let error = PrivateKey::from_pem(b"no key").err().unwrap();
        assert!(matches!(error, CertificateError::Malformed), "{error}");
    }

    /// What a sender pads: 0, 2, padding, 0, message.
    fn padded(message: &[u8]) -> Vec<u8> {
        let mut octets = vec![0xa5; OCTETS];
        octets[..2].copy_from_slice(&[0, 2]);
        octets[OCTETS - message.len() - 1] = 0;
        octets[OCTETS - message.len()..].copy_from_slice(message);
        octets
    }

    /// Goal: whoever sends ciphers learns nothing from what becomes of them.
    /// Method: every kind of wrong padding, encrypted as it is; each gives what a wrong secret gives, a value,
    /// and always the same one.
    #[test]
    fn a_wrong_padding_is_a_wrong_secret_and_nothing_else() {
        let key = PrivateKey::generate(2_048).unwrap();
        let encrypted = |octets: &[u8]| {
            let rsa: Rsa<Private> = key.pkey().rsa().unwrap();
            let mut cipher = vec![0; OCTETS];
            rsa.public_encrypt(octets, &mut cipher, Padding::NONE).unwrap();
            cipher
        };
        let open = |octets: &[u8]| key.decrypt_secret::<20>(&encrypted(octets));
        let good = padded(&[7; 20]);
        assert_eq!(open(&good), Ok([7; 20]));
        let mut wrong: Vec<Vec<u8>> = Vec::new();
        // Another first octet, another block type, no end of the padding, a secret too long or too short.
        for (at, octet) in [(0, 1), (1, 0), (1, 1), (1, 3), (1, 0xff), (OCTETS - 21, 1)] {
            let mut octets = good.clone();
            octets[at] = octet;
            wrong.push(octets);
        }
        wrong.extend((2..OCTETS - 21).map(|at| {
            let mut octets = good.clone();
            octets[at] = 0;
            octets
        }));
        wrong
            .extend((0..200).filter(|octets| *octets != 20).map(|octets| padded(&vec![7; octets])));
        wrong.extend([vec![0; OCTETS], padded(&[])]);
        for octets in wrong {
            assert_eq!(open(&octets), Ok([0; 20]), "{octets:02x?}");
        }
        // What everybody can see of a cipher may be refused: its length, and that it is beyond the modulus.
        for cipher in [vec![], vec![1; OCTETS - 1], vec![1; OCTETS + 1], vec![0xff; OCTETS]] {
            assert!(key.decrypt_secret::<20>(&cipher).is_err(), "{} octets", cipher.len());
        }
    }

    #[test]
    fn both_ways_to_open_agree_on_what_is_well_padded() {
        let key = PrivateKey::generate(2_048).unwrap();
        let rsa = key.pkey().rsa().unwrap();
        for first in 0..=255 {
            let mut cipher = vec![0; OCTETS];
            let message = [first; 20];
            rsa.public_encrypt(&message, &mut cipher, Padding::PKCS1).unwrap();
            assert_eq!(key.decrypt_secret::<20>(&cipher), Ok(message));
            assert_eq!(key.decrypt(&cipher).unwrap(), message);
        }
    }

    #[test]
    fn only_zero_is_zero() {
        assert!((0..=255).all(|octet| is_zero(octet) == if octet == 0 { 0xff } else { 0 }));
    }
}
