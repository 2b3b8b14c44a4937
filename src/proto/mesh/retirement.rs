//! Closing a tunnel that still carries traffic, without losing a packet.
//!
//! ```text
//!  client   Avoided ──unused──▶ Offered ──agreed──▶ Closed
//!              └──────late─────────┤
//!                                  ▼
//!                                 Kept
//!                                  ▲
//!              ┌──────late─────────┤
//!  server   Yielding ─unused─▶ Yielded      … until the client closes
//! ```
//!
//! A link is first made so costly that Babel uses it only where there is no other way, then, once no
//! route needs it, unusable; the peer that serves it does the same before it agrees.

use std::time::Duration;

use crate::proto::time::Instant;

/// One tunnel's way out.
#[derive(Clone, Debug)]
pub struct Retirement {
    stage: Stage,
    deadline: Instant,
    patience: Duration,
}

/// How far it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// We are the client, and our routes leave the link where they can.
    Avoided,
    /// We are the client, no route of ours uses the link, and the peer was asked to do the same.
    Offered,
    /// We are the server, were asked, and our routes leave the link where they can.
    Yielding,
    /// We are the server, no route of ours uses the link, and the client was told.
    Yielded,
    /// The tunnel is closed.
    Closed,
    /// The tunnel stays.
    Kept,
}

/// What can happen meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// No route of ours uses the link.
    Unused,
    /// The peer asks.
    Asked,
    /// The peer agrees.
    Agreed,
    /// The stage took too long.
    Late,
}

/// What to do about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Make the link unusable, and ask the peer to do the same.
    LockAndAsk,
    /// Make the link unusable, and tell the peer.
    LockAndAgree,
    /// Tell the peer once more: it did not hear.
    Agree,
    /// Close the tunnel.
    Close,
    /// Give the link its usual cost again.
    RestoreCost,
}

/// The whole table. Whatever is not listed is ignored.
const fn next(stage: Stage, event: Event) -> Option<(Stage, Action)> {
    Some(match (stage, event) {
        (Stage::Avoided, Event::Unused) => (Stage::Offered, Action::LockAndAsk),
        (Stage::Offered, Event::Agreed) => (Stage::Closed, Action::Close),
        (Stage::Yielding, Event::Unused) => (Stage::Yielded, Action::LockAndAgree),
        (Stage::Yielded, Event::Asked) => (Stage::Yielded, Action::Agree),
        (Stage::Avoided | Stage::Offered | Stage::Yielding | Stage::Yielded, Event::Late) => {
            (Stage::Kept, Action::RestoreCost)
        }
        _ => return None,
    })
}

impl Retirement {
    /// Begins as the client, whose link was just made costly; each stage has `patience`.
    pub fn of_client(patience: Duration, now: Instant) -> Self {
        Self { stage: Stage::Avoided, deadline: now + patience, patience }
    }

    /// Begins as the server, asked by the client, its link just made costly.
    pub fn of_server(patience: Duration, now: Instant) -> Self {
        Self { stage: Stage::Yielding, deadline: now + patience, patience }
    }

    /// Takes one event; an event that means nothing in this stage changes nothing.
    pub fn handle(&mut self, event: Event, now: Instant) -> Option<Action> {
        let (stage, action) = next(self.stage, event)?;
        if stage != self.stage {
            self.deadline = now + self.patience;
        }
        self.stage = stage;
        Some(action)
    }

    /// How far it is.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// When [`Event::Late`] is due.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_this() {
        use Event::{Agreed, Asked, Late, Unused};
        use Stage::{Avoided, Closed, Kept, Offered, Yielded, Yielding};
        let mut table = String::new();
        for stage in [Avoided, Offered, Yielding, Yielded, Closed, Kept] {
            for event in [Unused, Asked, Agreed, Late] {
                if let Some((to, action)) = next(stage, event) {
                    table += &format!("{stage:?} + {event:?} -> {to:?}, {action:?}\n");
                }
            }
        }
        let expected = "\
Avoided + Unused -> Offered, LockAndAsk
Avoided + Late -> Kept, RestoreCost
Offered + Agreed -> Closed, Close
Offered + Late -> Kept, RestoreCost
Yielding + Unused -> Yielded, LockAndAgree
Yielding + Late -> Kept, RestoreCost
Yielded + Asked -> Yielded, Agree
Yielded + Late -> Kept, RestoreCost
";
        assert_eq!(table, expected);
    }

    #[test]
    fn an_agreement_that_comes_too_late_closes_nothing() {
        let minute = Duration::from_secs(60);
        let mut retirement = Retirement::of_client(minute, Instant::ZERO);
        assert_eq!(retirement.handle(Event::Agreed, Instant::ZERO), None);
        let later = Instant::ZERO + minute;
        assert_eq!(retirement.handle(Event::Late, later), Some(Action::RestoreCost));
        assert_eq!(retirement.handle(Event::Agreed, later), None);
        assert_eq!(retirement.stage(), Stage::Kept);
    }

    #[test]
    fn each_stage_has_its_own_patience_but_a_repeated_question_wins_no_time() {
        let minute = Duration::from_secs(60);
        let half = Instant::ZERO + minute / 2;
        let mut retirement = Retirement::of_server(minute, Instant::ZERO);
        retirement.handle(Event::Unused, half);
        assert_eq!(retirement.deadline(), half + minute);
        retirement.handle(Event::Asked, half + minute / 2);
        assert_eq!(retirement.deadline(), half + minute);
    }
}
