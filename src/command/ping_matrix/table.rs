//! Reports as text: matrices for a terminal, CSV, Markdown.

use std::fmt::Write as _;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::proto::matrix::grid::Grid;
use crate::proto::matrix::ping::{Ping, Plane};
use crate::proto::matrix::verdict::Verdict;

/// One matrix a plane, what is wrong, and the verdict.
pub fn matrices(grid: &Grid) -> String {
    let mut text = String::new();
    for plane in grid.planes() {
        let _ = writeln!(text, "{}, round trip in ms, from row to column", plane.title());
        let _ = writeln!(text, "{}", matrix(grid, plane));
    }
    text.push_str("×  no answer   *  some answers lost   ·  not measured\n\n");
    for plane in grid.planes() {
        text.push_str(&remarks(grid, plane));
    }
    let _ = writeln!(text, "{}", Verdict::of(grid));
    text
}

fn matrix(grid: &Grid, plane: Plane) -> String {
    let hosts = grid.hosts();
    let names = hosts.iter().map(|host| host.chars().count()).max().unwrap_or(0);
    let short = short_names(hosts);
    let width = short.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(4);
    let mut text = format!("{:names$}", "");
    for name in &short {
        let _ = write!(text, " {name:>width$} ");
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    for source in hosts {
        let mut line = format!("{source:names$}");
        for target in hosts {
            let (value, mark) = cell(grid, source, target, plane);
            let _ = write!(line, " {value:>width$}{mark}");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What stands in a cell, and the mark behind it.
fn cell(grid: &Grid, source: &str, target: &str, plane: Plane) -> (String, char) {
    match grid.cell(source, target, plane) {
        _ if source == target => (String::new(), ' '),
        None => ("·".to_owned(), ' '),
        Some(ping) => match ping.rtt_mean_us {
            None => ("×".to_owned(), ' '),
            Some(mean) if ping.received < ping.sent => (milliseconds(mean), '*'),
            Some(mean) => (milliseconds(mean), ' '),
        },
    }
}

/// Names cut to what still tells them apart, at least three letters; short ones, as nodes' are, stay whole.
fn short_names(hosts: &[String]) -> Vec<String> {
    if hosts.iter().all(|host| host.chars().count() <= UNCUT_NAME) {
        return hosts.to_vec();
    }
    let cut = |length: usize| -> Vec<String> {
        hosts.iter().map(|host| host.chars().take(length).collect()).collect()
    };
    let unique = |names: &[String]| {
        let mut sorted = names.to_vec();
        sorted.sort();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    };
    (3..32).map(cut).find(|names| unique(names)).unwrap_or_else(|| hosts.to_vec())
}

/// Who does not answer, and who loses how much.
fn remarks(grid: &Grid, plane: Plane) -> String {
    let mut text = String::new();
    let dead: Vec<&String> = grid.hosts().iter().filter(|host| grid.is_dead(host, plane)).collect();
    let of_plane = || grid.pings().filter(|ping| ping.plane == plane);
    if !dead.is_empty() {
        let names: Vec<&str> = dead.iter().map(|host| host.as_str()).collect();
        let _ = writeln!(text, "{}: nobody reaches {}", plane.title(), names.join(", "));
    }
    let unreachable = of_plane().filter(|ping| !ping.is_alive() && !dead.contains(&&ping.target));
    list(&mut text, plane, "no answer", unreachable.map(arrow));
    let lossy = of_plane().filter(|ping| ping.is_alive() && ping.received < ping.sent);
    let lossy = lossy.map(|ping| format!("{} {:.0} %", arrow(ping), ping.loss_ratio * 100.0));
    list(&mut text, plane, "answers lost", lossy);
    text
}

fn list(text: &mut String, plane: Plane, what: &str, items: impl Iterator<Item = String>) {
    let items: Vec<String> = items.collect();
    let shown = items.len().min(LISTED_MAX);
    if shown > 0 {
        let _ = write!(text, "{}: {what}: {}", plane.title(), items[..shown].join(", "));
        if items.len() > shown {
            let _ = write!(text, " and {} more", items.len() - shown);
        }
        text.push('\n');
    }
}

/// One line a target, with the planes side by side: what one source sees.
pub fn rows(grid: &Grid) -> String {
    let planes = grid.planes();
    let mut table = Table::new();
    table.load_style(NOTHING);
    let headers = planes.iter().flat_map(|p| [format!("{} ms", p.title()), "lost".to_owned()]);
    table.set_header(["target".to_owned()].into_iter().chain(headers));
    for (source, target) in grid.pairs() {
        let cells = planes.iter().flat_map(|plane| match grid.cell(source, target, *plane) {
            None => ["·".to_owned(), String::new()],
            Some(ping) => {
                let delay = ping.rtt_p50_us.map_or_else(|| "×".to_owned(), precise);
                [delay, format!("{}/{}", ping.sent - ping.received, ping.sent)]
            }
        });
        table.add_row([target.to_owned()].into_iter().chain(cells));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    table.to_string()
}

/// One line for each pair and plane, after a line of names.
pub fn csv(grid: &Grid) -> String {
    let mut text = String::from(
        "time,source,target,plane,sent,received,loss_ratio,rtt_min_us,rtt_mean_us,rtt_p50_us,\
         rtt_p95_us,rtt_max_us\n",
    );
    for ping in grid.pings() {
        let Ping { time, source, target, plane, sent, received, loss_ratio, .. } = ping;
        let (source, target) = (quoted(source), quoted(target));
        let _ = write!(text, "{time},{source},{target},{plane},{sent},{received},{loss_ratio:.4}");
        for value in delays(ping) {
            let _ = write!(text, ",{}", value.map_or_else(String::new, |us| us.to_string()));
        }
        text.push('\n');
    }
    text
}

/// A table for a page, and the verdict below it.
pub fn markdown(grid: &Grid) -> String {
    let mut text = String::from(
        "| from | to | plane | loss | min ms | mean ms | median ms | 95 % ms | max ms |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|\n",
    );
    for ping in grid.pings() {
        let escaped = |name: &str| name.replace('|', "\\|");
        let (source, target) = (escaped(&ping.source), escaped(&ping.target));
        let (plane, loss) = (ping.plane.title(), ping.loss_ratio * 100.0);
        let _ = write!(text, "| {source} | {target} | {plane} | {loss:.0} % |");
        for value in delays(ping) {
            let _ = write!(text, " {} |", value.map_or_else(|| "–".to_owned(), precise));
        }
        text.push('\n');
    }
    let _ = write!(text, "\n{}\n", Verdict::of(grid));
    text
}

fn delays(ping: &Ping) -> [Option<u64>; 5] {
    [ping.rtt_min_us, ping.rtt_mean_us, ping.rtt_p50_us, ping.rtt_p95_us, ping.rtt_max_us]
}

fn arrow(ping: &Ping) -> String {
    format!("{}→{}", ping.source, ping.target)
}

/// RFC 4180 §2: a field with a comma or a quotation mark is quoted.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// To a millisecond, below ten to a tenth.
#[expect(clippy::cast_precision_loss, reason = "no round trip lasts 285 years")]
pub fn milliseconds(us: u64) -> String {
    let ms = us as f64 / 1_000.0;
    if ms < 9.95 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

#[expect(clippy::cast_precision_loss, reason = "no round trip lasts 285 years")]
fn precise(us: u64) -> String {
    format!("{:.1}", us as f64 / 1_000.0)
}

/// Names up to this length are never cut in a matrix.
const UNCUT_NAME: usize = 7;

/// Pairs that one line of remarks names; of more, the number is said.
const LISTED_MAX: usize = 12;
