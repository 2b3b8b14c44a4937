//! `re6st registry check`: whether a database holds together.

use std::collections::BTreeMap;

use clap::Args;

use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::database::{Leaf, Tables};
use crate::proto::certificate::{Authority, Certificate, renewal};
use crate::proto::prefix::Prefix;
use crate::proto::registry::clock::REMEDY;
use crate::proto::terminal;
use crate::proto::version::NetworkVersion;

use super::{Folder, print_all};
use crate::command::registry::clock::verdict;
use crate::command::registry::membership::is_marked;
use crate::command::registry::refusal::Refusal;

/// Options of `re6st registry check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    folder: Folder,
    /// Print JSON, one problem a line
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Does what `re6st registry check` was asked.
    pub fn run(&self) -> Outcome {
        let authority = self.folder.authority()?;
        let problems = self.folder.read(|tables| problems(tables, &authority))?;
        let found = problems.len();
        let printed = if self.json {
            print_all(problems.into_iter().map(Object::Problem))
        } else {
            let line = |it: json::Problem| {
                print(format_args!("{}: {}", it.subject, terminal::line(&it.problem)))
            };
            problems.into_iter().try_for_each(line)
        };
        match found {
            0 => printed,
            1 => Err(Failure::failed("the database has a problem")),
            found => Err(Failure::failed(format!("the database has {found} problems"))),
        }
    }
}

/// Everything that is wrong with a database.
fn problems(tables: &Tables<'_>, authority: &Authority) -> Result<Vec<json::Problem>, Refusal> {
    let mut problems = Problems::default();
    let leaves = tables.leaves()?;
    tree(&leaves, &mut problems);
    let counter = tables.config::<i64>("serial")?.unwrap_or(0).cast_unsigned();
    certificates(&leaves, authority, counter, &mut problems);
    let own: Option<String> = tables.config("prefix")?;
    let has_own = |bits: &String| {
        leaves.iter().any(|leaf| leaf.prefix.to_bits() == *bits && leaf.certificate.is_some())
    };
    if own.is_some_and(|bits| !has_own(&bits)) {
        problems.add("network", "the registry's own node has no certificate");
    }
    if let Some(version) = tables.config::<Vec<u8>>("version")?
        && NetworkVersion::parse(&version, authority).is_err()
    {
        problems.add("network", "its version is not signed by its authority");
    }
    if let Err(why) = verdict(tables, authority)? {
        problems.add("network", format!("the clock is implausible: {why}; {REMEDY}"));
    }
    if let Some(why) = renewal::authority_ends(authority.certificate(), unix_time()) {
        problems.add("network", why);
    }
    Ok(problems.0)
}

#[derive(Default)]
struct Problems(Vec<json::Problem>);

impl Problems {
    fn add(&mut self, subject: impl ToString, problem: impl Into<String>) {
        self.0.push(json::Problem { subject: subject.to_string(), problem: problem.into() });
    }
}

/// Leaves must neither overlap nor leave a gap.
fn tree(leaves: &[Leaf], problems: &mut Problems) {
    // In the order of bits, whatever a leaf covers comes right after it.
    let mut last: Option<Prefix> = None;
    let mut covered = 0_u128;
    for leaf in leaves {
        if let Some(last) = last.filter(|last| last.covers(leaf.prefix)) {
            problems.add(leaf.prefix, format!("overlaps {last}"));
            continue;
        }
        // In parts of a network of 127 bits, the longest there is; one bit is lost at the whole.
        covered += 1_u128.checked_shl(127 - u32::from(leaf.prefix.length().min(127))).unwrap_or(0);
        last = Some(leaf.prefix);
    }
    if covered != 1 << 127 {
        problems.add("network", "a part of it is neither free nor anybody's");
    }
}

fn certificates(leaves: &[Leaf], authority: &Authority, counter: u64, problems: &mut Problems) {
    let now = unix_time();
    let mut serials: BTreeMap<u64, Prefix> = BTreeMap::new();
    let mut subject_serials: BTreeMap<u32, Prefix> = BTreeMap::new();
    for leaf in leaves {
        let (prefix, Some(text)) = (leaf.prefix, &leaf.certificate) else { continue };
        if is_marked(text) {
            continue;
        }
        let Ok(certificate) = Certificate::from_pem(text.as_bytes()) else {
            problems.add(prefix, "its certificate cannot be read");
            continue;
        };
        match authority.verify(&certificate, now) {
            Ok(named) if named != prefix => {
                problems.add(prefix, format!("its certificate names {named}"));
            }
            Ok(_) => {}
            Err(error) => problems.add(prefix, format!("its certificate {error}")),
        }
        let serial = certificate.serial().unwrap_or_default();
        if let Some(other) = serials.insert(serial, prefix) {
            problems.add(prefix, format!("has the same serial number as {other}: {serial}"));
        }
        if serial > counter {
            problems.add(prefix, format!("its serial number {serial} is still to be given"));
        }
        if let Some(number) = certificate.subject_serial()
            && let Some(other) = subject_serials.insert(number, prefix)
        {
            problems.add(prefix, format!("has the same IPv4 number as {other}: {number}"));
        }
    }
}
