//! Packed integers, and the signed number by which a network's configuration spreads.

use std::fmt;

use crate::proto::bytes::{Reader, Short};
use crate::proto::certificate::{Authority, CertificateError, PrivateKey};

/// The largest integer that can be packed: seven octets follow the first.
pub const PACKED_MAX: u64 = 0x2020_2020_2020_201f;

/// Appends `value` as a packed integer.
///
/// The top three bits of the first octet count the octets that follow. Values of each length continue
/// where the shorter ones end, so that every value has one form and byte order is numeric order.
///
/// # Panics
/// If `value` is above [`PACKED_MAX`], which no counter of ours reaches.
pub fn pack(value: u64, out: &mut Vec<u8>) {
    assert!(value <= PACKED_MAX, "too large to be packed");
    let following = (1_u8..8).take_while(|&count| value >= base(count)).count();
    #[expect(clippy::cast_possible_truncation, reason = "at most seven")]
    let count = following as u8;
    let mut octets = (value - base(count)).to_be_bytes();
    let start = 7 - following;
    octets[start] |= count << 5;
    out.extend_from_slice(&octets[start..]);
}

/// Reads a packed integer.
pub fn unpack(reader: &mut Reader<'_>) -> Result<u64, Short> {
    let first = reader.u8()?;
    let count = first >> 5;
    let following = reader.take(usize::from(count))?;
    let offset = following
        .iter()
        .fold(u64::from(first & 0x1f), |value, &octet| value << 8 | u64::from(octet));
    Ok(base(count) + offset)
}

/// The smallest value that `count` octets follow.
fn base(count: u8) -> u64 {
    (0..count).fold(0, |base, _| base << 8 | 0x20)
}

/// The number of a network's configuration with its authority's signature; a higher one replaces a lower.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkVersion(Vec<u8>);

/// Why octets are no version of this network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum VersionError {
    /// No packed integer at its start.
    #[error("too short for a network version: {0}")]
    Short(#[from] Short),
    /// The signature does not fit.
    #[error("a network version not signed by this network's authority")]
    Signature,
}

impl NetworkVersion {
    /// Reads a version and checks the authority's signature.
    pub fn parse(octets: &[u8], authority: &Authority) -> Result<Self, VersionError> {
        let mut reader = Reader::new(octets);
        unpack(&mut reader)?;
        let (number, signature) = octets.split_at(octets.len() - reader.left());
        let checked = authority.certificate().verify(number, signature);
        checked.map_err(|_| VersionError::Signature)?;
        Ok(Self(octets.to_vec()))
    }

    /// Signs `number` with the authority's key.
    pub fn sign(number: u64, key: &PrivateKey) -> Result<Self, CertificateError> {
        let mut octets = Vec::new();
        pack(number, &mut octets);
        let signature = key.sign(&octets)?;
        octets.extend_from_slice(&signature);
        Ok(Self(octets))
    }

    /// What travels and is stored: the packed number and the signature.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The number.
    pub fn number(&self) -> u64 {
        unpack(&mut Reader::new(&self.0)).unwrap_or(0)
    }
}

impl fmt::Display for NetworkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

impl fmt::Debug for NetworkVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkVersion({})", self.number())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::proto::certificate::Certificate;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/vectors/vectors.json")).unwrap()
    }

    fn keys() -> Value {
        serde_json::from_str(include_str!("../../tests/vectors/keys.json")).unwrap()
    }

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    fn packed(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        pack(value, &mut out);
        out
    }

    #[test]
    fn integers_are_packed_as_in_a_stock_network() {
        let vectors = vectors();
        let table = vectors["packInteger"].as_object().unwrap();
        assert!(table.len() >= 17);
        for (value, hex) in table {
            let value = value.parse().unwrap();
            let hex = octets(hex.as_str().unwrap());
            assert_eq!(packed(value), hex, "{value}");
            assert_eq!(unpack(&mut Reader::new(&hex)), Ok(value));
        }
    }

    #[test]
    fn every_truncation_of_a_packed_integer_is_refused() {
        let whole = packed(PACKED_MAX);
        assert_eq!(whole, [0xff; 8]);
        for length in 0..whole.len() {
            assert!(unpack(&mut Reader::new(&whole[..length])).is_err(), "{length} octets");
        }
    }

    #[test]
    fn the_version_of_a_stock_network_is_signed_by_its_authority() {
        let (vectors, keys) = (vectors(), keys());
        let der = octets(keys["ca"]["certificate_der_hex"].as_str().unwrap());
        let authority = Authority::new(Certificate::from_der(&der).unwrap()).unwrap();
        let whole = octets(vectors["network_version"]["01"]["whole"].as_str().unwrap());
        let version = NetworkVersion::parse(&whole, &authority).unwrap();
        assert_eq!((version.number(), version.octets()), (1, &whole[..]));
        for length in 0..whole.len() {
            assert!(NetworkVersion::parse(&whole[..length], &authority).is_err());
        }
        let mut forged = whole;
        forged[0] = 2;
        assert_eq!(NetworkVersion::parse(&forged, &authority), Err(VersionError::Signature));
    }

    proptest! {
        #[test]
        fn byte_order_is_numeric_order(a in 0..=PACKED_MAX, b in 0..=PACKED_MAX) {
            prop_assert_eq!(packed(a).cmp(&packed(b)), a.cmp(&b));
            prop_assert_eq!(unpack(&mut Reader::new(&packed(a))), Ok(a));
        }

        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..12)) {
            let mut reader = Reader::new(&octets);
            if let Ok(value) = unpack(&mut reader) {
                prop_assert_eq!(packed(value), &octets[..octets.len() - reader.left()]);
            }
        }
    }
}
