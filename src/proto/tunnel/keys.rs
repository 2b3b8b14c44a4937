//! From what both ends contributed to the keys of both directions: OpenVPN's PRF, or TLS's exporter.

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::proto::bytes::{Reader, Short};
use crate::proto::random::Random;
use crate::proto::tunnel::data::DirectionKey;
use crate::proto::tunnel::packet::SessionId;

/// The label under which both ends export keys from TLS.
pub const EXPORTER_LABEL: &str = "EXPORTER-OpenVPN-datakeys";

/// Octets of the keys of both directions.
pub const KEYS_OCTETS: usize = 256;

/// What a client contributes.
#[derive(Clone)]
pub struct ClientSource {
    /// The secret.
    pub pre_master: [u8; 48],
    /// For the master secret.
    pub random1: [u8; 32],
    /// For the expansion.
    pub random2: [u8; 32],
}

/// What a server contributes.
#[derive(Clone)]
pub struct ServerSource {
    /// For the master secret.
    pub random1: [u8; 32],
    /// For the expansion.
    pub random2: [u8; 32],
}

/// The keys of both directions.
pub struct Keys {
    /// What the client sends.
    pub client: DirectionKey,
    /// What the server sends.
    pub server: DirectionKey,
}

impl ClientSource {
    /// Draws one.
    pub fn draw(random: &mut Random) -> Self {
        Self { pre_master: random.octets(), random1: random.octets(), random2: random.octets() }
    }

    /// Reads one.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Short> {
        let pre_master = reader.array()?;
        Ok(Self { pre_master, random1: reader.array()?, random2: reader.array()? })
    }
}

impl ServerSource {
    /// Draws one.
    pub fn draw(random: &mut Random) -> Self {
        Self { random1: random.octets(), random2: random.octets() }
    }

    /// Reads one.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self, Short> {
        Ok(Self { random1: reader.array()?, random2: reader.array()? })
    }
}

impl Keys {
    /// Derives them from what was exchanged, as every OpenVPN can.
    pub fn derive(
        client: &ClientSource,
        server: &ServerSource,
        sessions: (SessionId, SessionId),
    ) -> Result<Self, ErrorStack> {
        let seed = [b"OpenVPN master secret", &client.random1[..], &server.random1].concat();
        let mut master = [0; 48];
        prf(&client.pre_master, &seed, &mut master)?;
        let (client_id, server_id) = (sessions.0.to_be_bytes(), sessions.1.to_be_bytes());
        let label = &b"OpenVPN key expansion"[..];
        let seed = [label, &client.random2, &server.random2, &client_id, &server_id].concat();
        let mut keys = [0; KEYS_OCTETS];
        prf(&master, &seed, &mut keys)?;
        Ok(Self::split(&keys))
    }

    /// Cuts 256 octets into the keys.
    pub fn split(octets: &[u8; KEYS_OCTETS]) -> Self {
        let part = |from: usize| std::array::from_fn(|at| octets[from + at]);
        Self {
            client: DirectionKey { cipher: part(0), hmac: part(64) },
            server: DirectionKey { cipher: part(128), hmac: part(192) },
        }
    }
}

/// The PRF of TLS 1.0 (RFC 2246 §5): MD5 over the first half of the secret, SHA-1 over the second.
fn prf(secret: &[u8], seed: &[u8], out: &mut [u8]) -> Result<(), ErrorStack> {
    let half = secret.len().div_ceil(2);
    out.fill(0);
    expand(MessageDigest::md5(), &secret[..half], seed, out)?;
    expand(MessageDigest::sha1(), &secret[secret.len() - half..], seed, out)
}

/// Adds P_hash (RFC 2246 §5) to `out` by exclusive or.
fn expand(hash: MessageDigest, key: &[u8], seed: &[u8], out: &mut [u8]) -> Result<(), ErrorStack> {
    let mut a = hmac(hash, key, &[seed])?;
    for block in out.chunks_mut(hash.size()) {
        for (octet, added) in block.iter_mut().zip(hmac(hash, key, &[&a, seed])?) {
            *octet ^= added;
        }
        a = hmac(hash, key, &[&a])?;
    }
    Ok(())
}

fn hmac(hash: MessageDigest, key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(key)?;
    let mut signer = Signer::new(hash, &key)?;
    for part in parts {
        signer.update(part)?;
    }
    signer.sign_to_vec()
}
