//! `re6st node`: the mesh daemon, and the commands that ask a running one.

pub mod control;
pub mod drive;
pub mod host;
pub mod memory;
pub mod network;
pub mod options;
pub mod registry;
pub mod renewal;
pub mod setup;
pub mod show;
pub mod tunnels;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::command::json::Object;
use crate::command::node::control::Question;
use crate::command::{Failure, Outcome};

/// Join the network and keep tunnels, or ask the node that does
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join the network and stay in it until told otherwise; @FILE reads options from a file
    Up(Box<options::Options>),
    /// Tell whether the node is part of the network, and how it is
    Status(Ask),
    /// List the other nodes it knows
    Peers(Ask),
    /// List its tunnels
    Tunnels(Ask),
    /// List the nodes it has a way to
    Routes(Ask),
    /// Make the node leave the network and end
    Down(Ask),
}

/// Options of the commands that ask a running node.
#[derive(Debug, clap::Args)]
pub struct Ask {
    /// The folder that the node was started with as --run
    #[arg(long, value_name = "DIR", default_value = "/run/re6stnet")]
    run: PathBuf,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

/// Does what `re6st node` was asked.
pub fn run(command: Command) -> Outcome {
    match &command {
        Command::Up(options) => drive::run(options),
        Command::Status(ask) => look(ask, Question::Status),
        Command::Peers(ask) => look(ask, Question::Peers),
        Command::Tunnels(ask) => look(ask, Question::Tunnels),
        Command::Routes(ask) => look(ask, Question::Routes),
        Command::Down(ask) => look(ask, Question::Down),
    }
}

fn look(ask: &Ask, question: Question) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let objects =
            control::ask(&ask.run, question).await.map_err(|error| unanswered(&ask.run, &error))?;
        if question == Question::Down && !control::wait_until_gone(&ask.run).await {
            let folder = ask.run.display();
            return Err(Failure::failed(format!(
                "the node with the run folder {folder} was told to end and still runs"
            )));
        }
        show::print(question, &objects, ask.json)
            .map_err(|error| Failure::failed(format!("cannot write the answer: {error}")))?;
        objects.iter().find_map(not_connected).map_or(Ok(()), Err)
    })
}

/// What makes `status` fail although it was answered.
fn not_connected(object: &Object) -> Option<Failure> {
    let Object::NodeStatus(status) = object else { return None };
    let node = &status.common_name;
    if status.connected {
        None
    } else if status.certificate_revoked {
        Some(Failure::failed(format!(
            "node {node} is not connected to the network: its certificate was revoked"
        )))
    } else {
        Some(Failure::failed(format!(
            "node {node} is not connected to the network: its log says what it tries"
        )))
    }
}

fn unanswered(folder: &Path, error: &std::io::Error) -> Failure {
    let folder = folder.display();
    Failure::failed(match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            format!("no node runs with the run folder {folder}; start it, or give its --run")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("you may not ask the node in {folder}; try as root")
        }
        _ => format!("the node in {folder} did not answer: {error}"),
    })
}
