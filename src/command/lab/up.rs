//! `re6st lab up`: make the hosts of a scenario and emulate the Internet between them.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::lab::control::{self, Request};
use crate::command::lab::emulator::Emulator;
use crate::command::lab::{Lab, WORLD, down, site};
use crate::command::{Failure, Outcome};
use crate::os::entropy;
use crate::proto::lab::internet::Internet;
use crate::proto::lab::scenario::Scenario;
use crate::proto::random::Random;

/// What to make
#[derive(Debug, Args)]
pub struct Options {
    /// A scenario file (see `re6st lab scenario`); twelve servers on four continents if none is given
    #[arg(value_name = "SCENARIO.toml")]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    lab: Lab,
    /// Return when the lab is up and leave it running, until `re6st lab down`
    #[arg(long)]
    detach: bool,
    /// Make this many hosts: the first ones of the scenario, or more like them
    #[arg(long, value_name = "N")]
    hosts: Option<usize>,
    /// Draw losses and jitter from this number, so that they are the same each time
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Makes a lab and stays until it is asked to end.
pub fn run(options: &Options) -> Outcome {
    let scenario = load(options.scenario.as_ref(), options.hosts)?;
    require_root()?;
    clear(&options.lab)?;
    if options.detach {
        let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
        return spawn(&options.lab, arguments);
    }
    let random = options.seed.map_or_else(entropy::random, Random::from_number);
    let built = stay(&options.lab, scenario, random);
    let removed = down::remove(&options.lab);
    built.and(removed)
}

/// Reads a scenario, the built-in one if there is none, and gives it that many hosts.
pub fn load(file: Option<&PathBuf>, hosts: Option<usize>) -> Result<Scenario, Failure> {
    let (name, text) = match file {
        None => ("the built-in scenario".to_owned(), Ok(WORLD.to_owned())),
        Some(path) => (path.display().to_string(), fs::read_to_string(path)),
    };
    let refused = |error: &dyn std::fmt::Display| Failure::usage(format!("{name}: {error}"));
    let text = text.map_err(|error| refused(&error))?;
    let scenario = Scenario::parse(&text).map_err(|error| refused(&error))?;
    let Some(hosts) = hosts else { return Ok(scenario) };
    let scenario = scenario.resized(hosts);
    scenario.check().map_err(|error| refused(&error))?;
    Ok(scenario)
}

/// Refuses for anybody who may not make network namespaces.
pub fn require_root() -> Outcome {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Failure::failed("a lab makes network namespaces: run it as root"))
}

/// Refuses if a lab of that name is up; removes what one that was killed has left.
pub fn clear(lab: &Lab) -> Outcome {
    if control::ask(lab, &Request::Status).is_ok() {
        let name = &lab.name;
        let advice = format!("`re6st lab down --name {name}` ends it, or choose another --name");
        return Err(Failure::failed(format!("a lab called {name} is up: {advice}")));
    }
    down::remove(lab)
}

/// Starts `re6st lab up`, with these arguments, in the background, and waits until the lab is up.
pub fn spawn(
    lab: &Lab,
    arguments: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
) -> Outcome {
    let failed = |error: std::io::Error| Failure::failed(format!("cannot start the lab: {error}"));
    fs::create_dir_all(lab.folder()).map_err(failed)?;
    let log = fs::File::create(lab.log_file()).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // Not ended by a Ctrl-C for whoever started it.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    loop {
        if control::ask(lab, &Request::Status).is_ok() {
            return Ok(());
        }
        if let Ok(Some(_)) = child.try_wait() {
            let log = fs::read_to_string(lab.log_file()).unwrap_or_default();
            let reason = log.lines().last().unwrap_or("it ended").trim_start_matches("re6st: ");
            return Err(Failure::failed(reason));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Makes everything, serves until asked to end, and leaves the removal to the caller.
fn stay(lab: &Lab, scenario: Scenario, random: Random) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        remember(lab, &scenario)?;
        let devices = site::build(lab, &scenario)?;
        let failed = |error: std::io::Error| Failure::failed(format!("the lab: {error}"));
        let listener = UnixListener::bind(lab.socket()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let count = scenario.hosts.len();
        let first = scenario.hosts[0].name.clone();
        let (emulator, thread) =
            Emulator::start(Internet::new(scenario, random), devices).map_err(failed)?;
        let name = &lab.name;
        eprintln!("lab {name}: {count} hosts are up; try `re6st lab exec --name {name} {first}`");
        tokio::select! {
            () = control::serve(listener, &emulator) => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            // The terminal is closed.
            _ = hangup.recv() => {}
        }
        emulator.stop();
        match thread.join() {
            Ok(ended) => ended.map_err(failed),
            Err(_) => Err(Failure::failed("the emulator ended by a bug of ours")),
        }
    })
}

/// Writes down what `exec`, `status` and `down` must know.
fn remember(lab: &Lab, scenario: &Scenario) -> Outcome {
    let folder = lab.folder();
    let failed = |error: std::io::Error| {
        Failure::failed(format!("cannot write to {}: {error}", folder.display()))
    };
    fs::create_dir_all(&folder).map_err(failed)?;
    let text = toml::to_string(scenario).map_err(|error| Failure::failed(error.to_string()))?;
    fs::write(lab.scenario_file(), text).map_err(failed)?;
    let mut hosts = String::from("127.0.0.1 localhost\n::1 localhost\n");
    for host in &scenario.hosts {
        if let Some(address) = host.nat.or(host.ipv4) {
            let _ = writeln!(hosts, "{address} {}", host.name);
        }
        if let Some(address) = host.ipv6 {
            let _ = writeln!(hosts, "{address} {}", host.name);
        }
    }
    fs::write(lab.hosts_file(), hosts).map_err(failed)
}
