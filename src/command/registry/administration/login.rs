//! `re6st registry login`: a ticket for the registry's pages.

use clap::Args;

use crate::command::registry::web::access::{Gate, Purpose};
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::entropy;

use super::Folder;

/// Options of `re6st registry login`.
#[derive(Debug, Args)]
pub struct Login {
    #[command(flatten)]
    folder: Folder,
}

impl Login {
    /// Does what `re6st registry login` was asked.
    pub fn run(&self) -> Outcome {
        let issuer = self.folder.issuer()?;
        let gate = Gate::new(issuer.key())
            .map_err(|error| Failure::failed(format!("the authority's key {error}")))?;
        print(gate.ticket(Purpose::Login, unix_time(), &mut entropy::random()))?;
        eprintln!("re6st: good for ten minutes, at http://REGISTRY/web/login");
        Ok(())
    }
}
