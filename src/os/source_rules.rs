//! IPv4 routes by source: the kernel knows none, so rules send what comes from a source to tables of
//! their own.
//!
//! For each source and each length of destinations there is a table, and two rules lead to it:
//!
//! ```text
//! from SOURCE lookup main suppress_prefixlength LENGTH
//! from SOURCE lookup TABLE
//! ```
//!
//! Long destinations come before short ones, and among these long sources before short ones. So the
//! longest destination decides, then the longest source (RFC 9079 §4), whichever table has it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::os::netlink::Request;
use crate::proto::babel::destination::Destination;
use crate::proto::cidr::Cidr;
use crate::proto::limits;

/// The tables in use.
#[derive(Debug)]
pub struct SourceRules {
    /// The priority of the first rule.
    first: u32,
    /// The number of the first table.
    first_table: u32,
    /// Tables with routes for any source.
    plain: BTreeSet<u32>,
    slots: BTreeMap<Slot, Content>,
}

/// Sources that a table is for, and the length of destinations in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Slot {
    source: Cidr,
    length: u8,
}

#[derive(Debug)]
struct Content {
    table: u32,
    prefixes: BTreeSet<Cidr>,
}

impl SourceRules {
    /// No rule yet; those to come begin with this priority. `table` is where the same router puts its
    /// other routes: each has tables of its own. Others' routes are in all of `plain`.
    pub const fn new(first: u32, table: u32, plain: BTreeSet<u32>) -> Self {
        let first_table = FIRST_TABLE + table % TABLES_MAX * limits::BABEL_SOURCE_TABLES_MAX;
        Self { first, first_table, plain, slots: BTreeMap::new() }
    }

    /// The tables that routes are put into.
    pub fn tables(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.first_table;
        (0..limits::BABEL_SOURCE_TABLES_MAX).map(move |at| first + at)
    }

    /// Whether there is any rule.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The table of a destination that is about to be put, and what must be asked of the kernel before;
    /// `None` if there are too many tables already.
    pub fn add(&mut self, destination: &Destination) -> Option<(u32, Vec<Request>)> {
        let slot = Slot::of(destination);
        if let Some(content) = self.slots.get_mut(&slot) {
            content.prefixes.insert(destination.prefix);
            return Some((content.table, Vec::new()));
        }
        let taken: BTreeSet<u32> = self.slots.values().map(|content| content.table).collect();
        let table = self.tables().find(|table| !taken.contains(table))?;
        let prefixes = BTreeSet::from([destination.prefix]);
        self.slots.insert(slot, Content { table, prefixes });
        Some((table, self.rules(&slot, table).into_iter().map(addition).collect()))
    }

    /// The table of a destination that is about to be removed, and what must be asked of the kernel
    /// then; `None` if it is not there.
    pub fn remove(&mut self, destination: &Destination) -> Option<(u32, Vec<Request>)> {
        let slot = Slot::of(destination);
        let content = self.slots.get_mut(&slot)?;
        content.prefixes.remove(&destination.prefix);
        let table = content.table;
        if !content.prefixes.is_empty() {
            return Some((table, Vec::new()));
        }
        self.slots.remove(&slot);
        let rules = self.rules(&slot, table).into_iter();
        Some((table, rules.map(removal).collect()))
    }

    /// What must be asked of the kernel so that every rule is there; those that are, it refuses.
    pub fn all(&self) -> Vec<Request> {
        let slots = self.slots.iter();
        let rules = slots.flat_map(|(slot, content)| self.rules(slot, content.table));
        rules.map(addition).collect()
    }

    /// The source whose packets a table is for.
    pub fn source_of(&self, table: u32) -> Option<Cidr> {
        let found = self.slots.iter().find(|(_, content)| content.table == table);
        found.map(|(slot, _)| slot.source)
    }

    /// Those of a host's rules that a killed router with the same tables left.
    pub fn leftovers(&self, mut rules: Vec<RuleMessage>) -> Vec<RuleMessage> {
        let tables: BTreeSet<u32> = self.tables().collect();
        let of_babel = RuleAttribute::Protocol(RouteProtocol::Babel);
        rules.retain(|rule| rule.attributes.contains(&of_babel));
        // The rules before those that lead to our tables belong to them.
        let ours: BTreeSet<(u32, Option<IpAddr>)> = rules
            .iter()
            .filter(|rule| number(rule, table).is_some_and(|table| tables.contains(&table)))
            .filter_map(|rule| Some((number(rule, priority)?, source(rule))))
            .flat_map(|(priority, source)| [(priority, source), (priority.wrapping_sub(1), source)])
            .collect();
        rules.retain(|rule| {
            number(rule, priority).is_some_and(|priority| ours.contains(&(priority, source(rule))))
        });
        rules
    }

    fn rules(&self, slot: &Slot, table: u32) -> Vec<RuleMessage> {
        let rank = u32::from(32 - slot.length) * 33 + u32::from(32 - slot.source.length());
        let priority = self.first + 2 * rank;
        let mut rules: Vec<RuleMessage> = self
            .plain
            .iter()
            .map(|&plain| {
                let suppressed = RuleAttribute::SuppressPrefixLen(slot.length.into());
                rule(slot.source, plain, priority, Some(suppressed))
            })
            .collect();
        rules.push(rule(slot.source, table, priority + 1, None));
        rules
    }
}

impl Slot {
    const fn of(destination: &Destination) -> Self {
        Self { source: destination.source, length: destination.prefix.length() }
    }
}

fn addition(rule: RuleMessage) -> Request {
    (RouteNetlinkMessage::NewRule(rule), NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL)
}

/// The request that removes a rule.
pub const fn removal(rule: RuleMessage) -> Request {
    (RouteNetlinkMessage::DelRule(rule), NLM_F_REQUEST)
}

fn rule(source: Cidr, table: u32, priority: u32, also: Option<RuleAttribute>) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = match source.address() {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    rule.header.src_len = source.length();
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::Source(source.address()),
        RuleAttribute::Priority(priority),
        RuleAttribute::Table(table),
        RuleAttribute::Protocol(RouteProtocol::Babel),
    ];
    rule.attributes.extend(also);
    rule
}

fn number(rule: &RuleMessage, find: fn(&RuleAttribute) -> Option<u32>) -> Option<u32> {
    rule.attributes.iter().find_map(find)
}

const fn priority(attribute: &RuleAttribute) -> Option<u32> {
    match attribute {
        RuleAttribute::Priority(priority) => Some(*priority),
        _ => None,
    }
}

const fn table(attribute: &RuleAttribute) -> Option<u32> {
    match attribute {
        RuleAttribute::Table(table) => Some(*table),
        _ => None,
    }
}

fn source(rule: &RuleMessage) -> Option<IpAddr> {
    rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Source(source) => Some(*source),
        _ => None,
    })
}

/// The priority of the first rule if nothing else is said, as of babeld's.
pub const FIRST_PRIORITY: u32 = 100;
/// The tables are numbered from here, each router's from another number.
const FIRST_TABLE: u32 = 66_960;
const TABLES_MAX: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, source: &str) -> Destination {
        Destination::from_source(prefix.parse().unwrap(), source.parse().unwrap()).unwrap()
    }

    /// The rules of a request: priority, table, what is suppressed.
    fn told(requests: &[Request]) -> Vec<(u32, u32, Option<u32>)> {
        let tell = |(message, _): &Request| {
            let (RouteNetlinkMessage::NewRule(rule) | RouteNetlinkMessage::DelRule(rule)) = message
            else {
                panic!("{message:?}");
            };
            let suppressed = number(rule, |attribute| match attribute {
                RuleAttribute::SuppressPrefixLen(length) => Some(*length),
                _ => None,
            });
            (number(rule, priority).unwrap(), number(rule, table).unwrap(), suppressed)
        };
        requests.iter().map(tell).collect()
    }

    #[test]
    fn long_destinations_come_before_short_ones_and_long_sources_too() {
        let mut rules = SourceRules::new(100, 254, BTreeSet::from([254]));
        let mut first = |prefix, source| {
            let (table, requests) = rules.add(&route(prefix, source)).unwrap();
            let told = told(&requests);
            assert_eq!(told.len(), 2);
            assert_eq!((told[0].1, told[1]), (254, (told[0].0 + 1, table, None)));
            assert_eq!(told[0].2, Some(u32::from(route(prefix, source).prefix.length())));
            told[0].0
        };
        let order = [
            first("192.0.2.1/32", "10.0.0.0/8"),
            first("192.0.2.0/24", "10.1.0.0/16"),
            first("192.0.2.0/24", "10.0.0.0/8"),
            first("0.0.0.0/0", "10.1.1.1/32"),
            first("0.0.0.0/0", "10.0.0.0/8"),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        assert!(order[4] < 32_766, "before the main table");
    }

    #[test]
    fn a_table_lasts_as_long_as_a_route_in_it() {
        let mut rules = SourceRules::new(100, 254, BTreeSet::from([254]));
        let (one, other) =
            (route("192.0.2.0/24", "10.0.0.0/8"), route("192.0.3.0/24", "10.0.0.0/8"));
        let (table, requests) = rules.add(&one).unwrap();
        assert_eq!(requests.len(), 2);
        assert_eq!(rules.add(&other), Some((table, vec![])));
        assert_eq!(rules.source_of(table), Some(one.source));
        assert_eq!(rules.remove(&one), Some((table, vec![])));
        assert_eq!(told(&rules.remove(&other).unwrap().1), told(&requests));
        assert!(rules.is_empty());
        assert_eq!(rules.remove(&other), None);
    }

    #[test]
    fn the_rules_of_a_killed_router_are_told_from_those_of_others() {
        let plain = BTreeSet::from([254]);
        let [mut ours, mut others] =
            [254, 10].map(|table| SourceRules::new(100, table, plain.clone()));
        let rules_of = |rules: &mut SourceRules, prefix, source| {
            let (_, requests) = rules.add(&route(prefix, source)).unwrap();
            let rules = requests.into_iter().map(|(request, _)| match request {
                RouteNetlinkMessage::NewRule(rule) => rule,
                other => panic!("{other:?}"),
            });
            rules.collect::<Vec<_>>()
        };
        let left = rules_of(&mut ours, "0.0.0.0/0", "10.0.0.0/8");
        let of_others = rules_of(&mut others, "0.0.0.0/0", "10.1.0.0/16");
        let mut of_host = rule("10.0.0.0/8".parse().unwrap(), 254, 100, None);
        of_host.attributes.retain(|attribute| !matches!(attribute, RuleAttribute::Protocol(_)));
        let all = [left.clone(), of_others, vec![of_host]].concat();
        assert_eq!(SourceRules::new(100, 254, plain).leftovers(all), left);
    }

    #[test]
    fn there_are_only_so_many_tables() {
        let mut rules = SourceRules::new(100, 254, BTreeSet::from([254]));
        let source = |at| route("0.0.0.0/0", &format!("10.0.{at}.0/24"));
        for at in 0..limits::BABEL_SOURCE_TABLES_MAX {
            assert!(rules.add(&source(at)).is_some());
        }
        let further = source(limits::BABEL_SOURCE_TABLES_MAX);
        assert!(rules.add(&further).is_none());
        rules.remove(&source(7)).unwrap();
        assert!(rules.add(&further).is_some());
    }
}
