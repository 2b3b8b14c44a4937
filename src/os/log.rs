//! The daemons' log: on standard error, with times unless systemd adds its own.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, uptime};
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriter};

use crate::os::clock::unix_time;

/// The target of what an operator is told even where only warnings are logged: what begins, ends, changes.
pub const NOTABLE: &str = "notable";

/// Starts logging; `level` is 0 (errors) to 4 (everything). `RE6ST_LOG` overrides it, for example
/// `RE6ST_LOG=re6st::command::babel=trace`.
pub fn start(level: u8) {
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    // A second start is a test's, in the same process: the first one stays.
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().try_init()
    } else {
        log.with_timer(uptime()).try_init()
    };
}

/// Starts logging into a file, which may be moved away at any time: the next line makes a new one.
pub fn start_in(level: u8, path: &Path) -> io::Result<()> {
    let file = Reopened(path.to_owned());
    file.open()?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_target(false)
        .with_ansi(false)
        .with_timer(Calendar)
        .with_writer(BoxMakeWriter::new(file));
    let _ = log.try_init();
    Ok(())
}

fn filter(level: u8) -> EnvFilter {
    EnvFilter::try_from_env("RE6ST_LOG").unwrap_or_else(|_| {
        EnvFilter::new(match level {
            0 => "error",
            1 => "warn,notable=info",
            2 => "info",
            3 => "debug",
            _ => "trace",
        })
    })
}

/// A file that is opened for every line.
struct Reopened(PathBuf);

impl Reopened {
    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(&self.0)
    }
}

impl<'a> MakeWriter<'a> for Reopened {
    type Writer = Box<dyn io::Write>;

    fn make_writer(&'a self) -> Self::Writer {
        match self.open() {
            Ok(file) => Box::new(file),
            Err(_) => Box::new(io::stderr()),
        }
    }
}

/// Date and time of day, UTC.
struct Calendar;

impl FormatTime for Calendar {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        write!(out, "{}", unix_time())
    }
}
