//! `re6st lab demo`: a dozen servers join one network, and the ping matrix compares it with the Internet.
//!
//! ```text
//!  lab up ─▶ registry ─▶ cert join ×N ─▶ node up ×N ─▶ wait for routes ─▶ ping-matrix ×N ─▶ report
//! ```
//!
//! Every step is the command that a user would type, run on its host.

mod hosts;
mod progress;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::lab::control::{self, Request};
use crate::command::lab::demo::hosts::Hosts;
use crate::command::lab::demo::progress::Progress;
use crate::command::lab::{Lab, down, up};
use crate::command::ping_matrix::report::{self, Format};
use crate::command::{Failure, Outcome};
use crate::proto::matrix::grid::Grid;
use crate::proto::matrix::ping::Plane;
use crate::proto::matrix::verdict::Verdict;

/// What to show
#[derive(Debug, Args)]
pub struct Options {
    /// A scenario file; twelve servers on four continents if none is given
    #[arg(long, value_name = "SCENARIO.toml")]
    scenario: Option<PathBuf>,
    /// This many hosts: the first ones of the scenario, or more like them
    #[arg(long, value_name = "N")]
    hosts: Option<usize>,
    /// Print the measurements as JSON Lines, the verdict last
    #[arg(long)]
    json: bool,
    /// Leave everything running afterwards
    #[arg(long)]
    keep: bool,
    /// Where to write the report with the picture
    #[arg(long, value_name = "FILE", default_value = "re6st-demo.html")]
    report: PathBuf,
    /// The lab's name
    #[arg(long, default_value = "demo", value_name = "NAME", value_parser = super::name)]
    name: String,
}

/// Shows the network, and removes everything however it ends.
pub fn run(options: &Options) -> Outcome {
    let lab = Lab { name: options.name.clone() };
    let scenario = up::load(options.scenario.as_ref(), options.hosts)?;
    if scenario.hosts.len() < 2 {
        return Err(Failure::usage("a network needs two hosts: give --hosts 2 or more"));
    }
    up::require_root()?;
    up::clear(&lab)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let played = runtime.block_on(async {
        let failed = |error: std::io::Error| Failure::failed(format!("cannot start: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        tokio::select! {
            played = play(options, Hosts::new(lab.clone(), scenario)) => played,
            _ = interrupt.recv() => Err(Failure::failed(INTERRUPTED)),
            _ = terminate.recv() => Err(Failure::failed(INTERRUPTED)),
            _ = hangup.recv() => Err(Failure::failed(INTERRUPTED)),
        }
    });
    let interrupted = played.as_ref().is_err_and(|end| end.to_string() == INTERRUPTED);
    if options.keep && !interrupted {
        return played;
    }
    // The emulator first: its process waits for nobody.
    let _ = control::ask(&lab, &Request::Down);
    let removed = down::remove(&lab);
    played.and(removed)
}

async fn play(options: &Options, hosts: Hosts) -> Outcome {
    let mut progress = Progress::start();
    let count = hosts.count();
    let pairs = count * (count - 1);
    hosts.up()?;
    progress.done(&format!("{count} hosts are up, with an Internet between them"));
    let registry = hosts.registry_name().to_owned();
    hosts.start_registry().await?;
    hosts.join(|joined| progress.waiting(&format!("certificates: {joined} of {count}"))).await?;
    progress.done(&format!("the registry on {registry} has given every host a certificate"));
    hosts.start_nodes()?;
    loop {
        let routes = hosts.routes().await;
        if routes.count >= pairs {
            break;
        }
        hosts.check_nodes()?;
        let waited = progress.since_done();
        if waited > ROUTES_PATIENCE {
            let missing = pairs - routes.count;
            let advice = format!("see the logs below {}", hosts.folder().display());
            let keep = if options.keep { "" } else { ", and use --keep to have them" };
            let sentence = format!("{missing} of {pairs} routes are missing: {advice}{keep}");
            return Err(Failure::failed(sentence));
        }
        let (routes, tunnels) = (routes.count, routes.tunnels);
        progress.waiting(&format!("routes: {routes} of {pairs}, over {tunnels} tunnels"));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    progress.done(&format!("every host has a route to every other one ({pairs})"));
    settle(&hosts, &mut progress).await;
    progress.waiting("measuring: 10 pings for each pair over IPv4, IPv6 and the SDN");
    let grid = Grid::new(hosts.measure().await?);
    progress.done("measured");
    show(options, &grid)?;
    farewell(options, &hosts, &progress);
    let verdict = Verdict::of(&grid);
    let answered = verdict.planes.get(&Plane::Sdn).map_or(0, |sdn| sdn.reachable);
    if answered < pairs {
        let silent = pairs - answered;
        return Err(Failure::failed(format!(
            "{silent} of {pairs} pairs do not answer over the SDN"
        )));
    }
    Ok(())
}

/// Waits until the routes get no better: delays are averaged over several Hellos.
async fn settle(hosts: &Hosts, progress: &mut Progress) {
    let mut best = u64::MAX;
    let mut better_at = progress.since_done();
    loop {
        let metric = hosts.routes().await.metric;
        let now = progress.since_done();
        if metric < best - best / 200 {
            (best, better_at) = (metric, now);
        }
        if now - better_at > SETTLED_AFTER || now > SETTLE_PATIENCE {
            break;
        }
        progress.waiting("routes still get better");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    progress.done("routes are as good as they get");
}

fn show(options: &Options, grid: &Grid) -> Outcome {
    let format = if options.json { Format::Json } else { Format::Table };
    report::print(grid, format)?;
    let page = report::text(grid, Format::Html);
    let file = options.report.display();
    fs::write(&options.report, page)
        .map_err(|error| Failure::failed(format!("cannot write {file}: {error}")))
}

fn farewell(options: &Options, hosts: &Hosts, progress: &Progress) {
    let seconds = progress.elapsed().as_secs();
    eprintln!("\nWith pictures: {}   ({seconds} s from start to here)", options.report.display());
    if options.keep {
        let name = &options.name;
        let host = hosts.registry_name();
        let folder = hosts.folder().display().to_string();
        // The demo comes before the installation: the name alone would not be found.
        let re6st = std::env::current_exe()
            .map_or_else(|_| "re6st".into(), |path| path.display().to_string());
        eprintln!(
            "\nEverything is still running. Look around:\n  \
             {re6st} lab status --name {name}\n  \
             {re6st} lab exec --name {name} {host} -- ip -6 route\n  \
             {re6st} node status --run {folder}/{host}/run\n  \
             {re6st} lab fault --name {name} cut {host} '*'\n\
             End it:\n  {re6st} lab down --name {name}"
        );
    }
}

const INTERRUPTED: &str = "interrupted; everything is removed again";

/// How long routes to everybody may take.
const ROUTES_PATIENCE: Duration = Duration::from_secs(90);

/// Routes that were not better by half a per cent for so long are not expected to become so.
const SETTLED_AFTER: Duration = Duration::from_secs(12);

/// How long routes may go on getting better.
const SETTLE_PATIENCE: Duration = Duration::from_secs(40);
