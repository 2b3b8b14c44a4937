//! What the demo is doing, for people: one line a step, and what it waits for.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use crate::os::clock::Clock;
use crate::proto::time::Instant;

/// Lines on standard error, with the seconds since the start.
#[derive(Debug)]
pub struct Progress {
    clock: Clock,
    terminal: bool,
    done_at: Instant,
    told_at: Instant,
}

impl Progress {
    /// Starts counting.
    pub fn start() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { clock: Clock::start(), terminal, done_at: Instant::ZERO, told_at: Instant::ZERO }
    }

    /// A step is over.
    pub fn done(&mut self, step: &str) {
        let seconds = self.elapsed().as_secs_f64();
        let clear = if self.terminal { "\r\x1b[K" } else { "" };
        eprintln!("{clear}{seconds:5.1} s  {step}");
        self.done_at = self.clock.now();
        self.told_at = self.done_at;
    }

    /// What is waited for: a line that is written over on a terminal, one every five seconds elsewhere.
    pub fn waiting(&mut self, what: &str) {
        let now = self.clock.now();
        let seconds = self.elapsed().as_secs_f64();
        if self.terminal {
            eprint!("\r\x1b[K{seconds:5.1} s  … {what}");
            let _ = std::io::stderr().flush();
        } else if now - self.told_at >= Duration::from_secs(5) {
            eprintln!("{seconds:5.1} s  … {what}");
            self.told_at = now;
        }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.clock.now().since_start()
    }

    /// Time since the last step was over.
    pub fn since_done(&self) -> Duration {
        self.clock.now() - self.done_at
    }
}
