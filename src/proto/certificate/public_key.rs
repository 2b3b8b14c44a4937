//! Which public keys a network's members may have.
//!
//! A registry encrypts a session key for a member's key and signs the ciphertext with the key of its CA
//! (the call `hello`). The member chose its key: with a prime modulus p and an exponent of (p - 1) / 2 every
//! ciphertext is 1 or p - 1, and p - 1 may be whatever the member wants signed, for example a certificate.
//! So a key must be one that encryption scatters: RSA, as long as the CA's, a small odd exponent and a
//! composite modulus without small factors.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use openssl::bn::{BigNum, BigNumContext};
use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, Id, PKeyRef};

use super::CertificateError;
use crate::proto::limits::KEYS_CHECKED_MAX;

/// The smallest exponent.
const EXPONENT_MIN: u32 = 3;

/// Bits of the largest exponent.
const EXPONENT_BITS_MAX: i32 = 32;

/// No modulus has a factor below this: those of RSA keys have half of its bits.
const FACTOR_MIN: u32 = 2_048;

/// Why a member may not have a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Another algorithm.
    #[error("is not an RSA key")]
    Algorithm,
    /// A hello's two halves are as long as each other.
    #[error("has {bits} bits; it must be as long as the CA's, which has {wanted}")]
    Length {
        /// Of the key.
        bits: usize,
        /// Of the CA's.
        wanted: usize,
    },
    /// An even one, or one that is too small or too large.
    #[error("has a public exponent that is not odd, from 3 to 4294967295")]
    Exponent,
    /// A prime, or a product of small factors.
    #[error("has a modulus that is not the product of two large primes")]
    Modulus,
}

/// The rule for the keys of one network's members. Copies share what they have checked.
#[derive(Clone, Debug)]
pub struct KeyRule {
    octets: usize,
    /// SHA-256 of keys that satisfy it: the test of a modulus takes as long as a signature.
    checked: Arc<Mutex<HashSet<[u8; 32]>>>,
}

impl KeyRule {
    /// The rule of the network whose CA has a key of so many octets.
    pub fn new(octets: usize) -> Self {
        Self { octets, checked: Arc::default() }
    }

    /// Whether a member may have `key`.
    pub fn check<K: HasPublic>(&self, key: &PKeyRef<K>) -> Result<(), CertificateError> {
        let der = key.public_key_to_der()?;
        let digest = openssl::hash::hash(MessageDigest::sha256(), &der)?;
        let digest: [u8; 32] = digest.as_ref().try_into().map_err(|_| CertificateError::Refused)?;
        if self.checked().contains(&digest) {
            return Ok(());
        }
        self.examine(key)?;
        let mut checked = self.checked();
        if checked.len() >= KEYS_CHECKED_MAX {
            checked.clear();
        }
        checked.insert(digest);
        Ok(())
    }

    fn checked(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn examine<K: HasPublic>(&self, key: &PKeyRef<K>) -> Result<(), CertificateError> {
        if key.id() != Id::RSA {
            return Err(KeyError::Algorithm.into());
        }
        let rsa = key.rsa()?;
        let (modulus, exponent) = (rsa.n(), rsa.e());
        if modulus.num_bytes() as usize != self.octets {
            let bits = modulus.num_bits() as usize;
            return Err(KeyError::Length { bits, wanted: self.octets * 8 }.into());
        }
        let is_small = *exponent < *BigNum::from_u32(EXPONENT_MIN)?;
        if !exponent.is_odd() || is_small || exponent.num_bits() > EXPONENT_BITS_MAX {
            return Err(KeyError::Exponent.into());
        }
        let mut factors = (3..FACTOR_MIN).step_by(2);
        if !modulus.is_odd()
            || factors.any(|factor| modulus.mod_word(factor).is_ok_and(|rest| rest == 0))
        {
            return Err(KeyError::Modulus.into());
        }
        // Fermat: 2^(n-1) = 1 modulo every prime n. A composite one passes for prime once in 2^100 keys at
        // most, and that is no harm.
        let (mut one_less, mut power) = (modulus.to_owned()?, BigNum::new()?);
        one_less.sub_word(1)?;
        let two = BigNum::from_u32(2)?;
        power.mod_exp(&two, &one_less, modulus, &mut *BigNumContext::new()?)?;
        if power == BigNum::from_u32(1)? {
            return Err(KeyError::Modulus.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use openssl::pkey::{PKey, Public};
    use openssl::rsa::Rsa;

    use super::*;

    const OCTETS: usize = 128;

    fn key(modulus: BigNum, exponent: BigNum) -> PKey<Public> {
        PKey::from_rsa(Rsa::from_public_components(modulus, exponent).unwrap()).unwrap()
    }

    fn exponent(number: &str) -> BigNum {
        BigNum::from_dec_str(number).unwrap()
    }

    fn refused(key: &PKey<Public>) -> CertificateError {
        KeyRule::new(OCTETS).check(key).unwrap_err()
    }

    #[test]
    fn ordinary_key_is_accepted_with_every_usual_exponent() {
        let modulus = Rsa::generate(1_024).unwrap().n().to_owned().unwrap();
        for number in ["3", "17", "65537", "4294967295"] {
            let key = key(modulus.to_owned().unwrap(), exponent(number));
            let rule = KeyRule::new(OCTETS);
            assert_eq!(rule.check(&key), Ok(()));
            assert_eq!(rule.check(&key), Ok(()), "and known from then on");
            assert_eq!(rule.checked().len(), 1);
        }
    }

    #[test]
    fn exponent_is_odd_and_small() {
        let modulus = Rsa::generate(1_024).unwrap().n().to_owned().unwrap();
        let mut half = modulus.to_owned().unwrap();
        half.sub_word(1).unwrap();
        half.div_word(2).unwrap();
        for exponent in ["0", "1", "2", "65536", "4294967296", "4294967297"].map(exponent) {
            let key = key(modulus.to_owned().unwrap(), exponent);
            assert_eq!(refused(&key), KeyError::Exponent.into());
        }
        assert_eq!(refused(&key(modulus, half)), KeyError::Exponent.into());
    }

    #[test]
    fn modulus_is_neither_prime_nor_of_small_factors() {
        let mut prime = BigNum::new().unwrap();
        prime.generate_prime(1_024, false, None, None).unwrap();
        assert_eq!(refused(&key(prime, exponent("3"))), KeyError::Modulus.into());
        let mut even = Rsa::generate(1_024).unwrap().n().to_owned().unwrap();
        even.sub_word(1).unwrap();
        assert_eq!(refused(&key(even, exponent("3"))), KeyError::Modulus.into());
        // 3^646 has 1024 bits: a third of all ciphertexts are 0.
        let mut power = BigNum::from_u32(1).unwrap();
        for _ in 0..646 {
            power.mul_word(3).unwrap();
        }
        assert_eq!(power.num_bytes(), 128);
        assert_eq!(refused(&key(power, exponent("65537"))), KeyError::Modulus.into());
    }

    #[test]
    fn key_of_another_length_or_algorithm_is_refused() {
        let rsa = Rsa::generate(2_048).unwrap();
        let (modulus, exponent) = (rsa.n().to_owned().unwrap(), rsa.e().to_owned().unwrap());
        let error = refused(&key(modulus, exponent));
        assert_eq!(error, KeyError::Length { bits: 2_048, wanted: 1_024 }.into());
        let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1);
        let ec = openssl::ec::EcKey::generate(&group.unwrap()).unwrap();
        let error = KeyRule::new(OCTETS).check(&PKey::from_ec_key(ec).unwrap()).unwrap_err();
        assert_eq!(error, KeyError::Algorithm.into());
    }
}
