//! The measurements of several sources and rounds, by pair and plane.

use std::collections::BTreeMap;

use crate::proto::matrix::ping::{Ping, Plane, loss_ratio};

/// Every measurement there is, one for each pair and plane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// The hosts, in the order in which they first measured something, then those that were only asked.
    hosts: Vec<String>,
    cells: BTreeMap<(String, String, Plane), Ping>,
}

impl Grid {
    /// Puts measurements in their places; those of several rounds become one. A measurement that comes
    /// twice, as from overlapping files, counts once.
    pub fn new(pings: impl IntoIterator<Item = Ping>) -> Self {
        let mut sources = Vec::new();
        let mut targets = Vec::new();
        let mut rounds: BTreeMap<(String, String, Plane), Vec<Ping>> = BTreeMap::new();
        for ping in pings.into_iter().filter(|ping| ping.source != ping.target) {
            remember(&mut sources, &ping.source);
            remember(&mut targets, &ping.target);
            let key = (ping.source.clone(), ping.target.clone(), ping.plane);
            let rounds = rounds.entry(key).or_default();
            if !rounds.contains(&ping) {
                rounds.push(ping);
            }
        }
        for target in &targets {
            remember(&mut sources, target);
        }
        let whole = |rounds: Vec<Ping>| rounds.into_iter().reduce(|a, b| joined(&a, &b));
        let cells = rounds.into_iter().filter_map(|(key, rounds)| Some((key, whole(rounds)?)));
        Self { hosts: sources, cells: cells.collect() }
    }

    /// The hosts, in the order in which they are shown.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The planes that were measured.
    pub fn planes(&self) -> Vec<Plane> {
        let measured = |plane: &Plane| self.cells.keys().any(|(.., other)| other == plane);
        Plane::ALL.into_iter().filter(measured).collect()
    }

    /// What was measured from one host to another over one plane.
    pub fn cell(&self, source: &str, target: &str, plane: Plane) -> Option<&Ping> {
        self.cells.get(&(source.to_owned(), target.to_owned(), plane))
    }

    /// Every measurement, by source, target and plane.
    pub fn pings(&self) -> impl Iterator<Item = &Ping> {
        let in_order = |source: &String| {
            let own = self.cells.values().filter(move |ping| ping.source == *source);
            own.collect::<Vec<_>>()
        };
        self.hosts.iter().flat_map(in_order)
    }

    /// Every ordered pair that was measured over some plane.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        let keys = self.cells.keys().map(|(from, to, _)| (from.as_str(), to.as_str()));
        let mut pairs: Vec<_> = keys.collect();
        pairs.dedup();
        pairs
    }

    /// Whether somebody asked this host over this plane and nobody got an answer.
    pub fn is_dead(&self, host: &str, plane: Plane) -> bool {
        let mut asked =
            self.cells.values().filter(|p| p.target == host && p.plane == plane).peekable();
        asked.peek().is_some() && asked.all(|ping| !ping.is_alive())
    }
}

fn remember(names: &mut Vec<String>, name: &str) {
    if !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// Two rounds as one. Percentiles of the whole cannot be had from those of the parts: they are averaged,
/// by the number of replies, which is right if the rounds were alike and lies between them if not.
fn joined(a: &Ping, b: &Ping) -> Ping {
    let (sent, received) = (a.sent + b.sent, a.received + b.received);
    let average = |x: Option<u64>, y: Option<u64>| match (x, y) {
        (Some(x), Some(y)) => {
            let total = x * u64::from(a.received) + y * u64::from(b.received);
            total.checked_div(u64::from(received))
        }
        (one, other) => one.or(other),
    };
    Ping {
        time: a.time.clone().max(b.time.clone()),
        sent,
        received,
        loss_ratio: loss_ratio(sent, received),
        rtt_min_us: a.rtt_min_us.into_iter().chain(b.rtt_min_us).min(),
        rtt_mean_us: average(a.rtt_mean_us, b.rtt_mean_us),
        rtt_p50_us: average(a.rtt_p50_us, b.rtt_p50_us),
        rtt_p95_us: average(a.rtt_p95_us, b.rtt_p95_us),
        rtt_max_us: a.rtt_max_us.max(b.rtt_max_us),
        ..a.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ping(source: &str, target: &str, trips_ms: &[u64], lost: usize) -> Ping {
        let answered = trips_ms.iter().map(|ms| Some(Duration::from_millis(*ms)));
        let probes: Vec<_> = answered.chain(std::iter::repeat_n(None, lost)).collect();
        Ping::of_probes(source, target, Plane::Sdn, "2026-01-01T00:00:00Z".into(), &probes)
    }

    #[test]
    fn rounds_of_one_pair_become_one_cell() {
        let grid = Grid::new([ping("a", "b", &[10, 20], 0), ping("a", "b", &[60], 3)]);
        let cell = grid.cell("a", "b", Plane::Sdn).unwrap();
        assert_eq!((cell.sent, cell.received), (6, 3));
        assert_eq!(cell.rtt_min_us, Some(10_000));
        assert_eq!(cell.rtt_mean_us, Some(30_000));
        assert_eq!(cell.rtt_max_us, Some(60_000));
        assert!((cell.loss_ratio - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_measurement_that_comes_twice_counts_once() {
        let grid = Grid::new([ping("a", "b", &[10, 20], 1), ping("a", "b", &[10, 20], 1)]);
        assert_eq!(grid.cell("a", "b", Plane::Sdn).unwrap().sent, 3);
    }

    #[test]
    fn a_host_that_answers_nobody_is_dead_and_one_that_nobody_asked_is_not() {
        let grid = Grid::new([ping("a", "b", &[], 3), ping("c", "b", &[], 3)]);
        assert!(grid.is_dead("b", Plane::Sdn));
        assert!(!grid.is_dead("a", Plane::Sdn));
        assert!(!grid.is_dead("b", Plane::Ipv4));
        let grid = Grid::new([ping("a", "b", &[], 3), ping("c", "b", &[9], 2)]);
        assert!(!grid.is_dead("b", Plane::Sdn));
    }

    #[test]
    fn hosts_that_measured_come_first_and_themselves_do_not_count() {
        let grid =
            Grid::new([ping("c", "a", &[1], 0), ping("b", "c", &[1], 0), ping("b", "b", &[1], 0)]);
        assert_eq!(grid.hosts(), ["c", "b", "a"]);
        assert_eq!(grid.pairs(), [("b", "c"), ("c", "a")]);
        assert_eq!(grid.planes(), [Plane::Sdn]);
    }
}
