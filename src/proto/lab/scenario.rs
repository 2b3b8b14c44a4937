//! A scenario: hosts, how far apart they are, and which paths between them are odd.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::proto::lab::path::Quality;
use crate::proto::limits;

/// What a scenario file says, checked: every name it uses exists, every pair of hosts has a delay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// One line for people.
    #[serde(default)]
    pub title: String,
    /// Standard deviation, about, of every delay, in milliseconds; a path may say otherwise.
    #[serde(default)]
    pub jitter_ms: f64,
    /// The host that runs the registry in the demo; the first one if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// The hosts, at least one.
    #[serde(rename = "host")]
    pub hosts: Vec<Host>,
    /// Round-trip times between regions in milliseconds, each pair of regions once.
    #[serde(default)]
    pub rtt_ms: BTreeMap<String, BTreeMap<String, f64>>,
    /// Paths that differ; a later one overrides an earlier one.
    #[serde(rename = "path", default)]
    pub paths: Vec<Override>,
}

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its name, which also ends the name of its network namespace.
    pub name: String,
    /// Where it is: a row of `rtt_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its IPv4 address; a private one if it is behind NAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// The public address of the NAT in front of its IPv4 address; hosts with the same one share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat: Option<Ipv4Addr>,
    /// The TCP and UDP ports that the NAT hands on to it, whoever asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forward: Vec<u16>,
    /// Whether its network drops every UDP packet, in and out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub udp_dropped: bool,
    /// The Ethernet segment it shares with other hosts, besides the Internet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lan: Option<String>,
}

/// What is different about the paths between two hosts, both ways. What is not said stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The two hosts; `*` is every other one.
    pub between: [String; 2],
    /// Only for this family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Nothing passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<bool>,
    /// Round-trip time in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// The delay is that of the regions times this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_factor: Option<f64>,
    /// Mean of what is added to each packet's delay at random, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter_ms: Option<f64>,
    /// The share of packets that are lost, each way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_ratio: Option<f64>,
    /// Megabits a second, each way; packets wait in a queue of 100 ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_mbit: Option<f64>,
    /// Octets of the largest packet that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u16>,
}

/// Which Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
        })
    }
}

impl Family {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];
}

/// Why a scenario cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScenarioError {
    /// It is not TOML, or has a field that does not exist.
    #[error("{0}")]
    Syntax(Box<toml::de::Error>),
    /// It has no host, or too many.
    #[error("a lab has 1 to {max} hosts, not {count}", max = limits::LAB_HOSTS_MAX)]
    Hosts {
        /// How many it has.
        count: usize,
    },
    /// A name that cannot end the name of a network namespace.
    #[error("host name {0:?}: use letters, digits and hyphens, at most 32")]
    Name(String),
    /// Two hosts have it.
    #[error("two hosts are called {0}")]
    NameTwice(String),
    /// Two hosts have it.
    #[error("two hosts have the address {0}")]
    AddressTwice(IpAddr),
    /// A host that is not in the list.
    #[error("there is no host called {0}: see the [[host]] entries")]
    NoSuchHost(String),
    /// A pair of regions without a delay.
    #[error("rtt_ms says nothing about {0} and {1}: add a number for that pair of regions")]
    NoDelay(String, String),
    /// A pair of regions with two delays.
    #[error("rtt_ms gives the delay between {0} and {1} twice, and differently")]
    TwoDelays(String, String),
    /// Behind NAT without an address to translate.
    #[error("host {0} is behind NAT but has no private IPv4 address: give it `ipv4`")]
    NothingToTranslate(String),
    /// Ports to hand on, without a NAT that could.
    #[error("host {0} has `forward` and no `nat`: in public every port is open")]
    NothingToForward(String),
    /// A number that is out of range.
    #[error("{name} is {value}: it must be {range}")]
    Range {
        /// The field.
        name: &'static str,
        /// What it was given.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

impl Scenario {
    /// Reads a scenario file.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self =
            toml::from_str(text).map_err(|error| ScenarioError::Syntax(Box::new(error)))?;
        scenario.check()?;
        Ok(scenario)
    }

    /// The position of the host of that name.
    pub fn host(&self, name: &str) -> Result<usize, ScenarioError> {
        let found = self.hosts.iter().position(|host| host.name == name);
        found.ok_or_else(|| ScenarioError::NoSuchHost(name.to_owned()))
    }

    /// The quality of the path from one host to another, one way.
    pub fn quality(&self, from: usize, to: usize, family: Family) -> Quality {
        let (a, b) = (&self.hosts[from], &self.hosts[to]);
        let rtt_ms = if from == to { 0.0 } else { self.region_rtt_ms(a, b).unwrap_or(0.0) };
        let mut quality = Quality {
            delay: milliseconds(rtt_ms / 2.0),
            jitter: milliseconds(self.jitter_ms),
            ..Quality::default()
        };
        for path in self.paths.iter().filter(|path| path.covers(a, b, family)) {
            path.apply(&mut quality);
        }
        quality
    }

    /// The same scenario with `count` hosts: the last ones leave, or more like the first ones come.
    #[must_use]
    pub fn resized(&self, count: usize) -> Self {
        let mut resized = self.clone();
        resized.hosts.truncate(count);
        for number in self.hosts.len()..count {
            resized.hosts.push(self.another(number));
        }
        let names: BTreeSet<&str> = resized.hosts.iter().map(|host| host.name.as_str()).collect();
        let known = |name: &String| name == "*" || names.contains(name.as_str());
        let paths = self.paths.iter().filter(|path| path.between.iter().all(known));
        let paths = paths.cloned().collect();
        if !resized.registry.as_deref().is_some_and(|name| names.contains(name)) {
            resized.registry = None;
        }
        resized.paths = paths;
        resized
    }

    /// A plain host in the region of one that is there, with addresses of its own.
    fn another(&self, number: usize) -> Host {
        let plain: Vec<&Host> = self.hosts.iter().filter(|host| host.nat.is_none()).collect();
        let like = plain[number % plain.len()];
        let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
        Host {
            name: format!("{}{}", like.name, number / self.hosts.len() + 1),
            region: like.region.clone(),
            // 198.18.0.0/15 is for benchmarks (RFC 2544), 3fff::/20 for documentation (RFC 9637).
            ipv4: like.ipv4.map(|_| Ipv4Addr::new(198, 18, high, low)),
            ipv6: like.ipv6.map(|_| {
                Ipv6Addr::new(0x3fff, 0x0fff, u16::from_be_bytes([high, low]), 0, 0, 0, 0, 1)
            }),
            ..Host::default()
        }
    }

    fn region_rtt_ms(&self, a: &Host, b: &Host) -> Option<f64> {
        let (Some(a), Some(b)) = (&a.region, &b.region) else {
            // Hosts of nowhere are next to everything.
            return Some(0.0);
        };
        let between = |a: &str, b: &str| self.rtt_ms.get(a)?.get(b).copied();
        between(a, b).or_else(|| between(b, a)).or((a == b).then_some(1.0))
    }

    /// Whether names, addresses, delays and numbers fit together.
    pub fn check(&self) -> Result<(), ScenarioError> {
        if self.hosts.is_empty() || self.hosts.len() > limits::LAB_HOSTS_MAX {
            return Err(ScenarioError::Hosts { count: self.hosts.len() });
        }
        in_range("jitter_ms", Some(self.jitter_ms), 0.0..=10_000.0, "0 to 10000")?;
        self.check_names()?;
        self.check_delays()?;
        if let Some(registry) = &self.registry {
            self.host(registry)?;
        }
        self.paths.iter().try_for_each(|path| path.check(self))
    }

    fn check_names(&self) -> Result<(), ScenarioError> {
        let mut names = BTreeSet::new();
        let mut addresses = BTreeSet::new();
        for host in &self.hosts {
            let good = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if host.name.is_empty() || host.name.len() > 32 || !host.name.chars().all(good) {
                return Err(ScenarioError::Name(host.name.clone()));
            }
            if !names.insert(&host.name) {
                return Err(ScenarioError::NameTwice(host.name.clone()));
            }
            if host.nat.is_some() && host.ipv4.is_none() {
                return Err(ScenarioError::NothingToTranslate(host.name.clone()));
            }
            if host.nat.is_none() && !host.forward.is_empty() {
                return Err(ScenarioError::NothingToForward(host.name.clone()));
            }
            // Behind different NATs, the same private address may be used twice.
            let v4 = host.ipv4.map(|address| (host.nat, IpAddr::V4(address)));
            let v6 = host.ipv6.map(|address| (None, IpAddr::V6(address)));
            for (nat, address) in v4.into_iter().chain(v6) {
                if !addresses.insert((nat, address)) {
                    return Err(ScenarioError::AddressTwice(address));
                }
            }
        }
        Ok(())
    }

    fn check_delays(&self) -> Result<(), ScenarioError> {
        for (a, row) in &self.rtt_ms {
            for (b, rtt) in row {
                in_range("a round-trip time", Some(*rtt), 0.0..=10_000.0, "0 to 10000 ms")?;
                let other = self.rtt_ms.get(b).and_then(|row| row.get(a));
                if other.is_some_and(|other| other.to_bits() != rtt.to_bits()) {
                    return Err(ScenarioError::TwoDelays(a.clone(), b.clone()));
                }
            }
        }
        for (at, a) in self.hosts.iter().enumerate() {
            for b in &self.hosts[at + 1..] {
                if self.region_rtt_ms(a, b).is_none() {
                    let name = |host: &Host| host.region.clone().unwrap_or_default();
                    return Err(ScenarioError::NoDelay(name(a), name(b)));
                }
            }
        }
        Ok(())
    }
}

impl Override {
    /// Whether it speaks of the paths between these two hosts.
    pub fn covers(&self, a: &Host, b: &Host, family: Family) -> bool {
        let is = |name: &String, host: &Host| name == "*" || *name == host.name;
        let [first, second] = &self.between;
        let pair = (is(first, a) && is(second, b)) || (is(first, b) && is(second, a));
        pair && self.family.is_none_or(|only| only == family)
    }

    /// Changes `quality` in what it says.
    pub fn apply(&self, quality: &mut Quality) {
        if let Some(rtt) = self.rtt_ms {
            quality.delay = milliseconds(rtt / 2.0);
        }
        if let Some(factor) = self.rtt_factor {
            quality.delay = quality.delay.mul_f64(factor);
        }
        quality.cut = self.cut.unwrap_or(quality.cut);
        quality.jitter = self.jitter_ms.map_or(quality.jitter, milliseconds);
        quality.loss_ratio = self.loss_ratio.unwrap_or(quality.loss_ratio);
        quality.bits_per_second = self.bandwidth_mbit.map_or(quality.bits_per_second, |mbit| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
            Some((mbit * 1e6) as u64)
        });
        quality.mtu = self.mtu.or(quality.mtu);
    }

    /// Whether its hosts exist and its numbers make sense.
    pub fn check(&self, scenario: &Scenario) -> Result<(), ScenarioError> {
        for name in self.between.iter().filter(|name| *name != "*") {
            scenario.host(name)?;
        }
        in_range("rtt_ms", self.rtt_ms, 0.0..=10_000.0, "0 to 10000")?;
        in_range("rtt_factor", self.rtt_factor, 0.0..=100.0, "0 to 100")?;
        in_range("jitter_ms", self.jitter_ms, 0.0..=10_000.0, "0 to 10000")?;
        in_range("loss_ratio", self.loss_ratio, 0.0..=1.0, "0 to 1")?;
        in_range("bandwidth_mbit", self.bandwidth_mbit, 0.01..=100_000.0, "0.01 to 100000")?;
        // RFC 8200 §5: IPv6 works on no smaller link.
        in_range("mtu", self.mtu.map(f64::from), 1280.0..=1500.0, "1280 to 1500")
    }
}

fn in_range(
    name: &'static str,
    value: Option<f64>,
    allowed: std::ops::RangeInclusive<f64>,
    range: &'static str,
) -> Result<(), ScenarioError> {
    match value {
        Some(value) if !allowed.contains(&value) => {
            Err(ScenarioError::Range { name, value, range })
        }
        _ => Ok(()),
    }
}

fn milliseconds(number: f64) -> Duration {
    Duration::from_secs_f64(number / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"
        jitter_ms = 0.5
        [[host]]
        name = "paris"
        region = "france"
        ipv4 = "198.51.100.1"
        [[host]]
        name = "tokyo"
        region = "japan"
        ipv4 = "198.51.100.2"
        [rtt_ms]
        france = { japan = 240 }
    "#;

    fn error(text: &str) -> String {
        Scenario::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn half_a_round_trip_is_the_delay_of_each_way() {
        let scenario = Scenario::parse(TWO).unwrap();
        for (from, to) in [(0, 1), (1, 0)] {
            let quality = scenario.quality(from, to, Family::Ipv4);
            assert_eq!(quality.delay, Duration::from_millis(120));
            assert_eq!(quality.jitter, Duration::from_micros(500));
        }
    }

    #[test]
    fn a_path_overrides_for_its_family_only() {
        let path =
            "[[path]]\nbetween = ['tokyo', '*']\nfamily = 'ipv6'\ncut = true\nrtt_factor = 2";
        let scenario = Scenario::parse(&format!("{TWO}\n{path}")).unwrap();
        let v6 = scenario.quality(0, 1, Family::Ipv6);
        assert!(v6.cut && !scenario.quality(0, 1, Family::Ipv4).cut);
        assert_eq!(v6.delay, Duration::from_millis(240));
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        assert_eq!(error("host = []"), "a lab has 1 to 256 hosts, not 0");
        let twice = TWO.replace("tokyo", "paris");
        assert_eq!(error(&twice), "two hosts are called paris");
        let same = TWO.replace("100.2", "100.1");
        assert_eq!(error(&same), "two hosts have the address 198.51.100.1");
        let missing = TWO.replace("japan = 240", "brazil = 1");
        assert!(error(&missing).starts_with("rtt_ms says nothing about france and japan"));
        let nobody = format!("{TWO}\n[[path]]\nbetween = ['paris', 'atlantis']");
        assert!(error(&nobody).starts_with("there is no host called atlantis"));
        let lossy = format!("{TWO}\n[[path]]\nbetween = ['paris', 'tokyo']\nloss_ratio = 3.0");
        assert_eq!(error(&lossy), "loss_ratio is 3: it must be 0 to 1");
        assert!(error(&TWO.replace("jitter_ms", "jiter_ms")).contains("jiter_ms"));
    }

    #[test]
    fn a_scenario_can_shrink_and_grow() {
        let path = "[[path]]\nbetween = ['tokyo', 'paris']\ncut = true";
        let scenario = Scenario::parse(&format!("{TWO}\n{path}")).unwrap();
        let one = scenario.resized(1);
        assert_eq!((one.hosts.len(), one.paths.len()), (1, 0));
        let many = scenario.resized(40);
        assert_eq!(many.check(), Ok(()));
        assert_eq!(many.hosts[2].name, "paris2");
        assert_eq!(many.hosts[39].region.as_deref(), Some("japan"));
    }
}
