//! The registry's pages for its administrators: server-rendered, without scripts, each form its visitor's own.
//!
//! Who asks from an authorized origin may see them, as may who logs in with a ticket of
//! `re6st registry login`.

pub mod access;
mod asking;
mod ended;
pub mod mesh;
mod pages;

use std::collections::BTreeMap;
use std::sync::Arc;

use maud::Markup;

use crate::os::http::server::{Answer, Request};
use crate::os::log::NOTABLE;
use crate::proto::limits::{REGISTRY_FORM_OCTETS_MAX, REGISTRY_HEADERS_PATIENCE};
use crate::proto::prefix::Prefix;
use crate::proto::registry::request::Revoked;
use crate::proto::time::UnixTime;
use crate::proto::version::NetworkVersion;

use super::access::{Administrator, abbreviated, record};
use super::certificates::member;
use super::network;
use super::refusal::Refusal;
use super::state::Registry;
use access::{Purpose, Ticket};
use pages::{Frame, Overview};

/// What all pages are below.
const ROOT: &str = "/web/";

/// The cookie that holds a ticket.
const COOKIE: &str = "re6st";

/// What a page may load and do: its own style, its own forms, nothing else.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Fields of a query or a form.
type Fields = BTreeMap<String, String>;

/// Whether a request is for a page.
pub(super) fn is_page(target: &str) -> bool {
    target == "/" || target == "/web" || target.starts_with(ROOT)
}

/// What comes of a request.
enum Reply {
    Page(Markup),
    /// To another page.
    Go(String),
}

/// An administrator who sees the pages.
struct Visitor {
    who: Administrator,
    ticket: String,
    /// The ticket is new: the browser is to keep it.
    is_new: bool,
}

impl Registry {
    /// Answers a request for a page.
    pub(super) async fn web(self: &Arc<Self>, mut request: Request) -> Answer {
        let target = request.target.clone();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let Some(name) = path.strip_prefix(ROOT) else { return go("web/overview") };
        if name == "page.css" {
            let css = include_str!("page.css").as_bytes().to_vec();
            return answer(200, "text/css;charset=utf-8", css);
        }
        let fields = match fields_of(&mut request, query).await {
            Ok(fields) => fields,
            Err((status, sentence)) => return answer(status, TEXT, sentence.into()),
        };
        let is_post = request.method == "POST";
        if name == "login" {
            return self.log_in(&request, is_post.then_some(&fields)).await;
        }
        let visitor = match self.visitor(&request).await {
            Ok(Some(visitor)) => visitor,
            Ok(None) => return go("login"),
            Err(refusal) => return answer(refusal.status(), TEXT, refusal.sentence().into()),
        };
        let is_believed = |fields: &Fields| {
            self.gate.accepts_form(&visitor.ticket, fields.get("form").map_or("", String::as_str))
        };
        if is_post && !is_believed(&fields) {
            return answer(403, TEXT, b"the form is not of this page, or too old\n".to_vec());
        }
        let form = self.gate.form(&visitor.ticket);
        let done = fields.get("done").and_then(|word| done(word));
        let frame = Frame { network: self.network(), form: &form, done };
        let reply = if is_post {
            self.act(name, &fields, &frame, &visitor).await
        } else {
            self.show(name, &fields, &frame).await
        };
        let mut answered = match reply {
            Ok(Reply::Page(page)) => html(200, page),
            Ok(Reply::Go(place)) => go(&place),
            Err(refusal) => {
                tracing::info!("{}: {path}: {refusal}", request.source);
                html(refusal.status(), frame.refused(&refusal.sentence()))
            }
        };
        let is_secure = self.policy.administrators.is_secure(&request);
        if name == "logout" && is_post {
            answered.headers.push(("Set-Cookie", cookie("", 0, is_secure)));
        } else if visitor.is_new {
            let lasts = Purpose::Visit.lasts().as_secs();
            let cookie = cookie(&visitor.ticket, lasts, is_secure);
            answered.headers.push(("Set-Cookie", cookie));
        }
        answered
    }

    /// Exchanges a ticket for a cookie, once.
    async fn log_in(self: &Arc<Self>, request: &Request, form: Option<&Fields>) -> Answer {
        let Some(form) = form else { return html(200, pages::login(false)) };
        let now = Self::unix_time();
        let ticket = form.get("ticket").map_or("", |ticket| ticket.trim());
        let from = self.policy.administrators.client(request);
        let Some(ticket) = self.gate.verify(ticket, Purpose::Login, now) else {
            tracing::warn!("{from}: refused to log in: no valid ticket");
            return html(403, pages::login(true));
        };
        let name = ticket.name();
        let end = move |registry: &Self| registry.write(|tables| ended::end(tables, &ticket, now));
        match self.blocking(end).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!("{from}: refused to log in: ticket {name} was used before");
                return html(403, pages::login(true));
            }
            Err(refusal) => return answer(refusal.status(), TEXT, refusal.sentence().into()),
        }
        let session = self.gate.ticket(Purpose::Session, now, &mut self.state().random);
        let known = self.gate.verify(&session, Purpose::Session, now);
        let session_name = known.map(|ticket| ticket.name()).unwrap_or_default();
        tracing::info!(target: NOTABLE, "{from} logged in with ticket {name}: session {session_name}");
        let lasts = Purpose::Session.lasts().as_secs();
        let mut answer = go("overview");
        let is_secure = self.policy.administrators.is_secure(request);
        answer.headers.push(("Set-Cookie", cookie(&session, lasts, is_secure)));
        answer
    }

    /// A ticket to log in with.
    pub(super) fn login_ticket(&self, who: &Administrator) -> String {
        let now = Self::unix_time();
        let text = self.gate.ticket(Purpose::Login, now, &mut self.state().random);
        let name = self.gate.verify(&text, Purpose::Login, now).map(|ticket| ticket.name());
        record(who, format_args!("made login ticket {}", name.unwrap_or_default()));
        text
    }

    /// The administrator who asks; `None` if it is none.
    async fn visitor(self: &Arc<Self>, request: &Request) -> Result<Option<Visitor>, Refusal> {
        let now = Self::unix_time();
        let cookies = request.header("Cookie").unwrap_or_default().split(';');
        let ours = cookies.filter_map(|pair| pair.trim().split_once('='));
        let mut text = ours.filter(|(name, _)| *name == COOKIE).map(|(_, text)| text.to_owned());
        let text = text.next_back().unwrap_or_default();
        if let Some(ticket) = self.unended(&text, Purpose::Session, now).await? {
            let from = self.policy.administrators.client(request);
            let who = Administrator::Page(ticket.name(), from);
            return Ok(Some(Visitor { who, ticket: text, is_new: false }));
        }
        // Under a name, another site's scripts could ask here, and a proxy may have forgotten to say for whom.
        if !request.origin().is_for_authorized_host(&self.policy.administrators.hosts) {
            return Ok(None);
        }
        let Some(who) = self.administrator(request).await else { return Ok(None) };
        if self.unended(&text, Purpose::Visit, now).await?.is_some() {
            return Ok(Some(Visitor { who, ticket: text, is_new: false }));
        }
        let ticket = self.gate.ticket(Purpose::Visit, now, &mut self.state().random);
        Ok(Some(Visitor { who, ticket, is_new: true }))
    }

    /// Reads a ticket that is valid and has not been used or ended.
    async fn unended(
        self: &Arc<Self>,
        text: &str,
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<Option<Ticket>, Refusal> {
        let Some(ticket) = self.gate.verify(text, purpose, now) else { return Ok(None) };
        let look = move |registry: &Self| {
            let ended = registry.read(|tables| ended::is_ended(tables, &ticket))?;
            Ok((!ended).then_some(ticket))
        };
        self.blocking(look).await
    }

    /// Ends a visitor's session before its time.
    async fn log_out(self: &Arc<Self>, visitor: &Visitor) -> Result<(), Refusal> {
        let now = Self::unix_time();
        let of = |purpose| self.gate.verify(&visitor.ticket, purpose, now);
        let Some(ticket) = of(Purpose::Session).or_else(|| of(Purpose::Visit)) else {
            return Ok(());
        };
        let end = move |registry: &Self| registry.write(|tables| ended::end(tables, &ticket, now));
        self.blocking(end).await?;
        record(&visitor.who, format_args!("logged out"));
        Ok(())
    }

    async fn show(
        self: &Arc<Self>,
        name: &str,
        fields: &Fields,
        frame: &Frame<'_>,
    ) -> Result<Reply, Refusal> {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let now = Self::unix_time();
        let page = match name {
            "" => return Ok(Reply::Go("overview".into())),
            "overview" => return self.overview(frame).await.map(Reply::Page),
            "nodes" => {
                let leaves = self.leaves().await?;
                frame.nodes(&leaves, &*self.mesh(&leaves).await?, &field("search"), now)
            }
            "node" | "revoke" => {
                let prefix = node(&field("name"))?;
                let look = move |registry: &Self| registry.read(|tables| member(tables, prefix));
                let (leaf, certificate) = self.blocking(look).await?;
                if name == "revoke" {
                    frame.revoke(&prefix.to_string(), leaf.email.as_deref())
                } else {
                    let leaves = self.leaves().await?;
                    frame.node(&leaf, &certificate, &*self.mesh(&leaves).await?)
                }
            }
            "tokens" => {
                let tokens = |registry: &Self| registry.read(|tables| Ok(tables.tokens()?));
                frame.tokens(&self.blocking(tokens).await?, self.policy.grace, None)
            }
            "keys" => {
                let keys = |registry: &Self| registry.read(network::keys);
                frame.keys(self.blocking(keys).await?.step())
            }
            _ => return Err(Refusal::Bad("there is no such page")),
        };
        Ok(Reply::Page(page))
    }

    async fn overview(self: &Arc<Self>, frame: &Frame<'_>) -> Result<Markup, Refusal> {
        let look = |registry: &Self| {
            registry.read(|tables| {
                let (tokens, revoked) = (tables.tokens()?.len(), tables.revoked()?.len());
                Ok((tables.leaves()?, tokens, revoked, network::version(tables)?))
            })
        };
        let (leaves, tokens, revoked, version) = self.blocking(look).await?;
        let mesh = self.mesh(&leaves).await?;
        let authority = self.issuer.authority();
        let version = NetworkVersion::parse(&version, authority).map_or(0, |it| it.number());
        let certificate = self.blocking(|registry| Ok(registry.authority())).await?;
        let authority = certificate.certificate();
        let (leaves, mesh) = (leaves.as_slice(), &*mesh);
        let implausible = self.implausible();
        let shown = Overview { leaves, tokens, revoked, version, authority, implausible, mesh };
        Ok(frame.overview(&shown, Self::unix_time()))
    }

    async fn leaves(self: &Arc<Self>) -> Result<Vec<crate::os::database::Leaf>, Refusal> {
        self.blocking(|registry| registry.read(|tables| Ok(tables.leaves()?))).await
    }

    async fn act(
        self: &Arc<Self>,
        name: &str,
        fields: &Fields,
        frame: &Frame<'_>,
        visitor: &Visitor,
    ) -> Result<Reply, Refusal> {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let who = &visitor.who;
        match name {
            "logout" => {
                self.log_out(visitor).await?;
                Ok(Reply::Go("login".into()))
            }
            "revoke" => {
                let prefix = node(&field("name"))?;
                let revoke = move |registry: &Self| registry.revoke(Revoked::Node(prefix));
                let changed = self.blocking(revoke).await?;
                record(who, format_args!("revoked {prefix}"));
                if changed {
                    self.announce().await;
                }
                Ok(Reply::Go("nodes?done=revoked".into()))
            }
            "tokens" => {
                let (email, bits) = (field("email"), field("bits"));
                let bits = match bits.as_str() {
                    "" => None,
                    bits => Some(bits.parse().map_err(|_| Refusal::Bad("bits are a number"))?),
                };
                let make = move |registry: &Self| {
                    let fresh = registry.add_token(&email, None, bits)?;
                    Ok((fresh, registry.read(|tables| Ok(tables.tokens()?))?))
                };
                let (fresh, tokens) = self.blocking(make).await?;
                record(who, format_args!("added a token for {}", field("email")));
                Ok(Reply::Page(frame.tokens(&tokens, self.policy.grace, Some(&fresh))))
            }
            "remove-token" => {
                let token = field("token");
                let shown = abbreviated(&token);
                let remove = move |registry: &Self| {
                    registry.write(|tables| Ok(tables.delete_token(&token)?))
                };
                if self.blocking(remove).await? {
                    record(who, format_args!("removed the token {shown}"));
                }
                Ok(Reply::Go("tokens?done=removed".into()))
            }
            "keys" if field("sure") == "on" => {
                self.blocking(Self::change_keys).await?;
                record(who, format_args!("took the next step to a new Babel key"));
                self.announce().await;
                Ok(Reply::Go("keys?done=changed".into()))
            }
            _ => Err(Refusal::Bad("there is no such form")),
        }
    }
}

fn node(name: &str) -> Result<Prefix, Refusal> {
    name.parse()
        .map_err(|_| Refusal::Bad("a node's name is written VALUE/LENGTH, for example 1/16"))
}

fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "revoked" => "The membership is ended; the nodes are being told.",
        "removed" => "The token is removed.",
        "changed" => "The step is taken; the nodes are being told.",
        _ => return None,
    })
}

/// The fields of a query, or those of a form that comes from a page of ours.
async fn fields_of(request: &mut Request, query: &str) -> Result<Fields, (u16, &'static str)> {
    if request.method != "POST" {
        return Ok(parse(query.as_bytes()));
    }
    if !request.origin().is_own_form() {
        return Err((403, "the form comes from another site\n"));
    }
    let body = request.read_body(REGISTRY_FORM_OCTETS_MAX, REGISTRY_HEADERS_PATIENCE).await;
    Ok(parse(&body.ok_or((413, "the form is too long, or came too slowly\n"))?))
}

fn parse(octets: &[u8]) -> Fields {
    form_urlencoded::parse(octets).into_owned().collect()
}

fn cookie(ticket: &str, lasts: u64, is_tls: bool) -> String {
    let secure = if is_tls { "; Secure" } else { "" };
    format!("{COOKIE}={ticket}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Strict{secure}")
}

fn go(place: &str) -> Answer {
    let mut answer = answer(303, TEXT, Vec::new());
    answer.headers.push(("Location", place.into()));
    answer
}

fn html(status: u16, page: Markup) -> Answer {
    answer(status, "text/html;charset=utf-8", page.into_string().into_bytes())
}

const TEXT: &str = "text/plain;charset=utf-8";

fn answer(status: u16, form: &'static str, body: Vec<u8>) -> Answer {
    let headers = [
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ];
    let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
    Answer { status, headers, content_type: Some(form), body }
}
