//! Routes in the kernel, by netlink.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::proto::cidr::Cidr;

/// Where and how routes are put into the kernel.
#[derive(Clone, Debug)]
pub struct KernelSettings {
    /// The table; 254 is the main one.
    pub table: u32,
    /// The priority that the kernel calls metric: among equal prefixes the lowest wins.
    pub metric: u32,
    /// The address that our own packets get on IPv6 routes.
    pub preferred_source_v6: Option<Ipv6Addr>,
    /// The address that our own packets get on IPv4 routes.
    pub preferred_source_v4: Option<Ipv4Addr>,
    /// An IPv6 default route for any source is installed for this source only, as re6st networks do so
    /// that they never take a host's own traffic.
    pub default_source: Option<Cidr>,
}

impl Default for KernelSettings {
    fn default() -> Self {
        Self {
            table: 254,
            metric: 0,
            preferred_source_v6: None,
            preferred_source_v4: None,
            default_source: None,
        }
    }
}
