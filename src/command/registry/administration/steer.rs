//! `re6st registry revoke` and `rotate-key`: what changes the network.

use clap::Args;

use crate::command::{Failure, Outcome};
use crate::proto::prefix::Prefix;

use super::Running;

/// Options of `re6st registry revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// A node, as 2/16, or the serial number of one certificate (its node can renew it)
    #[arg(value_name = "NODE|SERIAL")]
    what: String,
    #[command(flatten)]
    running: Running,
}

/// Options of `re6st registry rotate-key`.
#[derive(Debug, Args)]
pub struct RotateKey {
    #[command(flatten)]
    running: Running,
}

impl Revoke {
    /// Does what `re6st registry revoke` was asked.
    pub fn run(&self) -> Outcome {
        if self.what.parse::<u64>().is_err() && self.what.parse::<Prefix>().is_err() {
            let what = &self.what;
            return Err(Failure::usage(format!(
                "{what:?} is neither a node, as 2/16, nor a number"
            )));
        }
        self.running.ask("revoke", &[("cn_or_serial", &self.what)]).map(drop)
    }
}

impl RotateKey {
    /// Does what `re6st registry rotate-key` was asked.
    pub fn run(&self) -> Outcome {
        self.running.ask("updateHMAC", &[]).map(drop)
    }
}
