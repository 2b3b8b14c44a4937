//! In babeld's place: its command line, its configuration files, its process id file.

use std::path::{Path, PathBuf};

use crate::command::babel::configured::{self, Job};
use crate::command::{Failure, Outcome};
use crate::os::log;
use crate::proto::babel::configuration::Configuration;
use crate::proto::babel::configuration::command_line::{CommandLine, Task};
use crate::proto::babel::configuration::options;
use crate::proto::babel::configuration::problem::Problem;

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
    let CommandLine { configuration, control_socket, .. } = line;
    start_log(&configuration.options, VERBOSE)?;
    let _pid_file = PidFile::of(configuration.options.pid_file.as_deref().unwrap_or(PID_FILE))?;
    configured::run(Job {
        configuration,
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

/// Reads one file into a configuration; everything wrong in it.
pub fn read_file(configuration: &mut Configuration, name: &str) -> Result<Vec<Problem>, Failure> {
    let text = std::fs::read_to_string(name)
        .map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    Ok(configuration.read_file(name, &text))
}

/// Logs where the configuration says, and at least as much as it says.
pub fn start_log(options: &options::Options, verbose: u8) -> Outcome {
    let asked = u8::try_from(options.debug).unwrap_or(u8::MAX).saturating_add(VERBOSE);
    let verbose = if options.debug == 0 { verbose } else { verbose.max(asked) };
    match &options.log_file {
        None => log::start(verbose),
        Some(path) => log::start_in(verbose, Path::new(path))
            .map_err(|error| Failure::failed(format!("cannot write the log {path}: {error}")))?,
    }
    Ok(())
}

/// All problems, a line each.
pub fn refused(problems: &[Problem]) -> Failure {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    Failure::usage(lines.join("\n"))
}

/// A file with the process id, removed when dropped.
#[must_use]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// The one at `path`, which may be empty: then there is none.
    pub fn of(path: &str) -> Result<Option<Self>, Failure> {
        if path.is_empty() { Ok(None) } else { Self::create(path).map(Some) }
    }

    /// Writes it; as with babeld, one that is there already belongs to somebody.
    fn create(path: &str) -> Result<Self, Failure> {
        use std::io::Write;
        let file = std::fs::File::options().write(true).create_new(true).open(path);
        let written = file.and_then(|mut file| write!(file, "{}", std::process::id()));
        let failed = |error| {
            Failure::failed(format!(
                "cannot write {path}: {error}; if no babeld runs, remove it, or say `pid-file \"\"`"
            ))
        };
        written.map_err(failed)?;
        Ok(Self { path: PathBuf::from(path) })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What happens: neighbours, routers, problems.
const VERBOSE: u8 = 2;
/// Where babeld writes its process id if it is not told.
const PID_FILE: &str = "/var/run/babeld.pid";
