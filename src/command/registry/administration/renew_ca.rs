//! `re6st registry renew-ca`: the authority lasts longer, and nothing else about it changes.

use std::time::Duration;

use clap::Args;

use super::Folder;
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::file;
use crate::proto::certificate::Authority;

/// Options of `re6st registry renew-ca`.
#[derive(Debug, Args)]
pub struct RenewCa {
    #[command(flatten)]
    folder: Folder,
    /// How many days from now it shall last
    #[arg(long, value_name = "DAYS", default_value_t = 3_650,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
}

impl RenewCa {
    /// Does what `re6st registry renew-ca` was asked.
    pub fn run(&self) -> Outcome {
        let issuer = self.folder.issuer()?;
        let until = unix_time() + Duration::from_secs(u64::from(self.days) * 86_400);
        let failed = |error| Failure::failed(format!("the authority {error}"));
        let pem = issuer.renew_authority(until).map_err(failed)?;
        let renewed = Authority::from_pem(&pem).map_err(failed)?;
        let old = issuer.authority();
        if !old.is_renewed_by(&renewed) {
            let end = old.certificate().not_after();
            return Err(Failure::usage(format!(
                "--days {}: the authority lasts until {end} already",
                self.days
            )));
        }
        file::replace_content(&self.folder.ca(), &pem)
            .map_err(|error| Failure::failed(error.to_string()))?;
        print(format_args!(
            "The authority lasts until {} now.",
            renewed.certificate().not_after()
        ))?;
        print(format_args!(
            "Fingerprint: {}",
            renewed.certificate().fingerprint().map_err(failed)?
        ))?;
        print(format_args!(
            "A registry that runs gives it to nodes from now on, and they take it by themselves in the \
             last month of the old one. Invitations that were not used yet name the old fingerprint: \
             make new ones."
        ))?;
        Ok(())
    }
}
