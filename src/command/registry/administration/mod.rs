//! Administration: what a registry's private calls and its database tell, as tables and JSON.

mod check;
mod invite;
mod nodes;
mod steer;
mod token;
mod told;

use std::io;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome};
use crate::os::database::{Database, DatabaseError, Tables};
use crate::os::file;
use crate::proto::certificate::Authority;
use crate::proto::registry::call::target;
use crate::proto::registry::url::RegistryUrl;

use super::client;

pub use check::Check;
pub use invite::Invite;
pub use nodes::{Nodes, describe};
pub use steer::{Revoke, RotateKey};
pub use token::Token;
pub use told::{Topology, Versions};

/// A registry that runs on this host.
#[derive(Debug, Args)]
pub struct Running {
    /// The registry, by an address from which it takes administrators' calls
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1/")]
    registry: RegistryUrl,
}

/// A registry's folder.
#[derive(Debug, Args)]
pub struct Folder {
    /// The folder with ca.crt and registry.db
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The authority's certificate, if it is not DIR/ca.crt
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The database, if it is not DIR/registry.db
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
}

impl Running {
    fn ask(&self, method: &str, arguments: &[(&str, &str)]) -> Result<Vec<u8>, Failure> {
        let target =
            if arguments.is_empty() { format!("/{method}") } else { target(method, arguments) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
        runtime
            .block_on(client::ask_privately(&self.registry, target))
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

impl Folder {
    fn authority(&self) -> Result<Authority, Failure> {
        let path = self.ca.clone().unwrap_or_else(|| self.dir.join("ca.crt"));
        let pem = file::read(&path).map_err(|error| Failure::failed(error.to_string()))?;
        Authority::from_pem(&pem)
            .map_err(|error| Failure::failed(format!("{} {error}", path.display())))
    }

    fn db(&self) -> PathBuf {
        self.db.clone().unwrap_or_else(|| self.dir.join("registry.db"))
    }

    fn failed(&self, error: &DatabaseError) -> Failure {
        Failure::failed(format!("cannot use {}: {error}", self.db().display()))
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, DatabaseError>,
    ) -> Result<T, Failure> {
        let database = Database::open_to_read(&self.db());
        database.and_then(|mut database| database.read(work)).map_err(|e| self.failed(&e))
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, DatabaseError>,
    ) -> Result<T, Failure> {
        let database = Database::open(&self.db());
        database.and_then(|mut database| database.write(work)).map_err(|e| self.failed(&e))
    }
}

/// Prints one object a line; a reader that went away is no failure.
fn print_all(objects: impl Iterator<Item = Object>) -> Outcome {
    for object in objects {
        match json::print(&object) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::failed(format!("cannot write: {error}"))),
            Ok(()) => {}
        }
    }
    Ok(())
}
