//! A node's certificate: ask for one, look at it, check it, renew it.

mod files;
mod join;
mod renew;
mod show;

use clap::Subcommand;

use crate::command::Outcome;

/// Options of `re6st cert`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

/// What can be done with certificates.
#[derive(Debug, Subcommand)]
enum Command {
    /// Join a network: make a key, ask its registry for a certificate, write a sample configuration
    Join(Box<join::Options>),
    /// Show what a certificate says
    Show(show::Show),
    /// Check a certificate against its network's authority, the date, and its key
    Verify(show::Verify),
    /// Ask the registry for a certificate that lasts longer
    Renew(renew::Options),
    /// Print the fingerprint of a certificate, as `re6st cert join --fingerprint` takes it
    Fingerprint(show::Fingerprint),
}

/// Does what `re6st cert` was asked.
pub fn run(options: Options) -> Outcome {
    match options.command {
        Command::Join(options) => join::run(*options),
        Command::Show(options) => options.run(),
        Command::Verify(options) => options.run(),
        Command::Renew(options) => renew::run(&options),
        Command::Fingerprint(options) => options.run(),
    }
}
