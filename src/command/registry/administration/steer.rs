//! `re6st registry revoke` and `rotate-key`: what changes the network.

use std::time::Duration;

use clap::Args;

use crate::command::registry::clock::trusted_now;
use crate::command::registry::network::{self, Ended, News};
use crate::command::registry::own_node::HandedOut;
use crate::command::registry::refusal::Refusal;
use crate::command::{Failure, Outcome, print};
use crate::os::clock::{Clock, unix_time};
use crate::os::entropy;
use crate::proto::certificate::Issuer;
use crate::proto::limits::REGISTRY_HAND_OUT_TIMEOUT;
use crate::proto::prefix::Prefix;
use crate::proto::registry::request::Revoked;

use super::{Folder, Place, Reach, Running, block_on};

/// Options of `re6st registry revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// A node, as 2/16, or the serial number of one certificate (its node can renew it)
    #[arg(value_name = "NODE|SERIAL")]
    what: String,
    /// Wait until every node that is routed has the new revocation list, at most so many seconds; exit code
    /// 1 if not all have it then
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    wait: Option<u64>,
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
        let patience = self.wait.map_or(REGISTRY_HAND_OUT_TIMEOUT, Duration::from_secs);
        let handed_out = match self.place.reach() {
            Reach::Running(running) => {
                running.ask("revoke", &[("cn_or_serial", what)])?;
                handed_out_by(&running, patience)?
            }
            Reach::Folder(folder) => {
                let issuer = folder.issuer()?;
                let (ended, news): (Ended, _) = change(folder, &issuer, |tables| {
                    let now = trusted_now(tables, issuer.authority())?;
                    network::revoke(tables, &issuer, revoked, now)
                })?;
                print(format_args!("It would have lasted until {}.", ended.not_after))?;
                match news {
                    Some(news) => block_on(news.hand_out(patience))?,
                    None => None,
                }
            }
        };
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
        self.tell_handed_out(handed_out)
    }

    /// Says how many nodes have the new list.
    fn tell_handed_out(&self, handed_out: Option<HandedOut>) -> Outcome {
        let unknown = "no node of re6st runs on the registry's host: others learn of it when they ask \
                       the registry";
        let sentence = match handed_out {
            Some(it) => format!("{} of {} nodes in reach have the new list", it.nodes, it.routed),
            None => unknown.to_owned(),
        };
        if self.wait.is_some() && !handed_out.is_some_and(|it| it.is_complete()) {
            return Err(Failure::failed(format!(
                "{sentence}; the others get it when they are in reach, or from any node that has it"
            )));
        }
        print(format_args!("{sentence}."))
    }
}

/// How many nodes have the version that a running registry has handed out, when all have it or the time is
/// over.
fn handed_out_by(running: &Running, patience: Duration) -> Result<Option<HandedOut>, Failure> {
    let clock = Clock::start();
    loop {
        let text = running.ask("handOut", &[])?;
        let state = HandedOut::parse(&String::from_utf8_lossy(&text));
        let is_over = clock.now().since_start() >= patience;
        if is_over || state.is_none_or(|it| it.is_complete()) {
            return Ok(state);
        }
        std::thread::sleep(HAND_OUT_LOOK);
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
                let (step, _) = change(folder, &issuer, |tables| {
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

/// Changes the database, then has the registry's own node tell the others; what they are told.
fn change<T>(
    folder: &Folder,
    issuer: &Issuer,
    work: impl FnOnce(&crate::os::database::Tables<'_>) -> Result<T, Refusal>,
) -> Result<(T, Option<News>), Failure> {
    let (done, news) =
        folder.write(|tables| Ok((work(tables)?, network::news(tables, issuer)?)))?;
    if let Some(news) = &news {
        block_on(news.announce())?;
    }
    Ok((done, news))
}

/// How often a running registry is asked how far a version has come.
const HAND_OUT_LOOK: Duration = Duration::from_millis(200);
