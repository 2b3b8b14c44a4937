//! `re6st ping-matrix run`: probe every target over every plane.

use std::net::{IpAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::command::json::{self, Node, Object};
use crate::command::ping_matrix::{table, targets};
use crate::command::{Failure, Outcome, print, printed};
use crate::os::ping::{ProbeError, Prober};
use crate::os::{clock, entropy};
use crate::proto::limits;
use crate::proto::matrix::grid::Grid;
use crate::proto::matrix::ping::{Ping, Plane};
use crate::proto::random::Random;

/// What to probe, and how
#[derive(Debug, Args)]
pub struct Options {
    /// The targets: `node` objects as `re6st registry nodes --json` prints them, or lines of
    /// `NAME ADDRESS… [sdn=ADDRESS]`; `-` reads standard input
    #[arg(long, value_name = "FILE|-")]
    targets: PathBuf,
    /// The planes to probe
    #[arg(long, value_delimiter = ',', default_value = "ipv4,ipv6,sdn", value_name = "PLANES")]
    planes: Vec<Plane>,
    /// Probes for each target and plane
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// From one probe of a target to the next
    #[arg(long, default_value = "500ms", value_name = "TIME", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// How long to wait for a reply; later is lost
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Do it again and again, from one start to the next
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    every: Option<Duration>,
    /// Probe this many targets in a round, others in the next: drawn at random
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// The name of this host; that of the target whose address it has, or its host name, if not given
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Print a `ping` object for each target and plane
    #[arg(long)]
    json: bool,
}

/// Probes until all is measured, or for ever.
pub fn run(options: &Options) -> Outcome {
    let nodes = targets::read(&options.targets)?;
    let source = options.source.clone().unwrap_or_else(|| own_name(&nodes));
    let (own, others): (Vec<Node>, _) = nodes.into_iter().partition(|node| node.name == source);
    let plan = Plan { options, source: &source, planes: planes(options, own.first()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let mut random = entropy::random();
        let prober = Arc::new(Prober::open(random.u16()));
        loop {
            let start = tokio::time::Instant::now();
            plan.round(draw(&others, options.sample, &mut random), &prober).await?;
            let Some(every) = options.every else { return Ok(()) };
            tokio::time::sleep_until(start + every).await;
        }
    })
}

/// The planes that were asked for and that this host is in, as far as the list of targets knows.
fn planes(options: &Options, own: Option<&Node>) -> Vec<Plane> {
    let is_in = |plane: &Plane| own.is_none_or(|own| targets::address(own, *plane).is_some());
    options.planes.iter().copied().filter(is_in).collect()
}

/// What every round does.
struct Plan<'a> {
    options: &'a Options,
    source: &'a str,
    planes: Vec<Plane>,
}

impl Plan<'_> {
    /// Probes every target once, all side by side, a bounded number at a time.
    async fn round(&self, targets: Vec<Node>, prober: &Arc<Prober>) -> Outcome {
        let options = self.options;
        let mut series = self.start(&targets, prober);
        let mut pings = Vec::new();
        while let Some(done) = series.join_next().await {
            let done = done.map_err(|_| Failure::failed("a probe ended by a bug of ours"))?;
            let ping = done.map_err(|error| Failure::failed(error.to_string()))?;
            if options.json {
                printed(json::print(&Object::Ping(ping)))?;
            } else {
                pings.push(ping);
            }
        }
        if !options.json {
            print(table::rows(&Grid::new(pings)))?;
        }
        Ok(())
    }

    fn start(&self, targets: &[Node], prober: &Arc<Prober>) -> JoinSet<Result<Ping, ProbeError>> {
        let options = self.options;
        let in_flight = Arc::new(Semaphore::new(limits::PROBES_IN_FLIGHT_MAX));
        let mut series = JoinSet::new();
        let count = u32::try_from(targets.len().max(1)).unwrap_or(u32::MAX);
        for (at, target) in (0_u32..).zip(targets) {
            for plane in self.planes.iter().copied() {
                let Some(address) = targets::address(target, plane) else { continue };
                let series_of = Series {
                    address,
                    // Spread over the interval, so that probes do not leave in bursts.
                    start: options.interval * at / count,
                    count: options.count,
                    interval: options.interval,
                    patience: options.timeout,
                    prober: Arc::clone(prober),
                    in_flight: Arc::clone(&in_flight),
                };
                let (source, target) = (self.source.to_owned(), target.name.clone());
                series.spawn(async move {
                    let probes = series_of.run().await?;
                    let time = clock::unix_time().to_string();
                    Ok::<_, ProbeError>(Ping::of_probes(&source, &target, plane, time, &probes))
                });
            }
        }
        series
    }
}

/// The probes of one target over one plane.
struct Series {
    address: IpAddr,
    start: Duration,
    count: u32,
    interval: Duration,
    patience: Duration,
    prober: Arc<Prober>,
    in_flight: Arc<Semaphore>,
}

impl Series {
    /// The next probe leaves after the interval, whether the one before was answered or not.
    async fn run(self) -> Result<Vec<Option<Duration>>, ProbeError> {
        let mut probes = JoinSet::new();
        let start = tokio::time::Instant::now() + self.start;
        for number in 0..self.count {
            tokio::time::sleep_until(start + self.interval * number).await;
            let permit = Arc::clone(&self.in_flight).acquire_owned().await;
            let (prober, address, patience) =
                (Arc::clone(&self.prober), self.address, self.patience);
            probes.spawn(async move {
                let probe = prober.probe(address, patience).await;
                drop(permit);
                probe
            });
        }
        let mut trips = Vec::new();
        while let Some(probe) = probes.join_next().await {
            trips.push(probe.unwrap_or(Ok(None))?);
        }
        Ok(trips)
    }
}

fn draw(nodes: &[Node], sample: Option<usize>, random: &mut Random) -> Vec<Node> {
    let mut drawn = nodes.to_vec();
    if let Some(sample) = sample.filter(|sample| *sample < drawn.len()) {
        random.shuffle(&mut drawn);
        drawn.truncate(sample);
    }
    drawn
}

/// The target whose address this host has; its host name if there is none.
fn own_name(nodes: &[Node]) -> String {
    let own = nodes.iter().find(|node| {
        // An address can be bound to if it is ours, and only then.
        let ours =
            |plane| targets::address(node, plane).is_some_and(|a| UdpSocket::bind((a, 0)).is_ok());
        Plane::ALL.into_iter().any(ours)
    });
    let host_name = || {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(name.trim().to_owned()).filter(|name| !name.is_empty())
    };
    own.map(|node| node.name.clone()).or_else(host_name).unwrap_or_else(|| "localhost".into())
}
