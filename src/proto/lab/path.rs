//! One direction between two hosts: when a packet arrives, if it does.

use std::time::Duration;

use crate::proto::random::Random;
use crate::proto::time::Instant;

/// What a path does to packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quality {
    /// Nothing passes.
    pub cut: bool,
    /// From one end to the other.
    pub delay: Duration,
    /// Mean of what is added at random to the delay of each packet.
    pub jitter: Duration,
    /// The share of packets that are lost.
    pub loss_ratio: f64,
    /// How fast it sends; as fast as it is given if nothing is said.
    pub bits_per_second: Option<u64>,
    /// Octets of the largest packet that passes.
    pub mtu: Option<u16>,
}

impl Quality {
    /// What is not as planned, in words: `cut`, `delay 60ms`.
    pub fn differences(&self, planned: &Self) -> Vec<String> {
        let mut words = Vec::new();
        let mut note = |differs: bool, word: String| words.extend(differs.then_some(word));
        note(self.cut != planned.cut, if self.cut { "cut".into() } else { "not cut".into() });
        note(self.delay != planned.delay, format!("round trip {:?}", self.delay * 2));
        note(self.jitter != planned.jitter, format!("jitter {:?}", self.jitter));
        let loss = format!("loses {} %", self.loss_ratio * 100.0);
        note((self.loss_ratio - planned.loss_ratio).abs() > f64::EPSILON, loss);
        let rate = self.bits_per_second.map_or_else(
            || "no limit to its rate".to_owned(),
            |rate| format!("{} kbit/s", rate / 1_000),
        );
        note(self.bits_per_second != planned.bits_per_second, rate);
        let mtu = self.mtu.map_or_else(|| "any size".to_owned(), |mtu| format!("MTU {mtu}"));
        note(self.mtu != planned.mtu, mtu);
        words
    }
}

/// A path, and what it remembers from one packet to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    /// What it does to packets.
    pub quality: Quality,
    /// When the last octet that waits in its queue will have been sent.
    free_at: Instant,
    /// When the latest packet arrives.
    last_arrival: Instant,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then.
    Arrives(Instant),
    /// The path is cut.
    Cut,
    /// It was lost by chance.
    Lost,
    /// The queue before the path was full.
    QueueFull,
    /// It is larger than what passes.
    TooBig(u16),
}

impl Path {
    /// How long a packet waits at most to be sent; beyond, it is dropped.
    pub const QUEUE: Duration = Duration::from_millis(100);

    /// A path on which nothing has been sent.
    pub fn new(quality: Quality) -> Self {
        Self { quality, ..Self::default() }
    }

    /// Takes a packet of `octets` octets at `now`.
    pub fn admit(&mut self, octets: usize, now: Instant, random: &mut Random) -> Fate {
        let Quality { cut, mtu, loss_ratio, .. } = self.quality;
        if cut {
            return Fate::Cut;
        }
        if let Some(mtu) = mtu.filter(|mtu| octets > usize::from(*mtu)) {
            return Fate::TooBig(mtu);
        }
        let Some(sent) = self.send(octets, now) else {
            return Fate::QueueFull;
        };
        // Lost on the way, not before it: a lost packet has used the bandwidth.
        if loss_ratio > 0.0 && random.fraction() < loss_ratio {
            return Fate::Lost;
        }
        let arrival = sent + self.quality.delay + exponential(self.quality.jitter, random);
        // Real paths rarely reorder: a packet that would overtake arrives right after.
        self.last_arrival = self.last_arrival.max(arrival);
        Fate::Arrives(self.last_arrival)
    }

    /// When the packet has left the queue; `None` if it does not fit.
    fn send(&mut self, octets: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = self.quality.bits_per_second else {
            return Some(now);
        };
        let start = self.free_at.max(now);
        if start - now > Self::QUEUE {
            return None;
        }
        let nanoseconds = (octets as u64 * 8).saturating_mul(1_000_000_000) / rate.max(1);
        self.free_at = start + Duration::from_nanos(nanoseconds);
        Some(self.free_at)
    }
}

/// A draw with that mean: mostly small, sometimes several times as much, as queues on the way do it.
fn exponential(mean: Duration, random: &mut Random) -> Duration {
    if mean.is_zero() {
        return Duration::ZERO;
    }
    // The fraction may be 0 but never 1, so the logarithm is finite; the tail is cut at 8 means.
    let factor = -(1.0 - random.fraction()).ln();
    mean.mul_f64(factor.min(8.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKETS: u32 = 20_000;

    /// Sends packets of 1,000 octets, one a millisecond.
    fn fates(quality: Quality, seed: u64) -> Vec<(Instant, Fate)> {
        let mut random = Random::from_number(seed);
        let mut path = Path::new(quality);
        (0..PACKETS)
            .map(|number| {
                let now = Instant::ZERO + Duration::from_millis(1) * number;
                (now, path.admit(1_000, now, &mut random))
            })
            .collect()
    }

    fn delays(quality: Quality) -> Vec<Duration> {
        let arrived = fates(quality, 7).into_iter().filter_map(|(sent, fate)| match fate {
            Fate::Arrives(at) => Some(at - sent),
            _ => None,
        });
        arrived.collect()
    }

    #[test]
    fn a_plain_path_delays_every_packet_alike() {
        let quality = Quality { delay: Duration::from_millis(40), ..Quality::default() };
        assert!(delays(quality).iter().all(|delay| *delay == quality.delay));
    }

    #[test]
    fn jitter_has_the_mean_it_is_given_and_never_shortens() {
        let jitter = Duration::from_micros(100);
        let quality = Quality { delay: Duration::from_millis(40), jitter, ..Quality::default() };
        let delays = delays(quality);
        let mean = delays.iter().sum::<Duration>() / PACKETS - quality.delay;
        assert!((95..105).contains(&mean.as_micros()), "{mean:?}");
        assert!(delays.iter().all(|delay| *delay >= quality.delay));
    }

    #[test]
    fn packets_do_not_overtake_each_other() {
        let jitter = Duration::from_millis(5);
        let fates = fates(Quality { jitter, ..Quality::default() }, 3);
        assert!(fates.is_sorted_by_key(|(_, fate)| match fate {
            Fate::Arrives(at) => *at,
            other => panic!("{other:?}"),
        }));
    }

    #[test]
    fn losses_are_as_many_as_asked_for_and_differ_by_seed() {
        let quality = Quality { loss_ratio: 0.05, ..Quality::default() };
        let lost = |seed| fates(quality, seed).iter().filter(|(_, f)| *f == Fate::Lost).count();
        for seed in 0..10 {
            assert!((880..1_120).contains(&lost(seed)), "seed {seed}: {}", lost(seed));
        }
        assert_eq!(lost(1), lost(1));
        assert_ne!(fates(quality, 1), fates(quality, 2));
    }

    #[test]
    fn a_slow_path_queues_for_a_tenth_of_a_second_and_then_drops() {
        // A packet takes two milliseconds and there is one every millisecond.
        let quality = Quality { bits_per_second: Some(4_000_000), ..Quality::default() };
        let fates = fates(quality, 1);
        let arrived = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Arrives(_))).count();
        assert!((10_000..10_100).contains(&arrived), "{arrived}");
        let longest = fates.iter().filter_map(|(sent, fate)| match fate {
            Fate::Arrives(at) => Some(*at - *sent),
            _ => None,
        });
        assert_eq!(longest.max(), Some(Path::QUEUE + Duration::from_millis(2)));
    }

    #[test]
    fn nothing_passes_a_cut_path_and_nothing_big_a_narrow_one() {
        let cut = Quality { cut: true, ..Quality::default() };
        assert!(fates(cut, 1).iter().all(|(_, fate)| *fate == Fate::Cut));
        let mut narrow = Path::new(Quality { mtu: Some(1400), ..Quality::default() });
        let mut random = Random::from_number(1);
        assert_eq!(narrow.admit(1401, Instant::ZERO, &mut random), Fate::TooBig(1400));
        assert_eq!(narrow.admit(1400, Instant::ZERO, &mut random), Fate::Arrives(Instant::ZERO));
    }
}
