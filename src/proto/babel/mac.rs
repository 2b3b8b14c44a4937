//! Authentication: keyed hashes over packets (RFC 8967 §4.1), BLAKE2s-128 and HMAC-SHA256.

use std::fmt;
use std::net::Ipv6Addr;

use blake2::Blake2sMac;
use blake2::digest::consts::U16;
use blake2::digest::{FixedOutput, KeyInit, Update};

use crate::proto::babel::packet::{Packet, RawTlvs};
use crate::proto::bytes::Writer;

/// How packets are signed, and what others may have signed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Keys {
    /// Signs what is sent.
    pub sign: Vec<Key>,
    /// A packet signed with any of these, or of `sign`, is taken.
    pub accept: Vec<Key>,
}

impl Keys {
    /// Octets that signing adds to a packet.
    pub fn trailer_octets(&self) -> usize {
        self.sign.iter().map(|key| 2 + key.hash.octets()).sum()
    }

    /// Appends the trailer to a packet that is complete otherwise.
    pub fn sign(&self, path: Path, packet: &mut Vec<u8>) {
        let signed = packet.len();
        for key in &self.sign {
            let mac = key.mac(path, &packet[..signed]);
            packet.put_u8(TYPE);
            #[expect(clippy::cast_possible_truncation, reason = "16 or 32")]
            packet.put_u8(mac.as_ref().len() as u8);
            packet.put(mac.as_ref());
        }
    }

    /// Whether one of the signatures is of one of the keys.
    pub fn verify(&self, path: Path, packet: &Packet<'_>) -> bool {
        let given = || RawTlvs::new(packet.trailer).filter(|&(kind, _)| kind == TYPE);
        // A packet with a thousand signatures must not cost a thousand comparisons.
        self.accept.iter().chain(&self.sign).any(|key| {
            given().any(|(_, mac)| mac.len() == key.hash.octets()) && {
                let mac = key.mac(path, packet.signed);
                given().take(SIGNATURES_MAX).any(|(_, given)| is_equal(given, mac.as_ref()))
            }
        })
    }
}

/// What becomes of packets that none of the keys signed, if there are keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BadSignatures {
    /// They are dropped.
    #[default]
    Refused,
    /// They are taken as if there were no keys: until every router of a network has them.
    Accepted,
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

impl Hash {
    /// Octets of its result.
    pub const fn octets(self) -> usize {
        match self {
            Self::Blake2s128 => 16,
            Self::HmacSha256 => 32,
        }
    }
}

/// Why octets are not a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// Not of a length the hash takes.
    #[error("a key for blake2s128 has 1 to 32 octets and one for hmac-sha256 1 to 64")]
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

    /// The hash of where a packet goes and of the packet (RFC 8967 §4.1).
    fn mac(&self, path: Path, signed: &[u8]) -> Mac {
        let path = path.octets();
        match self.hash {
            Hash::Blake2s128 => {
                let mut hash = Blake2sMac::<U16>::new_from_slice(&self.secret)
                    .expect("the length was checked when the key was made");
                hash.update(&path);
                hash.update(signed);
                Mac::Blake2s128(hash.finalize_fixed().into())
            }
            Hash::HmacSha256 => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.secret);
                let mut hash = ring::hmac::Context::with_key(&key);
                hash.update(&path);
                hash.update(signed);
                Mac::HmacSha256(hash.sign())
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.hash)
    }
}

/// Between which addresses a packet goes; both ports are Babel's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    /// The sender.
    pub from: Ipv6Addr,
    /// A neighbour, or the multicast group.
    pub to: Ipv6Addr,
}

impl Path {
    fn octets(self) -> [u8; 36] {
        let mut octets = [0; 36];
        octets[..16].copy_from_slice(&self.from.octets());
        octets[16..18].copy_from_slice(&PORT.to_be_bytes());
        octets[18..34].copy_from_slice(&self.to.octets());
        octets[34..].copy_from_slice(&PORT.to_be_bytes());
        octets
    }
}

enum Mac {
    Blake2s128([u8; 16]),
    HmacSha256(ring::hmac::Tag),
}

impl AsRef<[u8]> for Mac {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Blake2s128(octets) => octets,
            Self::HmacSha256(tag) => tag.as_ref(),
        }
    }
}

/// Takes as long whichever octet differs.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// Babel's UDP port, of senders and receivers alike (RFC 8966 §4).
pub const PORT: u16 = 6696;
/// The group that Babel routers listen to (RFC 8966 §4).
pub const GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 6);

const TYPE: u8 = 16;
const SIGNATURES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::vectors;

    #[test]
    fn signatures_of_babeld_are_ours() {
        let secret = vectors::key();
        let key = Key::new(Hash::Blake2s128, &secret).unwrap();
        let keys = Keys { sign: vec![key], accept: Vec::new() };
        for (path, octets) in vectors::packets() {
            let packet = Packet::parse(&octets).unwrap();
            assert!(keys.verify(path, &packet));
            let mut ours = packet.signed.to_vec();
            keys.sign(path, &mut ours);
            assert_eq!(ours, octets);
            let elsewhere = Path { to: Ipv6Addr::LOCALHOST, ..path };
            assert!(!keys.verify(elsewhere, &packet));
        }
    }

    #[test]
    fn either_key_of_a_rotation_is_taken_and_no_other() {
        let key = |octet| Key::new(Hash::HmacSha256, &[octet; 32]).unwrap();
        let (old, new, other) = (key(1), key(2), key(3));
        let path = Path { from: Ipv6Addr::LOCALHOST, to: GROUP };
        let mut octets = vec![42, 2, 0, 0];
        Keys { sign: vec![old.clone()], accept: Vec::new() }.sign(path, &mut octets);
        let packet = Packet::parse(&octets).unwrap();
        let rotating = Keys { sign: vec![new.clone()], accept: vec![old] };
        assert!(rotating.verify(path, &packet));
        assert!(!Keys { sign: vec![new], accept: vec![other] }.verify(path, &packet));
    }

    #[test]
    fn keys_do_not_show() {
        let key = Key::new(Hash::Blake2s128, b"secret").unwrap();
        assert_eq!(format!("{key:?}"), "Key(Blake2s128)");
        assert_eq!(Key::new(Hash::Blake2s128, &[1; 33]), Err(KeyError::Length));
    }
}
