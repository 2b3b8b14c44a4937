//! `re6st ping-matrix merge`: join what several hosts, or one host several times, have measured.

use std::path::PathBuf;

use clap::Args;

use crate::command::json::{self, Object};
use crate::command::ping_matrix::report;
use crate::command::{Outcome, printed};

/// What to join
#[derive(Debug, Args)]
pub struct Options {
    /// Files of `ping` objects; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Prints one `ping` object for each pair and plane.
pub fn run(options: &Options) -> Outcome {
    let grid = report::read(&options.files)?;
    for ping in grid.pings() {
        printed(json::print(&Object::Ping(ping.clone())))?;
    }
    Ok(())
}
