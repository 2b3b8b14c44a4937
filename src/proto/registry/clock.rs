//! Whether a registry may act on what its clock says: nothing is deleted because of an implausible one.
//!
//! A registry's host may boot with any time at all: a dead battery, a bad NTP server. By that clock every
//! certificate may have expired, every revocation be over, or nothing be valid yet. So the time is compared
//! with what the database knows before it is used:
//!
//! ```text
//!  newest row ──▶ last run ──▶ now        plausible: not before the newest row,
//!                  │◀─ 1 day ─▶│           at most a day after the last run,
//!                  └─ expires at most a tenth of the members
//! ```
//!
//! While the clock is implausible the registry goes by [`trusted_time`].

use std::fmt;
use std::time::Duration;

use crate::proto::time::{Instant, UnixTime};

/// How far apart two clocks may be that both are right: registries that share a database.
pub const TOLERANCE: Duration = Duration::from_secs(300);

/// Time since the last run after which the clock may have jumped.
pub const LAST_RUN_MAX: Duration = Duration::from_secs(86_400);

/// Time since the last run within which nothing can have jumped: a registry that runs notes the time every
/// hour.
pub const STEADY: Duration = Duration::from_secs(2 * 3_600);

/// How long the prefix of a member that has expired is kept for it, after its grace period.
pub const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What the database knows about the time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Evidence {
    /// When the newest row was written: a certificate's first moment, a token's date, and the first moment
    /// of the CA. Without rows that the operator accepted with an earlier clock.
    pub newest: Option<UnixTime>,
    /// When a registry last ran on this database with a plausible clock; `None` if no run is recorded.
    pub last_run: Option<UnixTime>,
    /// Members of the network.
    pub members: usize,
    /// Members that have to expire if the clock is right.
    pub expiring: usize,
}

/// Why a clock is implausible.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Implausible {
    /// A row was written after what the clock says.
    BeforeNewestRow {
        /// What the clock says.
        now: UnixTime,
        /// When the row was written.
        newest: UnixTime,
    },
    /// The last run is more than [`LAST_RUN_MAX`] before or after what the clock says.
    FarFromLastRun {
        /// What the clock says.
        now: UnixTime,
        /// When the registry last ran.
        last_run: UnixTime,
    },
    /// The clock jumped, and more than a tenth of the members would expire at once.
    ExpiresTooMany {
        /// What the clock says.
        now: UnixTime,
        /// Members that would expire.
        expiring: usize,
        /// Members of the network.
        members: usize,
    },
}

impl fmt::Display for Implausible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeNewestRow { now, newest } => {
                write!(f, "its clock says {now}, before the newest row of the database ({newest})")
            }
            Self::FarFromLastRun { now, last_run } => write!(
                f,
                "its clock says {now}, more than a day from the last run of the registry ({last_run})"
            ),
            Self::ExpiresTooMany { now, expiring, members } => {
                write!(f, "its clock says {now}, by which {expiring} of {members} members expire")
            }
        }
    }
}

/// What to do about an implausible clock, in words.
pub const REMEDY: &str = "nothing expires until the clock is right, or until you accept it with \
                          `re6st registry clock --accept`";

/// Whether the clock may be right.
pub fn judge(now: UnixTime, evidence: &Evidence) -> Result<(), Implausible> {
    if let Some(newest) = evidence.newest.filter(|newest| now + TOLERANCE < *newest) {
        return Err(Implausible::BeforeNewestRow { now, newest });
    }
    let apart = evidence.last_run.map(|last_run| now.since(last_run).max(last_run.since(now)));
    if let (Some(last_run), Some(apart)) = (evidence.last_run, apart)
        && apart > LAST_RUN_MAX
    {
        return Err(Implausible::FarFromLastRun { now, last_run });
    }
    let (expiring, members) = (evidence.expiring, evidence.members);
    if apart.is_none_or(|apart| apart > STEADY) && expiring * 10 > members {
        return Err(Implausible::ExpiresTooMany { now, expiring, members });
    }
    Ok(())
}

/// The time to act on: what the clock says if it is plausible; otherwise that of the last run, or else of
/// the newest row, and what `elapsed` since this process started. Without any of them the clock stands.
pub fn trusted_time(
    now: UnixTime,
    verdict: &Result<(), Implausible>,
    evidence: &Evidence,
    elapsed: Duration,
) -> UnixTime {
    let agrees =
        evidence.last_run.is_some_and(|it| now.since(it).max(it.since(now)) <= LAST_RUN_MAX);
    match (verdict, evidence.last_run.or(evidence.newest)) {
        // The clock agrees with the last run: it is the row that is wrong.
        (Err(Implausible::BeforeNewestRow { .. }), _) if agrees => now,
        (Err(_), Some(proven)) => proven + elapsed,
        _ => now,
    }
}

/// The time of a registry that runs: the clock's as long as that keeps pace with what was trusted before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timekeeper {
    trusted: UnixTime,
    at: Instant,
    verdict: Result<(), Implausible>,
}

impl Timekeeper {
    /// Goes by the outcome of [`judge`] at `at`; `elapsed` is how long this process runs.
    pub fn new(now: UnixTime, evidence: &Evidence, at: Instant) -> Self {
        let verdict = judge(now, evidence);
        let trusted = trusted_time(now, &verdict, evidence, at.since_start());
        Self { trusted, at, verdict }
    }

    /// What was judged.
    pub const fn verdict(&self) -> Result<(), Implausible> {
        self.verdict
    }

    /// The time to act on, when the clock says `wall`. A clock that is set by more than a day while the
    /// registry runs is not followed before it is judged again.
    pub fn time(&self, wall: UnixTime, now: Instant) -> UnixTime {
        let expected = self.trusted + now.since(self.at);
        let apart = wall.since(expected).max(expected.since(wall));
        if self.verdict.is_ok() && apart <= LAST_RUN_MAX { wall } else { expected }
    }
}

/// Whether a member has expired: its certificate ended more than the grace period ago.
pub fn is_expired(not_after: UnixTime, now: UnixTime, grace: Duration) -> bool {
    not_after + grace <= now
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const HOUR: Duration = Duration::from_secs(3_600);
    const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

    fn before(time: Duration) -> Option<UnixTime> {
        Some(UnixTime::from_duration(NOW.since_1970() - time))
    }

    #[test]
    fn clock_of_an_empty_database_is_plausible() {
        assert_eq!(judge(NOW, &Evidence::default()), Ok(()));
    }

    #[test]
    fn clock_before_the_newest_row_is_implausible() {
        let evidence = Evidence { newest: Some(NOW + HOUR), ..Evidence::default() };
        let newest = NOW + HOUR;
        assert_eq!(judge(NOW, &evidence), Err(Implausible::BeforeNewestRow { now: NOW, newest }));
        assert_eq!(judge(NOW + HOUR, &evidence), Ok(()));
        let close = Evidence { newest: Some(NOW + TOLERANCE), ..Evidence::default() };
        assert_eq!(judge(NOW, &close), Ok(()), "clocks of two registries differ a little");
    }

    #[test]
    fn clock_far_from_the_last_run_is_implausible_either_way() {
        for (last_run, plausible) in [
            (before(Duration::ZERO), true),
            (before(DAY), true),
            (before(DAY + HOUR), false),
            (Some(NOW + DAY), true),
            (Some(NOW + DAY + HOUR), false),
            (before(2 * 365 * DAY), false),
        ] {
            let evidence = Evidence { last_run, ..Evidence::default() };
            assert_eq!(judge(NOW, &evidence).is_ok(), plausible, "{last_run:?}");
        }
    }

    #[test]
    fn jump_that_expires_more_than_a_tenth_is_implausible() {
        let judge = |last_run, expiring, members| {
            judge(NOW, &Evidence { newest: None, last_run, members, expiring }).is_ok()
        };
        // Without a recorded run everything is a jump.
        assert!(judge(None, 1, 10) && !judge(None, 2, 10) && !judge(None, 1, 3));
        assert!(!judge(before(12 * HOUR), 2, 10));
        assert!(judge(before(HOUR), 10, 10), "a registry that runs sees them expire one by one");
        assert!(judge(None, 0, 0));
    }

    #[test]
    fn implausible_clock_is_replaced_by_what_the_database_proves() {
        let evidence =
            Evidence { newest: before(3 * DAY), last_run: before(2 * DAY), ..Evidence::default() };
        let verdict = judge(NOW, &evidence);
        let trusted = trusted_time(NOW, &verdict, &evidence, HOUR);
        assert_eq!(Some(trusted), before(2 * DAY - HOUR));
        assert_eq!(trusted_time(NOW, &Ok(()), &evidence, HOUR), NOW);
        assert_eq!(trusted_time(NOW, &verdict, &Evidence::default(), HOUR), NOW);
        // A wrong clock wrote the newest row: it does not make the time wrong for ever.
        let newest = Some(NOW + 730 * DAY);
        let evidence = Evidence { newest, last_run: before(HOUR), ..Evidence::default() };
        let verdict = judge(NOW, &evidence);
        assert!(verdict.is_err());
        assert_eq!(trusted_time(NOW, &verdict, &evidence, HOUR), NOW);
    }

    #[test]
    fn clock_that_is_set_while_the_registry_runs_is_not_followed() {
        let (start, later) = (Instant::ZERO, Instant::ZERO + HOUR);
        let keeper = Timekeeper::new(NOW, &Evidence::default(), start);
        assert_eq!(keeper.time(NOW + HOUR, later), NOW + HOUR);
        assert_eq!(keeper.time(NOW + DAY, later), NOW + DAY, "NTP steps are smaller");
        assert_eq!(keeper.time(NOW + 730 * DAY, later), NOW + HOUR);
        assert_eq!(keeper.time(UnixTime::default(), later), NOW + HOUR);
        let evidence = Evidence { last_run: before(2 * DAY), ..Evidence::default() };
        let keeper = Timekeeper::new(NOW, &evidence, start);
        assert_eq!(Some(keeper.time(NOW + HOUR, later)), before(2 * DAY - HOUR));
    }

    #[test]
    fn member_expires_after_its_grace_period() {
        assert!(!is_expired(NOW, NOW + DAY, 2 * DAY));
        assert!(is_expired(NOW, NOW + DAY, DAY));
    }
}
