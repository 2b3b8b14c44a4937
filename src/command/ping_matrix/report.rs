//! `re6st ping-matrix report`: show what was measured, and the verdict.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::command::json::{self, Object};
use crate::command::ping_matrix::{html, svg, table, targets};
use crate::command::{Failure, Outcome, printed};
use crate::proto::matrix::grid::Grid;
use crate::proto::matrix::verdict::Verdict;
use crate::proto::terminal;

/// What to show, and how
#[derive(Debug, Args)]
pub struct Options {
    /// Files of `ping` objects, as `re6st ping-matrix run --json` prints them; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to show it
    #[arg(long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    format: Format,
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One matrix a plane, for a terminal
    Table,
    /// `ping` objects, then the `verdict`
    Json,
    /// One line for each pair and plane, for a spreadsheet
    Csv,
    /// The same as a Markdown table, with the verdict
    Markdown,
    /// One page with a picture, without anything from elsewhere
    Html,
    /// The picture alone
    Svg,
}

/// Prints a report.
pub fn run(options: &Options) -> Outcome {
    print(&read(&options.files)?, options.format)
}

/// Reads `ping` objects of one or more files into one grid.
pub fn read(files: &[PathBuf]) -> Result<Grid, Failure> {
    let mut pings = Vec::new();
    for file in files {
        let text = targets::read_text(file)?;
        let objects = json::parse_lines(&text);
        let objects =
            objects.map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        pings.extend(objects.into_iter().filter_map(|object| match object {
            Object::Ping(ping) => Some(ping),
            _ => None,
        }));
    }
    if pings.is_empty() {
        let advice = "`re6st ping-matrix run --json` makes them";
        return Err(Failure::usage(format!("there are no ping objects to show: {advice}")));
    }
    Ok(Grid::new(pings))
}

/// Prints a grid on standard output.
pub fn print(grid: &Grid, format: Format) -> Outcome {
    let text = text(grid, format);
    printed(io::stdout().lock().write_all(terminal::text(&text).as_bytes()))
}

/// A grid as text.
pub fn text(grid: &Grid, format: Format) -> String {
    match format {
        Format::Json => json_lines(grid),
        Format::Table => table::matrices(grid),
        Format::Csv => table::csv(grid),
        Format::Markdown => table::markdown(grid),
        Format::Html => html::page(grid),
        Format::Svg => svg::picture(grid),
    }
}

fn json_lines(grid: &Grid) -> String {
    let pings = grid.pings().map(|ping| Object::Ping(ping.clone()));
    let objects = pings.chain([Object::Verdict(Verdict::of(grid))]);
    let lines = objects.filter_map(|object| serde_json::to_string(&object).ok());
    lines.map(|line| line + "\n").collect()
}
