//! The network, and a node's prefix in it: `6/5` in a certificate, `00110` in a query, a subnet for the kernel.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::proto::cidr::Cidr;

/// The network: an IPv6 prefix, carried by the CA's serial number as a 1 followed by its bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network(Cidr);

/// A node's part of the network: a string of bits, written `value/length` as a common name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    value: u128,
    length: u8,
}

/// Why something is not a network or a node's prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PrefixError {
    /// The CA's serial number is zero or longer than 129 bits.
    #[error("the CA's serial number carries no network (a 1 followed by the bits of its prefix)")]
    Serial,
    /// Not an IPv6 prefix of 8 to 120 bits.
    #[error("a network is an IPv6 prefix of 8 to 120 bits, for example 2001:db8:42::/48")]
    Network,
    /// Not `value/length`, or the value has more bits than that.
    #[error("a node's name is written VALUE/LENGTH, for example 1/16")]
    CommonName,
    /// Not a string of at most 128 zeros and ones.
    #[error("a node's prefix is a string of at most 128 zeros and ones")]
    Bits,
}

impl Network {
    /// The network of an IPv6 prefix.
    pub fn new(cidr: Cidr) -> Result<Self, PrefixError> {
        if cidr.is_ipv4() || !(8..=120).contains(&cidr.length()) {
            return Err(PrefixError::Network);
        }
        Ok(Self(cidr))
    }

    /// The network that a CA's serial number carries, given in big endian.
    pub fn from_serial(serial: &[u8]) -> Result<Self, PrefixError> {
        let start = serial.iter().position(|&octet| octet != 0).ok_or(PrefixError::Serial)?;
        let serial = &serial[start..];
        if serial.len() > 16 {
            return Err(PrefixError::Serial);
        }
        let value = serial.iter().fold(0_u128, |value, &octet| value << 8 | u128::from(octet));
        let length = 127 - value.leading_zeros();
        #[expect(clippy::cast_possible_truncation, reason = "at most 127")]
        let cidr = Cidr::new(
            IpAddr::V6(Ipv6Addr::from_bits(value.checked_shl(128 - length).unwrap_or(0))),
            length as u8,
        );
        Self::new(cidr.map_err(|_| PrefixError::Serial)?)
    }

    /// The serial number of the network's CA, in big endian.
    pub fn to_serial(self) -> Vec<u8> {
        let length = u32::from(self.0.length());
        let serial = 1 << length | self.bits() >> (128 - length);
        let octets = serial.to_be_bytes();
        octets[octets.iter().position(|&octet| octet != 0).unwrap_or(0)..].to_vec()
    }

    /// Its prefix.
    pub const fn cidr(self) -> Cidr {
        self.0
    }

    /// Whether `address` is in the network.
    pub fn contains(self, address: Ipv6Addr) -> bool {
        self.0.contains(IpAddr::V6(address))
    }

    /// The addresses of the node with `prefix`; `None` if they would be longer than an address.
    pub fn subnet(self, prefix: Prefix) -> Option<Cidr> {
        let length = self.0.length().checked_add(prefix.length).filter(|&length| length <= 128)?;
        let shift = 128 - u32::from(length);
        let host = prefix.value.checked_shl(shift).unwrap_or(0);
        Cidr::new(IpAddr::V6(Ipv6Addr::from_bits(self.bits() | host)), length).ok()
    }

    /// The address a node is known by: the second of its subnet, `…::1`.
    pub fn node_address(self, prefix: Prefix) -> Option<Ipv6Addr> {
        Some(Ipv6Addr::from_bits(self.first_address(prefix)?.to_bits() | 1))
    }

    /// The first address of a node's subnet, where UDP 326 begins (`PROTOCOL` of stock: `…::`).
    pub fn first_address(self, prefix: Prefix) -> Option<Ipv6Addr> {
        match self.subnet(prefix)?.address() {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        }
    }

    /// The node's prefix that a routed subnet stands for; `None` outside the network.
    pub fn prefix_of(self, subnet: Cidr) -> Option<Prefix> {
        let IpAddr::V6(address) = subnet.address() else { return None };
        let length = subnet.length().checked_sub(self.0.length())?;
        self.contains(address).then(|| self.prefix_at(address, length))
    }

    /// The first `length` bits of `address` after the network's own.
    pub fn prefix_at(self, address: Ipv6Addr, length: u8) -> Prefix {
        let host = address.to_bits() << self.0.length();
        let value = host.checked_shr(128 - u32::from(length)).unwrap_or(0);
        Prefix { value, length }
    }

    fn bits(self) -> u128 {
        match self.0.address() {
            IpAddr::V6(address) => address.to_bits(),
            IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        }
    }
}

impl Prefix {
    /// The prefix with the `length` lowest bits of `value`.
    pub fn new(value: u128, length: u8) -> Result<Self, PrefixError> {
        let fits = length <= 128 && value.checked_shr(u32::from(length)).unwrap_or(0) == 0;
        fits.then_some(Self { value, length }).ok_or(PrefixError::CommonName)
    }

    /// The whole network.
    pub const WHOLE: Self = Self { value: 0, length: 0 };

    /// Reads `00110`.
    pub fn from_bits(bits: &str) -> Result<Self, PrefixError> {
        if bits.len() > 128 || !bits.bytes().all(|bit| matches!(bit, b'0' | b'1')) {
            return Err(PrefixError::Bits);
        }
        let value = bits.bytes().fold(0, |value, bit| value << 1 | u128::from(bit - b'0'));
        Self::new(value, u8::try_from(bits.len()).map_err(|_| PrefixError::Bits)?)
    }

    /// The form of queries and databases: `00110`.
    pub fn to_bits(self) -> String {
        (0..self.length)
            .rev()
            .map(|bit| if self.value >> bit & 1 == 1 { '1' } else { '0' })
            .collect()
    }

    /// Its number.
    pub const fn value(self) -> u128 {
        self.value
    }

    /// Its number of bits.
    pub const fn length(self) -> u8 {
        self.length
    }

    /// The first `length` bits of it; all of them if it has no more.
    pub fn truncated(self, length: u8) -> Self {
        let dropped = u32::from(self.length.saturating_sub(length));
        let value = self.value.checked_shr(dropped).unwrap_or(0);
        Self { value, length: self.length.min(length) }
    }

    /// Whether all of `other` is in it.
    pub fn covers(self, other: Self) -> bool {
        self.length <= other.length
            && other.value.checked_shr(u32::from(other.length - self.length)).unwrap_or(0)
                == self.value
    }

    /// Its two halves; `None` at 128 bits.
    pub fn split(self) -> Option<(Self, Self)> {
        let length = self.length + 1;
        (length <= 128).then(|| {
            let value = self.value << 1;
            (Self { value, length }, Self { value: value | 1, length })
        })
    }

    /// The other half of what it was split from, and that whole; `None` for the whole network.
    pub fn sibling_and_parent(self) -> Option<(Self, Self)> {
        let length = self.length.checked_sub(1)?;
        let sibling = Self { value: self.value ^ 1, length: self.length };
        Some((sibling, Self { value: self.value >> 1, length }))
    }
}

/// In the order of their bit strings, which is the order of stock's databases.
impl Ord for Prefix {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let aligned = |prefix: &Self| prefix.value.checked_shl(128 - u32::from(prefix.length));
        aligned(self).cmp(&aligned(other)).then(self.length.cmp(&other.length))
    }
}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The form of certificates: `6/5`.
impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.value, self.length))
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(name: &str) -> Result<Self, PrefixError> {
        let (value, length) = name.split_once('/').ok_or(PrefixError::CommonName)?;
        let canonical = |text: &str| {
            text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
        };
        if !canonical(value) || !canonical(length) {
            return Err(PrefixError::CommonName);
        }
        let value = value.parse().map_err(|_| PrefixError::CommonName)?;
        let length = length.parse().map_err(|_| PrefixError::CommonName)?;
        Self::new(value, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network::from_serial(&[0x01, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x42]).unwrap()
    }

    #[test]
    fn the_serial_of_the_ca_carries_the_network() {
        assert_eq!(network().cidr().to_string(), "2001:db8:42::/48");
        assert_eq!(network().to_serial(), [0x01, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x42]);
        assert_eq!(Network::from_serial(&[]), Err(PrefixError::Serial));
        assert_eq!(Network::from_serial(&[0, 0]), Err(PrefixError::Serial));
        assert_eq!(Network::from_serial(&[1]), Err(PrefixError::Network));
        assert_eq!(Network::from_serial(&[1; 17]), Err(PrefixError::Serial));
    }

    #[test]
    fn a_prefix_has_three_forms() {
        let prefix: Prefix = "2/16".parse().unwrap();
        assert_eq!(prefix.to_bits(), "0000000000000010");
        assert_eq!(Prefix::from_bits("0000000000000010"), Ok(prefix));
        assert_eq!(network().subnet(prefix).unwrap().to_string(), "2001:db8:42:2::/64");
        assert_eq!(network().node_address(prefix).unwrap().to_string(), "2001:db8:42:2::1");
        assert_eq!(network().prefix_of("2001:db8:42:2::/64".parse().unwrap()), Some(prefix));
        assert_eq!(network().prefix_of("2001:db8:43:2::/64".parse().unwrap()), None);
        assert_eq!(network().prefix_of("::/0".parse().unwrap()), None);
    }

    #[test]
    fn names_that_could_be_written_otherwise_are_refused() {
        for name in ["", "1", "/", "1/", "/16", "01/16", "1/016", "+1/16", "4/2", "1/129", "-1/16"]
        {
            assert_eq!(name.parse::<Prefix>(), Err(PrefixError::CommonName), "{name}");
        }
        assert!("0/0".parse::<Prefix>().is_ok());
        assert_eq!(Prefix::from_bits("012"), Err(PrefixError::Bits));
    }

    #[test]
    fn halves_know_their_whole() {
        let whole: Prefix = "1/2".parse().unwrap();
        let (low, high) = whole.split().unwrap();
        assert_eq!((low.to_string(), high.to_string()), ("2/3".into(), "3/3".into()));
        assert_eq!(low.sibling_and_parent(), Some((high, whole)));
        assert!(whole.covers(high) && !high.covers(whole) && Prefix::WHOLE.covers(whole));
        assert_eq!(Prefix::WHOLE.sibling_and_parent(), None);
    }

    #[test]
    fn order_is_that_of_bit_strings() {
        let mut bits =
            ["1", "", "01", "0", "00", "10"].map(|bits| Prefix::from_bits(bits).unwrap());
        bits.sort();
        assert_eq!(bits.map(Prefix::to_bits), ["", "0", "00", "01", "1", "10"]);
    }
}
