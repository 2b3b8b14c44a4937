//! Authentication: keyed hashes over packets (RFC 8967 §4.1), BLAKE2s-128 and HMAC-SHA256.

use std::fmt;

/// How packets are signed, and what others may have signed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    /// Signs what is sent.
    pub sign: Vec<Key>,
    /// A packet signed with any of these, or of `sign`, is taken.
    pub accept: Vec<Key>,
}

/// A secret and the hash it is for. Shows neither in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    hash: Hash,
    secret: Vec<u8>,
}

/// A keyed hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hash {
    /// Keyed BLAKE2s with 16 octets of result.
    Blake2s128,
    /// HMAC-SHA256, 32 octets.
    HmacSha256,
}

/// Why octets are not a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Not of a length the hash takes.
    #[error(
        "a key for blake2s128 has up to 32 octets and one for hmac-sha256 up to 64, none is empty"
    )]
    Length,
}

impl Key {
    /// A key for `hash`.
    pub fn new(hash: Hash, secret: &[u8]) -> Result<Self, KeyError> {
        let octets_max = match hash {
            Hash::Blake2s128 => 32,
            Hash::HmacSha256 => 64,
        };
        if secret.is_empty() || secret.len() > octets_max {
            return Err(KeyError::Length);
        }
        Ok(Self { hash, secret: secret.to_vec() })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.hash)
    }
}
