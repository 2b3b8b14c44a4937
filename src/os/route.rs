//! Routes in the kernel, by netlink: each put, replaced or removed in one message, many in one system call.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST};
use rtnetlink::packet_route::route::{RouteMessage, RouteProtocol, RouteScope, RouteType};
use rtnetlink::packet_route::rule::RuleMessage;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::os::kernel_route::table_of;
use crate::os::netlink::{Request, Requests};
use crate::os::route_changes::{Became, Owner, RouteChange};
use crate::os::shared_routes::{Place, SharedRoutes, Verdict};
use crate::os::source_rules::{self, SourceRules};
use crate::proto::babel::configuration::options::{KernelSetup, LinkDetection};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::event::{Before, NextHop};
use crate::proto::babel::filter::{self, Rule};
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
    /// Which routes are put there at all, and with what source prefix, table and source address.
    pub install: Vec<Rule>,
    /// Whether the kernel is told to pass packets on.
    pub setup: KernelSetup,
    /// When a link can be used.
    pub link_detection: LinkDetection,
    /// The priority of the first rule for IPv4 routes by source; some two thousand follow.
    pub first_rule: u32,
}

impl Default for KernelSettings {
    fn default() -> Self {
        Self {
            table: MAIN_TABLE,
            metric: 0,
            preferred_source_v6: None,
            preferred_source_v4: None,
            default_source: None,
            install: Vec::new(),
            setup: KernelSetup::Done,
            link_detection: LinkDetection::Carrier,
            first_rule: source_rules::FIRST_PRIORITY,
        }
    }
}

impl KernelSettings {
    /// Every table that routes may be put into.
    pub fn tables(&self) -> BTreeSet<u32> {
        let by_rule = self.install.iter().filter_map(|rule| rule.action.table);
        by_rule.chain([self.table]).collect()
    }
}

/// Where and how one route is put into the kernel.
struct Placement {
    place: Place,
    preferred_source: Option<IpAddr>,
}

/// What a request to the kernel is for.
struct Step {
    /// What it is made for.
    change: Change,
    /// The place of the route; `None` for a rule.
    place: Option<Place>,
}

/// One change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A route is there afterwards, in the place of any of ours that was. Where the host has one of its
    /// own with the same metric, that one stays.
    Put(Destination, NextHop, Before),
    /// None is there afterwards.
    Remove(Destination),
}

impl Change {
    /// Of whose route.
    pub const fn destination(&self) -> Destination {
        match *self {
            Self::Put(destination, ..) | Self::Remove(destination) => destination,
        }
    }
}

/// A change that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("the kernel refuses {change:?}: {cause}")]
pub struct RouteError {
    /// The change.
    pub change: Change,
    /// The kernel's reason.
    #[source]
    pub cause: io::Error,
}

/// The kernel's routes of the network namespace it was opened in.
#[derive(Debug)]
pub struct Routes {
    kernel: Requests,
    settings: KernelSettings,
    /// Where a route of the host is in the place of ours.
    occupied: BTreeSet<Place>,
    /// Where several destinations are.
    shared: SharedRoutes,
    /// Where IPv4 routes by source are.
    sources: SourceRules,
}

impl Routes {
    /// Opens a netlink socket.
    pub fn open(settings: KernelSettings) -> io::Result<Self> {
        let plain = BTreeSet::from([MAIN_TABLE, settings.table]);
        Ok(Self {
            kernel: Requests::open()?,
            sources: SourceRules::new(settings.first_rule, settings.table, plain),
            settings,
            occupied: BTreeSet::new(),
            shared: SharedRoutes::default(),
        })
    }

    /// The number of the socket that all requests come from.
    pub const fn port(&self) -> u32 {
        self.kernel.port()
    }

    /// Whether routes are given that address as the source of our own packets.
    pub fn names_source(&self, address: &IpAddr) -> bool {
        let KernelSettings { preferred_source_v4, preferred_source_v6, install, .. } =
            &self.settings;
        let mut rules = install.iter().filter_map(|rule| rule.action.preferred_source);
        preferred_source_v4.is_some_and(|v4| IpAddr::V4(v4) == *address)
            || preferred_source_v6.is_some_and(|v6| IpAddr::V6(v6) == *address)
            || rules.any(|source| source == *address)
    }

    /// Makes all changes, in order; what the kernel refused. That a route to be removed is gone already
    /// is not an error.
    pub fn apply(&mut self, changes: &[Change]) -> Vec<RouteError> {
        let mut refused = Vec::new();
        for batch in changes.chunks(BATCH) {
            let mut steps = Vec::with_capacity(batch.len());
            let mut requests = Vec::with_capacity(batch.len());
            for &change in batch {
                match self.requests(change) {
                    Ok((place, further)) => {
                        steps.extend(further.iter().map(|request| Step {
                            change,
                            place: (!is_of_rule(request)).then_some(place),
                        }));
                        requests.extend(further);
                    }
                    Err(cause) => refused.push(RouteError { change, cause }),
                }
            }
            match self.kernel.request(requests) {
                Ok(errors) => refused.extend(self.look_at(&steps, errors)),
                Err(error) => refused.extend(steps.iter().map(|step| RouteError {
                    change: step.change,
                    cause: io::Error::new(error.kind(), error.to_string()),
                })),
            }
        }
        refused
    }

    /// What of a batch was refused, apart from what need not be done; remembers which places are taken.
    fn look_at(&mut self, steps: &[Step], errors: Vec<(usize, io::Error)>) -> Vec<RouteError> {
        // What was taken may be free by now: the kernel has just been asked again.
        for place in steps.iter().filter_map(|step| step.place) {
            self.occupied.remove(&place);
        }
        let mut refused = Vec::new();
        for (at, cause) in errors {
            let Some(&Step { change, place, .. }) = steps.get(at) else { continue };
            match (change, place, cause.raw_os_error()) {
                (Change::Put(..), Some(place), Some(libc::EEXIST)) => {
                    self.occupied.insert(place);
                }
                (Change::Remove(_), Some(_), Some(libc::ESRCH | libc::ENODEV))
                | (_, None, Some(libc::EEXIST | libc::ENOENT)) => {}
                _ => refused.push(RouteError { change, cause }),
            }
        }
        refused
    }

    /// Puts every rule that somebody else removed.
    pub fn put_rules_again(&mut self) -> io::Result<()> {
        let rules = self.sources.all();
        if rules.is_empty() {
            return Ok(());
        }
        // Those that are still there are refused.
        let refused = self.kernel.request(rules)?;
        let refused = refused.into_iter().map(|(_, cause)| cause);
        let mut others = refused.filter(|cause| cause.raw_os_error() != Some(libc::EEXIST));
        others.next().map_or(Ok(()), Err)
    }

    /// Which destination's route has to be put again because of what somebody else did, and whether a
    /// route that is there now may be replaced.
    pub fn damaged(&mut self, change: &RouteChange) -> Option<(Destination, Before)> {
        let Place { destination: Destination { prefix, source }, table } = change.place;
        let metric_of_none = if prefix.is_ipv4() { 0 } else { IPV6_METRIC };
        let metric = match self.settings.metric {
            0 => metric_of_none,
            metric => metric,
        };
        if change.metric != metric {
            return None;
        }
        let place = match self.sources.source_of(table) {
            None => change.place,
            Some(source) => Place::by_source(Destination::from_source(prefix, source)?),
        };
        let literal = Destination { prefix, source: place.destination.source };
        let destination = self.shared.owner(&place).unwrap_or(literal);
        if self.place(&destination)?.place != place {
            return None;
        }
        match (change.owner, change.became) {
            (Owner::Babel, _) => Some((destination, Before::Present)),
            (Owner::Host, Became::Removed) => {
                self.occupied.contains(&place).then_some((destination, Before::Absent))
            }
            (Owner::Host, Became::Put) => {
                let is_shared = self.shared.owner(&place).is_some();
                if is_shared || source != place.destination.source {
                    self.occupied.insert(place);
                }
                Some((destination, Before::Absent))
            }
        }
    }

    /// Removes every route and rule that a Babel router left in our tables, whatever router it was; how
    /// many.
    pub fn remove_leftovers(&mut self) -> io::Result<usize> {
        let mut requests: Vec<Request> = self.leftover_rules()?;
        for family in [AddressFamily::Inet6, AddressFamily::Inet] {
            let left = self.list(family)?.into_iter();
            requests.extend(left.map(|r| (RouteNetlinkMessage::DelRoute(r), NLM_F_REQUEST)));
        }
        for batch in requests.chunks(BATCH) {
            self.kernel.request(batch.to_vec())?;
        }
        Ok(requests.len())
    }

    fn leftover_rules(&mut self) -> io::Result<Vec<Request>> {
        let mut filter = RuleMessage::default();
        filter.header.family = AddressFamily::Inet;
        let wanted = RouteNetlinkMessage::GetRule(filter);
        let rules = self.kernel.list(&wanted, |entry| match entry {
            RouteNetlinkMessage::NewRule(rule) => Some(rule),
            _ => None,
        })?;
        Ok(self.sources.leftovers(rules).into_iter().map(source_rules::removal).collect())
    }

    fn list(&mut self, family: AddressFamily) -> io::Result<Vec<RouteMessage>> {
        let mut filter = RouteMessage::default();
        filter.header.address_family = family;
        filter.header.protocol = RouteProtocol::Babel;
        let by_source = self.sources.tables();
        let tables: BTreeSet<u32> = self.settings.tables().into_iter().chain(by_source).collect();
        self.kernel.list_routes(&filter, |route| {
            let is_of_babel = route.header.protocol == RouteProtocol::Babel;
            (is_of_babel && tables.contains(&table_of(&route))).then_some(route)
        })
    }

    /// What is asked of the kernel to make a change: a route, where it is, and rules that lead to it.
    fn requests(&mut self, change: Change) -> io::Result<(Place, Vec<Request>)> {
        let destination = change.destination();
        let Some(placement) = self.place(&destination) else {
            // Not to be installed.
            return Ok((Place { destination, table: self.settings.table }, Vec::new()));
        };
        let place = placement.place;
        let had_owner = self.shared.owner(&place).is_some();
        let verdict = match change {
            Change::Put(_, next_hop, _) if self.is_shared(&place) => {
                self.shared.put(place, destination, next_hop)
            }
            Change::Put(_, next_hop, _) => Verdict::Put(destination, next_hop),
            Change::Remove(_) if self.is_shared(&place) => self.shared.remove(place, destination),
            Change::Remove(_) => Verdict::Remove,
        };
        let was_there = had_owner || matches!(change, Change::Put(_, _, Before::Present));
        let requests = match verdict {
            Verdict::Nothing => Vec::new(),
            Verdict::Put(owner, next_hop) => self.put(&owner, next_hop, was_there)?,
            Verdict::Remove => self.remove(&destination),
        };
        Ok((place, requests))
    }

    fn put(
        &mut self,
        destination: &Destination,
        next_hop: NextHop,
        was_there: bool,
    ) -> io::Result<Vec<Request>> {
        let Some(placement) = self.place(destination) else { return Ok(Vec::new()) };
        let place = placement.place;
        let (table, mut requests) = if place.is_by_source() {
            let added = self.sources.add(&place.destination);
            added.ok_or_else(|| io::Error::other("there are too many IPv4 source prefixes"))?
        } else {
            (place.table, Vec::new())
        };
        let message = self.route(&placement, table, Some(next_hop));
        // Replacing where nothing of ours is would take away a route of the host.
        let is_ours = was_there && !self.occupied.contains(&place);
        let how = if is_ours { NLM_F_REPLACE } else { NLM_F_EXCL };
        let flags = NLM_F_REQUEST | NLM_F_CREATE | how;
        requests.push((RouteNetlinkMessage::NewRoute(message), flags));
        Ok(requests)
    }

    fn remove(&mut self, destination: &Destination) -> Vec<Request> {
        let Some(placement) = self.place(destination) else { return Vec::new() };
        let place = placement.place;
        let (table, rules) = if place.is_by_source() {
            let Some(removed) = self.sources.remove(&place.destination) else { return Vec::new() };
            removed
        } else {
            (place.table, Vec::new())
        };
        let message = self.route(&placement, table, None);
        let route = (RouteNetlinkMessage::DelRoute(message), NLM_F_REQUEST);
        std::iter::once(route).chain(rules).collect()
    }

    fn route(&self, placement: &Placement, table: u32, next_hop: Option<NextHop>) -> RouteMessage {
        let Destination { prefix, source } = placement.place.destination;
        match (prefix.address(), source.address()) {
            (IpAddr::V6(address), IpAddr::V6(from)) => {
                let mut route = RouteMessageBuilder::<Ipv6Addr>::new()
                    .destination_prefix(address, prefix.length())
                    .source_prefix(from, source.length());
                if let Some(NextHop::Via { address: IpAddr::V6(via), interface }) = next_hop {
                    route = route.gateway(via).output_interface(interface);
                    if let Some(IpAddr::V6(preferred)) = placement.preferred_source {
                        route = route.pref_source(preferred);
                    }
                }
                self.finish(route, table, next_hop, RouteType::Unreachable)
            }
            (IpAddr::V4(address), _) => {
                let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
                    .destination_prefix(address, prefix.length());
                if let Some(NextHop::Via { address, interface }) = next_hop {
                    route = match address {
                        IpAddr::V4(via) => route.gateway(via),
                        IpAddr::V6(via) => route.via(via),
                    };
                    // A neighbour is on the link even if its address is of no prefix there.
                    route = route.output_interface(interface).onlink();
                    if let Some(IpAddr::V4(preferred)) = placement.preferred_source {
                        route = route.pref_source(preferred);
                    }
                }
                // The kernel ends its search at an unreachable route: one in the main table would hide
                // those by source, which are looked up after it.
                let is_looked_beyond = table == MAIN_TABLE && !self.sources.is_empty();
                let refused =
                    if is_looked_beyond { RouteType::Throw } else { RouteType::Unreachable };
                self.finish(route, table, next_hop, refused)
            }
            // Both are of one family.
            (IpAddr::V6(_), IpAddr::V4(_)) => RouteMessage::default(),
        }
    }

    fn finish<T>(
        &self,
        route: RouteMessageBuilder<T>,
        table: u32,
        next_hop: Option<NextHop>,
        refused: RouteType,
    ) -> RouteMessage {
        let route = route.protocol(RouteProtocol::Babel).table_id(table);
        let route =
            if self.settings.metric > 0 { route.priority(self.settings.metric) } else { route };
        match next_hop {
            Some(NextHop::Via { .. }) => route.build(),
            Some(NextHop::Unreachable) => route.kind(refused).build(),
            // To be removed, of whatever kind it is.
            None => route.kind(RouteType::Unspec).scope(RouteScope::NoWhere).build(),
        }
    }

    fn place(&self, destination: &Destination) -> Option<Placement> {
        let action = filter::install(&self.settings.install, *destination);
        let filtered = action.apply(*destination)?;
        let is_default =
            destination.prefix == Cidr::IPV6_DEFAULT && !destination.is_source_specific();
        let preferred_source = if destination.prefix.is_ipv4() {
            self.settings.preferred_source_v4.map(IpAddr::V4)
        } else {
            self.settings.preferred_source_v6.map(IpAddr::V6)
        };
        let source = self.settings.default_source.filter(|_| is_default).unwrap_or(filtered.source);
        let placed = Destination { prefix: destination.prefix, source };
        let place = if placed.prefix.is_ipv4() && placed.is_source_specific() {
            Place::by_source(placed)
        } else {
            Place { destination: placed, table: action.table.unwrap_or(self.settings.table) }
        };
        Some(Placement { place, preferred_source: action.preferred_source.or(preferred_source) })
    }

    /// Whether a place may be that of several destinations: of those that are changed on their way.
    fn is_shared(&self, place: &Place) -> bool {
        let Destination { prefix, source } = place.destination;
        let rules = &self.settings.install;
        prefix == Cidr::IPV6_DEFAULT && self.settings.default_source == Some(source)
            || rules.iter().any(|rule| rule.action.source == Some(source))
    }
}

const fn is_of_rule((message, _): &Request) -> bool {
    matches!(message, RouteNetlinkMessage::NewRule(_) | RouteNetlinkMessage::DelRule(_))
}

/// Changes in one system call: more gain nothing.
const BATCH: usize = 64;
const MAIN_TABLE: u32 = 254;
/// The priority of an IPv6 route for which none is given.
const IPV6_METRIC: u32 = 1024;
