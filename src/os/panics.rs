//! A panic in any thread or task ends the daemon: a task that is gone would be missed by nobody.

use std::panic;
use std::sync::{Once, OnceLock};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};

static INSTALLED: Once = Once::new();
static FIRST: OnceLock<String> = OnceLock::new();

/// How long a daemon may take to end in an orderly way; then it is aborted, and what it changed on its host
/// is changed back at the next start.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(20);

/// From now on a panic is logged and ends the process as SIGTERM does, so that it cleans up.
pub fn end_the_process() {
    INSTALLED.call_once(|| {
        panic::set_hook(Box::new(|panicked| {
            let thread = thread::current();
            let message = panicked.payload_as_str().unwrap_or("no message");
            let place = panicked.location().map(ToString::to_string).unwrap_or_default();
            let name = thread.name().unwrap_or("unnamed");
            tracing::error!("panic in thread {name} at {place}: {message}");
            if FIRST.set(format!("a bug, at {place}: {message}")).is_err() {
                return;
            }
            let _ = raise(Signal::SIGTERM);
            thread::spawn(|| {
                thread::sleep(SHUTDOWN_TIMEOUT);
                std::process::abort();
            });
        }));
    });
}

/// Where and why the first panic was, if there was one.
pub fn first() -> Option<&'static str> {
    FIRST.get().map(String::as_str)
}
