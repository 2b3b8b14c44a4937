//! Files of keys for the control channel, as `openvpn --genkey` writes them.
//!
//! ```text
//! secret               2 × (cipher 64, HMAC 64), in hexadecimal      tls-auth, tls-crypt
//! tls-crypt-v2-server  cipher 64, HMAC 64, in base64                 opens the clients' keys
//! tls-crypt-v2-client  a secret, and the same sealed for the server, in base64
//! ```

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::proto::limits::TUNNEL_WRAPPED_KEY_OCTETS_MAX;

/// The key of one direction.
#[derive(Clone, PartialEq, Eq)]
pub struct Half {
    /// Its first octets are a cipher's key.
    pub cipher: [u8; 64],
    /// Its first octets are an HMAC's key.
    pub hmac: [u8; 64],
}

/// A secret that both ends have: `openvpn --genkey secret`.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticKey(pub [Half; 2]);

/// What a server opens clients' keys with: `openvpn --genkey tls-crypt-v2-server`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey(pub Half);

/// A client's own key, and the form of it that its server can open.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// The key.
    pub key: StaticKey,
    /// The key as only the server can open it.
    pub wrapped: Vec<u8>,
}

/// Why octets are not a file of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyFileError {
    /// The lines around the key are not there.
    #[error("holds no {0}")]
    Missing(&'static str),
    /// What is between them is not hexadecimal or base64.
    #[error("is damaged: what should be a key is not")]
    Damaged,
    /// It has another length.
    #[error("is damaged: its key has {0} octets")]
    Length(usize),
}

const STATIC: &str = "OpenVPN Static key V1";
const SERVER: &str = "OpenVPN tls-crypt-v2 server key";
const CLIENT: &str = "OpenVPN tls-crypt-v2 client key";

/// Octets of a [`StaticKey`].
pub const STATIC_OCTETS: usize = 256;
const HALF_OCTETS: usize = STATIC_OCTETS / 2;

impl StaticKey {
    /// Reads the file.
    pub fn parse(file: &[u8]) -> Result<Self, KeyFileError> {
        let body = body(file, STATIC)?;
        let digits: Vec<u8> = body.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
        let pairs = digits.chunks_exact(2);
        if !pairs.remainder().is_empty() {
            return Err(KeyFileError::Damaged);
        }
        let octet = |pair: &[u8]| {
            let digits = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(digits, 16).ok().filter(|_| pair[0] != b'+')
        };
        let octets: Option<Vec<u8>> = pairs.map(octet).collect();
        Self::from_octets(&octets.ok_or(KeyFileError::Damaged)?)
    }

    /// Reads the octets themselves.
    pub fn from_octets(octets: &[u8]) -> Result<Self, KeyFileError> {
        let whole: &[u8; STATIC_OCTETS] =
            octets.try_into().map_err(|_| KeyFileError::Length(octets.len()))?;
        Ok(Self([Half::read(whole, 0), Half::read(whole, HALF_OCTETS)]))
    }
}

impl Half {
    fn read(octets: &[u8], from: usize) -> Self {
        let part = |from: usize| std::array::from_fn(|at| octets[from + at]);
        Self { cipher: part(from), hmac: part(from + 64) }
    }
}

impl ServerKey {
    /// Reads the file.
    pub fn parse(file: &[u8]) -> Result<Self, KeyFileError> {
        let octets = base64(body(file, SERVER)?)?;
        if octets.len() != HALF_OCTETS {
            return Err(KeyFileError::Length(octets.len()));
        }
        Ok(Self(Half::read(&octets, 0)))
    }
}

impl ClientKey {
    /// Reads the file.
    pub fn parse(file: &[u8]) -> Result<Self, KeyFileError> {
        let octets = base64(body(file, CLIENT)?)?;
        let longest = STATIC_OCTETS + TUNNEL_WRAPPED_KEY_OCTETS_MAX;
        if octets.len() <= STATIC_OCTETS || octets.len() > longest {
            return Err(KeyFileError::Length(octets.len()));
        }
        let (key, wrapped) = octets.split_at(STATIC_OCTETS);
        Ok(Self { key: StaticKey::from_octets(key)?, wrapped: wrapped.to_vec() })
    }
}

/// What is between the two lines that name it.
fn body<'a>(file: &'a [u8], name: &'static str) -> Result<&'a str, KeyFileError> {
    let text = std::str::from_utf8(file).map_err(|_| KeyFileError::Missing(name))?;
    let (begin, end) = (format!("-----BEGIN {name}-----"), format!("-----END {name}-----"));
    let (_, rest) = text.split_once(&begin).ok_or(KeyFileError::Missing(name))?;
    Ok(rest.split_once(&end).ok_or(KeyFileError::Missing(name))?.0)
}

fn base64(text: &str) -> Result<Vec<u8>, KeyFileError> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|_| KeyFileError::Damaged)
}

/// Never shows the key.
impl std::fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StaticKey")
    }
}

/// Never shows the key.
impl std::fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerKey")
    }
}

/// Never shows the key.
impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientKey")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of the form that `openvpn --genkey secret` writes.
    fn secret() -> String {
        let lines: Vec<String> = (0..16_u8)
            .map(|line| (0..16_u8).map(|at| format!("{:02x}", line * 16 + at)).collect())
            .collect();
        format!(
            "#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN {STATIC}-----\n{}\n-----END {STATIC}-----\n",
            lines.join("\n")
        )
    }

    #[test]
    fn a_secret_is_read_in_four_parts() {
        let key = StaticKey::parse(secret().as_bytes()).unwrap();
        let firsts = [key.0[0].cipher[0], key.0[0].hmac[0], key.0[1].cipher[0], key.0[1].hmac[0]];
        assert_eq!(firsts, [0, 64, 128, 192]);
    }

    #[test]
    fn what_is_no_key_says_why() {
        assert_eq!(StaticKey::parse(b"").unwrap_err(), KeyFileError::Missing(STATIC));
        let short = secret().replace("000102", "0001");
        assert_eq!(StaticKey::parse(short.as_bytes()).unwrap_err(), KeyFileError::Length(255));
        let damaged = secret().replace("000102", "00zz02");
        assert_eq!(StaticKey::parse(damaged.as_bytes()).unwrap_err(), KeyFileError::Damaged);
        assert_eq!(
            ServerKey::parse(secret().as_bytes()).unwrap_err(),
            KeyFileError::Missing(SERVER)
        );
        let short = format!("-----BEGIN {CLIENT}-----\nAAAA\n-----END {CLIENT}-----\n");
        assert_eq!(ClientKey::parse(short.as_bytes()).unwrap_err(), KeyFileError::Length(3));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC*") {
            for name in [STATIC, SERVER, CLIENT] {
                let file = format!("-----BEGIN {name}-----{text}-----END {name}-----");
                let _ = StaticKey::parse(file.as_bytes());
                let _ = ServerKey::parse(file.as_bytes());
                let _ = ClientKey::parse(file.as_bytes());
            }
        }
    }
}
