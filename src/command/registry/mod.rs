//! The registry's server, its administration, and the client that nodes and applicants use.

pub mod access;
pub mod administration;
pub mod applicants;
mod call_limits;
mod certificates;
pub mod client;
mod clock;
pub mod init;
pub mod members;
mod membership;
pub mod metrics;
pub mod network;
pub mod open;
pub mod own_node;
mod parsed;
pub mod picture;
pub mod policy;
pub mod private;
pub mod refusal;
mod replaced;
mod requests;
pub mod restore;
pub mod serve;
pub mod server;
pub mod sessions;
pub mod socket;
pub mod state;
pub mod told;
pub mod web;

use clap::Subcommand;

use crate::command::Outcome;

/// Options of `re6st registry`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

/// What can be done with a registry.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make the authority of a new network: its key, its certificate, a sample configuration
    Init(init::Options),
    /// Hand out certificates and tell nodes the parameters of the network
    Serve(Box<serve::Options>),
    /// List the members of the network
    Nodes(administration::Nodes),
    /// Make, list and remove the tokens that are worth a certificate
    Token(administration::Token),
    /// Print one line that somebody else joins the network with
    Invite(administration::Invite),
    /// End the membership of a node, or one certificate
    Revoke(administration::Revoke),
    /// Take the next of three steps to a new key of Babel's
    RotateKey(administration::RotateKey),
    /// Make the authority last longer; its key, its network and all it issued stay
    RenewCa(administration::RenewCa),
    /// Print a ticket to log in to the registry's pages with
    Login(administration::Login),
    /// Print all that a database holds, but for keys, as JSON
    Export(administration::Export),
    /// Tell what software each node runs
    Versions(administration::Versions),
    /// Tell who has tunnels to whom
    Topology(administration::Topology),
    /// Tell whether the registry's clock is plausible, or accept it
    Clock(administration::Clock),
    /// Check that a database holds together
    Check(administration::Check),
    /// Copy the database while a registry uses it
    Backup(administration::Backup),
    /// Go back to a copy, without forgetting who was revoked or who joined since; or bring one member back
    Restore(administration::Restore),
    /// Copy the database from SQLite to PostgreSQL, or back
    Migrate(administration::Migrate),
}

/// Does what `re6st registry` was asked.
pub fn run(options: Options) -> Outcome {
    match options.command {
        Command::Init(options) => init::run(&options),
        Command::Serve(options) => serve::run(*options),
        Command::Nodes(options) => options.run(),
        Command::Token(options) => options.run(),
        Command::Invite(options) => options.run(),
        Command::Revoke(options) => options.run(),
        Command::RotateKey(options) => options.run(),
        Command::RenewCa(options) => options.run(),
        Command::Login(options) => options.run(),
        Command::Export(options) => options.run(),
        Command::Versions(options) => options.run(),
        Command::Topology(options) => options.run(),
        Command::Clock(options) => options.run(),
        Command::Check(options) => options.run(),
        Command::Backup(options) => options.run(),
        Command::Restore(options) => options.run(),
        Command::Migrate(options) => options.run(),
    }
}
