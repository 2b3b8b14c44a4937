//! `re6st lab down`: remove a lab, also one whose process was killed.

use std::fs;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::lab::Lab;
use crate::command::lab::control::{self, Request};
use crate::command::{Failure, Outcome};
use crate::os::namespace::Namespace;

/// Which one
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    lab: Lab,
}

/// Ends a lab and removes what is left of it; nothing to remove is not an error.
pub fn run(options: &Options) -> Outcome {
    let lab = &options.lab;
    if control::ask(lab, &Request::Down).is_ok() {
        // Its own process removes everything; the folder goes last.
        for _ in 0..150 {
            if !lab.folder().exists() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    remove(lab)
}

/// Removes everything that has the lab's name: processes on its hosts first, then the hosts.
pub fn remove(lab: &Lab) -> Outcome {
    let namespaces: Vec<Namespace> = match lab.scenario() {
        Ok(scenario) => {
            let names = scenario.hosts.iter().map(|host| lab.namespace_name(&host.name));
            names.filter_map(|name| Namespace::find(&name)).collect()
        }
        Err(_) => Vec::new(),
    };
    end_processes(&namespaces);
    for namespace in &namespaces {
        namespace.remove().map_err(|error| Failure::failed(error.to_string()))?;
    }
    match fs::remove_dir_all(lab.folder()) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let folder = lab.folder();
            Err(Failure::failed(format!("cannot remove {}: {error}", folder.display())))
        }
        _ => Ok(()),
    }
}

/// Ends what runs on the hosts: politely first, and for good three seconds later.
fn end_processes(namespaces: &[Namespace]) {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let running = || {
        let all = namespaces.iter().flat_map(Namespace::processes);
        all.filter(|number| *number != own).collect::<Vec<_>>()
    };
    for round in 0..40 {
        let processes = running();
        if processes.is_empty() {
            return;
        }
        let signal = match round {
            0 => Some(Signal::SIGTERM),
            30 => Some(Signal::SIGKILL),
            _ => None,
        };
        for number in processes.iter().filter(|_| signal.is_some()) {
            // One that has ended meanwhile is what was wanted.
            let _ = kill(Pid::from_raw(*number), signal);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
