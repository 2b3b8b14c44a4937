//! `re6st ping-matrix`: who reaches whom, how fast and how surely, over IPv4, IPv6 and the SDN.
//!
//! ```text
//!  targets ─▶ run ─▶ ping objects ─┐
//!             run ─▶ ping objects ─┴▶ merge, report ─▶ table, JSON, CSV, Markdown, HTML, SVG
//! ```

mod html;
mod merge;
pub mod report;
mod run;
mod svg;
mod table;
mod targets;

use clap::Subcommand;

use crate::command::Outcome;

/// What can be done with ping matrices
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Probe every target over every plane
    Run(run::Options),
    /// Join what several hosts, or one host several times, have measured
    Merge(merge::Options),
    /// Show what was measured, and the verdict
    Report(report::Options),
}

/// Runs one of them.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Run(options) => run::run(&options),
        Command::Merge(options) => merge::run(&options),
        Command::Report(options) => report::run(&options),
    }
}
