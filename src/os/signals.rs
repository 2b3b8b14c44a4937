//! The signals of a daemon: two end it, SIGHUP does not.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT and SIGHUP, which have their default effect no longer.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// SIGTERM or SIGINT: clean up and end.
    End,
    /// SIGHUP: reload, where there is something to reload.
    Reload,
}

impl Signals {
    /// Takes the signals over.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one. May be cancelled.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::End,
            _ = self.interrupt.recv() => Request::End,
            _ = self.hangup.recv() => Request::Reload,
        }
    }

    /// Waits for the end of a daemon that has nothing to reload, and says so for each SIGHUP. `instead` is
    /// what to do to have a change take effect. May be cancelled.
    pub async fn end(&mut self, instead: &str) {
        while self.next().await == Request::Reload {
            tracing::info!("SIGHUP: nothing is reloaded; {instead}");
        }
    }
}
