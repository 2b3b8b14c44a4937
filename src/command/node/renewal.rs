//! When the node's certificate and its authority's are renewed, and what became of the last attempt.

use std::path::PathBuf;
use std::time::Duration;

use crate::command::node::options::Options;
use crate::os::file;
use crate::proto::certificate::{Certificate, Identity, renewal};
use crate::proto::time::{Instant, UnixTime};

/// The plan for one certificate after the other.
#[derive(Debug)]
pub struct Renewal {
    /// Where the node's certificate is, and where its authority's is.
    paths: [PathBuf; 2],
    /// When to ask the registry next.
    at: Instant,
    attempts: u32,
    /// Why the certificate is not renewed although it is time.
    failure: Option<String>,
    /// Certificates that could not be written yet, in the same order.
    unwritten: [Option<Vec<u8>>; 2],
}

impl Renewal {
    /// The plan for a node with these options.
    pub fn of(options: &Options, identity: &Identity, unix: UnixTime, now: Instant) -> Self {
        Self::new([options.cert.clone(), options.ca.clone()], identity, unix, now)
    }

    /// The plan for an identity whose certificate and whose authority's lie in `paths`.
    pub fn new(paths: [PathBuf; 2], identity: &Identity, unix: UnixTime, now: Instant) -> Self {
        let at = now + until_due(identity, unix);
        Self { paths, at, attempts: 0, failure: None, unwritten: [None, None] }
    }

    /// When something is to be done.
    pub const fn deadline(&self) -> Instant {
        self.at
    }

    /// Time to ask, unless only the file is to be written: whether to ask.
    pub fn begin(&mut self, identity: &Identity, unix: UnixTime, now: Instant) -> bool {
        self.write();
        self.at = now + pause(identity, unix, self.attempts);
        self.attempts = self.attempts.saturating_add(1);
        unix >= due(identity)
    }

    /// Asks as soon as possible: the certificate was revoked.
    pub fn hurry(&mut self, now: Instant) {
        if self.attempts == 0 {
            self.at = now;
        }
    }

    /// The registry gave what differs from `old`: it is written, and the next is far.
    pub fn succeeded(&mut self, old: &Identity, new: &Identity, unix: UnixTime, now: Instant) {
        let both = |identity: &Identity| {
            [&identity.certificate, identity.authority.certificate()].map(|it| it.to_pem().ok())
        };
        let (before, after) = (both(old), both(new));
        for ((place, before), after) in self.unwritten.iter_mut().zip(before).zip(after) {
            if before != after {
                *place = after;
            }
        }
        self.failure = None;
        self.attempts = 0;
        self.write();
        let wait = until_due(new, unix);
        let is_written = self.unwritten.iter().all(Option::is_none);
        self.at = now + if is_written { wait } else { wait.min(WRITE_AGAIN) };
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
        for (path, unwritten) in self.paths.iter().zip(&mut self.unwritten) {
            let Some(pem) = unwritten else { continue };
            match file::replace_content(path, pem) {
                Ok(()) => {
                    tracing::info!("{} is the renewed certificate now", path.display());
                    *unwritten = None;
                }
                // Once, for it is tried again and again.
                Err(error) if self.attempts == 0 => {
                    tracing::warn!(
                        "{error}; until then only this process has the renewed certificate"
                    );
                }
                Err(_) => {}
            }
        }
    }
}

/// Whether a certificate is to be renewed by now.
pub fn is_due(certificate: &Certificate, unix: UnixTime) -> bool {
    unix >= renewal::due(certificate)
}

/// When the first of both is to be renewed.
fn due(identity: &Identity) -> UnixTime {
    renewal::due(&identity.certificate).min(renewal::due(identity.authority.certificate()))
}

/// How long until then; clocks may be set, so it is looked at every day.
fn until_due(identity: &Identity, unix: UnixTime) -> Duration {
    left(due(identity), unix).min(LOOK_AGAIN)
}

/// How long to wait for the next attempt: longer each time, but not so long that it would be the last.
fn pause(identity: &Identity, unix: UnixTime, attempts: u32) -> Duration {
    let longer = (PAUSE_MIN * (1 << attempts.min(16))).min(PAUSE_MAX);
    if unix >= due(identity) {
        let end = identity.certificate.not_after();
        let end = end.min(identity.authority.certificate().not_after());
        longer.min((left(end, unix) / 4).max(PAUSE_MIN))
    } else {
        until_due(identity, unix).max(PAUSE_MIN)
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
