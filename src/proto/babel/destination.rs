//! What a route leads to: a prefix, and the sources it is for (RFC 9079).

use std::fmt;
use std::net::IpAddr;

use crate::proto::cidr::Cidr;

/// A destination prefix and a source prefix of the same family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// Where packets go.
    pub prefix: Cidr,
    /// Where they come from; the family's default prefix if that does not matter.
    pub source: Cidr,
}

impl Destination {
    /// For packets from anywhere.
    pub const fn from_anywhere(prefix: Cidr) -> Self {
        let source = if prefix.is_ipv4() { Cidr::IPV4_DEFAULT } else { Cidr::IPV6_DEFAULT };
        Self { prefix, source }
    }

    /// For packets from `source`; `None` if the families differ.
    pub fn from_source(prefix: Cidr, source: Cidr) -> Option<Self> {
        (prefix.is_ipv4() == source.is_ipv4()).then_some(Self { prefix, source })
    }

    /// Whether routes to it make sense at all: not to what is of one link or one host alone (RFC 8966,
    /// Appendix C, and a little more).
    pub fn is_routable(&self) -> bool {
        match self.prefix.address() {
            IpAddr::V4(v4) => {
                let [first, ..] = v4.octets();
                let is_this_host = self.prefix.length() >= 8 && first == 0;
                let is_of_many = first >= 224;
                !(v4.is_loopback() || is_of_many || v4.is_link_local() || is_this_host)
            }
            IpAddr::V6(v6) => {
                let is_host_of_zeros = self.prefix.length() > 64 && v6.octets()[..8] == [0; 8];
                !(v6.is_multicast() || v6.is_unicast_link_local() || is_host_of_zeros)
            }
        }
    }

    /// Whether the source matters.
    pub const fn is_source_specific(&self) -> bool {
        self.source.length() > 0
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.prefix, f)?;
        if self.is_source_specific() { write!(f, " from {}", self.source) } else { Ok(()) }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
