//! A router's identity: eight octets, unique in the network (RFC 8966 §4.1.3).

use std::fmt;

use serde::{Serialize, Serializer};

use crate::proto::random::Random;

/// Who originates a route.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId([u8; 8]);

impl RouterId {
    /// Before all others.
    pub const FIRST: Self = Self(1_u64.to_be_bytes());
    /// After all others.
    pub const LAST: Self = Self((u64::MAX - 1).to_be_bytes());

    /// All zeros and all ones are reserved.
    pub const fn new(octets: [u8; 8]) -> Option<Self> {
        match u64::from_be_bytes(octets) {
            0 | u64::MAX => None,
            _ => Some(Self(octets)),
        }
    }

    /// An identity drawn at random, marked as local in the manner of a modified EUI-64.
    pub fn draw(random: &mut Random) -> Self {
        let mut octets: [u8; 8] = random.octets();
        octets[0] = octets[0] & !0x03 | 0x40;
        Self(octets)
    }

    /// Its octets, as on the wire.
    pub const fn octets(self) -> [u8; 8] {
        self.0
    }
}

/// As babeld shows it: `02:aa:bb:ff:fe:cc:dd:01`.
impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, octet) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{octet:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RouterId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_identities_are_refused() {
        assert_eq!(RouterId::new([0; 8]), None);
        assert_eq!(RouterId::new([0xff; 8]), None);
        assert_eq!(
            RouterId::new([2, 0, 0, 0xff, 0xfe, 0, 0, 1]).unwrap().to_string(),
            "02:00:00:ff:fe:00:00:01"
        );
    }
}
