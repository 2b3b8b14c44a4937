//! Datagrams between nodes, UDP port 326: three handshakes by number, then sealed messages.
//!
//! ```text
//! 0  certificate                                     "I do not know yours"
//! 1  protocol  SHA-1 of receiver's certificate  certificate
//! 2  protocol  secret for the receiver  signature of it by the sender
//! n  message  HMAC-SHA1 over everything before       n from 3, up by one
//! ```
//!
//! Numbers are four octets; `protocol` is a packed integer, which peers older than it leave out.

use ring::hmac;

use crate::proto::bytes::{Reader, Short, Writer};
use crate::proto::version;

/// The UDP port on which nodes of a network talk.
pub const PORT: u16 = 326;

/// The protocol we speak.
pub const PROTOCOL: u64 = 10;

/// Octets of a secret, of a fingerprint and of a seal: those of SHA-1.
pub const DIGEST_OCTETS: usize = 20;

/// What a session's messages are sealed with.
pub type Secret = [u8; DIGEST_OCTETS];

/// One datagram, as its receiver sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Datagram<'a> {
    /// 0: the sender's certificate, DER.
    Introduction {
        /// The certificate.
        der: &'a [u8],
    },
    /// 1: the sender knows a certificate of ours.
    Recognition {
        /// What the sender speaks; 0 if it is older than the field.
        protocol: u64,
        /// SHA-1 of the certificate of ours that the sender knows.
        fingerprint: [u8; DIGEST_OCTETS],
        /// The sender's certificate.
        der: &'a [u8],
    },
    /// 2: a new secret.
    Proposal {
        /// What the sender speaks; 0 if it is older than the field.
        protocol: u64,
        /// The secret, encrypted for the receiver.
        cipher: &'a [u8],
        /// The sender's signature of `cipher`.
        signature: &'a [u8],
    },
    /// A message of a session; nothing in it is known to be true before [`Datagram::open`].
    Sealed {
        /// Higher than all before it.
        seqno: u32,
    },
}

/// First number of a message.
const FIRST_SEQNO: u32 = 3;

impl<'a> Datagram<'a> {
    /// Reads a datagram.
    pub fn parse(octets: &'a [u8]) -> Result<Self, Short> {
        let mut reader = Reader::new(octets);
        match reader.u32()? {
            0 => Ok(Self::Introduction { der: nonempty(reader.rest())? }),
            1 => {
                let rest = reader.rest();
                recognition(rest, true).or_else(|_| recognition(rest, false))
            }
            2 => proposal(reader.rest()),
            seqno => {
                reader.take(DIGEST_OCTETS)?;
                Ok(Self::Sealed { seqno })
            }
        }
    }

    /// Writes a handshake 0.
    pub fn introduction(der: &[u8]) -> Vec<u8> {
        let mut octets = Vec::with_capacity(4 + der.len());
        octets.put_u32(0);
        octets.put(der);
        octets
    }

    /// Writes a handshake 1.
    pub fn recognition(fingerprint: &[u8; DIGEST_OCTETS], der: &[u8]) -> Vec<u8> {
        let mut octets = Vec::with_capacity(8 + DIGEST_OCTETS + der.len());
        octets.put_u32(1);
        version::pack(PROTOCOL, &mut octets);
        octets.put(fingerprint);
        octets.put(der);
        octets
    }

    /// Writes a handshake 2.
    pub fn proposal(cipher: &[u8], signature: &[u8]) -> Vec<u8> {
        let mut octets = Vec::with_capacity(8 + cipher.len() + signature.len());
        octets.put_u32(2);
        version::pack(PROTOCOL, &mut octets);
        octets.put(cipher);
        octets.put(signature);
        octets
    }

    /// Writes a message, sealed.
    pub fn seal(secret: &Secret, seqno: u32, message: &[u8]) -> Vec<u8> {
        assert!(seqno >= FIRST_SEQNO, "lower numbers are handshakes");
        let mut octets = Vec::with_capacity(4 + message.len() + DIGEST_OCTETS);
        octets.put_u32(seqno);
        octets.put(message);
        let tag = hmac::sign(&key(secret), &octets);
        octets.put(tag.as_ref());
        octets
    }

    /// The message of a sealed datagram, if the seal fits.
    pub fn open(secret: &Secret, octets: &'a [u8]) -> Option<&'a [u8]> {
        let (sealed, tag) = octets.split_at_checked(octets.len().checked_sub(DIGEST_OCTETS)?)?;
        hmac::verify(&key(secret), sealed, tag).ok()?;
        sealed.get(4..)
    }
}

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret)
}

fn recognition(octets: &[u8], numbered: bool) -> Result<Datagram<'_>, Short> {
    let mut reader = Reader::new(octets);
    let protocol = if numbered { version::unpack(&mut reader)? } else { 0 };
    let fingerprint = reader.array()?;
    let der = nonempty(reader.rest())?;
    // The field that old peers leave out shows by where the certificate's outer SEQUENCE starts.
    if numbered && der[0] != DER_SEQUENCE {
        return Err(Short { wanted: 1, left: 0 });
    }
    Ok(Datagram::Recognition { protocol, fingerprint, der })
}

fn proposal(octets: &[u8]) -> Result<Datagram<'_>, Short> {
    let mut reader = Reader::new(octets);
    // Cipher text and signature are as long as a key each, so that what is left over is the number.
    let number = octets.len() % (2 * KEY_OCTETS_STEP);
    let mut protocol = 0;
    if number > 0 {
        protocol = version::unpack(&mut reader)?;
    }
    let both = nonempty(reader.rest())?;
    if both.len() + number != octets.len() {
        return Err(Short { wanted: number, left: octets.len() - both.len() });
    }
    let (cipher, signature) = both.split_at(both.len() / 2);
    Ok(Datagram::Proposal { protocol, cipher, signature })
}

fn nonempty(octets: &[u8]) -> Result<&[u8], Short> {
    if octets.is_empty() { Err(Short { wanted: 1, left: 0 }) } else { Ok(octets) }
}

const DER_SEQUENCE: u8 = 0x30;
/// Keys have 1024, 2048, 3072 … bits: always a multiple of so many octets.
const KEY_OCTETS_STEP: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::mesh::vectors;

    #[test]
    fn every_handshake_of_a_stock_network_is_read() {
        let mut seen = [0; 3];
        for packet in vectors::packets().iter().filter(|p| p["kind"] != "local") {
            let octets = vectors::octets(&packet["hex"]);
            let parsed = Datagram::parse(&octets).unwrap();
            match (packet["seqno"].as_u64().unwrap(), parsed) {
                (0, Datagram::Introduction { der }) => {
                    assert_eq!(Datagram::introduction(der), octets);
                    seen[0] += 1;
                }
                (1, Datagram::Recognition { protocol, fingerprint, der }) => {
                    assert_eq!(protocol, PROTOCOL);
                    assert_eq!(fingerprint.to_vec(), vectors::octets(&packet["fingerprint"]));
                    assert_eq!(Datagram::recognition(&fingerprint, der), octets);
                    seen[1] += 1;
                }
                (2, Datagram::Proposal { protocol, cipher, signature }) => {
                    assert_eq!((protocol, cipher.len()), (PROTOCOL, 256));
                    assert_eq!(Datagram::proposal(cipher, signature), octets);
                    seen[2] += 1;
                }
                (seqno, Datagram::Sealed { seqno: read }) => assert_eq!(seqno, u64::from(read)),
                other => panic!("{other:?}"),
            }
        }
        assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
    }

    #[test]
    fn every_message_of_a_stock_network_opens_and_is_written_again() {
        let mut count = 0;
        for packet in vectors::packets().iter().filter(|p| p["kind"] == "data") {
            let octets = vectors::octets(&packet["hex"]);
            let secret: Secret = vectors::octets(&packet["secret"]).try_into().unwrap();
            let message = Datagram::open(&secret, &octets).unwrap();
            assert_eq!(message, vectors::octets(&packet["payload"]));
            let Ok(Datagram::Sealed { seqno }) = Datagram::parse(&octets) else { panic!() };
            assert_eq!(Datagram::seal(&secret, seqno, message), octets);
            count += 1;
        }
        assert_eq!(count, 170);
    }

    #[test]
    fn peers_older_than_the_protocol_number_are_understood() {
        let der = [0x30, 0x82, 1, 2];
        let mut old = vec![0, 0, 0, 1];
        old.extend([7; 20]);
        old.extend(der);
        let expected = Datagram::Recognition { protocol: 0, fingerprint: [7; 20], der: &der };
        assert_eq!(Datagram::parse(&old), Ok(expected));
        // The first octet of a cipher text can look like any number.
        for first in 0..=255 {
            let mut old = vec![0, 0, 0, 2];
            old.extend([first; 256]);
            old.extend([7; 256]);
            let (cipher, signature) = (&[first; 256], &[7; 256]);
            let expected = Datagram::Proposal { protocol: 0, cipher, signature };
            assert_eq!(Datagram::parse(&old), Ok(expected));
        }
    }

    #[test]
    fn every_truncation_of_a_message_is_refused() {
        let whole = Datagram::seal(&[1; 20], 3, b"message");
        for length in 0..whole.len() {
            assert_eq!(Datagram::open(&[1; 20], &whole[..length]), None, "{length} octets");
        }
        assert_eq!(Datagram::open(&[1; 20], &whole), Some(&b"message"[..]));
        assert_eq!(Datagram::open(&[2; 20], &whole), None);
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Datagram::parse(&octets);
            let _ = Datagram::open(&[0; 20], &octets);
        }
    }
}
