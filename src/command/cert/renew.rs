//! `re6st cert renew`: what nodes do by themselves, by hand.

use std::path::PathBuf;

use clap::Args;

use crate::command::registry::client::RegistryClient;
use crate::command::{Failure, Outcome, print};
use crate::os::clock::unix_time;
use crate::os::file::{self, Access};
use crate::proto::certificate::{Authority, Certificate, Identity};
use crate::proto::registry::url::RegistryUrl;

use super::files::{Files, broken, unusable};

/// Options of `re6st cert renew`.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder with ca.crt, cert.crt and cert.key; no node may be running with them
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The registry, if it is not the one in DIR/re6stnet.conf
    #[arg(long, value_name = "URL")]
    registry: Option<RegistryUrl>,
}

/// Does what `re6st cert renew` was asked.
pub fn run(options: &Options) -> Outcome {
    let files = Files::of(&options.dir);
    let url = match &options.registry {
        Some(url) => url.clone(),
        None => configured(&files)?,
    };
    let read = |path| file::read(path).map_err(unusable);
    let (ca, pem, key) = (read(&files.ca)?, read(&files.certificate)?, read(&files.key)?);
    let old = Certificate::from_pem(&pem).map_err(|error| broken(&files.certificate, error))?;
    // What expired can still be renewed, within the registry's grace period.
    let known = Authority::from_pem(&ca).map_err(|error| broken(&files.ca, error))?;
    let then = unix_time().min(old.not_after()).min(known.certificate().not_after());
    let identity = Identity::from_pem(&ca, &pem, &key, then)
        .map_err(|error| broken(&files.certificate, error))?;
    let mut registry = RegistryClient::new(url.clone(), identity);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let failed = |error| Failure::failed(format!("the registry at {url}: {error}"));
    let newest = runtime.block_on(registry.get_ca()).map_err(failed)?;
    let authority = if known.is_renewed_by(&newest) { newest } else { known.clone() };
    let renewed = runtime.block_on(registry.renew_certificate()).map_err(failed)?;
    let wrong = |error| Failure::failed(format!("the certificate that the registry sent {error}"));
    if known.is_renewed_by(&authority) {
        let pem = authority.certificate().to_pem().map_err(wrong)?;
        file::replace_content(&files.ca, &pem).map_err(unusable)?;
        print(format_args!(
            "Its authority lasts until {} now.",
            authority.certificate().not_after()
        ))?;
    }
    if renewed.to_der().map_err(wrong)? == old.to_der().map_err(wrong)? {
        print(format_args!(
            "It lasts until {}, which the registry finds long enough.",
            old.not_after()
        ))?;
        return Ok(());
    }
    registry.identity().renewed(renewed.clone(), unix_time()).map_err(wrong)?;
    authority.verify(&renewed, unix_time().max(renewed.not_before())).map_err(wrong)?;
    let pem = renewed.to_pem().map_err(wrong)?;
    file::replace(&files.certificate, &pem, Access::All).map_err(unusable)?;
    print(format_args!("It lasts until {} now.", renewed.not_after()))
}

/// The registry in a node's options file.
fn configured(files: &Files) -> Result<RegistryUrl, Failure> {
    let path = files.configuration.display();
    let missing = || Failure::usage(format!("no registry in {path}; give --registry URL"));
    let text = file::read(&files.configuration).map_err(|_| missing())?;
    let text = String::from_utf8_lossy(&text);
    let url = text.lines().find_map(|line| line.trim().strip_prefix("registry "));
    let url = url.ok_or_else(missing)?.trim();
    url.parse().map_err(|error| Failure::usage(format!("{path}: {url}: {error}")))
}
