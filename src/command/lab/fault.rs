//! `re6st lab fault`: break or mend the Internet while the lab is up.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::command::lab::Lab;
use crate::command::lab::control::{self, Reply, Request};
use crate::command::{Failure, Outcome};
use crate::proto::lab::fault::Fault;
use crate::proto::lab::scenario::{Family, Override};

/// What to change
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    lab: Lab,
    /// Change only this family's paths
    #[arg(long, global = true, value_enum, value_name = "FAMILY")]
    family: Option<FamilyOption>,
    #[command(subcommand)]
    change: Change,
}

/// A family, as an option has it.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FamilyOption {
    Ipv4,
    Ipv6,
}

/// The changes; a host may be `*`, which is every other one
#[derive(Debug, Subcommand)]
enum Change {
    /// Let nothing pass between two hosts
    Cut(Pair),
    /// Make the paths between two hosts again what the scenario says
    Heal(Pair),
    /// Lose a share of the packets between two hosts, each way
    Loss {
        #[command(flatten)]
        pair: Pair,
        /// The share, 0 to 1
        ratio: f64,
    },
    /// Set the round-trip time between two hosts
    Delay {
        #[command(flatten)]
        pair: Pair,
        /// The round-trip time, for example 120ms
        #[arg(value_parser = humantime::parse_duration)]
        rtt: Duration,
    },
    /// Limit what passes between two hosts, each way
    Bandwidth {
        #[command(flatten)]
        pair: Pair,
        /// Megabits a second
        mbit: f64,
    },
    /// Drop every UDP packet of a host
    UdpDrop {
        /// The host
        host: String,
    },
    /// Let UDP packets of a host pass again
    UdpPass {
        /// The host
        host: String,
    },
}

/// Two hosts
#[derive(Debug, Args)]
struct Pair {
    /// One host
    a: String,
    /// The other one
    b: String,
}

/// Changes a running lab.
pub fn run(options: &Options) -> Outcome {
    let fault = options.fault();
    match control::ask(&options.lab, &Request::Fault(fault))? {
        Reply::Refused { reason } => Err(Failure::usage(reason)),
        _ => Ok(()),
    }
}

impl Options {
    fn fault(&self) -> Fault {
        let on = |pair: &Pair, change: Override| {
            let between = [pair.a.clone(), pair.b.clone()];
            Fault::Path(Override { between, family: self.family.map(Family::from), ..change })
        };
        let plain = Override::default();
        match &self.change {
            Change::Cut(pair) => on(pair, Override { cut: Some(true), ..plain }),
            Change::Heal(pair) => Fault::Heal { between: [pair.a.clone(), pair.b.clone()] },
            Change::Loss { pair, ratio } => {
                on(pair, Override { loss_ratio: Some(*ratio), ..plain })
            }
            Change::Delay { pair, rtt } => {
                on(pair, Override { rtt_ms: Some(rtt.as_secs_f64() * 1_000.0), ..plain })
            }
            Change::Bandwidth { pair, mbit } => {
                on(pair, Override { bandwidth_mbit: Some(*mbit), ..plain })
            }
            Change::UdpDrop { host } => Fault::Udp { host: host.clone(), dropped: true },
            Change::UdpPass { host } => Fault::Udp { host: host.clone(), dropped: false },
        }
    }
}

impl From<FamilyOption> for Family {
    fn from(option: FamilyOption) -> Self {
        match option {
            FamilyOption::Ipv4 => Self::Ipv4,
            FamilyOption::Ipv6 => Self::Ipv6,
        }
    }
}
