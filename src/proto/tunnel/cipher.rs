//! The ciphers of the data channel, by OpenVPN's names.

use std::fmt;
use std::str::FromStr;

/// How frames are protected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cipher {
    /// AES-256-GCM, what every peer since OpenVPN 2.4 speaks.
    Aes256Gcm,
    /// AES-128-GCM.
    Aes128Gcm,
    /// CHACHA20-POLY1305, which 2.4 does not know.
    ChaCha20Poly1305,
    /// Not encrypted, but authenticated by HMAC-SHA1: a stock network without `--encrypt`.
    None,
}

/// What is said when a name is none of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a cipher is AES-256-GCM, AES-128-GCM, CHACHA20-POLY1305 or none")]
pub struct UnknownCipher;

impl Cipher {
    /// Those that encrypt, the preferred first.
    pub const ENCRYPTING: [Self; 3] = [Self::Aes256Gcm, Self::ChaCha20Poly1305, Self::Aes128Gcm];

    /// OpenVPN's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "AES-256-GCM",
            Self::Aes128Gcm => "AES-128-GCM",
            Self::ChaCha20Poly1305 => "CHACHA20-POLY1305",
            Self::None => "none",
        }
    }

    /// Octets of its key.
    pub const fn key_octets(self) -> usize {
        match self {
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
            Self::Aes128Gcm => 16,
            Self::None => 0,
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Cipher {
    type Err = UnknownCipher;

    fn from_str(text: &str) -> Result<Self, UnknownCipher> {
        let all = [Self::Aes256Gcm, Self::Aes128Gcm, Self::ChaCha20Poly1305, Self::None];
        all.into_iter().find(|c| c.name().eq_ignore_ascii_case(text)).ok_or(UnknownCipher)
    }
}
