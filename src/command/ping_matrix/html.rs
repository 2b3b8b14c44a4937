//! The report as one HTML page: the verdict, the picture, who gains, every figure. Nothing is loaded from
//! elsewhere and no script runs.

use std::fmt::Write as _;

use crate::command::ping_matrix::svg::{escaped, picture};
use crate::command::ping_matrix::table::milliseconds;
use crate::proto::matrix::grid::Grid;
use crate::proto::matrix::ping::{Ping, Plane};
use crate::proto::matrix::verdict::{PlaneSummary, Verdict};

/// A complete page.
pub fn page(grid: &Grid) -> String {
    let verdict = Verdict::of(grid);
    let times = || grid.pings().map(|ping| ping.time.as_str());
    let probes = grid.pings().map(|ping| ping.sent).max().unwrap_or(0);
    let (hosts, pairs) = (grid.hosts().len(), verdict.pairs);
    let time = escaped(times().max().unwrap_or_default());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Ping matrix: {hosts} hosts</title>\n<style>{STYLE}</style></head>\n<body><main>\n\
         <header><h1>Ping matrix</h1><p>{hosts} hosts, {pairs} pairs, {probes} probes for each pair and \
         plane, until {time}</p></header>\n"
    );
    tiles(&mut page, &verdict);
    let _ = writeln!(page, "<figure class=\"wide\">{}</figure>", picture(grid));
    if verdict.compared_pairs > 0 {
        page.push_str("<div class=\"two\">\n");
        scatter(&mut page, grid);
        gains(&mut page, grid);
        page.push_str("</div>\n");
    }
    planes(&mut page, &verdict);
    figures(&mut page, grid);
    let _ =
        write!(page, "<footer>{}</footer>\n</main></body></html>\n", escaped(&verdict.to_string()));
    page
}

fn tiles(page: &mut String, verdict: &Verdict) {
    let (Some(sdn), Some(ipv4)) =
        (verdict.planes.get(&Plane::Sdn), verdict.planes.get(&Plane::Ipv4))
    else {
        return;
    };
    let mut tile = |figure: String, what: &str, detail: String| {
        let _ = writeln!(
            page,
            "<section class=\"tile\"><b>{figure}</b><span>{what}</span><small>{detail}</small></section>"
        );
    };
    let sign = |change: f64| if change < 0.0 { "−" } else { "+" };
    if let (Some(change), Some(ours), Some(theirs)) =
        (verdict.sdn_delay_change_ratio, sdn.compared_rtt_mean_us, ipv4.compared_rtt_mean_us)
    {
        let (ours, theirs, pairs) =
            (milliseconds(ours), milliseconds(theirs), verdict.compared_pairs);
        let least = verdict.detour_rtt_mean_us.map(milliseconds);
        let least = least.map_or_else(String::new, |ms| format!("; the best detours take {ms} ms"));
        tile(
            format!("{}{:.0} %", sign(change), change.abs() * 100.0),
            "delay, SDN against IPv4",
            format!("{ours} ms instead of {theirs} ms, mean of {pairs} pairs{least}"),
        );
    }
    tile(
        format!("{:.1} %", sdn.loss_ratio * 100.0),
        "of probes lost over the SDN",
        format!(
            "{:.1} % over IPv4, {:.1} % where IPv4 answers at all",
            ipv4.loss_ratio * 100.0,
            ipv4.reachable_loss_ratio * 100.0
        ),
    );
    tile(
        format!("{} of {}", sdn.reachable, sdn.measured),
        "pairs answer over the SDN",
        format!("{} of {} over IPv4", ipv4.reachable, ipv4.measured),
    );
    tile(
        verdict.sdn_routed_around.to_string(),
        "outages of IPv4 routed around",
        "pairs that answer over the SDN only".to_owned(),
    );
    // Tiles stand in a row of their own.
    let start = page.find("<section class=\"tile\">").unwrap_or(page.len());
    page.insert_str(start, "<div class=\"tiles\">\n");
    page.push_str("</div>\n");
}

/// A point for each pair: below the diagonal, the SDN is faster.
fn scatter(page: &mut String, grid: &Grid) {
    let pairs = compared(grid);
    let most = pairs.iter().map(|(v4, sdn)| mean(v4).max(mean(sdn))).fold(1.0, f64::max);
    let scale = (most / 50.0).ceil() * 50.0;
    let at = |ms: f64| ms / scale * SIDE;
    let _ = write!(
        page,
        "<figure><figcaption>Each pair once: below the line, the SDN is faster</figcaption>\n\
         <svg class=\"plot\" viewBox=\"-46 -10 {0} {0}\" role=\"img\" aria-label=\"Delay over the SDN \
         against delay over IPv4\">\n",
        SIDE + 66.0
    );
    let mut tick = 0.0;
    while tick <= scale {
        let (x, y) = (at(tick), SIDE - at(tick));
        let below = SIDE + 16.0;
        let _ = writeln!(
            page,
            "<path class=\"grid\" d=\"M0 {y:.1}H{SIDE}M{x:.1} 0V{SIDE}\"/>\
             <text x=\"-6\" y=\"{0:.1}\" class=\"e\">{tick:.0}</text>\
             <text x=\"{x:.1}\" y=\"{below}\" class=\"m\">{tick:.0}</text>",
            y + 4.0
        );
        tick += if scale > 200.0 { 100.0 } else { 50.0 };
    }
    let _ = write!(
        page,
        "<path class=\"diagonal\" d=\"M0 {SIDE}L{SIDE} 0\"/>\n\
         <text x=\"{SIDE}\" y=\"{0}\" class=\"e\">ms over IPv4</text>\
         <text transform=\"translate(-34 0) rotate(-90)\" class=\"e\">ms over the SDN</text>\n",
        SIDE + 34.0
    );
    for (v4, sdn) in pairs {
        let (x, y) = (at(mean(v4)), SIDE - at(mean(sdn)));
        let class = match mean(sdn) / mean(v4) {
            ratio if ratio < 0.95 => "faster",
            ratio if ratio > 1.05 => "slower",
            _ => "same",
        };
        let _ = writeln!(
            page,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"><title>{} → {}: {:.0} ms over \
             IPv4, {:.0} ms over the SDN</title></circle>",
            escaped(&v4.source),
            escaped(&v4.target),
            mean(v4),
            mean(sdn)
        );
    }
    page.push_str("</svg></figure>\n");
}

/// The pairs that gain most, those that were dead first.
fn gains(page: &mut String, grid: &Grid) {
    let over = |ping: &Ping| grid.cell(&ping.source, &ping.target, Plane::Sdn);
    let around = grid.pings().filter(|p| p.plane == Plane::Ipv4 && !p.is_alive());
    let around = around.filter_map(|v4| Some((v4, over(v4).filter(|sdn| sdn.is_alive())?)));
    let around = around.take(GAINS_SHOWN / 2);
    let mut faster = compared(grid);
    faster.retain(|(v4, sdn)| mean(sdn) < mean(v4) * 0.95);
    faster.sort_by(|a, b| (mean(a.1) / mean(a.0)).total_cmp(&(mean(b.1) / mean(b.0))));
    page.push_str(
        "<figure><figcaption>Where the SDN helps most</figcaption><table><thead><tr><th>pair</th>\
         <th>IPv4</th><th>SDN</th><th></th></tr></thead><tbody>\n",
    );
    for (v4, sdn) in around.chain(faster).take(GAINS_SHOWN) {
        let (ipv4, change) = if v4.is_alive() {
            let change = (1.0 - mean(sdn) / mean(v4)) * 100.0;
            (format!("{:.0} ms", mean(v4)), format!("−{change:.0} %"))
        } else {
            ("<em>no answer</em>".to_owned(), "routed around".to_owned())
        };
        let _ = writeln!(
            page,
            "<tr><td>{} → {}</td><td>{ipv4}</td><td>{:.0} ms</td><td class=\"gain\">{change}</td></tr>",
            escaped(&v4.source),
            escaped(&v4.target),
            mean(sdn)
        );
    }
    page.push_str("</tbody></table></figure>\n");
}

fn planes(page: &mut String, verdict: &Verdict) {
    page.push_str(
        "<figure><figcaption>Planes</figcaption><table><thead><tr><th>plane</th><th>pairs measured</th>\
         <th>answer</th><th>do not</th><th>probes lost</th><th>lost where it answers</th>\
         <th>mean round trip</th></tr></thead><tbody>\n",
    );
    for (plane, summary) in &verdict.planes {
        let PlaneSummary { measured, reachable, loss_ratio, reachable_loss_ratio, .. } = summary;
        let delay = summary.rtt_mean_us.map_or_else(|| "–".to_owned(), milliseconds);
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{measured}</td><td>{reachable}</td><td>{}</td><td>{:.1} %</td>\
             <td>{:.1} %</td><td>{delay} ms</td></tr>",
            plane.title(),
            summary.unreachable(),
            loss_ratio * 100.0,
            reachable_loss_ratio * 100.0,
        );
    }
    page.push_str("</tbody></table></figure>\n");
}

fn figures(page: &mut String, grid: &Grid) {
    page.push_str(
        "<details><summary>Every figure</summary><table><thead><tr><th>from</th><th>to</th><th>plane</th>\
         <th>answered</th><th>min</th><th>mean</th><th>median</th><th>95 %</th><th>max</th></tr></thead>\
         <tbody>\n",
    );
    for ping in grid.pings() {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}/{}</td>",
            escaped(&ping.source),
            escaped(&ping.target),
            ping.plane.title(),
            ping.received,
            ping.sent
        );
        for value in
            [ping.rtt_min_us, ping.rtt_mean_us, ping.rtt_p50_us, ping.rtt_p95_us, ping.rtt_max_us]
        {
            let _ = write!(page, "<td>{}</td>", value.map_or_else(|| "–".into(), milliseconds));
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></details>\n");
}

/// Pairs that answer over IPv4 and over the SDN.
fn compared(grid: &Grid) -> Vec<(&Ping, &Ping)> {
    let over_ipv4 = grid.pings().filter(|ping| ping.plane == Plane::Ipv4 && ping.is_alive());
    let both = over_ipv4.filter_map(|ping| {
        let sdn = grid.cell(&ping.source, &ping.target, Plane::Sdn)?;
        sdn.is_alive().then_some((ping, sdn))
    });
    both.collect()
}

#[expect(clippy::cast_precision_loss, reason = "no round trip lasts 285 years")]
fn mean(ping: &Ping) -> f64 {
    ping.rtt_mean_us.unwrap_or(0) as f64 / 1_000.0
}

/// Pixels of one side of the plot.
const SIDE: f64 = 330.0;

const GAINS_SHOWN: usize = 14;

const STYLE: &str = "
:root{--page:#f6f8fa;--card:#fff;--ink:#1c2733;--soft:#5b6876;--line:#dfe4e9;--good:#0f8a5f;--bad:#b3261e;
--blue:#2a6bb3}
@media (prefers-color-scheme:dark){:root{--page:#0d141b;--card:#131c25;--ink:#e6edf3;--soft:#9aa7b4;
--line:#26323d;--good:#3fcf8e;--bad:#f0766e;--blue:#5496d6}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:1280px;margin:0 auto;padding:32px 24px}h1{margin:0;font-size:26px}
header p{margin:2px 0 20px;color:var(--soft)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(220px,1fr));gap:16px;margin-bottom:16px}
.tile,figure,details{background:var(--card);border:1px solid var(--line);border-radius:10px}
.tile{padding:16px 18px}.tile b{display:block;font-size:30px;line-height:1.15;font-weight:650}
.tile span{display:block}.tile small{color:var(--soft)}
figure{margin:0 0 16px;padding:18px}.wide{overflow-x:auto}.wide svg{display:block;max-width:100%;height:auto;
min-width:900px;margin:auto}
figcaption{font-weight:600;margin-bottom:10px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(360px,1fr));gap:0 16px}
table{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}
th{font-weight:500;color:var(--soft);text-align:right}td{text-align:right;border-top:1px solid var(--line)}
th,td{padding:4px 8px}th:first-child,td:first-child{text-align:left;padding-left:0}
em{font-style:normal;color:var(--bad)}.gain{color:var(--good)}
.plot{width:100%;max-width:460px;display:block;margin:auto}.plot text{font-size:11px;fill:var(--soft)}
.plot .e{text-anchor:end}.plot .m{text-anchor:middle}.grid{stroke:var(--line);fill:none}
.diagonal{stroke:var(--soft);stroke-dasharray:4 4}circle{fill-opacity:.75}.faster{fill:var(--good)}
.slower{fill:var(--bad)}.same{fill:var(--blue)}
details{padding:12px 18px;margin-bottom:16px}summary{cursor:pointer;font-weight:600}
footer{color:var(--soft);font-size:14px}
";
