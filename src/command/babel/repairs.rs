//! Routes that somebody else changed in the kernel, or that it refused, until they are put again.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::proto::babel::destination::Destination;
use crate::proto::babel::event::{Before, KernelChange};
use crate::proto::limits;
use crate::proto::time::Instant;

/// What is to be put back, and when. Changes come in bursts, and whoever takes a route away each time it
/// is put back must not keep the router busy: the pause grows.
#[derive(Debug)]
pub struct Repairs {
    damaged: BTreeMap<Destination, Before>,
    is_any: bool,
    due: Option<Instant>,
    pause: Duration,
    /// Repairs in a row that were made without waiting longer each time.
    in_a_row: u32,
    repaired_at: Option<Instant>,
}

impl Repairs {
    /// Nothing to do.
    pub const fn new() -> Self {
        Self {
            damaged: BTreeMap::new(),
            is_any: false,
            due: None,
            pause: limits::BABEL_REPAIR_PAUSE,
            in_a_row: 0,
            repaired_at: None,
        }
    }

    /// Somebody changed something, or the kernel refused it.
    pub fn add(&mut self, change: KernelChange, now: Instant) {
        match change {
            KernelChange::Route(destination, before)
                if self.damaged.len() < limits::BABEL_REPAIRS_MAX =>
            {
                self.damaged.insert(destination, before);
            }
            _ => self.is_any = true,
        }
        if self.due.is_none() {
            let quiet = |at: Instant| now - at > self.pause + QUIET;
            if self.repaired_at.is_none_or(quiet) {
                self.pause = limits::BABEL_REPAIR_PAUSE;
                self.in_a_row = 0;
            }
            self.due = Some(now + self.pause);
        }
    }

    /// We ourselves changed it after what was told so far.
    pub fn forget(&mut self, destination: &Destination) {
        if !self.damaged.is_empty() {
            self.damaged.remove(destination);
        }
    }

    /// When [`take`](Self::take) is wanted.
    pub const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be put back now.
    pub fn take(&mut self, now: Instant) -> Vec<KernelChange> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.due = None;
        self.repaired_at = Some(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row > limits::BABEL_REPAIRS_IN_A_ROW {
            self.pause = (self.pause * 2).min(limits::BABEL_REPAIR_PAUSE_MAX);
        }
        let damaged = std::mem::take(&mut self.damaged);
        if std::mem::take(&mut self.is_any) {
            return vec![KernelChange::Any];
        }
        damaged.into_iter().map(|(at, before)| KernelChange::Route(at, before)).collect()
    }
}

/// So long after a repair whatever happens is something new.
const QUIET: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "2001:db8::/32";

    fn change(before: Before) -> KernelChange {
        KernelChange::Route(Destination::from_anywhere(PLACE.parse().unwrap()), before)
    }

    #[test]
    fn what_was_told_last_of_a_route_counts() {
        let mut repairs = Repairs::new();
        repairs.add(change(Before::Present), Instant::ZERO);
        repairs.add(change(Before::Absent), Instant::ZERO);
        assert_eq!(repairs.take(Instant::ZERO), []);
        let due = repairs.deadline().unwrap();
        assert_eq!(repairs.take(due), [change(Before::Absent)]);
        assert_eq!((repairs.deadline(), repairs.take(due)), (None, vec![]));
        repairs.add(change(Before::Present), due);
        repairs.forget(&Destination::from_anywhere(PLACE.parse().unwrap()));
        assert_eq!(repairs.take(repairs.deadline().unwrap()), []);
    }

    #[test]
    fn a_fight_over_a_route_becomes_slow() {
        let mut repairs = Repairs::new();
        let mut now = Instant::ZERO;
        let mut count = 0;
        while now < Instant::ZERO + Duration::from_secs(600) {
            repairs.add(change(Before::Present), now);
            now = repairs.deadline().unwrap();
            count += repairs.take(now).len();
        }
        assert!((30..60).contains(&count), "{count} in ten minutes");
        now += Duration::from_secs(60);
        repairs.add(change(Before::Present), now);
        assert_eq!(repairs.deadline(), Some(now + limits::BABEL_REPAIR_PAUSE), "all was quiet");
    }

    #[test]
    fn of_too_many_all_are_put_again() {
        let mut repairs = Repairs::new();
        for at in 0..=limits::BABEL_REPAIRS_MAX {
            let prefix = format!("2001:db8:0:{at:x}::/64").parse().unwrap();
            let destination = Destination::from_anywhere(prefix);
            repairs.add(KernelChange::Route(destination, Before::Present), Instant::ZERO);
        }
        let due = repairs.deadline().unwrap();
        assert_eq!(repairs.take(due), [KernelChange::Any]);
    }
}
