//! `re6st lab exec`: run a program on a host.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use clap::Args;

use crate::command::lab::Lab;
use crate::command::{Failure, Outcome};
use crate::os::namespace::see_namespace;

/// Where to run what
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    lab: Lab,
    /// The host
    host: String,
    /// The program and its arguments, after `--`; a shell if there is none
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Becomes the program.
pub fn run(options: &Options) -> Outcome {
    let namespace = options.lab.namespace(&options.host)?;
    let entered = namespace.enter();
    entered.map_err(|error| Failure::failed(format!("{error}: a lab needs root")))?;
    let hosts = options.lab.hosts_file();
    see_namespace(hosts.exists().then_some(hosts.as_path())).map_err(|error| {
        Failure::failed(format!("cannot show /sys and /etc/hosts of {}: {error}", options.host))
    })?;
    let shell = || std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let program = options.command.first().cloned().unwrap_or_else(shell);
    let mut command = Command::new(&program);
    command.args(options.command.iter().skip(1)).env("RE6ST_LAB_HOST", &options.host);
    // Only returns if the program could not be started.
    let error = command.exec();
    Err(Failure::failed(format!("cannot run {}: {error}", program.display())))
}
