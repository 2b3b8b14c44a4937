//! The daemons' log: on standard error or in a file, as lines for people or as objects for machines.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, uptime};
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriter};
use tracing_subscriber::fmt::{self, FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::os::clock::unix_time;
use crate::proto::terminal;

/// The target of what an operator is told even where only warnings are logged: what begins, ends, changes.
pub const NOTABLE: &str = "notable";

/// Starts logging; `level` is 0 (errors) to 4 (everything). `RE6ST_LOG` overrides it, for example
/// `RE6ST_LOG=re6st::command::babel=trace`; `RE6ST_LOG_FORMAT=json` asks for objects.
pub fn start(level: u8) {
    let lines = fmt::layer().with_writer(Escaped(io::stderr));
    if are_objects_wanted() {
        return begin(level, lines.event_format(Objects));
    }
    let lines = lines.with_target(false).with_ansi(io::stderr().is_terminal());
    // systemd adds times of its own.
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        begin(level, lines.without_time());
    } else {
        begin(level, lines.with_timer(uptime()));
    }
}

/// Starts logging into a file, which may be moved away at any time: the next line makes a new one.
pub fn start_in(level: u8, path: &Path) -> io::Result<()> {
    let file = Reopened(path.to_owned());
    file.open()?;
    let lines = fmt::layer().with_writer(BoxMakeWriter::new(Escaped(file)));
    if are_objects_wanted() {
        begin(level, lines.event_format(Objects));
    } else {
        begin(level, lines.with_target(false).with_ansi(false).with_timer(Calendar));
    }
    Ok(())
}

/// Begins with lines of that kind. A second start is a test's, in the same process: the first one stays.
fn begin(level: u8, lines: impl Layer<Layered<Targets, Registry>> + Send + Sync) {
    let _ = tracing_subscriber::registry().with(filter(level)).with(lines).try_init();
}

fn are_objects_wanted() -> bool {
    std::env::var_os("RE6ST_LOG_FORMAT").is_some_and(|format| format == "json")
}

fn filter(level: u8) -> Targets {
    let given = std::env::var("RE6ST_LOG").ok().filter(|text| !text.is_empty());
    given.and_then(|text| text.parse().ok()).unwrap_or_else(|| match level {
        0 => Targets::new().with_default(Level::ERROR),
        1 => Targets::new().with_default(Level::WARN).with_target(NOTABLE, Level::INFO),
        2 => Targets::new().with_default(Level::INFO),
        3 => Targets::new().with_default(Level::DEBUG),
        _ => Targets::new().with_default(Level::TRACE),
    })
}

/// Writes lines in which nothing steers a terminal, whatever peers or registries said: `cat` of a log must be
/// safe. Colours are left to [`fmt::Layer`], which escapes what others say of them itself.
struct Escaped<M>(M);

/// One line on its way.
struct EscapedLine<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Escaped<M> {
    type Writer = EscapedLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapedLine(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for EscapedLine<W> {
    /// Takes whole lines, as the layer writes them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (body, end) = match text.strip_suffix('\n') {
            Some(body) => (body, "\n"),
            None => (&*text, ""),
        };
        let parts: Vec<_> = body.split(COLOUR).map(terminal::line).collect();
        self.0.write_all(format!("{}{end}", parts.join(COLOUR)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// How the layer begins a colour.
const COLOUR: &str = "\u{1b}[";

/// A file that is opened for every line.
struct Reopened(PathBuf);

impl Reopened {
    fn open(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(&self.0)
    }
}

impl<'a> MakeWriter<'a> for Reopened {
    type Writer = Box<dyn io::Write>;

    fn make_writer(&'a self) -> Self::Writer {
        match self.open() {
            Ok(file) => Box::new(file),
            Err(_) => Box::new(io::stderr()),
        }
    }
}

/// Date and time of day, UTC.
struct Calendar;

impl FormatTime for Calendar {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        write!(out, "{}", unix_time())
    }
}

/// One JSON object a line: when, how bad, what, and whatever else is known by name.
struct Objects;

impl<S, N> FormatEvent<S, N> for Objects
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut object = Object::default();
        object.0.insert("type".into(), "log".into());
        object.0.insert("time".into(), unix_time().to_string().into());
        let level = event.metadata().level().as_str().to_lowercase();
        object.0.insert("level".into(), level.into());
        event.record(&mut object);
        writeln!(out, "{}", Value::Object(object.0))
    }
}

/// What an event says, by name.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Visit for Object {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn log_line_steers_no_terminal() {
        let mut line = EscapedLine(Vec::new());
        line.write_all("\u{1b}[32m INFO\u{1b}[0m a\nb\u{202e}c\r\u{7}\u{1b}]0;d\n".as_bytes())
            .unwrap();
        let written = String::from_utf8(line.0).unwrap();
        let expected = "\u{1b}[32m INFO\u{1b}[0m a\\u{a}b\\u{202e}c\\u{d}\\u{7}\\u{1b}]0;d\n";
        assert_eq!(written, expected);
    }
}
