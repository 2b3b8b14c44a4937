//! How control packets are protected besides TLS, so that strangers are not even answered.
//!
//! ```text
//! tls-auth:      opcode (1)  session (8)  HMAC  number (4)  time (4)  the rest, plain
//! tls-crypt:     opcode (1)  session (8)  number (4)  time (4)  HMAC-SHA256 (32)  the rest, AES-256-CTR
//! tls-crypt-v2:  the same under the client's own key; two packets of the client end with that key,
//!                sealed for the server: HMAC-SHA256 (32)  key and what else it was made with  length (2)
//! ```
//!
//! The HMAC is of number, time, opcode, session and the rest with tls-auth; of opcode, session, number,
//! time and the plain rest with tls-crypt, where its first half is the counter's start.

use std::sync::Arc;

use openssl::symm;
use ring::hmac;

use crate::proto::limits::TUNNEL_WRAPPED_KEY_OCTETS_MAX;
use crate::proto::tunnel::key_file::{ClientKey, Half, STATIC_OCTETS, ServerKey, StaticKey};
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::packet::{Opcode, kind};

/// What an operator chose.
#[derive(Clone, Debug, Default)]
pub enum ControlProtection {
    /// TLS alone.
    #[default]
    None,
    /// `tls-auth`: packets are authenticated.
    Auth {
        /// What both ends share.
        key: Box<StaticKey>,
        /// Which half is ours for sending; both ends use the first half for both if there is none.
        direction: Option<Direction>,
        /// The HMAC's hash.
        digest: Digest,
    },
    /// `tls-crypt`: packets are encrypted, too.
    Crypt(Box<StaticKey>),
    /// `tls-crypt-v2`, at a client.
    CryptV2Client(Arc<ClientKey>),
    /// `tls-crypt-v2`, at a server.
    CryptV2Server(Arc<ServerKey>),
}

/// The order of the halves of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// 0: the first half is for sending.
    Normal,
    /// 1: the second half is for sending.
    Inverse,
}

/// The hash of `tls-auth`, OpenVPN's option `auth`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Digest {
    /// What OpenVPN takes if it is told nothing.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// What is said when a name is none of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a digest is SHA1, SHA256, SHA384 or SHA512")]
pub struct UnknownDigest;

/// The keys of both directions.
#[derive(Clone)]
pub enum ControlKeys {
    /// Of `tls-auth`.
    Auth {
        /// What we send.
        send: hmac::Key,
        /// What the peer sends.
        receive: hmac::Key,
    },
    /// Of `tls-crypt` and `tls-crypt-v2`.
    Crypt {
        /// What we send.
        send: CryptKey,
        /// What the peer sends.
        receive: CryptKey,
    },
}

/// The keys of one direction of `tls-crypt`.
#[derive(Clone)]
pub struct CryptKey {
    cipher: [u8; 32],
    mac: hmac::Key,
}

/// A number that no two packets of a session have: OpenVPN's long packet number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp {
    /// When its sender began to count: seconds since 1970.
    pub time: u32,
    /// Its count.
    pub number: u32,
}

/// Octets of opcode and session.
const HEAD: usize = 9;
/// Octets of a stamp.
const STAMP: usize = 8;
/// Octets of the HMAC of `tls-crypt`.
const TAG: usize = 32;
/// Octets of the counter's start.
const IV: usize = 16;

impl std::str::FromStr for Digest {
    type Err = UnknownDigest;

    fn from_str(text: &str) -> Result<Self, UnknownDigest> {
        match text.to_ascii_uppercase().replace('-', "").as_str() {
            "SHA1" => Ok(Self::Sha1),
            "SHA256" => Ok(Self::Sha256),
            "SHA384" => Ok(Self::Sha384),
            "SHA512" => Ok(Self::Sha512),
            _ => Err(UnknownDigest),
        }
    }
}

impl Digest {
    fn key(self, half: &Half) -> hmac::Key {
        let (algorithm, octets) = match self {
            Self::Sha1 => (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, 20),
            Self::Sha256 => (hmac::HMAC_SHA256, 32),
            Self::Sha384 => (hmac::HMAC_SHA384, 48),
            Self::Sha512 => (hmac::HMAC_SHA512, 64),
        };
        hmac::Key::new(algorithm, &half.hmac[..octets])
    }
}

impl ControlProtection {
    /// The keys, unless each client has its own.
    pub fn keys(&self, role: Role) -> Option<ControlKeys> {
        match self {
            Self::None | Self::CryptV2Server(_) => None,
            Self::Auth { key, direction, digest } => {
                let [first, second] = &key.0;
                let (send, receive) = match direction {
                    None => (first, first),
                    Some(Direction::Normal) => (first, second),
                    Some(Direction::Inverse) => (second, first),
                };
                let (send, receive) = (digest.key(send), digest.key(receive));
                Some(ControlKeys::Auth { send, receive })
            }
            Self::Crypt(key) => Some(ControlKeys::crypt(key, role)),
            Self::CryptV2Client(key) => Some(ControlKeys::crypt(&key.key, role)),
        }
    }

    /// What a client's first packets carry for its server.
    pub fn wrapped_key(&self) -> &[u8] {
        match self {
            Self::CryptV2Client(key) => &key.wrapped,
            _ => &[],
        }
    }
}

impl ControlKeys {
    fn crypt(key: &StaticKey, role: Role) -> Self {
        let [first, second] = [&key.0[0], &key.0[1]].map(CryptKey::new);
        match role {
            Role::Server => Self::Crypt { send: first, receive: second },
            Role::Client => Self::Crypt { send: second, receive: first },
        }
    }

    /// Octets that sealing adds.
    pub fn overhead(&self) -> usize {
        match self {
            Self::Auth { send, .. } => send.algorithm().digest_algorithm().output_len() + STAMP,
            Self::Crypt { .. } => STAMP + TAG,
        }
    }

    /// Seals a whole control packet.
    pub fn seal(&self, packet: &[u8], stamp: Stamp) -> Vec<u8> {
        let Some((head, rest)) = packet.split_at_checked(HEAD) else { return Vec::new() };
        let stamp = stamp.to_bytes();
        let mut sealed = Vec::with_capacity(packet.len() + self.overhead());
        sealed.extend_from_slice(head);
        match self {
            Self::Auth { send, .. } => {
                sealed.extend_from_slice(sign(send, &[&stamp, head, rest]).as_ref());
                sealed.extend_from_slice(&stamp);
                sealed.extend_from_slice(rest);
            }
            Self::Crypt { send, .. } => {
                let tag = sign(&send.mac, &[head, &stamp, rest]);
                sealed.extend_from_slice(&stamp);
                sealed.extend_from_slice(tag.as_ref());
                sealed.extend_from_slice(&send.crypt(tag.as_ref(), rest));
            }
        }
        sealed
    }

    /// Opens a packet that is not data: the plain packet, and its stamp. `None` if it does not
    /// authenticate.
    pub fn open(&self, packet: &[u8]) -> Option<(Vec<u8>, Stamp)> {
        let (head, rest) = packet.split_at_checked(HEAD)?;
        match self {
            Self::Auth { receive, .. } => {
                let octets = receive.algorithm().digest_algorithm().output_len();
                let (tag, signed) = rest.split_at_checked(octets)?;
                let (stamp, rest) = signed.split_first_chunk::<STAMP>()?;
                verify(receive, &[stamp, head, rest], tag)?;
                Some(([head, rest].concat(), Stamp::parse(stamp)))
            }
            Self::Crypt { receive, .. } => {
                let (stamp, rest) = rest.split_first_chunk::<STAMP>()?;
                let (tag, sealed) = rest.split_at_checked(TAG)?;
                let rest = receive.crypt(tag, sealed);
                verify(&receive.mac, &[head, stamp, &rest], tag)?;
                Some(([head, &rest].concat(), Stamp::parse(stamp)))
            }
        }
    }
}

impl CryptKey {
    fn new(half: &Half) -> Self {
        let cipher = std::array::from_fn(|at| half.cipher[at]);
        Self { cipher, mac: hmac::Key::new(hmac::HMAC_SHA256, &half.hmac[..32]) }
    }

    /// AES-256-CTR, which is the same both ways.
    fn crypt(&self, tag: &[u8], octets: &[u8]) -> Vec<u8> {
        symm::encrypt(symm::Cipher::aes_256_ctr(), &self.cipher, Some(&tag[..IV]), octets)
            .expect("key and counter have the cipher's lengths")
    }
}

impl ServerKey {
    /// What a client's packet carries at its end: the packet without it, and the client's keys. `None`
    /// if it was not sealed for us.
    pub fn open<'a>(&self, packet: &'a [u8]) -> Option<(&'a [u8], ControlKeys)> {
        let (packet, wrapped) = split_wrapped_key(packet)?;
        let (tag, rest) = wrapped.split_at_checked(TAG)?;
        let (sealed, length) = rest.split_last_chunk::<2>()?;
        let half = CryptKey::new(&self.0);
        let plain = half.crypt(tag, sealed);
        verify(&half.mac, &[length, &plain], tag)?;
        let key = StaticKey::from_octets(plain.get(..STATIC_OCTETS)?).ok()?;
        Some((packet, ControlKeys::crypt(&key, Role::Server)))
    }
}

/// Splits the sealed key of a client off the packet that carries it.
pub fn split_wrapped_key(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16::from_be_bytes(*packet.last_chunk()?));
    if length > TUNNEL_WRAPPED_KEY_OCTETS_MAX {
        return None;
    }
    packet.split_at_checked(packet.len().checked_sub(length)?)
}

/// Whether a packet ends with its sender's sealed key.
pub fn carries_wrapped_key(packet: &[u8]) -> bool {
    let opcode = packet.first().and_then(|&first| kind(first).0);
    matches!(opcode, Some(Opcode::HardResetClientV3 | Opcode::ControlWithKey))
}

impl Stamp {
    fn to_bytes(self) -> [u8; STAMP] {
        let mut octets = [0; STAMP];
        octets[..4].copy_from_slice(&self.number.to_be_bytes());
        octets[4..].copy_from_slice(&self.time.to_be_bytes());
        octets
    }

    fn parse(octets: &[u8; STAMP]) -> Self {
        let [n0, n1, n2, n3, t0, t1, t2, t3] = *octets;
        let number = u32::from_be_bytes([n0, n1, n2, n3]);
        Self { time: u32::from_be_bytes([t0, t1, t2, t3]), number }
    }
}

fn sign(key: &hmac::Key, parts: &[&[u8]]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    context.sign()
}

fn verify(key: &hmac::Key, parts: &[&[u8]], tag: &[u8]) -> Option<()> {
    let made = sign(key, parts);
    (made.as_ref().len() == tag.len() && openssl::memcmp::eq(made.as_ref(), tag)).then_some(())
}

/// Never shows a key.
impl std::fmt::Debug for ControlKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auth { .. } => "ControlKeys(tls-auth)",
            Self::Crypt { .. } => "ControlKeys(tls-crypt)",
        })
    }
}
