//! `re6st lab`: a network of hosts on one machine, joined by an emulated Internet.
//!
//! ```text
//!  re6st lab up ── control socket ◀── lab fault, status, down
//!     │ emulator: one thread, one core (proto::lab::internet)
//!     ├── TUN wan in namespace LAB-paris     ├── TAP lan, for hosts of a LAN segment
//!     └── TUN wan in namespace LAB-tokyo
//! ```
//!
//! What a lab leaves in `/run/re6st-lab/LAB` and `/run/netns` is found by its name, so that `lab down`
//! removes it also when the process that made it was killed.

mod control;
mod demo;
mod down;
mod emulator;
mod exec;
mod fault;
mod site;
mod status;
mod up;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::command::{Failure, Outcome, print};
use crate::os::namespace::Namespace;
use crate::proto::lab::scenario::Scenario;

/// What can be done with a lab
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the hosts of a scenario and emulate the Internet between them
    Up(up::Options),
    /// Run a program on a host
    Exec(exec::Options),
    /// Break or mend the Internet while the lab is up
    Fault(fault::Options),
    /// Show the hosts and what became of their packets
    Status(status::Options),
    /// Remove a lab, also one whose process was killed
    Down(down::Options),
    /// Let a dozen servers join one network, and compare it with the Internet under it
    #[command(hide = true)]
    Demo(demo::Options),
    /// Print the scenario that is used if none is given, to start your own from
    Scenario,
}

/// Runs one of them.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Up(options) => up::run(&options),
        Command::Exec(options) => exec::run(&options),
        Command::Fault(options) => fault::run(&options),
        Command::Status(options) => status::run(&options),
        Command::Down(options) => down::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Scenario => print(WORLD.trim_end()),
    }
}

/// Which lab is meant
#[derive(Clone, Debug, Args)]
pub struct Lab {
    /// The lab's name, which begins the names of its network namespaces
    #[arg(long, global = true, default_value = "lab", value_name = "NAME", value_parser = name)]
    pub name: String,
}

impl Lab {
    /// Where the running lab keeps its control socket and what else it must remember.
    fn folder(&self) -> PathBuf {
        Path::new("/run/re6st-lab").join(&self.name)
    }

    fn socket(&self) -> PathBuf {
        self.folder().join("control")
    }

    fn scenario_file(&self) -> PathBuf {
        self.folder().join("scenario.toml")
    }

    /// What programs on its hosts see as `/etc/hosts`.
    fn hosts_file(&self) -> PathBuf {
        self.folder().join("hosts")
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("log")
    }

    fn namespace_name(&self, host: &str) -> String {
        format!("{}-{host}", self.name)
    }

    /// The scenario it was made from.
    fn scenario(&self) -> Result<Scenario, Failure> {
        let text = std::fs::read_to_string(self.scenario_file()).map_err(|_| self.absent())?;
        Scenario::parse(&text).map_err(|error| Failure::failed(error.to_string()))
    }

    /// The namespace of one of its hosts.
    fn namespace(&self, host: &str) -> Result<Namespace, Failure> {
        let scenario = self.scenario()?;
        scenario.host(host).map_err(|_| {
            let names: Vec<&str> = scenario.hosts.iter().map(|host| host.name.as_str()).collect();
            let names = names.join(", ");
            Failure::usage(format!("lab {} has no host {host}: it has {names}", self.name))
        })?;
        Namespace::find(&self.namespace_name(host)).ok_or_else(|| self.absent())
    }

    fn absent(&self) -> Failure {
        let name = &self.name;
        Failure::failed(format!("no lab called {name} is up: start one with `re6st lab up`"))
    }
}

/// The built-in scenario.
pub const WORLD: &str = include_str!("world.toml");

fn name(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.is_empty() || text.len() > 32 || !text.chars().all(good) {
        return Err("use letters, digits and hyphens, at most 32".to_owned());
    }
    Ok(text.to_owned())
}
