//! The ping matrix as a picture: one square a plane, one cell a pair, darker where it takes longer.
//!
//! ```text
//!            IPv4              IPv6              SDN
//!        pa vi to …        pa vi to …        pa vi to …
//! paris     90  ×             90  ×             91 258      number: mean round trip in ms
//! virgin 90   165          90   165          91   160       bar: share of answers lost
//! tokyo   × 165             × 165           258 160         ×: no answer
//! ```

use std::fmt::Write as _;

use crate::command::ping_matrix::table::milliseconds;
use crate::proto::matrix::grid::Grid;
use crate::proto::matrix::ping::{Ping, Plane};

/// A complete SVG document, readable on light and on dark ground.
pub fn picture(grid: &Grid) -> String {
    let layout = Layout::of(grid);
    let (width, height) = (layout.width(), layout.height());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" class=\"matrix\" \
         aria-label=\"Round trips between {} hosts over {} planes\">\n<style>{STYLE}</style>\n",
        grid.hosts().len(),
        layout.planes.len(),
    );
    for (at, host) in grid.hosts().iter().enumerate() {
        let y = layout.top + at * CELL + CELL / 2 + 4;
        let x = layout.left - 8;
        let _ = writeln!(svg, "<text class=\"l e\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(host));
    }
    for (at, plane) in layout.planes.iter().enumerate() {
        panel(&mut svg, grid, *plane, &layout, layout.left + at * layout.pitch());
    }
    legend(&mut svg, &layout);
    svg.push_str("</svg>\n");
    svg
}

/// Where things are, in pixels.
struct Layout {
    planes: Vec<Plane>,
    hosts: usize,
    left: usize,
    top: usize,
}

impl Layout {
    fn of(grid: &Grid) -> Self {
        let longest = grid.hosts().iter().map(|host| host.chars().count()).max().unwrap_or(0);
        let label = longest.min(24) * LETTER + 16;
        // Names above the columns lean by 45 degrees, below the title.
        let top = 34 + label * 7 / 10;
        Self { planes: grid.planes(), hosts: grid.hosts().len(), left: label, top }
    }

    const fn side(&self) -> usize {
        self.hosts * CELL
    }

    const fn pitch(&self) -> usize {
        self.side() + GAP
    }

    /// The names above the last column lean out to the right.
    fn width(&self) -> usize {
        (self.left + self.planes.len() * self.pitch()).max(560) + self.left * 7 / 10
    }

    const fn height(&self) -> usize {
        self.top + self.side() + 56
    }
}

fn panel(svg: &mut String, grid: &Grid, plane: Plane, layout: &Layout, left: usize) {
    let title = plane.title();
    let _ = writeln!(svg, "<text class=\"t\" x=\"{left}\" y=\"18\">{title}</text>");
    for (at, host) in grid.hosts().iter().enumerate() {
        let (x, y) = (left + at * CELL + CELL / 2 + 3, layout.top - 6);
        let dead = if grid.is_dead(host, plane) { " dead" } else { "" };
        let _ = writeln!(
            svg,
            "<text class=\"l{dead}\" transform=\"translate({x} {y}) rotate(-45)\">{}</text>",
            escaped(host)
        );
    }
    for (row, source) in grid.hosts().iter().enumerate() {
        for (column, target) in grid.hosts().iter().enumerate() {
            if source != target {
                let corner = (left + column * CELL, layout.top + row * CELL);
                let ping = grid.cell(source, target, plane);
                cell(svg, ping, corner);
                if plane == Plane::Sdn {
                    gain(svg, grid.cell(source, target, Plane::Ipv4), ping, corner);
                }
            }
        }
    }
}

fn cell(svg: &mut String, ping: Option<&Ping>, (x, y): (usize, usize)) {
    let side = CELL - 2;
    let (middle, baseline) = (x + side / 2, y + side / 2 + 4);
    let Some(ping) = ping else {
        let _ = writeln!(
            svg,
            "<rect class=\"none\" x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" rx=\"3\"/>"
        );
        return;
    };
    let _ = write!(svg, "<g><title>{}</title>", sentence(ping));
    let class = ping.rtt_mean_us.map_or_else(|| "x".to_owned(), |us| format!("d{}", step(us)));
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" rx=\"3\"/>"
    );
    let text = ping.rtt_mean_us.map_or_else(|| "×".to_owned(), milliseconds);
    let _ = write!(svg, "<text class=\"n n{class}\" x=\"{middle}\" y=\"{baseline}\">{text}</text>");
    if ping.is_alive() && ping.received < ping.sent {
        // A share of a tenth fills a third: losses that matter are small numbers.
        let share = (ping.loss_ratio * 10.0 / 3.0).clamp(0.2, 1.0);
        #[expect(clippy::cast_precision_loss, reason = "a side of some twenty pixels")]
        let length = (side - 4) as f64 * share;
        let (x, y) = (x + 2, y + side - 5);
        let _ = write!(
            svg,
            "<rect class=\"loss\" x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"3\" rx=\"1.5\"/>"
        );
    }
    svg.push_str("</g>\n");
}

/// A ring where the SDN answers and IPv4 does not, a corner where it is faster by a twentieth or more.
fn gain(svg: &mut String, ipv4: Option<&Ping>, sdn: Option<&Ping>, (x, y): (usize, usize)) {
    let (Some(ipv4), Some(ours)) = (ipv4, sdn.and_then(|ping| ping.rtt_mean_us)) else { return };
    match ipv4.rtt_mean_us {
        None => {
            let (x, y, side) = (x + 1, y + 1, CELL - 4);
            let _ = writeln!(
                svg,
                "<rect class=\"around\" x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" rx=\"3\"/>"
            );
        }
        Some(theirs) if ours * 20 <= theirs * 19 => {
            let x = x + CELL - 2;
            let _ = writeln!(svg, "<path class=\"faster\" d=\"M{x} {y}v10l-10 -10z\"/>");
        }
        Some(_) => {}
    }
}

fn legend(svg: &mut String, layout: &Layout) {
    let y = layout.top + layout.side() + 22;
    let mut x = layout.left;
    let mut bounds = vec!["0".to_owned()];
    bounds.extend(STEPS_MS.iter().map(ToString::to_string));
    for (at, bound) in bounds.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<rect class=\"d{at}\" x=\"{x}\" y=\"{y}\" width=\"30\" height=\"12\"/>\
             <text class=\"s\" x=\"{x}\" y=\"{}\">{bound}</text>",
            y + 25
        );
        x += 30;
    }
    let _ = writeln!(svg, "<text class=\"s\" x=\"{}\" y=\"{}\">ms</text>", x + 4, y + 10);
    let mut item = |class: &str, text: &str| {
        x += 40;
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"12\" height=\"12\" rx=\"2\"/>\
             <text class=\"s\" x=\"{}\" y=\"{}\">{text}</text>",
            x + 18,
            y + 10
        );
        x += 18 + text.chars().count() * 6;
    };
    item("x", "no answer");
    item("loss", "answers lost");
    if layout.planes.contains(&Plane::Sdn) && layout.planes.contains(&Plane::Ipv4) {
        item("around", "IPv4 outage routed around");
        item("faster", "5 % or more faster than IPv4");
    }
}

/// What hovering over a cell tells.
fn sentence(ping: &Ping) -> String {
    let Ping { source, target, plane, sent, received, .. } = ping;
    let mut text = format!("{} → {} over {}: ", escaped(source), escaped(target), plane.title());
    match (ping.rtt_mean_us, ping.rtt_p50_us, ping.rtt_p95_us) {
        (Some(mean), Some(half), Some(most)) => {
            let _ = write!(
                text,
                "mean {} ms, median {} ms, 95 % {} ms, {received} of {sent} answered",
                milliseconds(mean),
                milliseconds(half),
                milliseconds(most)
            );
        }
        _ => {
            let _ = write!(text, "none of {sent} answered");
        }
    }
    text
}

/// Which shade a delay has.
fn step(us: u64) -> usize {
    STEPS_MS.iter().filter(|bound| us >= **bound * 1_000).count()
}

/// A name inside XML or HTML.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The shades begin at these delays.
const STEPS_MS: [u64; 6] = [25, 50, 100, 150, 200, 300];

const CELL: usize = 28;
const GAP: usize = 30;
const LETTER: usize = 7;

/// Shades of one hue: near the ground is near in time, on light and on dark ground alike.
const STYLE: &str = "
.matrix{--ink:#1c2733;--soft:#5b6876;--line:#c4ccd4;--s0:#eaf2fb;--s1:#d3e4f7;--s2:#aecdf0;--s3:#7fb0e4;
--s4:#4f8fd3;--s5:#2a6bb3;--s6:#154a86;--bad:#b3261e;--warn:#d9730d;--good:#0f8a5f;--low:#1c2733;--high:#fff;
font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
@media (prefers-color-scheme:dark){.matrix{--ink:#e6edf3;--soft:#9aa7b4;--line:#3a4550;--s0:#16222f;
--s1:#1b314a;--s2:#1f4268;--s3:#24578c;--s4:#3274b5;--s5:#5496d6;--s6:#8fc1f2;--bad:#e5534b;--warn:#f0a13a;
--good:#3fcf8e;--low:#e6edf3;--high:#0b1621}}
.matrix text{fill:var(--ink);font-size:12px}.matrix .t{font-size:15px;font-weight:600}
.matrix .s{font-size:11px;fill:var(--soft)}.matrix .e{text-anchor:end}.matrix .dead{fill:var(--bad)}
.matrix .n{font-size:10.5px;text-anchor:middle;font-variant-numeric:tabular-nums;fill:var(--low)}
.matrix .nd4,.matrix .nd5,.matrix .nd6{fill:var(--high)}.matrix .nx{fill:#fff;font-size:14px;font-weight:600}
.d0{fill:var(--s0)}.d1{fill:var(--s1)}.d2{fill:var(--s2)}.d3{fill:var(--s3)}.d4{fill:var(--s4)}
.d5{fill:var(--s5)}.d6{fill:var(--s6)}.x{fill:var(--bad)}.loss{fill:var(--warn)}
.matrix .faster{fill:var(--good)}
.none{fill:none;stroke:var(--line);stroke-dasharray:2 3}.around{fill:none;stroke:var(--good);stroke-width:2.5}
";
