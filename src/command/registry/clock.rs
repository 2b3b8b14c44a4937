//! The registry's time: what its clock says, compared with what its database knows of the time.

use std::sync::PoisonError;
use std::time::Duration;

use crate::os::clock::unix_time;
use crate::os::database::Tables;
use crate::os::log::NOTABLE;
use crate::proto::certificate::Authority;
use crate::proto::certificate::renewal::BEFORE_THE_END;
use crate::proto::registry::clock::{Evidence, Implausible, REMEDY, Timekeeper, is_expired, judge};
use crate::proto::time::{Instant, UnixTime};

use super::applicants::CERTIFICATE_LASTS;
use super::certificates::certificate_of;
use super::refusal::Refusal;
use super::state::Registry;

/// The row of the table `config` with the time of the last run, in seconds; stock's registry leaves it alone.
const LAST_RUN: &str = "last_run";

/// The row with the time up to which rows prove nothing: the operator accepted an earlier clock.
const ACCEPTED: &str = "accepted_rows";

/// The row with the grace period of the registry that last ran, in seconds.
const GRACE: &str = "grace_period";

/// The usual grace period after a certificate's end, before any registry ran.
const USUAL_GRACE: Duration = Duration::from_secs(8_640_000);

/// What the database knows about the time. Reads every certificate.
pub(super) fn evidence(
    tables: &Tables<'_>,
    authority: &Authority,
    now: UnixTime,
) -> Result<Evidence, Refusal> {
    let grace = tables.config::<i64>(GRACE)?.and_then(|seconds| u64::try_from(seconds).ok());
    let grace = grace.map_or(USUAL_GRACE, Duration::from_secs);
    let mut evidence = Evidence { last_run: seconds(tables, LAST_RUN)?, ..Evidence::default() };
    let mut newest = authority.certificate().not_before();
    for leaf in tables.leaves()? {
        let Some(certificate) = certificate_of(&leaf) else { continue };
        newest = newest.max(certificate.not_before());
        evidence.members += 1;
        evidence.expiring += usize::from(is_expired(certificate.not_after(), now, grace));
    }
    newest = tables.tokens()?.iter().map(|token| token.date).fold(newest, UnixTime::max);
    let accepted = seconds(tables, ACCEPTED)?;
    evidence.newest = Some(newest).filter(|newest| accepted.is_none_or(|it| *newest > it));
    Ok(evidence)
}

/// The time that a command on the database acts on.
pub(super) fn trusted_now(tables: &Tables<'_>, authority: &Authority) -> Result<UnixTime, Refusal> {
    let now = unix_time();
    let evidence = evidence(tables, authority, now)?;
    Ok(Timekeeper::new(now, &evidence, Instant::ZERO).time(now, Instant::ZERO))
}

/// Notes that a registry runs now, with a plausible clock.
pub(super) fn record_run(tables: &Tables<'_>, now: UnixTime) -> Result<(), Refusal> {
    Ok(tables.set_config(LAST_RUN, Some(now.as_secs().cast_signed()))?)
}

/// Takes over when the registry last ran from another state of the database: a backup is old.
pub(super) fn keep_last_run(
    tables: &Tables<'_>,
    last_run: Option<UnixTime>,
) -> Result<(), Refusal> {
    let seconds = last_run.map(|last_run| last_run.as_secs().cast_signed());
    Ok(tables.set_config(LAST_RUN, seconds)?)
}

/// When the registry last ran.
pub(super) fn last_run(tables: &Tables<'_>) -> Result<Option<UnixTime>, Refusal> {
    seconds(tables, LAST_RUN)
}

/// The operator's word: the clock is right, whatever the database says.
pub(super) fn accept(
    tables: &Tables<'_>,
    authority: &Authority,
    now: UnixTime,
) -> Result<(), Refusal> {
    let evidence = evidence(tables, authority, now)?;
    if let Some(newest) = evidence.newest.filter(|newest| *newest > now) {
        tables.set_config(ACCEPTED, Some(newest.as_secs().cast_signed()))?;
    }
    record_run(tables, now)?;
    tracing::info!(target: NOTABLE, "the operator accepts the clock: {now}");
    Ok(())
}

/// Whether the clock is plausible now.
pub(super) fn verdict(
    tables: &Tables<'_>,
    authority: &Authority,
) -> Result<Result<(), Implausible>, Refusal> {
    let now = unix_time();
    Ok(judge(now, &evidence(tables, authority, now)?))
}

fn seconds(tables: &Tables<'_>, row: &str) -> Result<Option<UnixTime>, Refusal> {
    let seconds: Option<i64> = tables.config(row)?;
    Ok(seconds.and_then(|it| u64::try_from(it).ok()).map(UnixTime::from_secs))
}

impl Registry {
    /// The time to act on.
    pub(super) fn time(&self) -> UnixTime {
        self.timekeeper().time(unix_time(), self.now())
    }

    /// Refuses to issue a certificate that, by the clock, has ended or is to be renewed already: one of both
    /// times is wrong, and the applicant would have spent its token.
    pub(super) fn may_issue(&self) -> Result<(), Refusal> {
        let end = self.time() + CERTIFICATE_LASTS;
        if unix_time() + BEFORE_THE_END < end {
            return Ok(());
        }
        Err(Refusal::Busy("the clock of this registry is implausible: tell its operator"))
    }

    /// Why the clock is implausible, if it is.
    pub(super) fn implausible(&self) -> Option<Implausible> {
        self.timekeeper().verdict().err()
    }

    fn timekeeper(&self) -> Timekeeper {
        *self.timekeeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes when this registry ran, at its end.
    pub fn note_run(&self) -> Result<(), Refusal> {
        if self.implausible().is_some() {
            return Ok(());
        }
        self.write(|tables| record_run(tables, self.time()))
    }

    /// The operator accepts the clock, and expiry goes on; whether the nodes are to be told.
    pub(super) fn accept_clock(&self) -> Result<bool, Refusal> {
        self.write(|tables| accept(tables, self.issuer.authority(), unix_time()))?;
        self.forget_old()
    }

    /// Compares the clock with the database; whether it is plausible. Says so in the log when that changes.
    pub(super) fn judge_clock(&self, tables: &Tables<'_>) -> Result<bool, Refusal> {
        let grace = i64::try_from(self.policy.grace.as_secs()).unwrap_or(i64::MAX);
        if tables.config::<i64>(GRACE)? != Some(grace) {
            tables.set_config(GRACE, Some(grace))?;
        }
        let now = unix_time();
        let evidence = evidence(tables, self.issuer.authority(), now)?;
        let judged = Timekeeper::new(now, &evidence, self.now());
        if judged.verdict().is_ok() {
            record_run(tables, now)?;
        }
        let before = self.timekeeper();
        *self.timekeeper.lock().unwrap_or_else(PoisonError::into_inner) = judged;
        match (before.verdict(), judged.verdict()) {
            (Ok(()), Err(why)) => tracing::error!("the clock is implausible: {why}; {REMEDY}"),
            (Err(_), Ok(())) => tracing::info!(target: NOTABLE, "the clock is plausible: {now}"),
            _ => {}
        }
        Ok(judged.verdict().is_ok())
    }
}
