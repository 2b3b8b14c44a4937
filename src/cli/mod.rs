//! From argv to one command, and from its outcome to an exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::{
    FailureKind, Outcome, babel, cert, lab, node, ping_matrix, registry, runtime, tunnel,
};

pub mod legacy;
pub mod manual;
pub mod options_file;
mod sections;
mod vocabulary;

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
enum Command {
    /// Found a network, hand out its certificates and prefixes
    Registry(registry::Options),
    /// Join a network, look at certificates, renew them
    Cert(cert::Options),
    /// Join the network and keep tunnels, or ask the node that does
    #[command(subcommand)]
    Node(node::Command),
    /// One OpenVPN server or client alone
    #[command(subcommand)]
    Tunnel(tunnel::options::Tunnel),
    /// Route between interfaces with Babel
    Babel(babel::Options),
    /// Measure who reaches whom, and how fast, over IPv4, IPv6 and the SDN
    #[command(subcommand)]
    PingMatrix(ping_matrix::Command),
    /// Make a network of hosts on one machine, with an emulated Internet between them
    #[command(subcommand)]
    Lab(lab::Command),
    /// Write the man pages and the shell completions
    #[command(hide = true)]
    Manual(manual::Options),
}

impl Command {
    fn run(self) -> Outcome {
        match self {
            Self::Registry(options) => registry::run(options),
            Self::Cert(options) => cert::run(options),
            Self::Node(command) => node::run(command),
            Self::Tunnel(tunnel) => tunnel::run::run(tunnel),
            Self::Babel(options) => babel::run(options),
            Self::PingMatrix(command) => ping_matrix::run(command),
            Self::Lab(command) => lab::run(command),
            Self::Manual(options) => manual::run(&options),
        }
    }
}

/// Parses `arguments`, the program's name first, runs the command and tells how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match options_file::expand(legacy::translate(arguments)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("re6st: {error}");
            return ExitCode::from(2);
        }
    };
    let re6st = match Re6st::try_parse_from(arguments) {
        Ok(re6st) => re6st,
        Err(error) => {
            // A closed pipe must not turn help into a failure.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let outcome = re6st.command.run();
    if let Some(why) = runtime::panicked() {
        eprintln!("re6st: ended because of {why}; please report it with the log");
        return ExitCode::FAILURE;
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if failure.kind != FailureKind::Unread {
                eprintln!("re6st: {failure}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
