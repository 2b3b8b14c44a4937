//! What one source measured to one target over one plane.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// By which way a target is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plane {
    /// The Internet of IPv4.
    Ipv4,
    /// The Internet of IPv6.
    Ipv6,
    /// The network that re6st makes.
    Sdn,
}

impl Plane {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Sdn];

    /// As it is shown to people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Sdn => "SDN",
        }
    }
}

impl fmt::Display for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Sdn => "sdn",
        })
    }
}

/// The text names no plane.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a plane is ipv4, ipv6 or sdn")]
pub struct NoSuchPlane;

impl FromStr for Plane {
    type Err = NoSuchPlane;

    fn from_str(text: &str) -> Result<Self, NoSuchPlane> {
        Self::ALL.into_iter().find(|plane| plane.to_string() == text).ok_or(NoSuchPlane)
    }
}

/// The result of some probes; without any reply, there are no round-trip times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ping {
    /// When the last probe was over: RFC 3339, UTC.
    pub time: String,
    /// The name of the host that asked.
    pub source: String,
    /// The name of the host that was asked.
    pub target: String,
    /// By which way.
    pub plane: Plane,
    /// Probes sent.
    pub sent: u32,
    /// Probes answered by the target itself, in time.
    pub received: u32,
    /// The share of probes that were not.
    pub loss_ratio: f64,
    /// The shortest round trip.
    pub rtt_min_us: Option<u64>,
    /// The mean of the round trips.
    pub rtt_mean_us: Option<u64>,
    /// Half of the round trips were not longer.
    pub rtt_p50_us: Option<u64>,
    /// 95 % of the round trips were not longer.
    pub rtt_p95_us: Option<u64>,
    /// The longest round trip.
    pub rtt_max_us: Option<u64>,
}

impl Ping {
    /// Sums up probes: the round trip of each that was answered, `None` for each that was not.
    pub fn of_probes(
        source: &str,
        target: &str,
        plane: Plane,
        time: String,
        probes: &[Option<Duration>],
    ) -> Self {
        let mut trips: Vec<u64> = probes.iter().flatten().map(|rtt| micros(*rtt)).collect();
        trips.sort_unstable();
        let (sent, received) = (count(probes.len()), count(trips.len()));
        let total: u64 = trips.iter().sum();
        Self {
            time,
            source: source.to_owned(),
            target: target.to_owned(),
            plane,
            sent,
            received,
            loss_ratio: loss_ratio(sent, received),
            rtt_min_us: trips.first().copied(),
            rtt_mean_us: total.checked_div(u64::from(received)),
            rtt_p50_us: percentile(&trips, 50),
            rtt_p95_us: percentile(&trips, 95),
            rtt_max_us: trips.last().copied(),
        }
    }

    /// Whether the target answered at all.
    pub const fn is_alive(&self) -> bool {
        self.received > 0
    }
}

/// The share of probes that were not answered; nothing asked, nothing lost.
pub fn loss_ratio(sent: u32, received: u32) -> f64 {
    if sent == 0 { 0.0 } else { f64::from(sent.saturating_sub(received)) / f64::from(sent) }
}

/// The smallest value that at least `percent` per cent of the sorted values do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn micros(rtt: Duration) -> u64 {
    u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ping(probes: &[Option<u64>]) -> Ping {
        let probes: Vec<_> = probes.iter().map(|ms| ms.map(Duration::from_millis)).collect();
        Ping::of_probes("a", "b", Plane::Ipv4, "2026-01-01T00:00:00Z".into(), &probes)
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let probes: Vec<_> = (1..=20).rev().map(Some).collect();
        let ping = ping(&probes);
        assert_eq!(ping.rtt_min_us, Some(1_000));
        assert_eq!(ping.rtt_p50_us, Some(10_000));
        assert_eq!(ping.rtt_p95_us, Some(19_000));
        assert_eq!(ping.rtt_max_us, Some(20_000));
        assert_eq!(ping.rtt_mean_us, Some(10_500));
    }

    #[test]
    fn one_reply_is_every_percentile() {
        let ping = ping(&[None, Some(7), None, None]);
        assert_eq!((ping.sent, ping.received), (4, 1));
        assert!((ping.loss_ratio - 0.75).abs() < 1e-9);
        assert_eq!([ping.rtt_p50_us, ping.rtt_p95_us], [Some(7_000); 2]);
    }

    #[test]
    fn a_dead_target_has_no_round_trip_and_says_so_in_json() {
        let ping = ping(&[None, None]);
        assert!(!ping.is_alive());
        let json = serde_json::to_value(&ping).unwrap();
        assert_eq!(json["loss_ratio"], 1.0);
        assert!(
            json["rtt_p50_us"].is_null() && json.as_object().unwrap().contains_key("rtt_p50_us")
        );
    }
}
