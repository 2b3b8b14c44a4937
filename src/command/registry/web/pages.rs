//! The pages themselves: what each shows, as HTML that works without scripts.

use std::collections::BTreeMap;
use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::command::registry::certificates::{certificate_of, is_due};
use crate::command::registry::picture::Picture;
use crate::os::database::{Leaf, Token};
use crate::proto::certificate::{Certificate, renewal};
use crate::proto::limits::REGISTRY_PAGE_ROWS_MAX;
use crate::proto::prefix::Network;
use crate::proto::registry::clock::{Implausible, REMEDY};
use crate::proto::registry::hmac::Step;
use crate::proto::time::UnixTime;

use super::mesh::Mesh;

/// What every page needs to know.
pub(super) struct Frame<'a> {
    /// The network.
    pub network: Network,
    /// What its forms carry.
    pub form: &'a str,
    /// What was just done, in words.
    pub done: Option<&'static str>,
}

/// What the overview shows.
pub(super) struct Overview<'a> {
    /// The tree of prefixes.
    pub leaves: &'a [Leaf],
    /// How many tokens wait.
    pub tokens: usize,
    /// How many certificates are revoked.
    pub revoked: usize,
    /// The network's version.
    pub version: u64,
    /// The authority.
    pub authority: &'a Certificate,
    /// Why the registry's clock is implausible.
    pub implausible: Option<Implausible>,
    /// The mesh.
    pub mesh: &'a Mesh,
}

const PAGES: &[(&str, &str)] =
    &[("overview", "Overview"), ("nodes", "Nodes"), ("tokens", "Tokens"), ("keys", "Keys")];

impl Frame<'_> {
    fn page(&self, here: &str, title: &str, body: &Markup) -> Markup {
        html! {
            (head(title))
            body {
                header {
                    strong { "re6st " (self.network.cidr()) }
                    nav {
                        @for (path, name) in PAGES {
                            a href=(path) aria-current=[(*path == here).then_some("page")] { (name) }
                        }
                    }
                    form method="post" action="logout" {
                        (self.hidden())
                        button.plain { "Log out" }
                    }
                }
                main {
                    @if let Some(done) = self.done { p.done role="status" { (done) } }
                    h1 { (title) }
                    (body)
                }
            }
        }
    }

    fn hidden(&self) -> Markup {
        html! { input type="hidden" name="form" value=(self.form); }
    }

    /// The network at a glance, and its map.
    pub fn overview(&self, shown: &Overview<'_>, now: UnixTime) -> Markup {
        let certificates: Vec<Certificate> =
            shown.leaves.iter().filter_map(certificate_of).collect();
        let due = certificates.iter().filter(|certificate| is_due(certificate, now)).count();
        let answered = shown.mesh.graph.get("").map_or(0, |answered| answered.len());
        let tunnels: usize = shown
            .mesh
            .graph
            .iter()
            .filter(|(name, _)| !name.is_empty())
            .map(|(_, peers)| peers.len())
            .sum();
        let mut software: BTreeMap<&str, usize> = BTreeMap::new();
        for known in shown.mesh.known.values() {
            if let Some(name) = &known.software {
                *software.entry(name).or_default() += 1;
            }
        }
        let picture =
            Picture { graph: &shown.mesh.graph, known: &shown.mesh.known, link: "node?name=" };
        self.page("overview", "Overview", &html! {
            @if let Some(warning) = renewal::authority_ends(shown.authority, now) {
                p.warning role="alert" { (warning) "." }
            }
            @if let Some(why) = shown.implausible {
                p.warning role="alert" { "The clock is implausible: " (why.to_string()) "; " (REMEDY) "." }
            }
            div.figures {
                (figure(certificates.len(), "nodes"))
                (figure(answered, "answer now"))
                (figure(tunnels, "tunnels"))
                (figure(due, "certificates to renew"))
                (figure(shown.tokens, "unused tokens"))
                (figure(shown.revoked, "revoked certificates"))
                (figure(shown.version, "network version"))
            }
            h2 { "Map" }
            div.card { (PreEscaped(picture.svg())) }
            p.soft {
                "Nodes were asked at " (shown.mesh.asked) ". Hollow circles did not answer; colours tell \
                 countries. The authority's certificate lasts until " (shown.authority.not_after()) "."
            }
            @if !software.is_empty() {
                h2 { "Software" }
                div.card { table {
                    tr { th { "version" } th { "nodes" } }
                    @for (name, count) in &software { tr { td { (name) } td.number { (count) } } }
                } }
            }
        })
    }

    /// Every node, or those that a search found.
    pub fn nodes(&self, leaves: &[Leaf], mesh: &Mesh, search: &str, now: UnixTime) -> Markup {
        let mut rows: Vec<Row> =
            leaves.iter().filter_map(|leaf| Row::of(leaf, mesh, self.network)).collect();
        rows.retain(|row| row.has(search));
        self.page("nodes", "Nodes", &html! {
            form.row role="search" {
                input type="search" name="search" value=(search) aria-label="Search"
                    placeholder="name, address, mail, country, version";
                button { "Search" }
                span.soft { (rows.len()) @if rows.len() == 1 { " node" } @else { " nodes" } }
            }
            div.card { table.list {
                tr { th { "node" } th { "subnet" } th { "whose" } th { "until" } th { "country" }
                     th { "software" } th { "tunnels" } }
                @for row in rows.iter().take(REGISTRY_PAGE_ROWS_MAX) {
                    tr {
                        td data-what="node" { a href={ "node?name=" (row.name) } { (row.name) } }
                        td data-what="subnet" { code { (row.subnet) } }
                        td data-what="whose" { (row.email) }
                        td.number data-what="until" {
                            span.late[row.until < now] { (day(row.until)) }
                        }
                        td data-what="country" { (row.country) }
                        td data-what="software" { (row.software) }
                        td.number data-what="tunnels" { (row.tunnels) }
                    }
                }
            } }
            @if rows.len() > REGISTRY_PAGE_ROWS_MAX {
                p.soft { "The first " (REGISTRY_PAGE_ROWS_MAX) " are shown: search for others." }
            }
        })
    }

    /// One node.
    pub fn node(&self, leaf: &Leaf, certificate: &Certificate, mesh: &Mesh) -> Markup {
        let name = leaf.prefix.to_string();
        let known = mesh.known.get(&name).cloned().unwrap_or_default();
        let (made, served) = mesh.tunnels(&name);
        let address = self.network.node_address(leaf.prefix);
        let rows: Vec<(&str, String)> = vec![
            (
                "subnet",
                self.network.subnet(leaf.prefix).map_or_else(String::new, |s| s.to_string()),
            ),
            ("address", address.map_or_else(String::new, |address| address.to_string())),
            ("whose", whose(leaf)),
            ("subject", certificate.subject()),
            ("serial number", certificate.serial().map_or_else(String::new, |s| s.to_string())),
            ("valid from", certificate.not_before().to_string()),
            ("valid until", certificate.not_after().to_string()),
            ("fingerprint", certificate.fingerprint().unwrap_or_default()),
            ("country", known.country.unwrap_or_default()),
            ("software", known.software.unwrap_or_else(|| "does not answer".into())),
            ("in the underlay", mesh.addresses.get(&name).cloned().unwrap_or_default()),
        ];
        self.page(
            "nodes",
            &format!("Node {name}"),
            &html! {
                div.card { table {
                    @for (what, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
                        tr { th scope="row" { (what) } td { code { (value) } } }
                    }
                } }
                h2 { "Tunnels" }
                div.card { table {
                    @for (what, peers) in [("made to", made), ("made by", served)] {
                        tr { th scope="row" { (what) } td {
                            @if peers.is_empty() { "nobody" }
                            @for peer in peers { a href={ "node?name=" (peer) } { (peer) } " " }
                        } }
                    }
                } }
                h2 { "Membership" }
                form action="revoke" {
                    input type="hidden" name="name" value=(name);
                    button.danger { "End the membership of " (name) "…" }
                }
            },
        )
    }

    /// Asks whether it is meant.
    pub fn revoke(&self, name: &str, email: Option<&str>) -> Markup {
        self.page("nodes", &format!("End the membership of {name}?"), &html! {
            p { "It belongs to " strong { (email.unwrap_or("somebody who gave no address")) } ". All nodes \
                refuse it as soon as they hear of it, and its prefix is held back until its certificate \
                would have ended. This cannot be undone: it would have to join anew." }
            form.row method="post" action="revoke" {
                (self.hidden())
                input type="hidden" name="name" value=(name);
                button.danger { "Yes, end it" }
                a href={ "node?name=" (name) } { "No, keep it" }
            }
        })
    }

    /// The tokens, and what makes one.
    pub fn tokens(&self, tokens: &[Token], grace: Duration, fresh: Option<&str>) -> Markup {
        self.page("tokens", "Tokens", &html! {
            @if let Some(fresh) = fresh {
                p.done { "The new token is " code { (fresh) } ". Whoever has it can join once." }
            }
            form.row method="post" action="tokens" {
                (self.hidden())
                input type="email" name="email" required placeholder="mail address"
                    aria-label="Mail address";
                input type="number" name="bits" min="1" max=(128 - self.network.cidr().length())
                    placeholder="bits" aria-label="Bits of the prefix; as usual if empty";
                button { "Make a token" }
            }
            div.card { table.list {
                tr { th { "token" } th { "whose" } th { "bits" } th { "until" } th {} }
                @for token in tokens {
                    tr {
                        td data-what="token" { code { (token.token) } }
                        td data-what="whose" { (token.email) }
                        td.number data-what="bits" { (token.prefix_length) }
                        td.number data-what="until" { (day(token.date + grace)) }
                        td data-what="" { form method="post" action="remove-token" {
                            (self.hidden())
                            input type="hidden" name="token" value=(token.token);
                            button.plain { "Remove" }
                        } }
                    }
                }
            } }
            @if tokens.is_empty() { p.soft { "No token waits to be used." } }
        })
    }

    /// Where the change of Babel's key is, and its next step.
    pub fn keys(&self, step: Step) -> Markup {
        let steps = [
            (Step::Settled, "One key", "It signs, and nothing else is accepted."),
            (Step::Announced, "Announced", "The old key signs; the new one is accepted, too."),
            (Step::Changed, "Changed", "The new key signs; the old one is still accepted."),
        ];
        self.page("keys", "Babel's keys", &html! {
            p { "Routers authenticate each other with a key. It is changed in three steps, so that nobody \
                is cut off: wait until all nodes have the network's version before you take the next." }
            ol.steps {
                @for (one, name, about) in steps {
                    li aria-current=[(one == step).then_some("step")] { strong { (name) } br; (about) }
                }
            }
            @if step == Step::Open { p { "This network has no key: packets are not authenticated." } }
            form.row method="post" action="keys" {
                (self.hidden())
                label { input type="checkbox" name="sure" required; " All nodes follow: I am sure" }
                button { "Take the next step" }
            }
        })
    }

    /// Why something is not done or not shown.
    pub fn refused(&self, sentence: &str) -> Markup {
        self.page("", "That did not work", &html! { p { (sentence) "." } })
    }
}

/// The page that asks for a ticket.
pub(super) fn login(wrong: bool) -> Markup {
    html! {
        (head("Log in"))
        body { main {
            h1 { "Log in to this registry" }
            @if wrong { p.late role="alert" { "That is no ticket, or it is too old." } }
            p { "On the registry's host, " code { "re6st registry login --dir DIR" }
                " prints a ticket that is good for ten minutes." }
            form.row method="post" action="login" {
                input type="password" name="ticket" required autofocus aria-label="Ticket"
                    autocomplete="off";
                button { "Log in" }
            }
        } }
    }
}

fn head(title: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en";
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) " – re6st registry" }
            link rel="stylesheet" href="page.css";
        }
    }
}

fn figure(count: impl std::fmt::Display, what: &str) -> Markup {
    html! { div.figure { b { (count) } span { (what) } } }
}

/// A date without its time.
fn day(time: UnixTime) -> String {
    time.to_string().split('T').next().unwrap_or_default().to_owned()
}

/// A node in the table.
struct Row {
    name: String,
    subnet: String,
    email: String,
    until: UnixTime,
    country: String,
    software: String,
    addresses: String,
    tunnels: usize,
}

impl Row {
    fn of(leaf: &Leaf, mesh: &Mesh, network: Network) -> Option<Self> {
        let certificate = certificate_of(leaf)?;
        let name = leaf.prefix.to_string();
        let known = mesh.known.get(&name).cloned().unwrap_or_default();
        let (made, served) = mesh.tunnels(&name);
        Some(Self {
            subnet: network.subnet(leaf.prefix).map_or_else(String::new, |it| it.to_string()),
            email: whose(leaf),
            until: certificate.not_after(),
            country: known.country.unwrap_or_default(),
            software: known.software.unwrap_or_default(),
            addresses: mesh.addresses.get(&name).cloned().unwrap_or_default(),
            tunnels: made.len() + served.len(),
            name,
        })
    }

    fn has(&self, search: &str) -> bool {
        let search = search.trim().to_lowercase();
        let fields =
            [&self.name, &self.subnet, &self.email, &self.country, &self.software, &self.addresses];
        fields.iter().any(|field| field.to_lowercase().contains(&search))
    }
}

/// The mail address of who asked for it.
fn whose(leaf: &Leaf) -> String {
    leaf.email.clone().unwrap_or_else(|| "anonymous".into())
}
