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

use std::fmt;
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
use super::{client, open, socket};

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

/// Which registry: its folder on this host, its socket, or the address at which it runs.
#[derive(Debug, Args)]
pub struct Place {
    #[command(flatten)]
    folder: Folder,
    /// Ask the running registry at this address over HTTP. Without it, the registry that listens on DIR's
    /// socket is asked; if none does, the database in DIR is used; without DIR, and if this is no registry's
    /// folder, the socket of the registry that runs on this host, else http://127.0.0.1/
    #[arg(long, value_name = "URL", conflicts_with_all = ["dir", "ca", "key", "db"])]
    registry: Option<RegistryUrl>,
    /// The administration socket of the running registry, if it is not DIR/registry.sock
    #[arg(long, value_name = "FILE", conflicts_with = "registry")]
    socket: Option<PathBuf>,
}

/// A registry that runs, and how it is asked.
enum Running {
    Socket(PathBuf),
    Http(RegistryUrl),
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Http(url) => write!(f, "{url}"),
        }
    }
}

/// Where to go.
enum Reach<'a> {
    Folder(&'a Folder),
    Running(Running),
}

impl Place {
    fn reach(&self) -> Reach<'_> {
        if let Some(registry) = &self.registry {
            return Reach::Running(Running::Http(registry.clone()));
        }
        if let Some(socket) = &self.socket {
            return Reach::Running(Running::Socket(socket.clone()));
        }
        let folder = &self.folder;
        if folder.is_given() {
            return match folder.served_socket() {
                Some(socket) => Reach::Running(Running::Socket(socket)),
                None => Reach::Folder(folder),
            };
        }
        if let Some(path) = socket::usual_paths().into_iter().find(|path| socket::is_served(path)) {
            return Reach::Running(Running::Socket(path));
        }
        let host = "127.0.0.1".into();
        Reach::Running(Running::Http(RegistryUrl {
            tls: false,
            host,
            port: 80,
            path: String::new(),
        }))
    }
}

impl Running {
    fn ask(&self, method: &str, arguments: &[(&str, &str)]) -> Result<Vec<u8>, Failure> {
        let target =
            if arguments.is_empty() { format!("/{method}") } else { target(method, arguments) };
        let asked = match self {
            Self::Socket(path) => block_on(client::ask_over_socket(path, &target))?,
            Self::Http(url) => block_on(client::ask_privately(url, target))?,
        };
        asked.map_err(|error| Failure::failed(format!("the registry at {self}: {error}")))
    }

    fn ask_json<T: serde::de::DeserializeOwned>(&self, method: &str) -> Result<T, Failure> {
        let text = self.ask(method, &[])?;
        let value: Value = serde_json::from_slice(&text).unwrap_or_default();
        serde_json::from_value(value)
            .map_err(|_| Failure::failed(format!("the registry at {self} gives no {method}")))
    }
}

/// Runs a future to its end.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    Ok(runtime.block_on(future))
}

impl Folder {
    /// Whether options say where the folder is, or this is one.
    fn is_given(&self) -> bool {
        let here = Path::new(".");
        self.dir != here || self.ca.is_some() || self.db.is_some() || here.join("ca.crt").exists()
    }

    /// The socket of the registry that serves this folder's database, if one runs.
    fn served_socket(&self) -> Option<PathBuf> {
        let db = self.db();
        let is_own = self.db.is_none() || db.file() == Some(&self.dir.join("registry.db"));
        let dir = is_own.then_some(&*self.dir);
        Some(socket::default_path(dir, Some(&db))).filter(|path| socket::is_served(path))
    }

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
