//! In babeld's place: its command line, its configuration files, its process id file.

use std::path::{Path, PathBuf};

use crate::command::Outcome;
use crate::command::babel::configured::{self, Job};
use crate::command::babel::statements::{VERBOSE, read_file, refused};
use crate::proto::babel::configuration::command_line::{CommandLine, Task};

/// Options of babeld, read by themselves.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// What babeld(8) takes, and `-X PATH`: the control socket of the babeld that re6stnet patches
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Routes as babeld would.
pub fn run(options: &Options) -> Outcome {
    let mut line = CommandLine::parse(&options.arguments).map_err(|all| refused(&all))?;
    if line.task == Task::ShowVersion {
        eprintln!("re6st-{}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    read_files(&mut line)?;
    line.add_interfaces();
    let CommandLine { mut configuration, control_socket, .. } = line;
    configuration.options.pid_file.get_or_insert_with(|| PID_FILE.to_owned());
    configured::run(Job {
        configuration,
        verbose: VERBOSE,
        usual_state: Some(STATE_FILE),
        babeld_socket: control_socket.map(PathBuf::from),
        socket: None,
        json: false,
        // babeld ends when it is hung up.
        read_again: None,
    })
}

/// Reads the files that the command line names, or the default one if it is there.
fn read_files(line: &mut CommandLine) -> Outcome {
    if line.files.is_empty() && Path::new(CommandLine::FILE).exists() {
        line.files.push(CommandLine::FILE.to_owned());
    }
    let mut problems = Vec::new();
    for name in &line.files {
        problems.extend(read_file(&mut line.configuration, name)?);
    }
    if problems.is_empty() { Ok(()) } else { Err(refused(&problems)) }
}

/// Where babeld keeps its sequence number if it is not told.
const STATE_FILE: &str = "/var/lib/babel-state";
/// Where babeld writes its process id if it is not told.
const PID_FILE: &str = "/var/run/babeld.pid";
