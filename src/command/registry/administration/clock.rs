//! `re6st registry clock`: whether the registry's clock is plausible, and the operator's word that it is right.

use clap::Args;

use crate::command::registry::clock::{accept, last_run, verdict};
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::proto::registry::clock::REMEDY;

use super::{Place, Reach};

/// Options of `re6st registry clock`.
#[derive(Debug, Args)]
pub struct Clock {
    #[command(flatten)]
    place: Place,
    /// Accept what the clock says although the database contradicts it: members expire again
    #[arg(long)]
    accept: bool,
}

impl Clock {
    /// Does what `re6st registry clock` was asked.
    pub fn run(&self) -> Outcome {
        match self.place.reach() {
            Reach::Running(running) => {
                let method = if self.accept { "acceptClock" } else { "clock" };
                let why = running.ask(method, &[])?;
                if !why.is_empty() {
                    return Err(Failure::failed(String::from_utf8_lossy(&why)));
                }
            }
            Reach::Folder(folder) => {
                let authority = folder.authority()?;
                if self.accept {
                    folder.write(|tables| accept(tables, &authority, unix_time()))?;
                }
                let (verdict, last_run) =
                    folder.read(|tables| Ok((verdict(tables, &authority)?, last_run(tables)?)))?;
                if let Err(why) = verdict {
                    return Err(Failure::failed(format!(
                        "the clock is implausible: {why}; {REMEDY}"
                    )));
                }
                if let Some(last_run) = last_run {
                    print(format_args!("The registry last ran on {last_run}."))?;
                }
            }
        }
        print(format_args!("The clock is plausible: {}.", unix_time()))
    }
}
