//! The registry at work: who may ask what, and which part of it answers.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::os::clock::{Clock, unix_time};
use crate::os::countries::Countries;
use crate::os::database::{Database, DatabaseError, Tables};
use crate::os::file;
use crate::os::http::server::{Answer, Request};
use crate::os::smtp::{self, SmtpError};
use crate::proto::certificate::{Authority, CertificateError, Issuer};
use crate::proto::limits::REGISTRY_MAILS_SENT_MAX;
use crate::proto::prefix::{Network, Prefix};
use crate::proto::random::Random;
use crate::proto::registry::call::OpenCall;
use crate::proto::registry::community::Communities;
use crate::proto::registry::configuration::Settings;
use crate::proto::registry::request::{self, Asked, PrivateCall};
use crate::proto::registry::session::{MAC_HEADER, SessionKey};
use crate::proto::registry::sessions::Sessions;
use crate::proto::time::{Instant, UnixTime};

use super::metrics::{self, Requests};
use super::parsed::Parsed;
use super::web::access::Gate;
use super::web::{self, Mesh};

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Where the authority's certificate is, which may be renewed while the registry runs.
    pub ca: PathBuf,
    /// What holds for the whole network.
    pub settings: Settings,
    /// Bits of a prefix that a token is worth; `None` if there are no tokens.
    pub prefix_length: Option<u8>,
    /// Bits of an anonymous prefix; `None` if there are none.
    pub anonymous_prefix_length: Option<u8>,
    /// How long after its end a certificate can be renewed, and a token used.
    pub grace: Duration,
    /// Where mails go; `None` if there are none.
    pub mailbox: Option<Mailbox>,
    /// Diffie-Hellman parameters, PEM.
    pub dh: Vec<u8>,
    /// Which part of the network applicants get their prefixes from.
    pub communities: Communities,
    /// From where administrators ask, and where proxies are that are believed.
    pub authorized: Vec<IpAddr>,
    /// Where addresses are, if that is known.
    pub countries: Option<Arc<Countries>>,
}

/// Where mails go.
#[derive(Clone, Debug)]
pub enum Mailbox {
    /// To the end of a file.
    File(PathBuf),
    /// To a server, from an address.
    Server(smtp::Server, String),
}

/// The registry.
pub struct Registry {
    pub(super) issuer: Issuer,
    pub(super) policy: Policy,
    pub(super) requests: Requests,
    // Apart from the state: a transaction waits for the disk, and nobody else shall.
    pub(super) database: Database,
    pub(super) parsed: Parsed,
    /// Who may see the pages.
    pub(super) gate: Gate,
    /// Places for mails that are being sent.
    mails: Arc<Semaphore>,
    /// The mesh as it was a moment ago, and until when that will do.
    pub(super) mesh: tokio::sync::Mutex<Option<(Arc<Mesh>, Instant)>>,
    clock: Clock,
    state: Mutex<State>,
}

/// What requests share, held for moments only.
pub(super) struct State {
    pub sessions: Sessions,
    pub random: Random,
    /// Routed nodes that bootstrapping ones were not sent to yet, and until when.
    pub routed: (Vec<Prefix>, Instant),
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The request makes no sense, or is not authenticated.
    #[error("{0}")]
    Bad(&'static str),
    /// No session: say hello.
    #[error("no session: say hello")]
    NoSession,
    /// Not from there, or not offered.
    #[error("{0}")]
    Forbidden(&'static str),
    /// No such member.
    #[error("there is no node {0} in this network")]
    UnknownNode(Prefix),
    /// No certificate that lasts has that number.
    #[error("no node has a certificate with the serial number {0}")]
    UnknownSerial(u64),
    /// Nobody joined yet.
    #[error("this network has no node yet")]
    Empty,
    /// Too many ask for the same at once.
    #[error("{0}")]
    Busy(&'static str),
    /// It is there already.
    #[error("there is such a token already")]
    Conflict,
    /// Nobody may have a prefix of so many bits.
    #[error("a node's prefix in this network has 1 to {longest} bits, and not {length}")]
    Length {
        /// What was asked for.
        length: u8,
        /// What there is.
        longest: u8,
    },
    /// There is nothing left to give.
    #[error("no prefix of {0} bits is left in this network")]
    Exhausted(u8),
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] DatabaseError),
    /// A call that ended in the middle.
    #[error("the call failed within the registry")]
    Internal,
    /// OpenSSL failed, or a certificate in the database is broken.
    #[error("a certificate {0}")]
    Certificate(#[from] CertificateError),
    /// The mail could not be written.
    #[error("cannot write the mail: {0}")]
    Mail(#[source] std::io::Error),
    /// The mail was not taken.
    #[error("{0}")]
    Smtp(#[from] SmtpError),
}

impl Refusal {
    /// What the one who asked is told: what failed within is the log's.
    pub(super) fn sentence(&self) -> String {
        match self {
            Self::Database(_) => "the registry cannot use its database; its log says why".into(),
            Self::Certificate(_) => {
                "the registry cannot use a certificate; its log says why".into()
            }
            Self::Mail(_) | Self::Smtp(_) => {
                "the registry could not send the mail; its log says why".into()
            }
            told => told.to_string(),
        }
    }

    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Bad(_) => 400,
            Self::NoSession => 401,
            Self::Forbidden(_) => 403,
            Self::UnknownNode(_) | Self::UnknownSerial(_) | Self::Empty => 404,
            Self::Conflict => 409,
            Self::Length { .. } | Self::Exhausted(_) => 507,
            Self::Database(_) | Self::Busy(_) => 503,
            Self::Internal | Self::Certificate(_) | Self::Mail(_) | Self::Smtp(_) => 500,
        }
    }
}

/// What a call gives: octets, or nothing.
pub(super) type Given = Result<Vec<u8>, Refusal>;

impl Registry {
    /// A registry over an open database; brings it up to date.
    pub fn new(
        issuer: Issuer,
        policy: Policy,
        database: Database,
        random: Random,
    ) -> Result<Self, Refusal> {
        super::network::begin(&database, &issuer, &policy, random.clone())?;
        let (sessions, routed) = (Sessions::default(), (Vec::new(), Instant::ZERO));
        let state = Mutex::new(State { sessions, random, routed });
        let gate = Gate::new(issuer.key())?;
        let (requests, mesh) = (Requests::default(), tokio::sync::Mutex::new(None));
        let (clock, parsed) = (Clock::start(), Parsed::default());
        let mails = Arc::new(Semaphore::new(REGISTRY_MAILS_SENT_MAX));
        Ok(Self { issuer, policy, requests, clock, state, database, parsed, gate, mails, mesh })
    }

    /// Answers one request.
    pub async fn answer(self: Arc<Self>, request: Request) -> Answer {
        let line = format!("{} {}", request.method, path_of(&request.target));
        let source = request.source;
        let is_page = web::is_page(&request.target) && matches!(&*request.method, "GET" | "POST");
        let answer = if is_page {
            self.web(request).await
        } else if request.method == "GET" {
            match Arc::clone(&self).dispatch(request).await {
                Ok(told) => {
                    let answer = Answer::from(told);
                    tracing::info!(%source, status = answer.status, octets = answer.body.len(), "{line}");
                    answer
                }
                Err(refusal) => refused(source, &line, &refusal),
            }
        } else {
            error_page(501, "only GET is understood here")
        };
        self.requests.count(answer.status);
        answer
    }

    async fn dispatch(self: Arc<Self>, request: Request) -> Result<Told, Refusal> {
        let asked = request::parse(&request.target).map_err(|error| {
            tracing::debug!("{}: {error}", request.source);
            Refusal::Bad("the registry does not understand that call")
        })?;
        match asked {
            Asked::Open { call, protocol } => {
                let from = self.asker(&request);
                // A mail server that hangs must not take all threads that wait. Whoever hangs up does not
                // give his mail's place back before the server does.
                let place = match call {
                    OpenCall::RequestToken { .. } => Some(self.place_for_a_mail()?),
                    _ => None,
                };
                let answered = self.blocking(move |registry| {
                    let _place = place;
                    registry.open(&call, protocol, from)
                });
                let given = answered.await?;
                Ok(Told { body: given, key: None, form: None })
            }
            Asked::Member { prefix, call } => {
                let mac = request.header(MAC_HEADER);
                let accepted = self.accept(prefix, &request.target, mac).await?;
                let given = self.member(prefix, call, accepted.protocol).await?;
                Ok(Told { body: given, key: Some(accepted.key), form: None })
            }
            Asked::Private(call) => {
                if !self.is_authorized(&request) {
                    return Err(Refusal::Forbidden(
                        "administrators ask from the registry's own host",
                    ));
                }
                let form = (call == PrivateCall::Metrics).then_some(metrics::FORM);
                Ok(Told { body: self.private(call).await?, key: None, form })
            }
        }
    }

    fn place_for_a_mail(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = Arc::clone(&self.mails).try_acquire_owned();
        place.map_err(|_| Refusal::Busy("the mail server is slow; ask again in a minute"))
    }

    fn open(&self, call: &OpenCall, protocol: u32, from: IpAddr) -> Given {
        match call {
            OpenCall::GetCa => Ok(self.authority().certificate().to_pem()?),
            OpenCall::Hello { prefix } => self.hello(*prefix, protocol),
            OpenCall::RequestToken { email } => self.request_token(email),
            OpenCall::RequestCertificate { token, request, location } => {
                self.request_certificate(token, request, location, from)
            }
        }
    }

    /// Whether a request comes from an administrator. A proxy in front must be at an authorized address
    /// itself, and what it says about its client is believed then only.
    pub(super) fn is_authorized(&self, request: &Request) -> bool {
        let authorized = |address: &IpAddr| self.policy.authorized.contains(address);
        let forwarded = request.header("X-Forwarded-For").is_none_or(|forwarded| {
            forwarded.split(',').all(|address| {
                address.trim().parse::<IpAddr>().is_ok_and(|address| authorized(&address))
            })
        });
        authorized(&request.source) && forwarded
    }

    /// Who asks: what a proxy at an authorized address says, the last one that is none itself.
    fn asker(&self, request: &Request) -> IpAddr {
        let is_proxy = |address: &IpAddr| self.policy.authorized.contains(address);
        if !is_proxy(&request.source) {
            return request.source;
        }
        let forwarded = request.header("X-Forwarded-For").unwrap_or_default();
        let addresses = forwarded.split(',').rev().map_while(|address| address.trim().parse().ok());
        addresses.into_iter().find(|address| !is_proxy(address)).unwrap_or(request.source)
    }

    /// Runs what computes or waits for the disk away from the threads that serve connections.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let registry = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&registry)).await;
        done.unwrap_or(Err(Refusal::Internal))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the database, all or nothing.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.database.write(work)
    }

    /// Looks at the database.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.database.read(work)
    }

    /// The authority as its file says now: whoever renews it need not tell us.
    pub(super) fn authority(&self) -> Authority {
        let known = self.issuer.authority();
        let read = file::read(&self.policy.ca).ok();
        let newer = read.and_then(|pem| Authority::from_pem(&pem).ok());
        newer.filter(|newer| known.is_renewed_by(newer)).unwrap_or_else(|| known.clone())
    }

    pub(super) const fn network(&self) -> Network {
        self.issuer.authority().network()
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn unix_time() -> UnixTime {
        unix_time()
    }
}

/// What a call gives.
struct Told {
    body: Vec<u8>,
    /// What authenticates it.
    key: Option<SessionKey>,
    /// Its content type, if clients are to be told.
    form: Option<&'static str>,
}

impl From<Told> for Answer {
    fn from(told: Told) -> Self {
        let header = told.key.map(|key| (MAC_HEADER, key.reply_mac(&told.body)));
        let headers = header.into_iter().collect();
        let status = if told.body.is_empty() { 204 } else { 200 };
        Self { status, headers, content_type: told.form, body: told.body }
    }
}

fn refused(source: IpAddr, line: &str, refusal: &Refusal) -> Answer {
    let status = refusal.status();
    if matches!(status, 500 | 503) {
        tracing::error!(%source, status, "{line}: {refusal}");
    } else {
        tracing::info!(%source, status, "{line}: {refusal}");
    }
    error_page(status, &refusal.sentence())
}

/// A target without its query, which may hold a token.
fn path_of(target: &str) -> &str {
    target.split('?').next().unwrap_or_default()
}

/// One sentence, which our clients show; stock's look at the status alone.
fn error_page(status: u16, sentence: &str) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        content_type: Some("text/plain;charset=utf-8"),
        body: format!("{sentence}\n").into_bytes(),
    }
}
