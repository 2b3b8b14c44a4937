//! Sealing and opening frames, in place and without allocation.
//!
//! ```text
//! AEAD:  header (V1: 1, V2: 4)  packet number (4)  tag (16)  cipher text
//!        nonce: packet number and eight octets of the key; authenticated besides: V2 header and number,
//!        V1 the number alone
//! none:  header  HMAC-SHA1 (20)  packet number (4)  frame
//!        authenticated: number and frame, never the header
//! ```

use ring::aead::{self, Aad, LessSafeKey, NONCE_LEN, Nonce, Tag, UnboundKey};

use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::mac::{MAC_OCTETS, MacKey};
use crate::proto::tunnel::packet::{KeyId, Opcode, first_octet, kind};
use crate::proto::tunnel::replay::ReplayWindow;

/// The key of one direction, as derived: 64 octets for the cipher, 64 for the HMAC.
pub struct DirectionKey {
    /// Its first octets are the cipher's key.
    pub cipher: [u8; 64],
    /// Its first octets are the HMAC's key, or the AEAD's implicit nonce.
    pub hmac: [u8; 64],
}

/// Seals frames under one key, numbering them from 1.
pub struct Sealer {
    key: Key,
    header: [u8; 4],
    header_octets: usize,
    last: u32,
}

/// Opens frames under one key, each once.
pub struct Opener {
    key: Key,
    key_id: KeyId,
    window: ReplayWindow,
}

/// Why a packet was not opened. It says no more, for the sender may be anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// Too short, or not data.
    #[error("malformed")]
    Malformed,
    /// It was not made with this key, or was changed.
    #[error("does not authenticate")]
    Forged,
    /// It came before, or is too old to tell.
    #[error("replayed")]
    Replayed,
}

/// A key has numbered as many packets as it can: it is time for the next key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the key is used up")]
pub struct UsedUp;

enum Key {
    Aead { key: Box<LessSafeKey>, implicit: [u8; 8] },
    Hmac(MacKey),
}

/// Octets of a packet number.
const NUMBER: usize = 4;
/// Octets of an AEAD's tag.
const TAG: usize = 16;

impl Key {
    fn new(cipher: Cipher, direction: &DirectionKey) -> Self {
        let algorithm = match cipher {
            Cipher::Aes256Gcm => &aead::AES_256_GCM,
            Cipher::Aes128Gcm => &aead::AES_128_GCM,
            Cipher::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
            Cipher::None => {
                return Self::Hmac(MacKey::new(&direction.hmac[..MAC_OCTETS]));
            }
        };
        let key = UnboundKey::new(algorithm, &direction.cipher[..algorithm.key_len()])
            .expect("the key is as long as the algorithm wants it");
        let implicit = std::array::from_fn(|at| direction.hmac[at]);
        Self::Aead { key: Box::new(LessSafeKey::new(key)), implicit }
    }

    const fn prefix(&self) -> usize {
        match self {
            Self::Aead { .. } => NUMBER + TAG,
            Self::Hmac(_) => MAC_OCTETS + NUMBER,
        }
    }
}

impl Sealer {
    /// Seals what we send under `key_id`; with `peer_id` as V2.
    pub fn new(cipher: Cipher, key: &DirectionKey, key_id: KeyId, peer_id: Option<u32>) -> Self {
        let opcode = if peer_id.is_some() { Opcode::DataV2 } else { Opcode::DataV1 };
        let mut header = peer_id.unwrap_or(0).to_be_bytes();
        header[0] = first_octet(opcode, key_id);
        let header_octets = if peer_id.is_some() { 4 } else { 1 };
        Self { key: Key::new(cipher, key), header, header_octets, last: 0 }
    }

    /// Octets before the frame.
    pub const fn overhead(&self) -> usize {
        self.header_octets + self.key.prefix()
    }

    /// Goes on after `number`, to seal again what was captured.
    #[cfg(test)]
    pub fn after(mut self, number: u32) -> Self {
        self.last = number;
        self
    }

    /// How many packets this key has numbered.
    pub const fn sealed(&self) -> u32 {
        self.last
    }

    /// Seals the frame that lies behind [`Self::overhead`] octets of `packet`, which are overwritten.
    ///
    /// # Panics
    /// If `packet` is shorter than the overhead: the caller made the buffer.
    pub fn seal(&mut self, packet: &mut [u8]) -> Result<(), UsedUp> {
        self.last = self.last.checked_add(1).ok_or(UsedUp)?;
        let number = self.last.to_be_bytes();
        let (header, rest) = packet.split_at_mut(self.header_octets);
        header.copy_from_slice(&self.header[..self.header_octets]);
        match &self.key {
            Key::Aead { key, implicit } => {
                let (number_field, rest) = rest.split_at_mut(NUMBER);
                let (tag_field, frame) = rest.split_at_mut(TAG);
                number_field.copy_from_slice(&number);
                let (aad, from) = authenticated(self.header, number, self.header_octets);
                let nonce = nonce(number, *implicit);
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(&aad[from..]), frame)
                    .expect("a frame is shorter than what an AEAD can seal");
                tag_field.copy_from_slice(tag.as_ref());
            }
            Key::Hmac(key) => {
                let (mac_field, body) =
                    rest.split_first_chunk_mut().expect("the caller left room for it");
                body[..NUMBER].copy_from_slice(&number);
                *mac_field = key.sign(body);
            }
        }
        Ok(())
    }
}

impl Opener {
    /// Opens what the peer sends under `key_id`.
    pub fn new(cipher: Cipher, key: &DirectionKey, key_id: KeyId) -> Self {
        Self { key: Key::new(cipher, key), key_id, window: ReplayWindow::default() }
    }

    /// The number of its key.
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// How many packets the peer has sealed under its key, as far as is known.
    pub const fn expected(&self) -> u32 {
        self.window.highest()
    }

    /// Opens a whole packet, V1 or V2, in place; gives the frame.
    pub fn open<'a>(&mut self, packet: &'a mut [u8]) -> Result<&'a mut [u8], Refused> {
        let header_octets = match kind(*packet.first().ok_or(Refused::Malformed)?).0 {
            Some(Opcode::DataV1) => 1,
            Some(Opcode::DataV2) => 4,
            _ => return Err(Refused::Malformed),
        };
        if packet.len() < header_octets + self.key.prefix() {
            return Err(Refused::Malformed);
        }
        let (header, rest) = packet.split_at_mut(header_octets);
        let (number, frame) = match &self.key {
            Key::Aead { key, implicit } => {
                let (number, rest) = rest.split_first_chunk_mut().ok_or(Refused::Malformed)?;
                let (tag, frame) = rest.split_first_chunk_mut().ok_or(Refused::Malformed)?;
                let mut whole = [0; 4];
                whole[..header_octets].copy_from_slice(header);
                let (aad, from) = authenticated(whole, *number, header_octets);
                let (nonce, tag) = (nonce(*number, *implicit), Tag::from(*tag));
                key.open_in_place_separate_tag(nonce, Aad::from(&aad[from..]), tag, frame, 0..)
                    .map_err(|_| Refused::Forged)?;
                (*number, frame)
            }
            Key::Hmac(key) => {
                let (mac, body) = rest.split_first_chunk_mut().ok_or(Refused::Malformed)?;
                if !key.verify(body, mac) {
                    return Err(Refused::Forged);
                }
                let (number, frame) = body.split_first_chunk_mut().ok_or(Refused::Malformed)?;
                (*number, frame)
            }
        };
        if !self.window.accept(u32::from_be_bytes(number)) {
            return Err(Refused::Replayed);
        }
        Ok(frame)
    }
}

/// What an AEAD authenticates besides the frame, and where it begins in it.
fn authenticated(header: [u8; 4], number: [u8; NUMBER], header_octets: usize) -> ([u8; 8], usize) {
    let mut aad = [0; 8];
    aad[..4].copy_from_slice(&header);
    aad[4..].copy_from_slice(&number);
    (aad, if header_octets == 4 { 0 } else { 4 })
}

fn nonce(number: [u8; NUMBER], implicit: [u8; 8]) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..NUMBER].copy_from_slice(&number);
    nonce[NUMBER..].copy_from_slice(&implicit);
    Nonce::assume_unique_for_key(nonce)
}

/// Never shows the key.
impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealer(key {}, {} sealed)", self.header[0] & 7, self.last)
    }
}

/// Never shows the key.
impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Opener(key {})", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIPHERS: [Cipher; 4] =
        [Cipher::Aes256Gcm, Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305, Cipher::None];

    fn pair(cipher: Cipher, peer_id: Option<u32>) -> (Sealer, Opener) {
        let key = DirectionKey { cipher: [7; 64], hmac: [9; 64] };
        (Sealer::new(cipher, &key, 3, peer_id), Opener::new(cipher, &key, 3))
    }

    fn sealed(sealer: &mut Sealer, frame: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; sealer.overhead()];
        packet.extend_from_slice(frame);
        sealer.seal(&mut packet).unwrap();
        packet
    }

    #[test]
    fn what_is_sealed_opens_once() {
        for cipher in CIPHERS {
            for peer_id in [None, Some(0x01_02_03)] {
                let (mut sealer, mut opener) = pair(cipher, peer_id);
                let packet = sealed(&mut sealer, b"a frame");
                assert_eq!(opener.open(&mut packet.clone()).unwrap(), b"a frame");
                assert_eq!(opener.open(&mut packet.clone()), Err(Refused::Replayed));
            }
        }
    }

    #[test]
    fn the_overhead_is_that_of_openvpn() {
        assert_eq!(pair(Cipher::Aes256Gcm, Some(0)).0.overhead(), 24);
        assert_eq!(pair(Cipher::None, Some(0)).0.overhead(), 28);
        assert_eq!(pair(Cipher::None, None).0.overhead(), 25);
    }

    #[test]
    fn a_change_of_any_octet_is_refused_unless_openvpn_leaves_it_open() {
        for cipher in CIPHERS {
            let (mut sealer, mut opener) = pair(cipher, Some(5));
            let packet = sealed(&mut sealer, b"a frame");
            for at in 1..packet.len() {
                // Without encryption OpenVPN does not authenticate the peer's number.
                if cipher == Cipher::None && at < 4 {
                    continue;
                }
                let mut changed = packet.clone();
                changed[at] ^= 1;
                assert_eq!(opener.open(&mut changed), Err(Refused::Forged), "{cipher} {at}");
            }
        }
    }

    #[test]
    fn every_truncation_is_refused_without_panic() {
        for cipher in CIPHERS {
            let (mut sealer, mut opener) = pair(cipher, None);
            let packet = sealed(&mut sealer, b"a frame");
            for length in 0..packet.len() {
                assert!(opener.open(&mut packet[..length].to_vec()).is_err());
            }
        }
    }

    #[test]
    fn a_key_numbers_no_packet_twice() {
        let (mut sealer, _) = pair(Cipher::Aes256Gcm, None);
        sealer.last = u32::MAX - 1;
        let mut packet = vec![0; 100];
        assert_eq!(sealer.seal(&mut packet), Ok(()));
        assert_eq!(sealer.seal(&mut packet), Err(UsedUp));
        assert_eq!(sealer.seal(&mut packet), Err(UsedUp));
    }
}
