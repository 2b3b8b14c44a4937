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

/// Decides; `better_since` tells since when there has been a better one without pause.
pub fn decide(comparison: &Comparison, better_since: Option<Instant>, now: Instant) -> Decision {
    match (comparison.current, comparison.best) {
        (_, None) => Decision::Lose,
        (None, Some((neighbour, _))) => Decision::Switch(neighbour),
        (Some(current), Some((neighbour, best))) => {
            if current - best < margin(current) {
                return Decision::Keep;
            }
            // So much better that it is no question of trembling.
            if best <= current / 2 {
                return Decision::Switch(neighbour);
            }
            let due = better_since.unwrap_or(now) + PATIENCE;
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
        let now = Instant::ZERO + Duration::from_secs(10);
        let ago = |seconds: u64| Some(Instant::ZERO + Duration::from_secs(10 - seconds));
        let take = Decision::Switch(Neighbours::test_id());
        let cases = [
            (None, None, None, Decision::Lose),
            (None, Some(9000), None, take),
            (Some(1000), Some(1000), None, Decision::Keep),
            (Some(1000), Some(980), ago(9), Decision::Keep),
            (Some(1000), Some(900), None, Decision::Wait(now + PATIENCE)),
            (Some(1000), Some(900), ago(1), Decision::Wait(now + Duration::from_secs(3))),
            (Some(1000), Some(900), ago(4), take),
            (Some(1000), Some(500), None, take),
        ];
        for (current, best, since, expected) in cases {
            let decision = decide(&comparison(current, best), since, now);
            assert_eq!(decision, expected, "{current:?} against {best:?} since {since:?}");
        }
    }
}
