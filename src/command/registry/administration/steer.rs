//! `re6st registry revoke` and `rotate-key`: what changes the network.

use clap::Args;

use crate::command::registry::clock::trusted_now;
use crate::command::registry::network::{self, Ended};
use crate::command::registry::refusal::Refusal;
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::entropy;
use crate::proto::prefix::Prefix;
use crate::proto::registry::request::Revoked;

use super::{Folder, Place, Reach, block_on};

/// Options of `re6st registry revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// A node, as 2/16, or the serial number of one certificate (its node can renew it)
    #[arg(value_name = "NODE|SERIAL")]
    what: String,
    #[command(flatten)]
    place: Place,
}

/// Options of `re6st registry rotate-key`.
#[derive(Debug, Args)]
pub struct RotateKey {
    #[command(flatten)]
    place: Place,
}

impl Revoke {
    /// Does what `re6st registry revoke` was asked.
    pub fn run(&self) -> Outcome {
        let what = &self.what;
        let revoked = match (what.parse::<u64>(), what.parse::<Prefix>()) {
            (Ok(serial), _) => Revoked::Serial(serial),
            (_, Ok(prefix)) => Revoked::Node(prefix),
            _ => {
                return Err(Failure::usage(format!(
                    "{what:?} is neither a node, as 2/16, nor a number"
                )));
            }
        };
        match self.place.reach() {
            Reach::Running(running) => {
                running.ask("revoke", &[("cn_or_serial", what)])?;
            }
            Reach::Folder(folder) => {
                let issuer = folder.issuer()?;
                let ended: Ended = change(folder, |tables| {
                    let now = trusted_now(tables, issuer.authority())?;
                    network::revoke(tables, &issuer, revoked, now)
                })?;
                print(format_args!("It would have lasted until {}.", ended.not_after))?;
            }
        }
        match revoked {
            Revoked::Node(node) => print(format_args!(
                "{node} is no member any more: nodes refuse it as soon as they hear of it. Its \
                 prefix is held back until its certificate would have ended."
            ))?,
            Revoked::Serial(serial) => print(format_args!(
                "Certificate {serial} is revoked: nodes refuse it as soon as they hear of it. Its \
                 node can renew it."
            ))?,
        }
        Ok(())
    }
}

impl RotateKey {
    /// Does what `re6st registry rotate-key` was asked.
    pub fn run(&self) -> Outcome {
        match self.place.reach() {
            Reach::Running(running) => {
                running.ask("updateHMAC", &[])?;
                print(format_args!("The next of three steps to a new key of Babel's is taken."))?;
            }
            Reach::Folder(folder) => {
                let issuer = folder.issuer()?;
                let step = change(folder, |tables| {
                    let new = entropy::random().octets();
                    network::change_keys(tables, &issuer, new, unix_time())?;
                    Ok(network::keys(tables)?.step())
                })?;
                print(format_args!("Babel's keys: {}.", step.sentence()))?;
            }
        }
        Ok(())
    }
}

/// Changes the database, then has the registry's own node tell the others.
fn change<T>(
    folder: &Folder,
    work: impl FnOnce(&crate::os::database::Tables<'_>) -> Result<T, Refusal>,
) -> Result<T, Failure> {
    let (done, own) =
        folder.write(|tables| Ok((work(tables)?, network::registry_prefix(tables)?)))?;
    if let Some(own) = own {
        block_on(network::announce(own))?;
    }
    Ok(done)
}
