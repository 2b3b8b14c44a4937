//! Filter rules, as they are written.

use std::net::IpAddr;

use crate::proto::babel::configuration::problem::Fault;
use crate::proto::babel::configuration::words::{self, Words};
use crate::proto::babel::filter::{Action, Family, Lengths, Origin, Rule, Selector};
use crate::proto::cidr::Cidr;

/// Reads what follows `in`, `out`, `redistribute` or `install`.
pub fn parse(mut words: Words) -> Result<Rule, Fault> {
    let mut rule = Rule::default();
    while let Some(word) = words.next_word() {
        if !select(&mut rule.selector, &word, &mut words)? && !act(&mut rule, &word, &mut words)? {
            return Err(Fault::Word { word, expected: "selector or action of a filter" });
        }
    }
    // A length says nothing about a family; babeld takes it for one of IPv6.
    let any = rule.selector.lengths == Lengths::ANY && rule.selector.source_lengths == Lengths::ANY;
    if !any {
        rule.selector.family.get_or_insert(Family::V6);
    }
    Ok(rule)
}

/// Refuses what an `install` rule may not look at: it must match a route for as long as it is there.
pub fn of_destination(rule: Rule) -> Result<Rule, Fault> {
    let Selector { neighbour, router_id, origin, interface, .. } = &rule.selector;
    let of_more =
        neighbour.is_some() || router_id.is_some() || origin.is_some() || interface.is_some();
    if of_more {
        return Err(Fault::Unsupported {
            statement: "install",
            instead: "it goes by prefix and source prefix alone, leave out neigh, id, proto, local and if",
        });
    }
    Ok(rule)
}

/// Reads a selector; whether `word` begins one.
fn select(selector: &mut Selector, word: &str, words: &mut Words) -> Result<bool, Fault> {
    match word {
        "ip" => selector.prefix = Some(of_family(selector, words.value(PREFIX, words::prefix)?)?),
        "src-ip" => {
            selector.source = Some(of_family(selector, words.value(PREFIX, words::prefix)?)?);
        }
        "eq" | "le" | "ge" => {
            selector.lengths = selector.lengths.and(lengths(word, words)?);
        }
        "src-eq" | "src-le" | "src-ge" => {
            selector.source_lengths = selector.source_lengths.and(lengths(&word[4..], words)?);
        }
        "neigh" => selector.neighbour = Some(words.value("an address", words::address)?),
        "id" => selector.router_id = Some(words.value("a router-id", words::router_id)?),
        "proto" => {
            let protocol = words.value("a protocol number up to 255", words::number8)?;
            // Zero is no protocol: babeld reads it as if nothing were said.
            selector.origin = (protocol > 0).then_some(Origin::Protocol(protocol));
        }
        "local" => selector.origin = Some(Origin::Local),
        "if" => selector.interface = Some(words.text("the name of an interface")?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Reads an action; whether `word` begins one.
fn act(rule: &mut Rule, word: &str, words: &mut Words) -> Result<bool, Fault> {
    match word {
        "allow" => rule.action.metric = Action::ALLOW.metric,
        "deny" => rule.action.metric = Action::DENY.metric,
        "metric" => {
            let metric = |word: &str| words::number16(word, 1..=u16::MAX);
            rule.action.metric = words.value("a number from 1 to 65535", metric)?;
        }
        "src-prefix" => {
            let prefix = words.value(PREFIX, words::prefix)?;
            rule.action.source = Some(of_family(&mut rule.selector, prefix)?);
        }
        "table" => {
            let table = |word: &str| words::number(word, &(1..=65_535));
            rule.action.table = Some(words.value("a number from 1 to 65535", table)?);
        }
        "pref-src" => {
            let address = words.value("an address", words::address)?;
            hold_family(&mut rule.selector, address)?;
            rule.action.preferred_source = Some(address);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Remembers the family of a rule's prefix, which must be that of its others.
fn of_family(selector: &mut Selector, prefix: Cidr) -> Result<Cidr, Fault> {
    hold_family(selector, prefix.address())?;
    Ok(prefix)
}

fn hold_family(selector: &mut Selector, address: IpAddr) -> Result<(), Fault> {
    let family = Family::of(address);
    if *selector.family.get_or_insert(family) == family { Ok(()) } else { Err(Fault::Families) }
}

/// Reads the number after `eq`, `le` or `ge`.
fn lengths(comparison: &str, words: &mut Words) -> Result<Lengths, Fault> {
    let length = words.value("a prefix length", words::number8)?;
    Ok(match comparison {
        "eq" => Lengths { min: length, max: length },
        "le" => Lengths { min: 0, max: length },
        _ => Lengths { min: length, max: u8::MAX },
    })
}

const PREFIX: &str = "an address prefix";
