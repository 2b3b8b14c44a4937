//! What is wrong with a configuration, and where.

use std::fmt;

use crate::proto::babel::mac::KeyError;

/// Where a statement was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In this line of this file.
    File {
        /// Its name.
        name: String,
        /// Counted from one.
        line: usize,
    },
    /// On the command line: the option with its value.
    CommandLine(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::CommandLine(option) => f.write_str(option),
        }
    }
}

/// A statement that cannot be followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)
    }
}

impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}

/// What is wrong with a statement.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Its first word is none of babeld's.
    #[error("babeld has no statement `{0}`")]
    Statement(String),
    /// A word in it is none that belongs there.
    #[error("`{word}` is no {expected}")]
    Word {
        /// The word.
        word: String,
        /// What would be.
        expected: &'static str,
    },
    /// A word that needs a value is the last.
    #[error("`{of}` is followed by {expected}, and here by nothing")]
    NoValue {
        /// The word.
        of: String,
        /// What should follow.
        expected: &'static str,
    },
    /// A value is not of its kind.
    #[error("`{of}` is followed by {expected}, not by `{value}`")]
    Value {
        /// The word.
        of: String,
        /// What follows it.
        value: String,
        /// What should.
        expected: &'static str,
    },
    /// It goes on after its end.
    #[error("`{word}` is too much after `{after}`")]
    Trailing {
        /// The first word too much.
        word: String,
        /// The last that belongs to it.
        after: String,
    },
    /// A quote is not closed.
    #[error("a quotation mark is missing")]
    Quote,
    /// IPv4 and IPv6 in one rule.
    #[error("a rule is for one address family, and this one names both")]
    Families,
    /// A key lacks a part.
    #[error("a key is written `key id NAME type hmac-sha256|blake2s128 value HEXADECIMAL`")]
    KeyIncomplete,
    /// A key has a value that its hash does not take.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An interface has a key that no statement defines.
    #[error("no statement `key id {0} …` defines this key")]
    KeyUnknown(String),
    /// babeld knows it, this router does not, and without it something else would happen.
    #[error("`{statement}` is not supported: {instead}")]
    Unsupported {
        /// What was asked.
        statement: &'static str,
        /// What to do about it.
        instead: &'static str,
    },
    /// babeld knows it, this router does not, and every destination is reached without it.
    #[error("`{statement}` has no effect: {reason}")]
    WithoutEffect {
        /// What was asked.
        statement: &'static str,
        /// Why that does not matter.
        reason: &'static str,
    },
}

impl Fault {
    /// Whether the router may start all the same.
    pub const fn is_harmless(&self) -> bool {
        matches!(self, Self::WithoutEffect { .. })
    }
}
