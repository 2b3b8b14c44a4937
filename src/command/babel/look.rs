//! Shows what a running router knows.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::command::babel::SOCKET;
use crate::command::babel::control::{Wanted, ask};
use crate::command::babel::objects::tables;
use crate::command::json::{self, Object};
use crate::command::{Failure, Outcome, print};
use crate::proto::terminal;

/// Options of `re6st babel dump` and `re6st babel monitor`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The socket of the router to ask
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

/// Shows the present.
pub fn dump(options: &Options) -> Outcome {
    let mut objects = Vec::new();
    asked(options, Wanted::Dump, |object| {
        if options.json {
            return json::print(&object);
        }
        objects.push(object);
        Ok(())
    })?;
    if !options.json {
        print(tables(&objects))?;
    }
    Ok(())
}

/// Shows the present, then every change.
pub fn monitor(options: &Options) -> Outcome {
    asked(options, Wanted::Monitor, |object| {
        if options.json {
            return json::print(&object);
        }
        if let Some(line) = line(&object) {
            writeln!(io::stdout(), "{}", terminal::text(&line))?;
        }
        Ok(())
    })
}

/// Why nothing answers at `socket`, and what to look at.
pub fn cannot_ask(socket: &Path, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "ask as the user that runs it",
        io::ErrorKind::ResourceBusy => "end one of them",
        _ => "is `re6st babel run` running with this --socket?",
    };
    Failure::failed(format!("cannot ask a router at {}: {error}; {advice}", socket.display()))
}

fn asked(options: &Options, wanted: Wanted, take: impl FnMut(Object) -> io::Result<()>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    match runtime.block_on(ask(&options.socket, wanted, take)) {
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(cannot_ask(&options.socket, &error)),
        Ok(()) => Ok(()),
    }
}

/// A change in one line; `None` for what only machines care for.
fn line(object: &Object) -> Option<String> {
    let word = |change: &Option<json::Change>| match change {
        Some(json::Change::Added) => "+",
        Some(json::Change::Removed) => "-",
        _ => "~",
    };
    let infinite = || "infinite".to_owned();
    let number = |metric: Option<u16>| metric.map_or_else(infinite, |metric| metric.to_string());
    Some(match object {
        Object::Neighbour(n) => format!(
            "{} neighbour {} on {} reach {:04x} cost {}",
            word(&n.change),
            n.address,
            n.interface,
            n.reach,
            number(n.cost)
        ),
        Object::Route(r) => format!(
            "{} route {}{} metric {} via {} on {}{}",
            word(&r.change),
            r.prefix,
            r.source.map_or_else(String::new, |source| format!(" from {source}")),
            number(r.metric),
            r.next_hop,
            r.interface,
            if r.installed { " installed" } else { "" }
        ),
        Object::Announcement(a) => {
            format!("{} own {} metric {}", word(&a.change), a.prefix, a.metric)
        }
        Object::Interface(i) => format!("{} interface {}", word(&i.change), i.interface),
        _ => return None,
    })
}
