//! Where a node says it can be reached: `203.0.113.7,1194,udp,FR;203.0.113.7,1194,tcp,FR`.

use std::fmt;
use std::net::IpAddr;

use crate::proto::endpoint::Endpoint;
use crate::proto::limits;

/// A country, two letters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

/// One place, and the country it is in if the registry knows countries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The place.
    pub endpoint: Endpoint,
    /// Its country.
    pub country: Option<Country>,
}

/// All the places of one node, the best first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Addresses(Vec<Address>);

impl Country {
    /// Reads two letters; anything else names no country.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 2] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_uppercase).then_some(Self(letters))
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Addresses {
    /// Reads a list. Items that are no address are passed over, for newer peers may have new forms.
    pub fn parse(text: &str) -> Self {
        let addresses = text.split(';').filter_map(parse_address);
        Self(addresses.take(limits::MESH_ADDRESSES_MAX).collect())
    }

    /// Makes a list of places in no country.
    pub fn new(endpoints: impl IntoIterator<Item = Endpoint>) -> Self {
        let addresses = endpoints.into_iter().map(|endpoint| Address { endpoint, country: None });
        Self(addresses.collect())
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        self.0.iter()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts `endpoint`, which worked, first.
    pub fn prefer(&mut self, endpoint: Endpoint) {
        if let Some(at) = self.0.iter().position(|address| address.endpoint == endpoint) {
            self.0[..=at].rotate_right(1);
        }
    }

    /// The list with all places in one country.
    pub fn in_country(&self, country: Country) -> Self {
        self.iter().map(|address| Address { country: Some(country), ..*address }).collect()
    }

    /// The list without countries, for peers that would not understand them.
    pub fn without_countries(&self) -> Self {
        Self::new(self.0.iter().map(|address| address.endpoint))
    }
}

impl FromIterator<Address> for Addresses {
    fn from_iter<I: IntoIterator<Item = Address>>(addresses: I) -> Self {
        Self(addresses.into_iter().collect())
    }
}

/// Whether a host of the underlay can have an address: unicast, and not of this host or link alone.
pub fn is_of_underlay(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            !(address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_link_local()
                || address.octets()[0] == 0)
        }
        IpAddr::V6(address) => {
            !(address.is_unspecified()
                || address.is_loopback()
                || address.is_multicast()
                || address.is_unicast_link_local())
        }
    }
}

fn parse_address(text: &str) -> Option<Address> {
    let end = text.match_indices(',').nth(2).map_or(text.len(), |(at, _)| at);
    let endpoint = text[..end].parse().ok()?;
    let country = text[end..].strip_prefix(',').and_then(Country::parse);
    Some(Address { endpoint, country })
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, address) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ";" };
            write!(f, "{separator}{}", address.endpoint)?;
            if let Some(country) = address.country {
                write!(f, ",{country}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_lists_of_a_stock_network_are_read_back() {
        for text in ["10.77.0.2,1194,udp;10.77.0.2,1194,tcp", "10.77.0.12,1194,udp,FR", ""] {
            assert_eq!(Addresses::parse(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_passed_over() {
        let list = Addresses::parse("10.0.0.1,1,quic;10.0.0.1,2,tcp,France;;10.0.0.1");
        assert_eq!(list.to_string(), "10.0.0.1,2,tcp");
    }

    #[test]
    fn what_worked_comes_first_and_the_rest_keeps_its_order() {
        let mut list = Addresses::parse("10.0.0.1,1,udp;10.0.0.1,2,udp;10.0.0.1,3,udp");
        list.prefer("10.0.0.1,3,udp".parse().unwrap());
        list.prefer("10.0.0.1,9,udp".parse().unwrap());
        assert_eq!(list.to_string(), "10.0.0.1,3,udp;10.0.0.1,1,udp;10.0.0.1,2,udp");
    }

    proptest! {
        #[test]
        fn any_text_is_a_list(text in ".{0,80}", list in "[0-9.,;udtcpFR:]{0,80}") {
            for text in [text, list] {
                let once = Addresses::parse(&text).to_string();
                prop_assert_eq!(Addresses::parse(&once).to_string(), once);
            }
        }
    }
}
