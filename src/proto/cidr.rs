//! An address prefix of either family: `2001:db8::/32`, `10.43.0.0/16`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address prefix; bits beyond its length are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    length: u8,
}

/// Why a text is not an address prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CidrError {
    /// No `/length` follows.
    #[error("an address prefix is written ADDRESS/LENGTH")]
    NoLength,
    /// What precedes the length is no address.
    #[error("not an IPv4 or IPv6 address")]
    Address,
    /// Longer than an address of that family.
    #[error("the prefix length goes up to 32 for IPv4 and 128 for IPv6")]
    Length,
}

impl Cidr {
    /// Every IPv6 address.
    pub const IPV6_DEFAULT: Self = Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length: 0 };
    /// Every IPv4 address.
    pub const IPV4_DEFAULT: Self = Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 };

    /// The first `length` bits of `address`.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, CidrError> {
        if length > bits_of(address) {
            return Err(CidrError::Length);
        }
        Ok(Self { address: masked(address, length), length })
    }

    /// The prefix that holds this one address.
    pub fn host(address: IpAddr) -> Self {
        Self { address, length: bits_of(address) }
    }

    /// Its first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Its number of bits.
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether it is of IPv4.
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether `address` is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && masked(address, self.length) == self.address
    }

    /// Whether all of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.address)
    }
}

const fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address, self.length))
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let (address, length) = text.split_once('/').ok_or(CidrError::NoLength)?;
        let address = address.parse().map_err(|_| CidrError::Address)?;
        let length = length.parse().map_err(|_| CidrError::Length)?;
        Self::new(address, length)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'_, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn bits_beyond_the_length_are_dropped() {
        assert_eq!(cidr("2001:db8:42:1::1/48").to_string(), "2001:db8:42::/48");
        assert_eq!(cidr("10.43.7.1/16").to_string(), "10.43.0.0/16");
        assert_eq!(cidr("::1/0"), Cidr::IPV6_DEFAULT);
        assert_eq!(cidr("::1/128").to_string(), "::1/128");
    }

    #[test]
    fn families_do_not_mix() {
        assert!(cidr("10.0.0.0/8").contains("10.1.2.3".parse().unwrap()));
        assert!(!Cidr::IPV6_DEFAULT.contains("10.1.2.3".parse().unwrap()));
        assert!(cidr("2001:db8::/32").covers(&cidr("2001:db8:1::/48")));
        assert!(!cidr("2001:db8:1::/48").covers(&cidr("2001:db8::/32")));
    }

    #[test]
    fn what_is_no_prefix_says_why() {
        assert_eq!("10.0.0.1".parse::<Cidr>(), Err(CidrError::NoLength));
        assert_eq!("host/8".parse::<Cidr>(), Err(CidrError::Address));
        assert_eq!("10.0.0.0/33".parse::<Cidr>(), Err(CidrError::Length));
        assert_eq!("::/129".parse::<Cidr>(), Err(CidrError::Length));
        assert_eq!("::/-1".parse::<Cidr>(), Err(CidrError::Length));
    }
}
