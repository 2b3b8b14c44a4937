//! What a router is told: who it is, what it announces, how its links behave.

use std::time::Duration;

use crate::proto::babel::destination::Destination;
use crate::proto::babel::mac::{BadSignatures, Keys};
use crate::proto::babel::router_id::RouterId;
use crate::proto::cidr::Cidr;

/// The router as a whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its identity; a restart may keep it or draw another.
    pub router_id: RouterId,
    /// What it originates.
    pub announced: Vec<Announcement>,
    /// Which routes it takes from others.
    pub accepted: Vec<Acceptance>,
    /// How packets are authenticated on every interface; `None` to neither sign nor check.
    pub keys: Option<Keys>,
}

/// A destination that this router originates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Announcement {
    /// Where it leads.
    pub destination: Destination,
    /// The metric it is announced with; a node's own prefix has 0.
    pub metric: u16,
}

/// One line of the filter for received routes; a route that no line covers is refused. No line at all
/// refuses nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acceptance {
    /// Covers the destination …
    pub within: Cidr,
    /// … if that is at least this long …
    pub length_min: u8,
    /// … and at most this long.
    pub length_max: u8,
}

impl Acceptance {
    /// Everything inside `prefix`, itself included.
    pub const fn inside(prefix: Cidr) -> Self {
        let length_max = if prefix.is_ipv4() { 32 } else { 128 };
        Self { within: prefix, length_min: prefix.length(), length_max }
    }

    /// `prefix` and nothing else; for default routes.
    pub const fn exactly(prefix: Cidr) -> Self {
        Self { within: prefix, length_min: prefix.length(), length_max: prefix.length() }
    }

    /// Whether it lets `prefix` in.
    pub fn takes(&self, prefix: &Cidr) -> bool {
        (self.length_min..=self.length_max).contains(&prefix.length()) && self.within.covers(prefix)
    }
}

/// One link.
#[derive(Clone, PartialEq, Debug)]
pub struct InterfaceSettings {
    /// What the link is made of.
    pub kind: LinkKind,
    /// The cost of receiving on it, when it works well and delay does not count.
    pub rxcost: u16,
    /// How often it says Hello. Its peers notice a silence after three times that.
    pub hello_interval: Duration,
    /// How often it repeats the whole table.
    pub update_interval: Duration,
    /// How delay counts; `None` if it does not.
    pub rtt: Option<RttSettings>,
    /// Whether what was learned on a link is kept from it (RFC 8966 §3.7.4).
    pub split_horizon: SplitHorizon,
    /// Whether measured loss raises the cost.
    pub loss: Loss,
    /// Whether IPv4 routes are announced where we have no IPv4 address (RFC 9229 §2.1).
    pub v4_via_v6: V4ViaV6,
    /// How packets are authenticated here, if not as everywhere.
    pub authentication: Option<Authentication>,
}

/// How a link behaves, by what it turns out to be made of.
#[derive(Clone, PartialEq, Debug)]
pub struct Behaviour {
    /// In general.
    pub settings: InterfaceSettings,
    /// If the host says that it is radio; `None` if that does not matter.
    pub on_radio: Option<InterfaceSettings>,
}

impl From<InterfaceSettings> for Behaviour {
    fn from(settings: InterfaceSettings) -> Self {
        Self { settings, on_radio: None }
    }
}

impl Behaviour {
    /// On a link of which the host says whether it is radio.
    pub fn on(&self, is_radio: impl FnOnce() -> bool) -> &InterfaceSettings {
        self.on_radio.as_ref().filter(|_| is_radio()).unwrap_or(&self.settings)
    }
}

/// Whether IPv4 routes are announced with an IPv6 next hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum V4ViaV6 {
    /// They are, where there is no IPv4 address.
    On,
    /// They are not announced there.
    Off,
}

/// How packets are authenticated on one link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Authentication {
    /// What signs and checks.
    pub keys: Keys,
    /// What becomes of packets that no key signed.
    pub bad_signatures: BadSignatures,
}

/// What a link is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// Ethernet: everyone hears everyone.
    Wired,
    /// Radio: some hear some, and frames are lost all the time.
    Wireless,
    /// A tunnel through the Internet.
    Tunnel,
}

/// Whether what was learned on a link is kept from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SplitHorizon {
    /// Kept: everyone on the link heard it.
    On,
    /// Announced there as well: not everyone did.
    Off,
}

/// Whether measured loss raises a link's cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// A link works or it does not (2-out-of-3, RFC 8966 §A.2.1).
    Ignored,
    /// Cost grows with what is lost, as packets that must be sent again do (RFC 8966 §A.2.2).
    Counted,
}

/// How a delay becomes a cost (RFC 9616 §4).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RttSettings {
    /// No penalty up to this round trip.
    pub min: Duration,
    /// The whole penalty from this round trip on.
    pub max: Duration,
    /// The whole penalty.
    pub penalty_max: u16,
    /// Weight of a new sample, out of 256; with 256, older ones do not count.
    pub decay: u16,
}

impl RttSettings {
    /// What re6st networks use: `max-rtt-penalty 5000 rtt-max 500 rtt-decay 125`.
    pub const RE6ST: Self = Self {
        min: Duration::from_millis(10),
        max: Duration::from_millis(500),
        penalty_max: 5000,
        decay: 125,
    };
}

impl InterfaceSettings {
    /// Whether cost follows from measurements, and so trembles; else it only changes when a neighbour comes
    /// or goes.
    pub const fn is_measured(&self) -> bool {
        self.rtt.is_some() || matches!(self.loss, Loss::Counted)
    }

    /// A tunnel between nodes of a re6st network whose Hello interval is `hello_interval`.
    pub const fn tunnel(hello_interval: Duration) -> Self {
        Self {
            kind: LinkKind::Tunnel,
            rxcost: 96,
            hello_interval,
            update_interval: Self::UPDATE_INTERVAL,
            rtt: Some(RttSettings::RE6ST),
            split_horizon: SplitHorizon::On,
            loss: Loss::Counted,
            v4_via_v6: V4ViaV6::On,
            authentication: None,
        }
    }

    /// An Ethernet segment.
    pub const fn wired(hello_interval: Duration) -> Self {
        Self {
            kind: LinkKind::Wired,
            rxcost: 96,
            hello_interval,
            update_interval: Self::UPDATE_INTERVAL,
            rtt: None,
            split_horizon: SplitHorizon::On,
            loss: Loss::Ignored,
            v4_via_v6: V4ViaV6::On,
            authentication: None,
        }
    }

    /// What neighbours are promised: whole tables come a little later than the interval says, by chance, so
    /// that not all routers send theirs at the same time. Never earlier: most of what is sent is that.
    pub fn update_latest(&self) -> Duration {
        self.update_interval + self.update_interval / 4
    }

    /// How often the whole table is repeated if nothing else is said.
    pub const UPDATE_INTERVAL: Duration = Duration::from_secs(60);
}

/// Multiplies a link's cost on one side, so that its owner can make it unattractive before it closes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CostMultiplier(u16);

impl CostMultiplier {
    /// As measured.
    pub const ONE: Self = Self(256);
    /// Taken only if there is nothing else.
    pub const AVOID: Self = Self(4096);
    /// Not taken at all: infinite.
    pub const LOCKED: Self = Self(0);

    /// In 256ths; zero is infinite.
    pub const fn from_256ths(value: u16) -> Self {
        Self(value)
    }

    /// In 256ths; zero is infinite.
    pub const fn in_256ths(self) -> u16 {
        self.0
    }

    /// A cost, multiplied. A finite cost stays finite unless the multiplier is infinite.
    pub fn apply(self, cost: u16) -> u16 {
        if self == Self::LOCKED || cost == u16::MAX {
            return u16::MAX;
        }
        let product = u32::from(cost) * u32::from(self.0) / 256;
        u16::try_from(product).unwrap_or(u16::MAX).min(u16::MAX - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiplier_keeps_finite_costs_finite() {
        assert_eq!(CostMultiplier::ONE.apply(96), 96);
        assert_eq!(CostMultiplier::AVOID.apply(96), 96 * 16);
        assert_eq!(CostMultiplier::AVOID.apply(5096), u16::MAX - 1);
        assert_eq!(CostMultiplier::LOCKED.apply(96), u16::MAX);
        assert_eq!(CostMultiplier::ONE.apply(u16::MAX), u16::MAX);
    }

    #[test]
    fn an_acceptance_takes_what_it_covers() {
        let network = Acceptance::inside("2001:db8:42::/48".parse().unwrap());
        assert!(network.takes(&"2001:db8:42::/48".parse().unwrap()));
        assert!(network.takes(&"2001:db8:42:1::/64".parse().unwrap()));
        assert!(!network.takes(&"2001:db8::/32".parse().unwrap()));
        assert!(!network.takes(&Cidr::IPV6_DEFAULT));
        assert!(Acceptance::exactly(Cidr::IPV6_DEFAULT).takes(&Cidr::IPV6_DEFAULT));
        assert!(!Acceptance::exactly(Cidr::IPV6_DEFAULT).takes(&network.within));
    }
}
