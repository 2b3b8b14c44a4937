//! What a configuration says of the process itself: the files it is in, its log, its process id file.

use std::path::{Path, PathBuf};

use crate::command::{Failure, Outcome};
use crate::os::log;
use crate::proto::babel::configuration::Configuration;
use crate::proto::babel::configuration::options;
use crate::proto::babel::configuration::problem::Problem;

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
pub const VERBOSE: u8 = 2;
