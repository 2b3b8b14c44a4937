//! One sentence about a whole grid: does the SDN beat the Internet under it?

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::proto::matrix::detour::Detours;
use crate::proto::matrix::grid::Grid;
use crate::proto::matrix::ping::{Ping, Plane, loss_ratio};

/// What the measurements say, summed up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Ordered pairs of hosts that were measured over some plane.
    pub pairs: usize,
    /// What each plane did.
    pub planes: BTreeMap<Plane, PlaneSummary>,
    /// Pairs that answered both over IPv4 and over the SDN: those whose delays are compared.
    pub compared_pairs: usize,
    /// Their mean delay over the SDN against that over IPv4: -0.2 is a fifth less.
    pub sdn_delay_change_ratio: Option<f64>,
    /// The least mean delay of the same pairs that forwarding by other hosts over IPv4 could give: none
    /// if there are too many hosts to tell.
    pub detour_rtt_mean_us: Option<u64>,
    /// Pairs that do not answer over IPv4 and do over the SDN.
    pub sdn_routed_around: usize,
}

/// What one plane did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlaneSummary {
    /// Pairs that were measured: hosts without an address in this plane are not.
    pub measured: usize,
    /// Pairs that answered.
    pub reachable: usize,
    /// The share of all probes that were not answered, those of unreachable pairs included.
    pub loss_ratio: f64,
    /// The same among the pairs that answered at all.
    pub reachable_loss_ratio: f64,
    /// The mean delay of the pairs that answered.
    pub rtt_mean_us: Option<u64>,
    /// The mean delay of the pairs that answered both over IPv4 and over the SDN.
    pub compared_rtt_mean_us: Option<u64>,
}

impl Verdict {
    /// Sums up a grid.
    pub fn of(grid: &Grid) -> Self {
        let alive = |(from, to): (&str, &str), plane| {
            grid.cell(from, to, plane).is_some_and(Ping::is_alive)
        };
        let pairs = grid.pairs();
        let both = |pair: &(&str, &str)| alive(*pair, Plane::Ipv4) && alive(*pair, Plane::Sdn);
        let compared: Vec<_> = pairs.iter().copied().filter(both).collect();
        let summary = |plane| (plane, PlaneSummary::of(grid, plane, &compared));
        let planes: BTreeMap<_, _> = grid.planes().into_iter().map(summary).collect();
        let mean = |plane| planes.get(&plane)?.compared_rtt_mean_us;
        let change =
            mean(Plane::Ipv4).zip(mean(Plane::Sdn)).map(|(ipv4, sdn)| ratio(sdn, ipv4) - 1.0);
        let around = |&&(from, to): &&(&str, &str)| {
            let over_ipv4 = grid.cell(from, to, Plane::Ipv4);
            over_ipv4.is_some_and(|ping| !ping.is_alive()) && alive((from, to), Plane::Sdn)
        };
        Self {
            pairs: pairs.len(),
            compared_pairs: compared.len(),
            sdn_delay_change_ratio: change,
            detour_rtt_mean_us: shortest(grid, &compared),
            sdn_routed_around: pairs.iter().filter(around).count(),
            planes,
        }
    }
}

impl PlaneSummary {
    fn of(grid: &Grid, plane: Plane, compared: &[(&str, &str)]) -> Self {
        let measured: Vec<&Ping> = grid.pings().filter(|ping| ping.plane == plane).collect();
        let reachable: Vec<&Ping> =
            measured.iter().copied().filter(|ping| ping.is_alive()).collect();
        let compared = compared.iter().filter_map(|(from, to)| grid.cell(from, to, plane));
        let compared: Vec<&Ping> = compared.collect();
        Self {
            measured: measured.len(),
            reachable: reachable.len(),
            loss_ratio: total_loss(&measured),
            reachable_loss_ratio: total_loss(&reachable),
            rtt_mean_us: mean(&reachable),
            compared_rtt_mean_us: mean(&compared),
        }
    }

    /// Pairs that were asked and did not answer.
    pub const fn unreachable(&self) -> usize {
        self.measured - self.reachable
    }
}

/// `SDN: 12 % less delay (123.4 ms, IPv4 140.2 ms, 115 pairs) · …`
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(sdn), Some(ipv4)) = (self.planes.get(&Plane::Sdn), self.planes.get(&Plane::Ipv4))
        else {
            return self.write_planes(f);
        };
        write!(f, "SDN against IPv4: ")?;
        if let (Some(change), Some(ours), Some(theirs)) =
            (self.sdn_delay_change_ratio, sdn.compared_rtt_mean_us, ipv4.compared_rtt_mean_us)
        {
            let sign = if change < 0.0 { '−' } else { '+' };
            let percent = change.abs() * 100.0;
            let (ours, theirs) = (milliseconds(ours), milliseconds(theirs));
            write!(f, "{sign}{percent:.0} % delay ({ours:.0} ms vs {theirs:.0} ms")?;
            if let Some(least) = self.detour_rtt_mean_us {
                write!(f, "; by the best detours {:.0} ms", milliseconds(least))?;
            }
            write!(f, "), ")?;
        }
        write!(
            f,
            "loss {:.1} % vs {:.1} % ({:.1} % where IPv4 answers at all), {} of {} pairs unreachable vs {}, \
             {} outages of IPv4 routed around",
            sdn.loss_ratio * 100.0,
            ipv4.loss_ratio * 100.0,
            ipv4.reachable_loss_ratio * 100.0,
            sdn.unreachable(),
            self.pairs,
            ipv4.unreachable(),
            self.sdn_routed_around,
        )
    }
}

impl Verdict {
    fn write_planes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pairs", self.pairs)?;
        for (plane, summary) in &self.planes {
            let PlaneSummary { measured, reachable, loss_ratio, .. } = summary;
            write!(f, "; {}: {reachable} of {measured} answer", plane.title())?;
            if let Some(mean) = summary.rtt_mean_us {
                write!(f, ", {:.0} ms", milliseconds(mean))?;
            }
            write!(f, ", loss {:.1} %", loss_ratio * 100.0)?;
        }
        Ok(())
    }
}

fn total_loss(pings: &[&Ping]) -> f64 {
    let total = |count: fn(&Ping) -> u32| pings.iter().map(|ping| count(ping)).sum();
    loss_ratio(total(|ping| ping.sent), total(|ping| ping.received))
}

/// The mean over pairs, not over replies: a pair that loses probes counts as much as any other.
fn mean(pings: &[&Ping]) -> Option<u64> {
    let delays: Vec<u64> = pings.iter().filter_map(|ping| ping.rtt_mean_us).collect();
    delays.iter().sum::<u64>().checked_div(delays.len() as u64)
}

/// The mean of the pairs' shortest ways over IPv4.
fn shortest(grid: &Grid, pairs: &[(&str, &str)]) -> Option<u64> {
    let detours = Detours::of(grid, Plane::Ipv4)?;
    let place = |name: &str| grid.hosts().iter().position(|host| host == name);
    let ways = pairs.iter().map(|(from, to)| detours.rtt_us(place(from)?, place(to)?));
    let ways: Vec<u64> = ways.flatten().collect();
    ways.iter().sum::<u64>().checked_div(ways.len() as u64)
}

fn ratio(a: u64, b: u64) -> f64 {
    milliseconds(a) / milliseconds(b.max(1))
}

#[expect(clippy::cast_precision_loss, reason = "no round trip lasts 285 years")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ping(pair: (&str, &str), plane: Plane, trips_ms: &[u64], lost: usize) -> Ping {
        let answered = trips_ms.iter().map(|ms| Some(Duration::from_millis(*ms)));
        let probes: Vec<_> = answered.chain(std::iter::repeat_n(None, lost)).collect();
        Ping::of_probes(pair.0, pair.1, plane, "2026-01-01T00:00:00Z".into(), &probes)
    }

    /// One pair is faster by the SDN, one is dead over IPv4, one loses half its probes over IPv4.
    fn grid() -> Grid {
        Grid::new([
            ping(("a", "b"), Plane::Ipv4, &[300, 300], 0),
            ping(("a", "b"), Plane::Sdn, &[200, 200], 0),
            ping(("b", "a"), Plane::Ipv4, &[], 2),
            ping(("b", "a"), Plane::Sdn, &[900, 900], 0),
            ping(("a", "c"), Plane::Ipv4, &[100], 1),
            ping(("a", "c"), Plane::Sdn, &[100, 100], 0),
        ])
    }

    #[test]
    fn delays_are_compared_over_pairs_that_answer_on_both_planes() {
        let verdict = Verdict::of(&grid());
        assert_eq!((verdict.pairs, verdict.compared_pairs), (3, 2));
        let change = verdict.sdn_delay_change_ratio.unwrap();
        assert!((change + 0.25).abs() < 1e-9, "{change}");
        assert_eq!(verdict.sdn_routed_around, 1);
        let ipv4 = &verdict.planes[&Plane::Ipv4];
        assert_eq!((ipv4.measured, ipv4.reachable), (3, 2));
        assert!((ipv4.loss_ratio - 0.5).abs() < 1e-9);
        assert!((ipv4.reachable_loss_ratio - 0.25).abs() < 1e-9);
        assert_eq!(verdict.planes[&Plane::Sdn].rtt_mean_us, Some(400_000));
    }

    #[test]
    fn the_sentence_has_the_figures() {
        assert_eq!(
            Verdict::of(&grid()).to_string(),
            "SDN against IPv4: −25 % delay (150 ms vs 200 ms; by the best detours 200 ms), loss 0.0 % vs 50.0 % (25.0 % where \
             IPv4 answers at all), 0 of 3 pairs unreachable vs 1, 1 outages of IPv4 routed around"
        );
    }

    #[test]
    fn the_json_has_the_fields_that_are_promised() {
        let json = serde_json::to_value(Verdict::of(&grid())).unwrap();
        assert_eq!(json["pairs"], 3);
        assert_eq!(json["planes"]["ipv4"]["reachable"], 2);
        assert_eq!(json["planes"]["sdn"]["rtt_mean_us"], 400_000);
        assert_eq!(json["sdn_routed_around"], 1);
        assert_eq!(json["sdn_delay_change_ratio"], -0.25);
    }

    #[test]
    fn without_an_sdn_the_planes_speak_for_themselves() {
        let grid = Grid::new([ping(("a", "b"), Plane::Ipv4, &[10], 1)]);
        let said = Verdict::of(&grid).to_string();
        assert_eq!(said, "1 pairs; IPv4: 1 of 1 answer, 10 ms, loss 50.0 %");
        assert_eq!(Verdict::of(&Grid::default()).to_string(), "0 pairs");
    }
}
