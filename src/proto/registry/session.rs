//! The chain of keys that authenticates calls: one key for a request, the next for its reply.
//!
//! ```text
//!  K ──SHA-1──▶ key of the reply ──SHA-1──▶ K of the next request
//! ```

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};

use crate::proto::prefix::Prefix;

/// The header that carries a MAC, in base64.
pub const MAC_HEADER: &str = "Re6stHMAC";

/// What a native node draws for each hello, so that an old reply is worth nothing.
pub type HelloNonce = [u8; 16];

/// What the CA signs for a native node in a hello: it begins with words that begin neither a certificate nor
/// a network version, so that the signature is worth nothing elsewhere, whatever the ciphertext is.
pub fn hello_statement(node: Prefix, nonce: &HelloNonce, ciphertext: &[u8]) -> Vec<u8> {
    let mut statement = b"re6st registry: session key of node ".to_vec();
    statement.extend(node.to_bits().into_bytes());
    statement.push(0);
    statement.extend(nonce);
    statement.extend(ciphertext);
    statement
}

/// The key of one request, and thereby of its reply.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKey([u8; Self::OCTETS]);

impl SessionKey {
    /// Octets of a key.
    pub const OCTETS: usize = 20;

    /// The first key of a session, as a hello gave it.
    pub const fn new(octets: [u8; Self::OCTETS]) -> Self {
        Self(octets)
    }

    /// The octets that a hello seals.
    pub const fn octets(&self) -> &[u8; Self::OCTETS] {
        &self.0
    }

    /// The header of a request for `target`, which is `/method?…` without what a proxy adds before it.
    pub fn request_mac(&self, target: &str) -> String {
        mac(&self.0, target.as_bytes())
    }

    /// Whether `header` is the MAC of a request for `target`. Takes as long whatever is wrong.
    pub fn accepts_request(&self, target: &str, header: &str) -> bool {
        accepts(&self.0, target.as_bytes(), header)
    }

    /// The header of a reply with `body`.
    pub fn reply_mac(&self, body: &[u8]) -> String {
        mac(&sha1(&self.0), body)
    }

    /// Whether `header` is the MAC of a reply with `body`.
    pub fn accepts_reply(&self, body: &[u8], header: &str) -> bool {
        accepts(&sha1(&self.0), body, header)
    }

    /// The key of the next request.
    #[must_use]
    pub fn next(&self) -> Self {
        Self(sha1(&sha1(&self.0)))
    }
}

fn sha1(octets: &[u8; SessionKey::OCTETS]) -> [u8; SessionKey::OCTETS] {
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, octets);
    digest.as_ref().try_into().expect("SHA-1 has as many octets as a key")
}

fn mac(key: &[u8], message: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    STANDARD.encode(hmac::sign(&key, message))
}

/// The only comparison of a MAC: ring's, whose time says nothing about which octet is wrong.
fn accepts(key: &[u8], message: &[u8], header: &str) -> bool {
    let Ok(tag) = STANDARD.decode(header.trim()) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    hmac::verify(&key, message, &tag).is_ok()
}

/// Never shows the key.
impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_of_another_request_is_not_accepted() {
        let key = SessionKey::new([7; 20]);
        let mac = key.request_mac("/getDh?cn=0");
        assert!(key.accepts_request("/getDh?cn=0", &mac));
        assert!(!key.accepts_request("/getDh?cn=1", &mac));
        assert!(!key.next().accepts_request("/getDh?cn=0", &mac));
        assert!(!key.accepts_reply(b"/getDh?cn=0", &mac));
        for rubbish in ["", "=", "AAAA", "not base64"] {
            assert!(!key.accepts_request("/getDh?cn=0", rubbish));
        }
    }

    /// Goal: a guess that is right but for one octet, wherever it is, is worth as little as any other.
    #[test]
    fn a_guess_is_right_as_a_whole_or_not_at_all() {
        let key = SessionKey::new([7; 20]);
        let (target, body) = ("/getDh?cn=0", b"body");
        let tags = [key.request_mac(target), key.reply_mac(body)];
        for (at, tag) in tags.iter().enumerate() {
            let accepts = |guess: &[u8]| {
                let header = STANDARD.encode(guess);
                if at == 0 {
                    key.accepts_request(target, &header)
                } else {
                    key.accepts_reply(body, &header)
                }
            };
            let tag = STANDARD.decode(tag).unwrap();
            assert!(accepts(&tag));
            for octet in 0..tag.len() {
                for bit in 0..8 {
                    let mut guess = tag.clone();
                    guess[octet] ^= 1 << bit;
                    assert!(!accepts(&guess), "bit {bit} of octet {octet}");
                }
            }
            for length in (0..tag.len()).chain([21, 40]) {
                let guess: Vec<u8> = tag.iter().copied().cycle().take(length).collect();
                assert!(!accepts(&guess), "{length} octets");
            }
        }
    }

    #[test]
    fn hello_statement_is_of_one_node_and_one_hello() {
        let node = |bits: &str| Prefix::from_bits(bits).unwrap();
        let statement = hello_statement(node("01"), &[7; 16], b"ciphertext");
        assert!(statement.starts_with(b"re6st registry: session key of node 01\0"));
        assert_ne!(statement, hello_statement(node("011"), &[7; 16], b"ciphertext"));
        assert_ne!(statement, hello_statement(node("01"), &[8; 16], b"ciphertext"));
    }

    #[test]
    fn keys_stay_out_of_logs() {
        assert_eq!(format!("{:?}", SessionKey::new([1; 20])), "SessionKey");
    }
}
