//! When the node's certificate is renewed, and what became of the last attempt.

use std::path::PathBuf;
use std::time::Duration;

use crate::os::file::{self, FileError};
use crate::proto::certificate::{Certificate, renewal};
use crate::proto::time::{Instant, UnixTime};

/// The plan for one certificate after the other.
#[derive(Debug)]
pub struct Renewal {
    path: PathBuf,
    /// When to ask the registry next.
    at: Instant,
    attempts: u32,
    /// Why the certificate is not renewed although it is time.
    failure: Option<String>,
    /// A certificate that could not be written yet.
    unwritten: Option<Vec<u8>>,
}

impl Renewal {
    /// The plan for a certificate that lies in `path`.
    pub fn new(path: PathBuf, certificate: &Certificate, unix: UnixTime, now: Instant) -> Self {
        let at = now + until_due(certificate, unix);
        Self { path, at, attempts: 0, failure: None, unwritten: None }
    }

    /// When something is to be done.
    pub const fn deadline(&self) -> Instant {
        self.at
    }

    /// Time to ask, unless only the file is to be written: whether to ask.
    pub fn begin(&mut self, certificate: &Certificate, unix: UnixTime, now: Instant) -> bool {
        self.write();
        self.at = now + pause(certificate, unix, self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        is_due(certificate, unix)
    }

    /// Asks as soon as possible: the certificate was revoked.
    pub fn hurry(&mut self, now: Instant) {
        if self.attempts == 0 {
            self.at = now;
        }
    }

    /// The registry gave a new certificate: it is written, and the next is far.
    pub fn succeeded(&mut self, certificate: &Certificate, unix: UnixTime, now: Instant) {
        self.unwritten = certificate.to_pem().ok();
        self.failure = None;
        self.attempts = 0;
        self.write();
        let wait = until_due(certificate, unix);
        self.at = now + if self.unwritten.is_some() { wait.min(WRITE_AGAIN) } else { wait };
    }

    /// It did not.
    pub fn failed(&mut self, reason: String) {
        self.failure = Some(reason);
    }

    /// Why it is not renewed although it is time.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn write(&mut self) {
        let Some(pem) = &self.unwritten else { return };
        match file::replace_content(&self.path, pem) {
            Ok(()) => {
                tracing::info!("{} is the renewed certificate now", self.path.display());
                self.unwritten = None;
            }
            Err(error) => self.say_unwritten(&error),
        }
    }

    /// Once, for it is tried again and again.
    fn say_unwritten(&self, error: &FileError) {
        if self.attempts == 0 {
            tracing::warn!("{error}; until then only this process has the renewed certificate");
        }
    }
}

/// Whether a certificate is to be renewed by now.
pub fn is_due(certificate: &Certificate, unix: UnixTime) -> bool {
    unix >= renewal::due(certificate)
}

/// How long until then; clocks may be set, so it is looked at every day.
fn until_due(certificate: &Certificate, unix: UnixTime) -> Duration {
    left(renewal::due(certificate), unix).min(LOOK_AGAIN)
}

/// How long to wait for the next attempt: longer each time, but not so long that it would be the last.
fn pause(certificate: &Certificate, unix: UnixTime, attempts: u32) -> Duration {
    let longer = (PAUSE_MIN * (1 << attempts.min(16))).min(PAUSE_MAX);
    if is_due(certificate, unix) {
        longer.min((left(certificate.not_after(), unix) / 4).max(PAUSE_MIN))
    } else {
        until_due(certificate, unix).max(PAUSE_MIN)
    }
}

fn left(until: UnixTime, unix: UnixTime) -> Duration {
    until.since_1970().saturating_sub(unix.since_1970())
}

/// After the first attempt that failed; doubled each time.
const PAUSE_MIN: Duration = Duration::from_secs(4);
/// A registry that is down for weeks is asked this often.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);
/// A file that could not be written is tried again after this.
const WRITE_AGAIN: Duration = Duration::from_secs(600);
/// A clock that is set moves what is due.
const LOOK_AGAIN: Duration = Duration::from_secs(86_400);
