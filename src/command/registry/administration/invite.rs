//! `re6st registry invite`: one line that somebody else joins with.

use std::time::Duration;

use clap::Args;

use crate::command::{Failure, Outcome};
use crate::os::clock::unix_time;
use crate::os::{database, entropy};
use crate::proto::registry::invitation::Invitation;
use crate::proto::registry::token;
use crate::proto::registry::url::RegistryUrl;
use crate::proto::time::UnixTime;

use super::Folder;

/// Options of `re6st registry invite`.
#[derive(Debug, Args)]
pub struct Invite {
    /// Whose node it will be
    email: String,
    /// The registry, by an address that the invited can reach
    #[arg(long, value_name = "URL")]
    registry: RegistryUrl,
    /// How long the invitation is good for
    #[arg(long, value_name = "TIME", default_value = "7days", value_parser = humantime::parse_duration)]
    valid: Duration,
    /// The grace period of the registry, in seconds, if it is not the usual one
    #[arg(long, value_name = "SECONDS", default_value_t = 8_640_000)]
    grace_period: u64,
    /// Bits of the prefix that it is worth
    #[arg(long, value_name = "BITS", default_value_t = 16)]
    prefix_length: u8,
    #[command(flatten)]
    folder: Folder,
}

impl Invite {
    /// Does what `re6st registry invite` was asked.
    pub fn run(self) -> Outcome {
        if !token::is_address(&self.email) {
            let email = &self.email;
            return Err(Failure::usage(format!("{email:?} is not the address of a mailbox")));
        }
        let grace = Duration::from_secs(self.grace_period);
        if self.valid.is_zero() || self.valid > grace {
            return Err(Failure::usage("--valid is more than nothing and no more than 100 days"));
        }
        self.folder.allow_length(self.prefix_length)?;
        let authority = self.folder.authority()?;
        let fingerprint = authority.certificate().fingerprint().ok();
        let fingerprint = fingerprint.and_then(|text| text.parse().ok());
        let now = unix_time();
        // A token ends one grace period after its date: an older date makes it end sooner.
        let date = UnixTime::from_duration((now + self.valid).since_1970().saturating_sub(grace));
        let row = database::Token {
            token: token::draw(&mut entropy::random()),
            email: self.email,
            prefix_length: self.prefix_length,
            date,
        };
        if !self.folder.write(|tables| Ok(tables.add_token(&row)?))? {
            return Err(Failure::failed("the same token was drawn twice; try again"));
        }
        let invitation = Invitation {
            registry: self.registry,
            fingerprint: fingerprint
                .ok_or_else(|| Failure::failed("the authority has no fingerprint"))?,
            token: row.token,
            expires: (now + self.valid).to_string(),
        };
        println!("{invitation}");
        Ok(())
    }
}
