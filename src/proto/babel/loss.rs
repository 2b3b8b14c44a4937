//! Loss: estimated from Hellos that did not come, or told by the link's owner, turned into a cost.
//!
//! Not the ETX of RFC 8966 §A.2.2: a packet in twenty that has to be sent again costs a radio five per
//! cent of its time, but a stream through a tunnel most of its speed. So loss is weighed like delay.

/// How much of what a neighbour sends gets lost.
#[derive(Clone, Copy, Default, Debug)]
pub struct LossEstimate {
    ratio: f32,
    /// Hellos that were counted, up to the memory of the estimate.
    count: u16,
    /// Whether much was lost already when the last Hello came.
    is_lossy: bool,
}

impl LossEstimate {
    /// Takes one Hello that came after `missed` that did not.
    pub fn handle(&mut self, missed: u16) {
        self.lose(missed);
        self.count(0.0);
        self.is_lossy = self.ratio > NOISE;
    }

    /// Counts Hellos that did not come.
    pub fn lose(&mut self, missed: u16) {
        for _ in 0..missed.min(MEMORY) {
            self.count(1.0);
        }
    }

    fn count(&mut self, lost: f32) {
        self.count = (self.count + 1).min(MEMORY);
        // As if as many had come before it was known as make one loss no alarm.
        let weight = 1.0 / f32::from(self.count + PRIOR).min(f32::from(MEMORY));
        self.ratio += (lost - self.ratio) * weight;
    }

    /// Whether so many are lost that a link must not be given up for two in a row. A silence that is
    /// not over says nothing of that: the link may be dead.
    pub const fn is_lossy(&self) -> bool {
        self.is_lossy
    }

    /// What it costs, as the better known of the estimate and what the link's owner says.
    pub fn penalty(&self, told: Option<f32>) -> u16 {
        let ratio = told.unwrap_or(self.ratio - NOISE).clamp(0.0, 1.0);
        let little = ratio * PENALTY;
        #[expect(clippy::cast_possible_truncation, reason = "less than the largest penalty")]
        #[expect(clippy::cast_sign_loss, reason = "clamped")]
        {
            (little * PENALTY_MAX / (little + PENALTY_MAX)) as u16
        }
    }
}

/// One loss among so many Hellos weighs least.
const MEMORY: u16 = 64;
const PRIOR: u16 = 32;
/// One lost Hello in a while says nothing: so much loss is not charged.
const NOISE: f32 = 0.02;
/// What losing everything would cost if the first losses set the price. One per cent weighs as much as 20 ms
/// in a re6st network.
const PENALTY: f32 = 20_000.0;
/// No loss costs more, and both directions not more than the longest delay in a re6st network. Metrics end at
/// 65,535: a dozen links in a row that lose a fifth of all packets are still a way.
const PENALTY_MAX: f32 = 2500.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// The estimate after `hellos` of which every `nth` is lost.
    fn after(hellos: u16, nth: u16) -> LossEstimate {
        let mut estimate = LossEstimate::default();
        for hello in 1..=hellos {
            if hello % nth == 0 {
                estimate.lose(1);
            } else {
                estimate.handle(0);
            }
        }
        estimate
    }

    #[test]
    fn one_loss_costs_little_and_many_cost_much() {
        let mut once = after(100, u16::MAX);
        assert_eq!(once.penalty(None), 0);
        once.handle(1);
        assert_eq!(once.penalty(None), 0);
        assert!(!once.is_lossy());
        let table: Vec<u16> = [50, 20, 10, 5].map(|nth| after(200, nth).penalty(None)).to_vec();
        assert!(table.is_sorted() && table[0] < 300, "{table:?}");
        assert!((400..700).contains(&table[1]), "5 %: {table:?}");
        assert!((1200..1800).contains(&table[3]), "20 %: {table:?}");
    }

    #[test]
    fn a_silence_after_good_days_is_no_loss() {
        for hellos in [1, 20, 200] {
            let mut estimate = after(hellos, u16::MAX);
            estimate.lose(2);
            assert!(!estimate.is_lossy(), "after {hellos}");
        }
        let mut estimate = after(200, 10);
        estimate.lose(2);
        assert!(estimate.is_lossy());
    }

    #[test]
    fn the_owner_knows_better() {
        let estimate = after(200, 5);
        assert_eq!(estimate.penalty(Some(0.0)), 0);
        assert_eq!(estimate.penalty(Some(0.05)), 714);
        assert_eq!(estimate.penalty(Some(1.0)), 2222);
        assert_eq!(estimate.penalty(Some(f32::NAN)), 0);
    }
}
