//! `re6st registry invite`: one line that somebody else joins with.

use std::time::Duration;

use clap::Args;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::command::{Failure, Outcome, print};
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
    /// Print it as a QR code, too, for a telephone's camera
    #[arg(long)]
    qr: bool,
    #[command(flatten)]
    folder: Folder,
}

/// A QR code of half blocks, light on dark as most terminals are.
fn drawn(text: &str) -> Result<String, Failure> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|error| Failure::failed(format!("the invitation fits no QR code: {error}")))?;
    let mut renderer = code.render::<Dense1x2>();
    Ok(renderer.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
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
            return Err(Failure::usage(
                "--valid is more than nothing and no more than the grace period",
            ));
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
        print(&invitation)?;
        if self.qr {
            print(drawn(&invitation.to_string())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_module_of_a_code_is_drawn() {
        let text = "re6st://registry.example.com#token=abcdefgh";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let drawn = drawn(text).unwrap();
        let rows: Vec<Vec<char>> = drawn.lines().map(|line| line.chars().collect()).collect();
        // Four modules of margin on each side, two rows a line.
        let (margin, width) = (4, code.width());
        assert!(rows.iter().all(|row| row.len() == width + 2 * margin));
        for (at, colour) in code.to_colors().into_iter().enumerate() {
            let (x, y) = (at % width + margin, at / width + margin);
            let (upper, lower) = match rows[y / 2][x] {
                '█' => (true, true),
                '▀' => (true, false),
                '▄' => (false, true),
                _ => (false, false),
            };
            let light = if y % 2 == 0 { upper } else { lower };
            assert_eq!(light, colour == qrcode::Color::Light, "{x}, {y}");
        }
    }
}
