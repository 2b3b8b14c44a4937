//! Delay: sampled from timestamps in Hellos and IHUs, smoothed, turned into a cost (RFC 9616).

use std::time::Duration;

use crate::proto::babel::settings::RttSettings;
use crate::proto::time::Instant;

/// The round trip to one neighbour.
#[derive(Clone, Copy, Default, Debug)]
pub struct Rtt {
    /// When its last Hello was sent, by its clock, and when it arrived.
    last_hello: Option<(u32, Instant)>,
    smoothed: Option<Duration>,
    sampled_at: Instant,
    /// What the link's owner measured, and when it told.
    told: Option<(Duration, Instant)>,
}

impl Rtt {
    /// Takes the timestamp of a Hello.
    pub const fn handle_hello(&mut self, sent: u32, now: Instant) {
        self.last_hello = Some((sent, now));
    }

    /// What an IHU to this neighbour says: when its last Hello was sent, and when it arrived.
    pub fn echo(&self, now: Instant) -> Option<(u32, u32)> {
        let (sent, arrived) = self.last_hello?;
        (now - arrived < AGE_MAX).then(|| (sent, arrived.micros_u32()))
    }

    /// Takes the timestamps of an IHU (ours, theirs) and of the Hello in the same packet.
    pub fn handle_echo(&mut self, echo: (u32, u32), sent: u32, now: Instant, decay: u16) {
        let (our_hello, arrived) = echo;
        let whole = now.micros_u32().wrapping_sub(our_hello);
        let held = sent.wrapping_sub(arrived);
        let age_max = u32::try_from(AGE_MAX.as_micros()).unwrap_or(u32::MAX);
        // A clock that was set, a restarted neighbour: RFC 9616 §3.3 has such samples dropped.
        if whole > age_max || held > age_max || held > whole.saturating_add(DRIFT_MAX_US) {
            return;
        }
        let sample = Duration::from_micros(u64::from(whole.saturating_sub(held)));
        let weight = f64::from(decay) / 256.0;
        self.smoothed = Some(match self.smoothed {
            None => sample,
            Some(old) => sample.mul_f64(weight) + old.mul_f64(1.0 - weight),
        });
        self.sampled_at = now;
    }

    /// Takes what the link's owner measured; `None` if it can no longer tell.
    pub fn handle_told(&mut self, round_trip: Option<Duration>, now: Instant) {
        self.told = round_trip.map(|round_trip| (round_trip, now));
    }

    /// The round trip that counts: what the link's owner told lately, who measures more often than Hellos
    /// come, else the smoothed one; `None` if there was no sample lately.
    pub fn smoothed(&self, now: Instant) -> Option<Duration> {
        let told = self.told.filter(|(_, at)| now - *at < TOLD_LASTS).map(|(told, _)| told);
        told.or_else(|| self.smoothed.filter(|_| now - self.sampled_at < AGE_MAX))
    }
}

/// What a round trip costs (RFC 9616 §4.2): nothing up to `min`, all from `max` on, linear between.
pub fn penalty(rtt: Duration, settings: &RttSettings) -> u16 {
    if rtt <= settings.min {
        return 0;
    }
    if rtt >= settings.max {
        return settings.penalty_max;
    }
    let part = (rtt - settings.min).as_micros() * u128::from(settings.penalty_max);
    let span = (settings.max - settings.min).as_micros();
    u16::try_from(part / span).unwrap_or(settings.penalty_max)
}

/// Timestamps older than this say nothing (RFC 9616 §3.3).
const AGE_MAX: Duration = Duration::from_secs(180);

/// By how many microseconds a neighbour may seem to have held a timestamp for longer than it was away: its
/// clock runs a little faster. By more is nonsense.
const DRIFT_MAX_US: u32 = 20_000;

/// How long what a link's owner told counts.
const TOLD_LASTS: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_leaves_out_what_the_neighbour_held() {
        let mut rtt = Rtt::default();
        let start = Instant::ZERO + Duration::from_secs(5000);
        let ours = start.micros_u32();
        let theirs = u32::MAX - 100;
        // 30 ms there and back, 1 s held; its clock wraps meanwhile.
        let now = start + Duration::from_millis(1030);
        rtt.handle_echo((ours, theirs), theirs.wrapping_add(1_000_000), now, 125);
        assert_eq!(rtt.smoothed(now), Some(Duration::from_millis(30)));
    }

    #[test]
    fn impossible_samples_are_dropped() {
        let mut rtt = Rtt::default();
        let now = Instant::ZERO + Duration::from_secs(1);
        rtt.handle_echo((now.micros_u32() + 5, 0), 0, now, 125);
        rtt.handle_echo((0, 100), 50, now, 125);
        // Away for 500 ms, held for a second.
        rtt.handle_echo((now.micros_u32() - 500_000, 0), 1_000_000, now, 125);
        assert_eq!(rtt.smoothed(now), None);
        rtt.handle_echo((now.micros_u32() - 500_000, 0), 500_100, now, 125);
        assert_eq!(rtt.smoothed(now), Some(Duration::ZERO), "a clock that runs a little faster");
    }

    #[test]
    fn an_old_timestamp_is_not_echoed() {
        let mut rtt = Rtt::default();
        let start = Instant::ZERO + Duration::from_secs(10);
        assert_eq!(rtt.echo(start), None);
        rtt.handle_hello(77, start);
        let echo = Some((77, start.micros_u32()));
        assert_eq!(rtt.echo(start + (AGE_MAX - Duration::from_secs(1))), echo);
        assert_eq!(rtt.echo(start + AGE_MAX), None);
    }

    #[test]
    fn samples_are_smoothed_by_their_weight() {
        let mut rtt = Rtt::default();
        let now = Instant::ZERO + Duration::from_secs(10);
        let ago = |ms: u32| (now.micros_u32() - ms * 1000, 0);
        rtt.handle_echo(ago(100), 0, now, 64);
        rtt.handle_echo(ago(200), 0, now, 64);
        assert_eq!(rtt.smoothed(now), Some(Duration::from_millis(125)));
        assert_eq!(rtt.smoothed(now + AGE_MAX), None);
    }

    #[test]
    fn what_the_owner_of_the_link_told_counts_while_it_is_fresh() {
        let mut rtt = Rtt::default();
        let now = Instant::ZERO + Duration::from_secs(10);
        rtt.handle_echo((now.micros_u32() - 100_000, 0), 0, now, 125);
        let told = Duration::from_millis(30);
        rtt.handle_told(Some(told), now);
        assert_eq!(rtt.smoothed(now), Some(told));
        assert_eq!(rtt.smoothed(now + TOLD_LASTS), Some(Duration::from_millis(100)));
        rtt.handle_told(None, now);
        assert_eq!(rtt.smoothed(now), Some(Duration::from_millis(100)));
    }

    #[test]
    fn the_penalty_grows_between_its_bounds() {
        let settings = RttSettings::RE6ST;
        assert_eq!(penalty(Duration::from_millis(10), &settings), 0);
        assert_eq!(penalty(Duration::from_millis(255), &settings), 2500);
        assert_eq!(penalty(Duration::from_millis(500), &settings), 5000);
        assert_eq!(penalty(Duration::from_secs(9), &settings), 5000);
    }
}
