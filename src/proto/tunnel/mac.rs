//! HMAC-SHA1 with its key prepared: two copies of a hash that has taken the key, for each packet.
//!
//! OpenSSL's plain SHA-1 is several times as fast as ring's on processors that have it in hardware, and
//! its general HMAC allocates for each packet.

use openssl::memcmp;
use openssl::sha::Sha1;

/// Octets of a code.
pub const MAC_OCTETS: usize = 20;

const BLOCK_OCTETS: usize = 64;

/// A key (RFC 2104 §2), ready to be used.
#[derive(Clone)]
pub struct MacKey {
    inner: Sha1,
    outer: Sha1,
}

impl MacKey {
    /// Takes a key of at most 64 octets, of which a longer one gives the first.
    pub fn new(key: &[u8]) -> Self {
        let begin = |pad: u8| {
            let mut block = [pad; BLOCK_OCTETS];
            for (octet, key) in block.iter_mut().zip(key) {
                *octet ^= key;
            }
            let mut hash = Sha1::new();
            hash.update(&block);
            hash
        };
        Self { inner: begin(0x36), outer: begin(0x5c) }
    }

    /// The code of `octets`.
    pub fn sign(&self, octets: &[u8]) -> [u8; MAC_OCTETS] {
        let mut inner = self.inner.clone();
        inner.update(octets);
        let mut outer = self.outer.clone();
        outer.update(&inner.finish());
        outer.finish()
    }

    /// Whether `code` is that of `octets`, in a time that does not tell where they differ.
    pub fn verify(&self, octets: &[u8], code: &[u8; MAC_OCTETS]) -> bool {
        memcmp::eq(&self.sign(octets), code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202 §3, the first two cases.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let code = MacKey::new(&[0x0b; 20]).sign(b"Hi There");
        assert_eq!(code[..4], [0xb6, 0x17, 0x31, 0x86]);
        let key = MacKey::new(b"Jefe");
        let code = key.sign(b"what do ya want for nothing?");
        assert_eq!(code[..4], [0xef, 0xfc, 0xdf, 0x6a]);
        assert!(key.verify(b"what do ya want for nothing?", &code));
        assert!(!key.verify(b"what do ya want for nothing!", &code));
    }
}
