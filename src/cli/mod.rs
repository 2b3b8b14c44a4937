//! From argv to one command, and from its outcome to an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::command::Outcome;

/// A resilient, scalable IPv6 mesh network over whatever the Internet gives
#[derive(Debug, Parser)]
#[command(name = "re6st", version, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub struct Re6st {
    #[command(subcommand)]
    command: Command,
}

/// Every command, in the order `re6st --help` lists them.
#[derive(Debug, Subcommand)]
enum Command {}

impl Command {
    fn run(self) -> Outcome {
        match self {}
    }
}

/// Parses `arguments`, the program's name first, runs the command and tells how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = Re6st::command()
        .try_get_matches_from(arguments)
        .and_then(|matches| Re6st::from_arg_matches(&matches));
    let re6st = match parsed {
        Ok(re6st) => re6st,
        Err(error) => {
            // A closed pipe must not turn help into a failure.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match re6st.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("re6st: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
