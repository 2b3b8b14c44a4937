//! Writes `man/` and `completions/` from the very option types the parser uses.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_complete::Shell;

use crate::cli::Re6st;
use crate::cli::legacy::ALIASES;
use crate::cli::{sections, vocabulary};
use crate::command::{Failure, Outcome, print};

/// The page on what a network is protected against.
const SECURITY: &str = include_str!("re6st-security.7");

/// Options of `re6st manual`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The folder in which `man` and `completions` are made
    #[arg(long, value_name = "DIR", required_unless_present = "aliases")]
    to: Option<PathBuf>,
    /// Print the names of older programs that this one can be started under
    #[arg(long)]
    aliases: bool,
}

/// Does what `re6st manual` was asked.
pub fn run(options: &Options) -> Outcome {
    if options.aliases {
        for alias in ALIASES {
            print(alias.name)?;
        }
    }
    let Some(folder) = &options.to else { return Ok(()) };
    write(folder)
        .map_err(|error| Failure::failed(format!("cannot write to {}: {error}", folder.display())))
}

/// Writes `man/*` and `completions/*` below `folder`.
fn write(folder: &Path) -> io::Result<()> {
    let man = folder.join("man");
    let completions = folder.join("completions");
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    let mut command = Re6st::command();
    command.build();
    write_pages(&command, &man)?;
    fs::write(man.join("re6st-json.7"), vocabulary::page())?;
    fs::write(man.join("re6st-security.7"), SECURITY)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Re6st::command(), "re6st", &mut script);
        let name = match shell {
            Shell::Zsh => "_re6st".to_owned(),
            other => format!("re6st.{other}"),
        };
        fs::write(completions.join(name), script)?;
    }
    Ok(())
}

/// One page a command, `re6st-node.1`, and one for each of its own, `re6st-node-up.1`.
fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    // No date: a page changes when the options do, and only then.
    let page = clap_mangen::Man::new(command.clone()).manual("re6st manual");
    let mut text = Vec::new();
    page.render(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let typed = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let sections = sections::of(typed);
    // A version, where there is one, stays last.
    let (before, after) = text.split_at(text.find(".SH VERSION").unwrap_or(text.len()));
    fs::write(folder.join(page.get_filename()), format!("{before}{sections}{after}"))?;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_pages(inner, folder)?;
    }
    Ok(())
}
