//! Administration: what a registry's private calls and its database tell, as tables and JSON.

mod check;
mod clock;
mod copy;
mod export;
mod invite;
mod login;
mod nodes;
mod renew_ca;
mod steer;
mod token;
mod told;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome, printed};
use crate::os::database::{Claim, Database, Location, Tables};
use crate::proto::certificate::{Authority, Issuer};
use crate::proto::registry::call::target;
use crate::proto::registry::url::RegistryUrl;

use super::refusal::Refusal;
use super::{client, open};

pub use check::Check;
pub use clock::Clock;
pub use copy::{Backup, Migrate, Restore};
pub use export::Export;
pub use invite::Invite;
pub use login::Login;
pub use nodes::{Nodes, describe};
pub use renew_ca::RenewCa;
pub use steer::{Revoke, RotateKey};
pub use token::{Token, described};
pub use told::{Topology, Versions};

/// A registry's folder on this host.
#[derive(Debug, Args)]
pub struct Folder {
    /// The folder with ca.crt, ca.key and registry.db
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The authority's certificate, if it is not DIR/ca.crt
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The authority's key, if it is not DIR/ca.key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The database, if it is not DIR/registry.db
    #[arg(long, value_name = "FILE|postgres://…")]
    db: Option<Location>,
}

/// Which registry: its folder on this host, or the address at which it runs.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    folder: Folder,
    /// Ask the running registry at this address, from which it takes administrators' calls; without this
    /// and --dir, the folder here if it is a registry's, else http://127.0.0.1/
    #[arg(long, value_name = "URL", conflicts_with_all = ["dir", "ca", "key", "db"])]
    registry: Option<RegistryUrl>,
}

/// A registry that runs.
struct Running {
    registry: RegistryUrl,
}

/// Where to go.
enum Reach<'a> {
    Folder(&'a Folder),
    Running(Running),
}

impl Place {
    fn reach(&self) -> Reach<'_> {
        let here = Path::new(".");
        if let Some(registry) = &self.registry {
            return Reach::Running(Running { registry: registry.clone() });
        }
        let folder = &self.folder;
        let given = folder.dir != here || folder.ca.is_some() || folder.db.is_some();
        if given || here.join("ca.crt").exists() {
            return Reach::Folder(folder);
        }
        let host = "127.0.0.1".into();
        let registry = RegistryUrl { tls: false, host, port: 80, path: String::new() };
        Reach::Running(Running { registry })
    }
}

impl Running {
    fn ask(&self, method: &str, arguments: &[(&str, &str)]) -> Result<Vec<u8>, Failure> {
        let target =
            if arguments.is_empty() { format!("/{method}") } else { target(method, arguments) };
        block_on(client::ask_privately(&self.registry, target))?
            .map_err(|error| Failure::failed(format!("the registry at {}: {error}", self.registry)))
    }

    fn ask_json<T: serde::de::DeserializeOwned>(&self, method: &str) -> Result<T, Failure> {
        let text = self.ask(method, &[])?;
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        serde_json::from_value(value).map_err(|_| {
            Failure::failed(format!("the registry at {} gives no {method}", self.registry))
        })
    }
}

/// Runs a future to its end.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    Ok(runtime.block_on(future))
}

impl Folder {
    fn ca(&self) -> PathBuf {
        self.ca.clone().unwrap_or_else(|| self.dir.join("ca.crt"))
    }

    fn authority(&self) -> Result<Authority, Failure> {
        let path = self.ca();
        let pem = open::read(&path)?;
        Authority::from_pem(&pem)
            .map_err(|error| Failure::failed(format!("{} {error}", path.display())))
    }

    fn issuer(&self) -> Result<Issuer, Failure> {
        let key = self.key.clone().unwrap_or_else(|| self.dir.join("ca.key"));
        open::issuer(&self.ca(), &key)
    }

    fn db(&self) -> Location {
        self.db.clone().unwrap_or_else(|| Location::File(self.dir.join("registry.db")))
    }

    fn failed(&self, error: &Refusal) -> Failure {
        match error {
            Refusal::Database(error) => match self.db() {
                Location::File(path) if !path.exists() => Failure::failed(format!(
                    "there is no {}; `re6st registry init` and `re6st registry serve` make a \
                     registry, and --dir says where one is",
                    path.display()
                )),
                db => Failure::failed(format!("cannot use {db}: {error}")),
            },
            error => Failure::failed(error.to_string()),
        }
    }

    fn read<T>(&self, work: impl FnOnce(&Tables<'_>) -> Result<T, Refusal>) -> Result<T, Failure> {
        let database = Database::open_to_read(&self.db()).map_err(Refusal::from);
        database.and_then(|database| database.read(work)).map_err(|e| self.failed(&e))
    }

    fn write<T>(&self, work: impl FnOnce(&Tables<'_>) -> Result<T, Refusal>) -> Result<T, Failure> {
        let database = Database::open(&self.db()).map_err(Refusal::from);
        database.and_then(|database| database.write(work)).map_err(|e| self.failed(&e))
    }

    /// The same while no registry serves the database, which is refused otherwise.
    fn write_alone<T>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Failure> {
        let _claim = Claim::take(&self.db()).map_err(|error| self.failed(&error.into()))?;
        self.write(work)
    }

    /// Refuses a prefix length that no node of the network can have.
    fn allow_length(&self, length: u8) -> Outcome {
        let longest = 128 - self.authority()?.network().cidr().length();
        if (1..=longest).contains(&length) {
            return Ok(());
        }
        let error = Refusal::Length { length, longest };
        Err(Failure::usage(format!("--prefix-length {length}: {error}")))
    }
}

/// Prints one object a line.
fn print_all(mut objects: impl Iterator<Item = Object>) -> Outcome {
    objects.try_for_each(|object| printed(json::print(&object)))
}
