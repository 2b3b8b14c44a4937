//! The registry at work: who may ask what, and which part of it answers.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::os::clock::{Clock, unix_time};
use crate::os::database::Database;
use crate::os::http::server::{Answer, Request};
use crate::proto::certificate::Issuer;
use crate::proto::limits::REGISTRY_MAILS_SENT_MAX;
use crate::proto::random::Random;
use crate::proto::registry::call::OpenCall;
use crate::proto::registry::clock::{Evidence, Timekeeper};
use crate::proto::registry::request::{self, Asked, PrivateCall};
use crate::proto::registry::session::{MAC_HEADER, SessionKey};
use crate::proto::registry::sessions::Sessions;
use crate::proto::time::Instant;

use super::call_limits::CallLimits;
use super::metrics;
use super::parsed::Parsed;
use super::policy::Policy;
use super::refusal::{Given, Refusal};
use super::requests::Requests;
use super::state::{Registry, State};
use super::web;
use super::web::access::Gate;

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
        let state =
            Mutex::new(State { sessions, random, routed, call_limits: CallLimits::default() });
        let gate = Gate::new(issuer.key())?;
        let (requests, mesh) = (Requests::default(), tokio::sync::Mutex::new(None));
        let (clock, parsed) = (Clock::start(), Parsed::new(issuer.authority().key_rule().clone()));
        let mails = Arc::new(Semaphore::new(REGISTRY_MAILS_SENT_MAX));
        let timekeeper = Timekeeper::new(unix_time(), &Evidence::default(), clock.now());
        let timekeeper = Mutex::new(timekeeper);
        let registry = Self {
            issuer,
            policy,
            requests,
            clock,
            state,
            database,
            parsed,
            gate,
            mails,
            mesh,
            timekeeper,
        };
        registry.forget_old()?;
        Ok(registry)
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
                let from = self.policy.administrators.client(&request);
                self.limit(&call, from)?;
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
                let administrator = self.require_administrator(&request).await?;
                let form = (call == PrivateCall::Metrics).then_some(metrics::FORM);
                Ok(Told { body: self.private(call, &administrator).await?, key: None, form })
            }
        }
    }

    /// Refuses a call whose source, or all sources together, have made too many of its kind. This host
    /// itself is not limited: it is the operator's.
    fn limit(&self, call: &OpenCall, from: IpAddr) -> Result<(), Refusal> {
        if from.is_loopback() {
            return Ok(());
        }
        let now = self.now();
        let allowed = self.state().call_limits.take(call, from, now);
        if allowed {
            return Ok(());
        }
        Err(Refusal::TooMany(
            "too many calls of this kind from your address; try again in some minutes",
        ))
    }

    fn place_for_a_mail(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = Arc::clone(&self.mails).try_acquire_owned();
        place.map_err(|_| Refusal::Busy("the mail server is slow; ask again in a minute"))
    }

    fn open(&self, call: &OpenCall, protocol: u32, from: IpAddr) -> Given {
        match call {
            OpenCall::GetCa => Ok(self.authority().certificate().to_pem()?),
            OpenCall::Hello { prefix, nonce } => self.hello(*prefix, *nonce, protocol),
            OpenCall::RequestToken { email } => self.request_token(email),
            OpenCall::RequestCertificate { token, request, location } => {
                self.request_certificate(token, request, location, from)
            }
        }
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
