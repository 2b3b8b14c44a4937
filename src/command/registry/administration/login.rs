//! `re6st registry login`: a ticket for the registry's pages.

use clap::Args;

use crate::command::registry::web::access::{Gate, Purpose};
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::entropy;

use super::{Place, Reach};

/// Options of `re6st registry login`.
#[derive(Debug, Args)]
pub struct Login {
    #[command(flatten)]
    place: Place,
}

impl Login {
    /// Does what `re6st registry login` was asked.
    pub fn run(&self) -> Outcome {
        match self.place.reach() {
            Reach::Running(running) => {
                let ticket = running.ask("login", &[])?;
                print(String::from_utf8_lossy(&ticket))?;
            }
            Reach::Folder(folder) => {
                let issuer = folder.issuer()?;
                let gate = Gate::new(issuer.key())
                    .map_err(|error| Failure::failed(format!("the authority's key {error}")))?;
                print(gate.ticket(Purpose::Login, unix_time(), &mut entropy::random()))?;
            }
        }
        eprintln!("re6st: good once, for ten minutes, at http://REGISTRY/web/login");
        Ok(())
    }
}
