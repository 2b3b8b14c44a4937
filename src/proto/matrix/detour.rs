//! The shortest ways over other hosts: the least delay that any network above the measured one could have.

use crate::proto::limits::MATRIX_DETOUR_HOSTS_MAX;
use crate::proto::matrix::grid::Grid;
use crate::proto::matrix::ping::Plane;

/// For every ordered pair, the mean round trip of its shortest way in microseconds: direct, or over any
/// number of other hosts. It is what forwarding costs nothing would give, so nobody reaches it quite.
#[derive(Debug)]
pub struct Detours {
    hosts: usize,
    rtt_us: Vec<u64>,
}

impl Detours {
    /// Finds the shortest ways over one plane (Floyd and Warshall's algorithm). `None` if there are too
    /// many hosts for that.
    pub fn of(grid: &Grid, plane: Plane) -> Option<Self> {
        let names = grid.hosts();
        let hosts = names.len();
        if hosts > MATRIX_DETOUR_HOSTS_MAX {
            return None;
        }
        let direct = |(source, target): (&String, &String)| {
            grid.cell(source, target, plane).and_then(|ping| ping.rtt_mean_us).unwrap_or(NO_WAY)
        };
        let pairs =
            names.iter().flat_map(|source| names.iter().map(move |target| (source, target)));
        let mut rtt_us: Vec<u64> = pairs.map(direct).collect();
        for over in 0..hosts {
            for source in 0..hosts {
                let first = rtt_us[source * hosts + over];
                for target in 0..hosts {
                    let way = first.saturating_add(rtt_us[over * hosts + target]);
                    let known = &mut rtt_us[source * hosts + target];
                    *known = way.min(*known);
                }
            }
        }
        Some(Self { hosts, rtt_us })
    }

    /// The shortest way from one host of the grid to another, by their places in it.
    pub fn rtt_us(&self, source: usize, target: usize) -> Option<u64> {
        Some(self.rtt_us[source * self.hosts + target]).filter(|rtt| *rtt < NO_WAY)
    }
}

/// Longer than any way: half of all, so that two of them can be added.
const NO_WAY: u64 = u64::MAX / 2;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proto::matrix::ping::Ping;

    #[test]
    fn a_way_may_lead_over_several_hosts_and_one_direction_says_nothing_of_the_other() {
        let ping = |(source, target, ms): (&str, &str, u64)| {
            let probes = [Some(Duration::from_millis(ms))];
            Ping::of_probes(source, target, Plane::Ipv4, "2026-01-01T00:00:00Z".into(), &probes)
        };
        let measured =
            [("a", "b", 100), ("a", "c", 30), ("c", "d", 20), ("d", "b", 10), ("b", "a", 70)];
        let grid = Grid::new(measured.map(ping));
        let at = |name: &str| grid.hosts().iter().position(|host| host == name).unwrap();
        let detours = Detours::of(&grid, Plane::Ipv4).unwrap();
        assert_eq!(detours.rtt_us(at("a"), at("b")), Some(60_000));
        assert_eq!(detours.rtt_us(at("b"), at("a")), Some(70_000));
        assert_eq!(detours.rtt_us(at("d"), at("c")), Some(110_000));
        assert_eq!(Detours::of(&grid, Plane::Ipv6).unwrap().rtt_us(at("a"), at("b")), None);
    }
}
