//! The daemons' log: on standard error, with times unless systemd adds its own.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::uptime;

/// Starts logging; `level` is 0 (errors) to 4 (everything). `RE6ST_LOG` overrides it, for example
/// `RE6ST_LOG=re6st::command::babel=trace`.
pub fn start(level: u8) {
    let filter = EnvFilter::try_from_env("RE6ST_LOG").unwrap_or_else(|_| {
        EnvFilter::new(match level {
            0 => "error",
            1 => "warn",
            2 => "info",
            3 => "debug",
            _ => "trace",
        })
    });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr);
    // A second start is a test's, in the same process: the first one stays.
    let _ = if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().try_init()
    } else {
        log.with_timer(uptime()).try_init()
    };
}
