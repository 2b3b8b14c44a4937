//! The router: alone, or inside a node.

mod babeld;
mod babeld_socket;
mod clients;
mod configured;
mod control;
mod engine;
pub mod identity;
mod look;
mod objects;
mod printing;
mod reload;
mod repairs;
pub mod request;
mod run;
pub mod service;
mod silence;
mod statements;

use clap::Subcommand;

use crate::command::Outcome;

/// Options of `re6st babel`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

/// What can be done with a router.
#[derive(Debug, Subcommand)]
enum Command {
    /// Route between interfaces until told to end
    Run(Box<run::Options>),
    /// Show what a running router knows
    Dump(look::Options),
    /// Show what a running router knows, and then what changes
    Monitor(look::Options),
    /// Have a running router read its configuration again; neighbours stay
    Reload(reload::Options),
    /// Take the place of babeld: its command line, its files
    Babeld(babeld::Options),
}

/// Does what `re6st babel` was asked.
pub fn run(options: Options) -> Outcome {
    match options.command {
        Command::Run(options) => run::run(*options),
        Command::Dump(options) => look::dump(&options),
        Command::Reload(options) => reload::run(&options),
        Command::Monitor(options) => look::monitor(&options),
        Command::Babeld(options) => babeld::run(&options),
    }
}

/// Where a router is asked if nothing else is said.
const SOCKET: &str = "/run/re6st-babel.sock";
