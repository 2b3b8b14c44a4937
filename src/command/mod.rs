//! One module per command: its options, what it opens, the loop that drives its cores.

pub mod babel;
pub mod cert;
pub mod json;
pub mod lab;
pub mod node;
pub mod ping_matrix;
pub mod registry;
pub mod runtime;
pub mod tunnel;

use std::fmt;
use std::io::{self, Write};

use crate::proto::terminal;

/// How a command ends.
pub type Outcome = Result<(), Failure>;

/// Why a command did not do what it was asked, in one sentence that names the thing and says what to do.
#[derive(Debug)]
pub struct Failure {
    /// Whose turn it is.
    pub kind: FailureKind,
    sentence: String,
}

/// What the exit code tells a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailureKind {
    /// It was tried and did not work.
    Failed,
    /// It was asked wrongly: nothing was tried.
    Usage,
    /// Whoever read what it prints has read enough: the rest is not wanted, and nothing is wrong.
    Unread,
}

impl Failure {
    /// It was tried and did not work.
    pub fn failed(sentence: impl Into<String>) -> Self {
        Self { kind: FailureKind::Failed, sentence: sentence.into() }
    }

    /// It was asked wrongly: nothing was tried.
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self { kind: FailureKind::Usage, sentence: sentence.into() }
    }

    /// The exit code; every one there is.
    pub const fn exit_code(&self) -> u8 {
        match self.kind {
            FailureKind::Failed => 1,
            FailureKind::Usage => 2,
            FailureKind::Unread => 0,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may quote a registry or a peer.
        f.write_str(&terminal::text(&self.sentence))
    }
}

/// Prints a line, or several, on standard output: what would steer a terminal is escaped.
pub fn print(line: impl fmt::Display) -> Outcome {
    printed(writeln!(io::stdout().lock(), "{}", terminal::text(&line.to_string())))
}

/// What became of something that was printed.
pub fn printed(written: io::Result<()>) -> Outcome {
    written.map_err(|error| {
        let mut failure = Failure::failed(format!("cannot print: {error}"));
        if error.kind() == io::ErrorKind::BrokenPipe {
            failure.kind = FailureKind::Unread;
        }
        failure
    })
}
