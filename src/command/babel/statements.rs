//! What a configuration says of the process itself: the files it is in, its log, its process id file.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Outcome};
use crate::os::log;
use crate::proto::babel::configuration::Configuration;
use crate::proto::babel::configuration::options;
use crate::proto::babel::configuration::problem::Problem;

/// Reads one file into a configuration; everything wrong in it.
pub fn read_file(configuration: &mut Configuration, name: &str) -> Result<Vec<Problem>, Failure> {
    let octets = std::fs::read(name)
        .map_err(|error| Failure::usage(format!("cannot read {name}: {error}")))?;
    // A comment may be in any encoding.
    Ok(configuration.read_file(name, &String::from_utf8_lossy(&octets)))
}

/// Becomes the process that the configuration describes: with its log, in the background if it says so, and
/// with its process id in a file as long as what this returns is kept. Before any thread is started.
pub fn begin(options: &options::Options, verbose: u8) -> Result<Option<PidFile>, Failure> {
    start_log(options, verbose)?;
    if options.daemonise {
        // Folders that the configuration names are looked for where it was started.
        nix::unistd::daemon(true, false)
            .map_err(|error| Failure::failed(format!("cannot go to the background: {error}")))?;
    }
    PidFile::of(options.pid_file.as_deref().unwrap_or_default())
}

/// Logs where the configuration says, and at least as much as it says.
fn start_log(options: &options::Options, verbose: u8) -> Outcome {
    let asked = u8::try_from(options.debug).unwrap_or(u8::MAX).saturating_add(VERBOSE);
    let verbose = if options.debug == 0 { verbose } else { verbose.max(asked) };
    let usual = options.daemonise.then_some(LOG_FILE);
    match options.log_file.as_deref().or(usual) {
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
    fn of(path: &str) -> Result<Option<Self>, Failure> {
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

/// Where babeld's log is when it is in the background and nobody says where.
const LOG_FILE: &str = "/var/log/babeld.log";
/// What happens: neighbours, routers, problems.
pub const VERBOSE: u8 = 2;
