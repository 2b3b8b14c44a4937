//! Administration: what a registry's private calls and its database tell, as tables and JSON.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use comfy_table::Table;
use serde_json::Value;

use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome};
use crate::os::clock::unix_time;
use crate::os::database::{self, Database, DatabaseError, Leaf, Tables};
use crate::os::{entropy, file};
use crate::proto::certificate::Authority;
use crate::proto::prefix::{Network, Prefix};
use crate::proto::registry::call::target;
use crate::proto::registry::token;
use crate::proto::registry::url::RegistryUrl;

use super::applicants::certificate_of;
use super::client;

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

/// Options of `re6st registry nodes`.
#[derive(Debug, Args)]
pub struct Nodes {
    #[command(flatten)]
    folder: Folder,
    /// Print JSON, one node a line, as `re6st ping-matrix run --targets -` reads it
    #[arg(long)]
    json: bool,
}

/// Options of `re6st registry token`.
#[derive(Debug, Args)]
pub struct Token {
    #[command(subcommand)]
    command: TokenCommand,
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and print it
    Add {
        /// Whose it is
        email: String,
        /// Use this token instead of a random one
        #[arg(long)]
        token: Option<String>,
        /// Bits of the prefix that it is worth
        #[arg(long, value_name = "BITS", default_value_t = 16,
              value_parser = clap::value_parser!(u8).range(1..=112))]
        prefix_length: u8,
        #[command(flatten)]
        folder: Folder,
    },
    /// List the tokens that were not used yet
    List {
        #[command(flatten)]
        folder: Folder,
        /// Print JSON, one token a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a token
    Remove {
        /// Which
        token: String,
        #[command(flatten)]
        folder: Folder,
    },
}

/// Options of `re6st registry revoke`.
#[derive(Debug, Args)]
pub struct Revoke {
    /// A node, as 2/16, or the serial number of one certificate (its node can renew it)
    #[arg(value_name = "NODE|SERIAL")]
    what: String,
    #[command(flatten)]
    running: Running,
}

/// Options of `re6st registry rotate-key`.
#[derive(Debug, Args)]
pub struct RotateKey {
    #[command(flatten)]
    running: Running,
}

/// Options of `re6st registry versions`.
#[derive(Debug, Args)]
pub struct Versions {
    #[command(flatten)]
    running: Running,
    /// Print JSON, one node a line
    #[arg(long)]
    json: bool,
}

/// Options of `re6st registry topology`.
#[derive(Debug, Args)]
pub struct Topology {
    #[command(flatten)]
    running: Running,
    /// Print JSON, one node a line
    #[arg(long)]
    json: bool,
}

impl Nodes {
    /// Does what `re6st registry nodes` was asked.
    pub fn run(&self) -> Outcome {
        let network = self.folder.network()?;
        let leaves = self.folder.read(|tables| tables.leaves())?;
        let nodes = leaves.iter().filter_map(|leaf| node_of(leaf, network));
        if self.json {
            return print_all(nodes.map(Object::Node));
        }
        let mut table = Table::new();
        table.set_header(["node", "address", "serial", "until", "mail"]);
        for (node, leaf) in nodes.zip(leaves.iter().filter(|leaf| certificate_of(leaf).is_some())) {
            let text = |value: Option<String>| value.unwrap_or_default();
            table.add_row([
                node.name,
                text(node.sdn.map(|address| address.to_string())),
                text(node.serial.map(|serial| serial.to_string())),
                text(node.not_after),
                text(leaf.email.clone()),
            ]);
        }
        println!("{table}");
        Ok(())
    }
}

fn node_of(leaf: &Leaf, network: Network) -> Option<json::Node> {
    let certificate = certificate_of(leaf)?;
    Some(json::Node {
        name: leaf.prefix.to_string(),
        common_name: certificate.common_name(),
        prefix: network.subnet(leaf.prefix),
        sdn: network.node_address(leaf.prefix),
        serial: certificate.serial(),
        not_after: Some(certificate.not_after().to_string()),
        ..json::Node::default()
    })
}

impl Token {
    /// Does what `re6st registry token` was asked.
    pub fn run(self) -> Outcome {
        match self.command {
            TokenCommand::Add { email, token, prefix_length, folder } => {
                add_token(&folder, email, token, prefix_length)
            }
            TokenCommand::List { folder, json } => list_tokens(&folder, json),
            TokenCommand::Remove { token, folder } => {
                if folder.write(|tables| tables.delete_token(&token))? {
                    return Ok(());
                }
                Err(Failure::failed(format!("there is no token {token}")))
            }
        }
    }
}

fn add_token(folder: &Folder, email: String, chosen: Option<String>, length: u8) -> Outcome {
    if !token::is_address(&email) {
        return Err(Failure::usage(format!("{email:?} is not the address of a mailbox")));
    }
    if chosen.as_deref().is_some_and(|chosen| !token::is_usable(chosen)) {
        return Err(Failure::usage("a token is 1 to 128 visible ASCII characters"));
    }
    let name = chosen.unwrap_or_else(|| token::draw(&mut entropy::random()));
    let date = unix_time();
    let row = database::Token { token: name, email, prefix_length: length, date };
    if !folder.write(|tables| tables.add_token(&row))? {
        return Err(Failure::failed(format!("there is a token {} already", row.token)));
    }
    println!("{}", row.token);
    Ok(())
}

fn list_tokens(folder: &Folder, as_json: bool) -> Outcome {
    let tokens = folder.read(|tables| tables.tokens())?;
    if as_json {
        return print_all(tokens.into_iter().map(|token| {
            Object::Token(json::Token {
                token: token.token,
                email: token.email,
                prefix_length: token.prefix_length,
                time: token.date.to_string(),
            })
        }));
    }
    let mut table = Table::new();
    table.set_header(["token", "mail", "bits", "since"]);
    for token in tokens {
        let (bits, since) = (token.prefix_length.to_string(), token.date.to_string());
        table.add_row([token.token, token.email, bits, since]);
    }
    println!("{table}");
    Ok(())
}

impl Revoke {
    /// Does what `re6st registry revoke` was asked.
    pub fn run(&self) -> Outcome {
        if self.what.parse::<u64>().is_err() && self.what.parse::<Prefix>().is_err() {
            let what = &self.what;
            return Err(Failure::usage(format!(
                "{what:?} is neither a node, as 2/16, nor a number"
            )));
        }
        self.running.ask("revoke", &[("cn_or_serial", &self.what)]).map(drop)
    }
}

impl RotateKey {
    /// Does what `re6st registry rotate-key` was asked.
    pub fn run(&self) -> Outcome {
        self.running.ask("updateHMAC", &[]).map(drop)
    }
}

impl Versions {
    /// Does what `re6st registry versions` was asked.
    pub fn run(&self) -> Outcome {
        let told: BTreeMap<String, Option<String>> = self.running.ask_json("versions")?;
        let nodes = told.into_iter().map(|(bits, software)| {
            let name = Prefix::from_bits(&bits).map_or(bits, |prefix| prefix.to_string());
            (name, software)
        });
        if self.json {
            return print_all(nodes.map(|(name, software)| {
                Object::Node(json::Node { name, software, ..json::Node::default() })
            }));
        }
        let mut table = Table::new();
        table.set_header(["node", "software"]);
        for (name, software) in nodes {
            table.add_row([name, software.unwrap_or_else(|| "does not answer".into())]);
        }
        println!("{table}");
        Ok(())
    }
}

impl Topology {
    /// Does what `re6st registry topology` was asked.
    pub fn run(&self) -> Outcome {
        let mut told: BTreeMap<String, Vec<String>> = self.running.ask_json("topology")?;
        let answered = told.remove("").unwrap_or_default();
        for name in &answered {
            told.entry(name.clone()).or_default();
        }
        if self.json {
            return print_all(told.into_iter().map(|(name, peers)| {
                let common_name = Some(name.clone());
                Object::Node(json::Node { name, common_name, peers, ..json::Node::default() })
            }));
        }
        let mut table = Table::new();
        table.set_header(["node", "made tunnels to", "answers"]);
        for (name, peers) in told {
            let answers = if answered.contains(&name) { "yes" } else { "no" };
            table.add_row([name, peers.join(" "), answers.to_owned()]);
        }
        println!("{table}");
        Ok(())
    }
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
    fn network(&self) -> Result<Network, Failure> {
        let path = self.ca.clone().unwrap_or_else(|| self.dir.join("ca.crt"));
        let pem = file::read(&path).map_err(|error| Failure::failed(error.to_string()))?;
        let authority = Authority::from_pem(&pem)
            .map_err(|error| Failure::failed(format!("{} {error}", path.display())))?;
        Ok(authority.network())
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
