//! Which offer wins, and when not to change one's mind (RFC 8966 §3.6 and §A.3).

use std::time::Duration;

use crate::proto::babel::places::{DestinationId, NeighbourId};
use crate::proto::babel::route::Route;
use crate::proto::babel::table::Table;
use crate::proto::time::Instant;

/// The offers of an entry, compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Comparison {
    /// The best that may be taken.
    pub best: Option<(NeighbourId, u16)>,
    /// The metric of the one that is taken, if it still may be.
    pub current: Option<u16>,
    /// The best that may not be taken because it could cause a loop.
    pub unfeasible: Option<(NeighbourId, u16)>,
}

/// Compares all offers of a destination; `cost` tells what a neighbour costs.
pub fn compare(table: &Table, id: DestinationId, cost: impl Fn(NeighbourId) -> u16) -> Comparison {
    let mut comparison = Comparison { best: None, current: None, unfeasible: None };
    let Some(entry) = table.get(id) else { return comparison };
    for (neighbour, route) in table.routes(id) {
        let metric = metric(route, cost(neighbour));
        if metric == u16::MAX {
            continue;
        }
        let feasible = entry.is_feasible(route);
        let best = if feasible { &mut comparison.best } else { &mut comparison.unfeasible };
        if best.is_none_or(|(_, best)| metric < best) {
            *best = Some((neighbour, metric));
        }
        if feasible && entry.selected == Some(neighbour) {
            comparison.current = Some(metric);
        }
    }
    comparison
}

/// The metric of an offer through a neighbour of that cost.
pub const fn metric(route: &Route, cost: u16) -> u16 {
    route.offer.refmetric.saturating_add(cost)
}

/// What to do about the taken offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Nothing.
    Keep,
    /// Another one is better: take it if that is still so then.
    Wait(Instant),
    /// Take that one.
    Switch(NeighbourId),
    /// There is none to take.
    Lose,
}

/// What is known beside the offers themselves.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Since when there has been a better offer without pause.
    pub better_since: Option<Instant>,
    /// When an offer was last left for a better one.
    pub changed_mind_at: Option<Instant>,
    /// Whether what the two neighbours cost is measured, so that metrics tremble.
    pub trembles: bool,
}

/// Decides.
pub fn decide(comparison: &Comparison, circumstances: Circumstances, now: Instant) -> Decision {
    match (comparison.current, comparison.best) {
        (_, None) => Decision::Lose,
        (None, Some((neighbour, _))) => Decision::Switch(neighbour),
        (Some(current), Some((neighbour, best))) => {
            if current - best < margin(current) {
                return Decision::Keep;
            }
            let is_calm = !circumstances.trembles
                && circumstances.changed_mind_at.is_none_or(|changed| now - changed >= CALM);
            // Half as far is no question of trembling.
            if is_calm || best <= current / 2 {
                return Decision::Switch(neighbour);
            }
            let due = circumstances.better_since.unwrap_or(now) + PATIENCE;
            if due <= now { Decision::Switch(neighbour) } else { Decision::Wait(due) }
        }
    }
}

/// What a better metric must save.
fn margin(current: u16) -> u16 {
    (current / 32).max(1)
}

/// How long another offer must have been better: two IHUs of a tunnel under test, or one of a quiet one.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long after a change of mind the next one needs patience: a whole table of each neighbour's.
const CALM: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::neighbour::Neighbours;

    fn comparison(current: Option<u16>, best: Option<u16>) -> Comparison {
        let id = Neighbours::test_id();
        Comparison { best: best.map(|metric| (id, metric)), current, unfeasible: None }
    }

    #[test]
    fn the_table_of_decisions() {
        let now = Instant::ZERO + Duration::from_secs(100);
        let ago = |seconds: u64| Some(Instant::ZERO + Duration::from_secs(100 - seconds));
        let take = Decision::Switch(Neighbours::test_id());
        let wait = |seconds: u64| Decision::Wait(now + Duration::from_secs(seconds));
        // The offer taken, the best one, since when it is better, when the mind was changed last.
        let cases = [
            (None, None, None, None, Decision::Lose),
            (None, Some(9000), None, ago(1), take),
            (Some(1000), Some(1000), None, None, Decision::Keep),
            (Some(1000), Some(980), ago(9), None, Decision::Keep),
            (Some(1000), Some(900), None, None, take),
            (Some(1000), Some(900), None, ago(60), take),
            (Some(1000), Some(900), None, ago(59), wait(4)),
            (Some(1000), Some(900), ago(1), ago(59), wait(3)),
            (Some(1000), Some(900), ago(4), ago(59), take),
            (Some(1000), Some(500), None, ago(1), take),
        ];
        for (current, best, better_since, changed_mind_at, expected) in cases {
            let circumstances = Circumstances { better_since, changed_mind_at, trembles: false };
            let decision = decide(&comparison(current, best), circumstances, now);
            assert_eq!(decision, expected, "{current:?} against {best:?} in {circumstances:?}");
        }
    }

    #[test]
    fn what_is_measured_must_be_better_for_a_while_even_the_first_time() {
        let now = Instant::ZERO + Duration::from_secs(100);
        let circumstances =
            Circumstances { better_since: None, changed_mind_at: None, trembles: true };
        let offers = comparison(Some(1000), Some(900));
        assert_eq!(decide(&offers, circumstances, now), Decision::Wait(now + PATIENCE));
        let circumstances = Circumstances { better_since: Some(now), ..circumstances };
        let decision = decide(&offers, circumstances, now + PATIENCE);
        assert_eq!(decision, Decision::Switch(Neighbours::test_id()));
    }
}
