//! The mesh as a picture, in SVG, and as a graph, in DOT: one circle a node, one line a tunnel.

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt::Write;

use super::told::Graph;

/// What is known of a node besides its tunnels.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Its country, `FR`.
    pub country: Option<String>,
    /// The software it runs; `None` if it did not answer.
    pub software: Option<String>,
}

/// How far apart neighbours on the circle are.
const STEP: f64 = 34.0;
/// The smallest circle.
const RADIUS_MIN: f64 = 120.0;
/// Room for names around it.
const MARGIN: f64 = 90.0;

/// Nodes, and the tunnels that each one made; who did not answer is shown hollow.
pub struct Picture<'a> {
    /// Who made tunnels to whom; under the empty name, who answered.
    pub graph: &'a Graph,
    /// What is known of nodes; those in no tunnel are shown, too.
    pub known: &'a BTreeMap<String, Known>,
    /// What precedes a node's name in the address of its page; empty for no links.
    pub link: &'a str,
}

impl Picture<'_> {
    /// Every node, in order.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.known.keys().map(String::as_str).collect();
        for (name, peers) in self.graph {
            names.extend(peers.iter().map(String::as_str).chain([name.as_str()]));
        }
        names.retain(|name| !name.is_empty());
        names.sort_by_key(|name| key(name));
        names.dedup();
        names
    }

    fn answered(&self, name: &str) -> bool {
        self.graph.get("").is_some_and(|answered| answered.contains(name))
    }

    fn tunnels(&self) -> impl Iterator<Item = (&str, &str)> {
        let made = self.graph.iter().filter(|(name, _)| !name.is_empty());
        made.flat_map(|(from, peers)| peers.iter().map(move |to| (from.as_str(), to.as_str())))
    }

    /// A complete SVG document.
    pub fn svg(&self) -> String {
        let names = self.names();
        let radius = (names.len() as f64 * STEP / TAU).max(RADIUS_MIN);
        let size = 2.0 * (radius + MARGIN);
        let places: BTreeMap<&str, (f64, f64)> = names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let angle = TAU * at as f64 / names.len() as f64 - TAU / 4.0;
                let middle = radius + MARGIN;
                (*name, (middle + radius * angle.cos(), middle + radius * angle.sin()))
            })
            .collect();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size:.0} {size:.0}\" \
             role=\"img\" class=\"map\" aria-label=\"{} nodes, {} tunnels\">\n",
            names.len(),
            self.tunnels().count()
        );
        for (from, to) in self.tunnels() {
            let ((x1, y1), (x2, y2)) = (places[from], places[to]);
            // Bent towards the middle, so that lines along the circle are told apart.
            let (cx, cy) = ((x1 + x2 + size / 2.0) / 3.0, (y1 + y2 + size / 2.0) / 3.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{x1:.1} {y1:.1}Q{cx:.1} {cy:.1} {x2:.1} {y2:.1}\" fill=\"none\" \
                 stroke=\"#8a94a6\" stroke-opacity=\".55\"><title>{} to {}</title></path>",
                escaped(from),
                escaped(to)
            );
        }
        for name in names {
            self.dot(&mut svg, name, places[name], radius + MARGIN);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn dot(&self, svg: &mut String, name: &str, (x, y): (f64, f64), middle: f64) {
        let known = self.known.get(name).cloned().unwrap_or_default();
        let country = known.country.unwrap_or_default();
        let software = known.software.unwrap_or_else(|| {
            if self.answered(name) { "answers" } else { "does not answer" }.into()
        });
        let colour = colour(&country);
        let fill = if self.answered(name) { &colour } else { "none" };
        let (shown, country, software) = (escaped(name), escaped(&country), escaped(&software));
        if !self.link.is_empty() {
            let _ = write!(svg, "<a href=\"{}{shown}\">", escaped(self.link));
        }
        let (dx, anchor) = if x < middle - 1.0 { (-11.0, "end") } else { (11.0, "start") };
        let label = if country.is_empty() { shown.clone() } else { format!("{shown} {country}") };
        let _ = write!(
            svg,
            "<g><title>{label}: {software}</title><circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6.5\" \
             fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             font-family=\"system-ui,sans-serif\" font-size=\"12\" fill=\"currentColor\" \
             text-anchor=\"{anchor}\">{label}</text></g>",
            x + dx,
            y + 4.0
        );
        svg.push_str(if self.link.is_empty() { "\n" } else { "</a>\n" });
    }

    /// A graph for Graphviz.
    pub fn dot_text(&self) -> String {
        let mut text = String::from("digraph re6st {\n  layout=circo; node [shape=circle];\n");
        for name in self.names() {
            let style = if self.answered(name) { "solid" } else { "dashed" };
            let _ = writeln!(text, "  {} [style={style}];", quoted(name));
        }
        for (from, to) in self.tunnels() {
            let _ = writeln!(text, "  {} -> {};", quoted(from), quoted(to));
        }
        text.push_str("}\n");
        text
    }
}

/// Nodes in the order of their numbers.
fn key(name: &str) -> (u128, &str) {
    let number = name.split('/').next().and_then(|number| number.parse().ok());
    (number.unwrap_or(u128::MAX), name)
}

/// A colour of its own for each country; without a country, that of ink.
fn colour(country: &str) -> String {
    if country.is_empty() {
        return "#3b6ea8".into();
    }
    let hue = country.bytes().fold(7_u32, |hue, letter| hue * 31 + u32::from(letter)) % 360;
    format!("hsl({hue} 55% 45%)")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace(['"', '\\'], ""))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> Graph {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Graph::from([
            (String::new(), set(&["0/16", "2/16"])),
            ("0/16".into(), set(&["10/16"])),
            ("2/16".into(), set(&["0/16", "10/16"])),
        ])
    }

    #[test]
    fn every_node_and_tunnel_is_drawn_once() {
        let (graph, mut known) = (graph(), BTreeMap::new());
        let software = Some("<b>x".to_owned());
        known.insert("5/16".to_owned(), Known { country: Some("FR".into()), software });
        let svg = Picture { graph: &graph, known: &known, link: "/node?name=" }.svg();
        assert_eq!((svg.matches("<circle").count(), svg.matches("<path").count()), (4, 3));
        assert_eq!(svg.matches("fill=\"none\" stroke=\"#3b6ea8\"").count(), 1, "10/16 is silent");
        assert!(
            svg.contains("<title>0/16: answers<") && svg.contains("<title>10/16: does not answer<")
        );
        assert!(svg.contains("5/16 FR: &lt;b&gt;x") && svg.contains("href=\"/node?name=0/16\""));
        let order: Vec<_> = ["0/16", "2/16", "5/16", "10/16"]
            .iter()
            .map(|name| svg.find(&format!("name={name}\"")).unwrap())
            .collect();
        assert!(order.is_sorted());
    }

    #[test]
    fn graphviz_gets_what_it_reads() {
        let (graph, known) = (graph(), BTreeMap::new());
        let text = Picture { graph: &graph, known: &known, link: "" }.dot_text();
        assert!(
            text.contains("\"2/16\" -> \"10/16\";") && text.contains("\"10/16\" [style=dashed]")
        );
        assert!(!text.contains("\"\""), "{text}");
    }
}
