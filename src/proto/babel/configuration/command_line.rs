//! babeld's command line, and the option `-X` of the babeld that re6stnet patches.

use std::str::FromStr;

use crate::proto::babel::configuration::Configuration;
use crate::proto::babel::configuration::interface::InterfaceOptions;
use crate::proto::babel::configuration::problem::{Fault, Place, Problem};
use crate::proto::babel::configuration::words::{self, Words};
use crate::proto::babel::settings::{LinkKind, SplitHorizon};

/// What babeld's command line asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandLine {
    /// What the options say, and what `-C` says; the files are still to be read into it.
    pub configuration: Configuration,
    /// The files to read, in this order; none means the default one, if it is there.
    pub files: Vec<String>,
    /// Where the control socket of the patched babeld is served.
    pub control_socket: Option<String>,
    /// The interfaces named; to be added after the files.
    pub interfaces: Vec<String>,
    /// Whether only the version is asked for.
    pub task: Task,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Task {
    /// Route.
    #[default]
    Run,
    /// Tell the version.
    ShowVersion,
}

impl CommandLine {
    /// The file that is read if none is named.
    pub const FILE: &str = "/etc/babeld.conf";

    /// Reads the arguments, without the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self, Vec<Problem>> {
        let mut line = Self::default();
        let mut problems = Vec::new();
        let mut arguments = arguments.iter().map(String::as_str);
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix('-') {
                Some("-") => {
                    line.interfaces.extend(arguments.by_ref().map(str::to_owned));
                }
                Some(letters) if !letters.is_empty() => {
                    problems.extend(line.read_letters(letters, &mut arguments));
                }
                _ => line.interfaces.push(argument.to_owned()),
            }
        }
        if problems.is_empty() { Ok(line) } else { Err(problems) }
    }

    /// Reads `-l`, `-lw`, `-k 5` or `-k5`.
    fn read_letters<'a>(
        &mut self,
        letters: &str,
        arguments: &mut impl Iterator<Item = &'a str>,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (at, letter) in letters.char_indices() {
            let option = format!("-{letter}");
            let fault = if WITH_VALUE.contains(letter) {
                let joined = &letters[at + letter.len_utf8()..];
                let value = if joined.is_empty() { arguments.next() } else { Some(joined) };
                match value {
                    Some(value) if letter == 'C' => {
                        problems.extend(self.configuration.read_option(value));
                        return problems;
                    }
                    Some(value) => self.set_value(letter, &option, value),
                    None => Err(Fault::NoValue { of: option.clone(), expected: "a value" }),
                }
            } else {
                self.set(letter)
            };
            if let Err(fault) = fault {
                let problem = Problem { place: Place::CommandLine(option), fault };
                let harmless = problem.fault.is_harmless();
                if harmless { &mut self.configuration.remarks } else { &mut problems }
                    .push(problem);
            }
            if WITH_VALUE.contains(letter) {
                break;
            }
        }
        problems
    }

    /// An option without a value.
    fn set(&mut self, letter: char) -> Result<(), Fault> {
        let statement = match letter {
            'V' => {
                self.task = Task::ShowVersion;
                return Ok(());
            }
            's' => {
                self.configuration.defaults.split_horizon = SplitHorizon::Off;
                return Ok(());
            }
            'w' => {
                self.configuration.defaults.kind = LinkKind::Wireless;
                return Ok(());
            }
            'l' => "link-detect",
            'r' => "random-id",
            'D' => "daemonise",
            _ => return Err(Fault::Word { word: format!("-{letter}"), expected: "option" }),
        };
        self.configuration.options.set(statement, Words::after(statement, "true"))
    }

    /// An option with a value; most are the statement of a longer name.
    fn set_value(&mut self, letter: char, option: &str, value: &str) -> Result<(), Fault> {
        let seconds = || {
            let wrong = || Fault::Value {
                of: option.to_owned(),
                value: value.to_owned(),
                expected: "a number of seconds up to 655.35",
            };
            words::interval(value).ok_or_else(wrong)
        };
        let statement = match letter {
            'h' => {
                self.configuration.defaults.wireless_hello_interval = seconds()?;
                return Ok(());
            }
            'H' => {
                self.configuration.defaults.hello_interval = seconds()?;
                return Ok(());
            }
            'c' => {
                self.files.push(value.to_owned());
                return Ok(());
            }
            'X' => {
                self.control_socket = Some(value.to_owned());
                return Ok(());
            }
            // Zero is their default, and as a statement no number that babeld takes.
            'k' | 't' if u32::from_str(value) == Ok(0) => return Ok(()),
            'g' | 'G' => "local-path",
            'z' => "diversity",
            _ => LONG_NAMES.iter().find(|(short, _)| *short == letter).map_or("", |(_, l)| *l),
        };
        let value = if letter == 'z' { value.split(',').next().unwrap_or(value) } else { value };
        self.configuration.options.set(statement, Words::after(statement, value))
    }

    /// Adds the interfaces named, once the files are read.
    pub fn add_interfaces(&mut self) {
        for name in &self.interfaces {
            self.configuration.add_interface(name, &InterfaceOptions::default());
        }
    }
}

/// Options that are statements.
const LONG_NAMES: [(char, &str); 11] = [
    ('m', "protocol-group"),
    ('p', "protocol-port"),
    ('k', "kernel-priority"),
    ('A', "allow-duplicates"),
    ('M', "smoothing-half-life"),
    ('d', "debug"),
    ('t', "export-table"),
    ('T', "import-table"),
    ('S', "state-file"),
    ('L', "log-file"),
    ('I', "pid-file"),
];

/// Options that a value follows.
const WITH_VALUE: &str = "mphHkASdgGtTcCLIMzX";
