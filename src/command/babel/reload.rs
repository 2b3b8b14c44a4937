//! Has a running router read its configuration again, and says what may change without a restart.

use std::path::PathBuf;

use crate::command::babel::SOCKET;
use crate::command::babel::control::ask_to_reload;
use crate::command::babel::look::cannot_ask;
use crate::command::{Failure, Outcome};
use crate::proto::babel::configuration::Configuration;

/// Options of `re6st babel reload`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The socket of the router to ask
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
}

/// Asks, and passes on why not.
pub fn run(options: &Options) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    match runtime.block_on(ask_to_reload(&options.socket)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => {
            Err(Failure::failed(format!("the router goes on as before: {}", reason.trim_end())))
        }
        Err(error) => Err(cannot_ask(&options.socket, &error)),
    }
}

/// What differs between two configurations and needs a restart.
pub fn fixed(before: &Configuration, after: &Configuration) -> Option<&'static str> {
    let (old, new) = (&before.options, &after.options);
    let fixed = [
        ("export-table", old.export_table == new.export_table),
        ("kernel-priority", old.kernel_priority == new.kernel_priority),
        ("first-rule-priority", old.first_rule == new.first_rule),
        ("link-detect", old.link_detection == new.link_detection),
        ("skip-kernel-setup", old.kernel_setup == new.kernel_setup),
        ("router-id", old.router_id == new.router_id),
        ("random-id", old.identity == new.identity),
        ("state-file", old.state_file == new.state_file),
        ("daemonise", old.daemonise == new.daemonise),
        ("log-file", old.log_file == new.log_file),
        ("pid-file", old.pid_file == new.pid_file),
        ("install", before.filters.install == after.filters.install),
    ];
    fixed.iter().find(|(_, is_same)| !is_same).map(|(statement, _)| *statement)
}
