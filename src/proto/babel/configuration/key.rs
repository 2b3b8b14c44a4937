//! Keys, as they are written: `key id NAME type HASH value HEXADECIMAL`, in any order.

use crate::proto::babel::configuration::problem::Fault;
use crate::proto::babel::configuration::words::{self, Words};
use crate::proto::babel::mac::{Hash, Key};

/// A key and what interfaces call it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedKey {
    /// What interfaces call it.
    pub id: String,
    /// The key.
    pub key: Key,
}

/// Reads what follows `key`.
pub fn parse(mut words: Words) -> Result<NamedKey, Fault> {
    let (mut id, mut hash, mut secret) = (None, None, None);
    while let Some(word) = words.next_word() {
        match word.as_str() {
            "id" => id = Some(words.text("the name of the key")?),
            "type" => hash = Some(words.value("hmac-sha256 or blake2s128", read_hash)?),
            "value" => secret = Some(words.value("hexadecimal digits", words::hexadecimal)?),
            _ => return Err(Fault::Word { word, expected: "part of a key" }),
        }
    }
    let (Some(id), Some(hash), Some(secret)) = (id, hash, secret) else {
        return Err(Fault::KeyIncomplete);
    };
    Ok(NamedKey { id, key: Key::new(hash, &secret)? })
}

fn read_hash(text: &str) -> Option<Hash> {
    match text {
        "hmac-sha256" => Some(Hash::HmacSha256),
        "blake2s128" => Some(Hash::Blake2s128),
        _ => None,
    }
}
