//! Filters: which routes are learned, announced, redistributed and installed, and how changed.

use std::net::IpAddr;

use crate::proto::babel::destination::Destination;
use crate::proto::babel::router_id::RouterId;
use crate::proto::cidr::Cidr;

/// The four lists of rules of a router. In each, the first rule that matches decides.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filters {
    /// For what neighbours announce; what no rule matches is learned as it is.
    pub input: Vec<Rule>,
    /// For what is announced to neighbours; what no rule matches is announced as it is.
    pub output: Vec<Rule>,
    /// For addresses and routes of this host; what no rule matches is announced if it is an address
    /// of the host itself, otherwise it is not.
    pub redistribute: Vec<Rule>,
    /// For what is put into the kernel; what no rule matches is installed as it is.
    pub install: Vec<Rule>,
}

/// One line of a filter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rule {
    /// Which routes it is for.
    pub selector: Selector,
    /// What becomes of them.
    pub action: Action,
}

/// What a route must be like; what is not given does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Selector {
    /// Of this family.
    pub family: Option<Family>,
    /// Inside this prefix.
    pub prefix: Option<Cidr>,
    /// The length of its prefix.
    pub lengths: Lengths,
    /// Its source prefix is inside this one.
    pub source: Option<Cidr>,
    /// The length of its source prefix.
    pub source_lengths: Lengths,
    /// Learned from this neighbour.
    pub neighbour: Option<IpAddr>,
    /// Originated by this router.
    pub router_id: Option<RouterId>,
    /// Known to the kernel in this way. If not given: in any but the host's own addresses and routes
    /// that the kernel calls "boot".
    pub origin: Option<Origin>,
    /// Learned, announced or leading over the interface of this name.
    pub interface: Option<String>,
}

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// Prefix lengths from `min` to `max`; none if `min` is the greater.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lengths {
    /// The shortest.
    pub min: u8,
    /// The longest.
    pub max: u8,
}

impl Lengths {
    /// Every length of either family.
    pub const ANY: Self = Self { min: 0, max: 128 };

    /// What is in both.
    pub const fn and(self, other: Self) -> Self {
        Self {
            min: if self.min > other.min { self.min } else { other.min },
            max: if self.max < other.max { self.max } else { other.max },
        }
    }

    fn contain(self, length: u8) -> bool {
        (self.min..=self.max).contains(&length)
    }
}

impl Default for Lengths {
    fn default() -> Self {
        Self::ANY
    }
}

/// How the kernel knows a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// It is an address of this host.
    Local,
    /// It is a route with this protocol number; zero for what comes from neighbours.
    Protocol(u8),
}

impl Origin {
    /// Not of the kernel: learned from a neighbour.
    pub const BABEL: Self = Self::Protocol(0);
    /// What `ip route add` says if it is told no other.
    const BOOT: Self = Self::Protocol(3);
}

/// What becomes of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Action {
    /// Added to the metric; of redistributed routes the metric itself. 65535 denies.
    pub metric: u16,
    /// Replaces the source prefix.
    pub source: Option<Cidr>,
    /// The kernel's table for it.
    pub table: Option<u32>,
    /// The address that packets of this host get.
    pub preferred_source: Option<IpAddr>,
}

impl Action {
    /// Ignores the route.
    pub const DENY: Self =
        Self { metric: u16::MAX, source: None, table: None, preferred_source: None };
    /// Takes the route as it is.
    pub const ALLOW: Self = Self { metric: 0, source: None, table: None, preferred_source: None };

    /// The destination as this action changes it; `None` if it denies, or would mix families.
    pub fn apply(&self, destination: Destination) -> Option<Destination> {
        match self.source {
            _ if self.metric == u16::MAX => None,
            None => Some(destination),
            Some(source) => Destination::from_source(destination.prefix, source),
        }
    }
}

/// A route that a filter is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Where it leads.
    pub destination: Destination,
    /// Who originates it, if that is a Babel router.
    pub router_id: Option<RouterId>,
    /// Who offers it.
    pub neighbour: Option<IpAddr>,
    /// The name of the interface it comes from, goes to or leads over.
    pub interface: Option<&'a str>,
    /// How the kernel knows it.
    pub origin: Origin,
}

impl Filters {
    /// What becomes of a route that a neighbour announces.
    pub fn learn(&self, candidate: &Candidate<'_>) -> Action {
        decide(&self.input, candidate).unwrap_or(Action::ALLOW)
    }

    /// What becomes of a route that could be announced on an interface.
    pub fn announce(&self, candidate: &Candidate<'_>) -> Action {
        decide(&self.output, candidate).unwrap_or(Action::ALLOW)
    }

    /// Whether and how an address or route of this host is originated.
    pub fn redistribute(&self, candidate: &Candidate<'_>) -> Action {
        let otherwise = match candidate.origin {
            Origin::Local => Action::ALLOW,
            Origin::Protocol(_) => Action::DENY,
        };
        decide(&self.redistribute, candidate).unwrap_or(otherwise)
    }

    /// Whether and how a route is put into the kernel.
    pub fn install(&self, destination: Destination) -> Action {
        install(&self.install, destination)
    }
}

/// Whether and how a route is put into the kernel: this depends on where it leads and on nothing that may
/// change while it is there, so that it is found again.
pub fn install(rules: &[Rule], destination: Destination) -> Action {
    let candidate = Candidate {
        destination,
        router_id: None,
        neighbour: None,
        interface: None,
        origin: Origin::BABEL,
    };
    decide(rules, &candidate).unwrap_or(Action::ALLOW)
}

/// What the first rule that matches says.
fn decide(rules: &[Rule], candidate: &Candidate<'_>) -> Option<Action> {
    rules.iter().find(|rule| rule.selector.matches(candidate)).map(|rule| rule.action)
}

impl Selector {
    /// Whether a route is one of those it describes.
    pub fn matches(&self, candidate: &Candidate<'_>) -> bool {
        let Destination { prefix, source } = candidate.destination;
        let origin = match self.origin {
            Some(origin) => origin == candidate.origin,
            None => !matches!(candidate.origin, Origin::Local | Origin::BOOT),
        };
        origin
            && self.family.is_none_or(|family| family == Family::of(prefix.address()))
            && self.prefix.is_none_or(|wanted| wanted.covers(&prefix))
            && self.lengths.contain(prefix.length())
            && self.source.is_none_or(|wanted| wanted.covers(&source))
            && self.source_lengths.contain(source.length())
            && (self.neighbour.is_none() || self.neighbour == candidate.neighbour)
            && (self.router_id.is_none() || self.router_id == candidate.router_id)
            && (self.interface.is_none() || self.interface.as_deref() == candidate.interface)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(prefix: &str) -> Candidate<'static> {
        Candidate {
            destination: Destination::from_anywhere(prefix.parse().unwrap()),
            router_id: RouterId::new([2, 0, 0, 0xff, 0xfe, 0, 0, 1]),
            neighbour: "fe80::1".parse().ok(),
            interface: Some("eth0"),
            origin: Origin::BABEL,
        }
    }

    fn rule(selector: Selector, action: Action) -> Rule {
        Rule { selector, action }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let inside = |prefix: &str| Selector { prefix: prefix.parse().ok(), ..Selector::default() };
        let add = |metric| Action { metric, ..Action::ALLOW };
        let filters = Filters {
            input: vec![
                rule(inside("2001:db8:1::/48"), Action::DENY),
                rule(inside("2001:db8::/32"), add(7)),
            ],
            ..Filters::default()
        };
        assert_eq!(filters.learn(&candidate("2001:db8:1:2::/64")), Action::DENY);
        assert_eq!(filters.learn(&candidate("2001:db8:2::/48")), add(7));
        assert_eq!(filters.learn(&candidate("2001:db8::/31")), Action::ALLOW);
        assert_eq!(filters.announce(&candidate("2001:db8:1:2::/64")), Action::ALLOW);
    }

    #[test]
    fn without_rules_only_addresses_of_the_host_are_redistributed() {
        let filters = Filters::default();
        let of = |origin| Candidate { origin, ..candidate("2001:db8::1/128") };
        assert_eq!(filters.redistribute(&of(Origin::Local)), Action::ALLOW);
        assert_eq!(filters.redistribute(&of(Origin::Protocol(2))), Action::DENY);
        assert_eq!(filters.install(of(Origin::BABEL).destination), Action::ALLOW);
    }

    #[test]
    fn a_rule_that_names_no_origin_is_for_neither_addresses_nor_boot_routes() {
        let any = Selector::default();
        let of = |origin| Candidate { origin, ..candidate("2001:db8::1/128") };
        assert!(any.matches(&of(Origin::BABEL)) && any.matches(&of(Origin::Protocol(2))));
        assert!(!any.matches(&of(Origin::Local)) && !any.matches(&of(Origin::BOOT)));
        let boot = Selector { origin: Some(Origin::BOOT), ..Selector::default() };
        assert!(boot.matches(&of(Origin::BOOT)) && !boot.matches(&of(Origin::BABEL)));
    }

    #[test]
    fn every_selector_can_say_no() {
        let set = |change: fn(&mut Selector)| {
            let mut selector = Selector::default();
            change(&mut selector);
            selector
        };
        let no = [
            set(|s| s.family = Some(Family::V4)),
            set(|s| s.prefix = "2001:db8:9::/48".parse().ok()),
            set(|s| s.lengths = Lengths { min: 49, max: 128 }),
            set(|s| s.lengths = Lengths { min: 48, max: 47 }),
            set(|s| s.source = "2001:db8::/32".parse().ok()),
            set(|s| s.source_lengths.min = 1),
            set(|s| s.neighbour = "fe80::2".parse().ok()),
            set(|s| s.router_id = RouterId::new([1; 8])),
            set(|s| s.origin = Some(Origin::Local)),
            set(|s| s.interface = Some("eth1".to_owned())),
        ];
        for selector in no {
            assert!(!selector.matches(&candidate("2001:db8:1::/48")), "{selector:?}");
        }
        assert!(Selector::default().matches(&candidate("2001:db8:1::/48")));
    }

    #[test]
    fn an_action_replaces_the_source_of_its_own_family_only() {
        let network = "2001:db8:42::/48".parse().unwrap();
        let action = Action { source: Some(network), ..Action::ALLOW };
        let default = Destination::from_anywhere(Cidr::IPV6_DEFAULT);
        assert_eq!(action.apply(default), Destination::from_source(Cidr::IPV6_DEFAULT, network));
        assert_eq!(action.apply(Destination::from_anywhere(Cidr::IPV4_DEFAULT)), None);
        assert_eq!(Action::ALLOW.apply(default), Some(default));
        assert_eq!(Action::DENY.apply(default), None);
    }
}
