//! An Internet for tests: one Ethernet segment with public hosts on it, and gateways with hosts behind NAT.
//!
//! ```text
//!   10.77.0.1 bridge ──┬── host 10.77.0.11
//!                      ├── host 10.77.0.12
//!                      └── gateway 10.77.0.9 │ 192.168.9.1 ──┬── host 192.168.9.2
//!                             NAT, nothing inwards           └── host 192.168.9.3
//! ```
#![allow(dead_code, reason = "not every network has every kind of host")]

use std::io::Write;
use std::process::Stdio;

use crate::namespace::Namespace;

/// One Ethernet segment.
pub struct Internet {
    segment: Segment,
}

impl Internet {
    pub fn new() -> Self {
        Self { segment: Segment::new(Namespace::new("inet"), "10.77.0") }
    }

    /// A host at 10.77.0.`octet`.
    pub fn host(&self, label: &str, octet: u8) -> Namespace {
        self.segment.host(label, octet)
    }

    /// A gateway at 10.77.0.`octet`.
    pub fn gateway(&self, octet: u8) -> Gateway {
        let namespace = self.host("gw", octet);
        namespace.sysctl("net.ipv4.ip_forward=1");
        namespace.filter(NAT);
        Gateway { segment: Segment::new(namespace, "192.168.9") }
    }
}

/// A router that lets its hosts out, under its own address, and nothing in.
pub struct Gateway {
    segment: Segment,
}

impl Gateway {
    /// A host at 192.168.9.`octet`.
    pub fn host(&self, label: &str, octet: u8) -> Namespace {
        self.segment.host(label, octet)
    }
}

const NAT: &str = "
table ip nat {
  chain out { type nat hook postrouting priority srcnat; oifname eth0 masquerade; }
}
table ip filter {
  chain through {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept;
    iifname br0 accept;
  }
}";

impl Namespace {
    /// Loads rules into the packet filter.
    pub fn filter(&self, rules: &str) {
        let mut nft = self.command("nft", &["-f", "-"]);
        let mut child = nft.stdin(Stdio::piped()).spawn().expect("nft");
        child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "nft refused {rules}");
    }
}

/// A bridge with the first address of a /24.
struct Segment {
    bridge: Namespace,
    network: &'static str,
}

impl Segment {
    fn new(bridge: Namespace, network: &'static str) -> Self {
        bridge.ip("link add br0 type bridge");
        bridge.ip("link set br0 up");
        bridge.ip(&format!("addr add {network}.1/24 dev br0"));
        Self { bridge, network }
    }

    fn host(&self, label: &str, octet: u8) -> Namespace {
        let host = Namespace::new(label);
        let port = format!("v-{label}");
        self.bridge.connect(&port, &host, "eth0");
        self.bridge.ip(&format!("link set {port} master br0"));
        host.ip(&format!("addr add {}.{octet}/24 dev eth0", self.network));
        host.ip(&format!("route add default via {}.1", self.network));
        host
    }
}
