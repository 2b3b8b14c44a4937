//! babeld's configuration language, as babeld(8) documents it: a text becomes a [`Configuration`].
//!
//! Every statement of the manual is read, or named with its place as not supported, before anything
//! starts. What stays without consequence for routes is only remarked on.
//!
//! | file | statements |
//! | --- | --- |
//! | [`options`] | `protocol-port`, `router-id`, … |
//! | [`interface`] | `interface`, `default` |
//! | [`rule`] | `in`, `out`, `redistribute`, `install` |
//! | [`key`] | `key id … type … value …` |
//! | [`command_line`] | babeld's options, and `-X` of the one that re6stnet patches |

pub mod command_line;
pub mod interface;
pub mod key;
pub mod options;
pub mod problem;
pub mod rule;
pub mod words;

#[cfg(test)]
mod tests;

use crate::proto::babel::configuration::interface::{InterfaceDefaults, InterfaceOptions};
use crate::proto::babel::configuration::key::NamedKey;
use crate::proto::babel::configuration::options::Options;
use crate::proto::babel::configuration::problem::{Fault, Place, Problem};
use crate::proto::babel::configuration::words::Words;
use crate::proto::babel::filter::Filters;
use crate::proto::babel::mac::{BadSignatures, Key, Keys};
use crate::proto::babel::settings::{Authentication, Behaviour, InterfaceSettings};

/// All that babeld's language can say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Configuration {
    /// About the router as a whole.
    pub options: Options,
    /// Links by name, in the order they were named first.
    pub interfaces: Vec<(String, InterfaceOptions)>,
    /// What holds for links where nothing else is said.
    pub default: InterfaceOptions,
    /// What holds where not even the default says anything.
    pub defaults: InterfaceDefaults,
    /// Which routes are learned, announced, redistributed and installed.
    pub filters: Filters,
    /// Keys by name.
    pub keys: Vec<NamedKey>,
    /// The names of keys that links are to have, and where that is said.
    pub keys_wanted: Vec<(String, Place)>,
    /// What was said and has no effect.
    pub remarks: Vec<Problem>,
}

/// A link, ready for the router.
#[derive(Clone, PartialEq, Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// How it behaves, and how its packets are signed.
    pub behaviour: Behaviour,
}

impl Configuration {
    /// Reads the lines of a file; everything wrong with them is told at once.
    pub fn read_file(&mut self, name: &str, text: &str) -> Vec<Problem> {
        let place = |line| Place::File { name: name.to_owned(), line };
        let lines = text.split('\n').enumerate();
        lines.filter_map(|(at, line)| self.read_line(line, || place(at + 1))).collect()
    }

    /// Reads what followed `-C`, which may be several lines.
    pub fn read_option(&mut self, text: &str) -> Vec<Problem> {
        let place = || Place::CommandLine(format!("-C '{text}'"));
        text.split('\n').filter_map(|line| self.read_line(line, place)).collect()
    }

    fn read_line(&mut self, line: &str, place: impl Fn() -> Place) -> Option<Problem> {
        let mut faults = match self.read_statement(line, &place) {
            Ok(faults) => faults,
            Err(fault) => vec![fault],
        };
        let fatal = faults.iter().position(|fault| !fault.is_harmless());
        let fatal = fatal.map(|at| Problem { place: place(), fault: faults.remove(at) });
        self.remarks.extend(faults.into_iter().map(|fault| Problem { place: place(), fault }));
        fatal
    }

    /// Reads one statement; what it says that this router does not do.
    fn read_statement(
        &mut self,
        line: &str,
        place: impl Fn() -> Place,
    ) -> Result<Vec<Fault>, Fault> {
        let mut words = Words::split(line)?;
        let Some(word) = words.next_word() else {
            return Ok(Vec::new());
        };
        match word.as_str() {
            "interface" => {
                let name = words.text("the name of an interface")?;
                let mut options = InterfaceOptions::parse(words)?;
                let faults = std::mem::take(&mut options.faults);
                self.want_key(&options, place);
                self.add_interface(&name, &options);
                return Ok(faults);
            }
            "default" => {
                let mut options = InterfaceOptions::parse(words)?;
                let faults = std::mem::take(&mut options.faults);
                self.want_key(&options, place);
                self.default = options.or(&self.default);
                return Ok(faults);
            }
            "in" => self.filters.input.push(rule::parse(words)?),
            "out" => self.filters.output.push(rule::parse(words)?),
            "redistribute" => self.filters.redistribute.push(rule::parse(words)?),
            "install" => self.filters.install.push(rule::of_destination(rule::parse(words)?)?),
            "key" => self.keys.push(key::parse(words)?),
            option => self.options.set(option, words)?,
        }
        Ok(Vec::new())
    }

    fn want_key(&mut self, options: &InterfaceOptions, place: impl Fn() -> Place) {
        self.keys_wanted.extend(options.key.iter().map(|id| (id.clone(), place())));
    }

    /// Runs on a link; what was said before about it holds where this says nothing.
    pub fn add_interface(&mut self, name: &str, options: &InterfaceOptions) {
        match self.interfaces.iter_mut().find(|(known, _)| known == name) {
            Some((_, before)) => *before = options.or(before),
            None => self.interfaces.push((name.to_owned(), options.clone())),
        }
    }

    /// The links, complete: with the defaults, and with their keys. A key that is wanted anywhere must be
    /// there, even if no link has it in the end.
    pub fn resolve_interfaces(&self) -> Result<Vec<Interface>, Vec<Problem>> {
        let is_missing = |(id, _): &&(String, Place)| self.key(id).is_none();
        let missing = self.keys_wanted.iter().filter(is_missing).map(|(id, place)| Problem {
            place: place.clone(),
            fault: Fault::KeyUnknown(id.clone()),
        });
        let problems: Vec<Problem> = missing.collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let resolve = |(name, options): &(String, InterfaceOptions)| {
            let options = options.or(&self.default);
            let bad_signatures = match options.accept_bad_signatures {
                Some(true) => BadSignatures::Accepted,
                _ => BadSignatures::Refused,
            };
            let keys = options.key.as_deref().and_then(|id| self.keys_to_sign_with(id));
            let authentication = keys.map(|keys| Authentication { keys, bad_signatures });
            let complete = |settings: InterfaceSettings| InterfaceSettings {
                authentication: authentication.clone(),
                ..settings
            };
            let Behaviour { settings, on_radio } = options.behaviour(&self.defaults);
            let behaviour =
                Behaviour { settings: complete(settings), on_radio: on_radio.map(complete) };
            Interface { name: name.clone(), behaviour }
        };
        Ok(self.interfaces.iter().map(resolve).collect())
    }

    /// The key of this name, as it was said last.
    fn key(&self, id: &str) -> Option<Key> {
        self.keys.iter().rfind(|key| key.id == id).map(|key| key.key.clone())
    }

    fn keys_to_sign_with(&self, id: &str) -> Option<Keys> {
        let sign = self.key(id)?;
        let accept = self.key(ACCEPT).filter(|accept| *accept != sign);
        Some(Keys { sign: vec![sign], accept: accept.into_iter().collect() })
    }
}

/// A key of this name signs nothing and is accepted everywhere: so the babeld that re6stnet patches
/// takes packets of both keys while a network changes from one to the other.
const ACCEPT: &str = "accept";
