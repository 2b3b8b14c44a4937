//! The only file that asks what time it is.
#![allow(clippy::disallowed_methods, reason = "the one place for it")]

use std::time::{Duration, SystemTime};

use crate::proto::time::{Instant, UnixTime};

/// A monotonic clock that reads zero when it is started. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub struct Clock(std::time::Instant);

impl Clock {
    /// Starts at [`Instant::ZERO`].
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    /// Time since [`Clock::start`].
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.0.elapsed()
    }

    /// What calendar time it was at [`Instant::ZERO`].
    pub fn unix_start(&self) -> UnixTime {
        let started = unix_time().since_1970().saturating_sub(self.0.elapsed());
        UnixTime::from_duration(started)
    }

    /// Sleeps until `deadline`; for ever if there is none.
    pub async fn sleep_until(&self, deadline: Option<Instant>) {
        match deadline {
            None => std::future::pending().await,
            Some(at) => {
                let at = tokio::time::Instant::from_std(self.0 + at.since_start());
                tokio::time::sleep_until(at).await;
            }
        }
    }
}

/// Calendar time, as the machine has it.
pub fn unix_time() -> UnixTime {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixTime::from_duration(since_1970.unwrap_or(Duration::ZERO))
}
