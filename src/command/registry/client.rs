//! Asking a registry: the calls that `cert` and `node` make, each bounded in time and size.

use std::net::IpAddr;
use std::path::Path;

use crate::os::entropy;
use crate::os::http::{self, Bounds, Get, HttpError, tls};
use crate::proto::certificate::{Authority, Certificate, CertificateError, Fingerprint, Identity};
use crate::proto::limits::{
    REGISTRY_CALL_PATIENCE, REGISTRY_CONNECT_PATIENCE, REGISTRY_REPLY_OCTETS_MAX,
    REGISTRY_SENTENCE_OCTETS_MAX,
};
use crate::proto::prefix::Prefix;
use crate::proto::registry::call::{MemberCall, OpenCall};
use crate::proto::registry::client::{Client, Progress, Reply, ReplyError, Request};
use crate::proto::registry::parameters::{Parameters, ParametersError};
use crate::proto::registry::passed_on;
use crate::proto::registry::session::MAC_HEADER;
use crate::proto::registry::url::RegistryUrl;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody there, or nobody who speaks HTTP.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// An answer that is none.
    #[error("{0}")]
    Reply(#[from] ReplyError),
    /// It said no, and why.
    #[error("{sentence}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// In its words.
        sentence: String,
    },
    /// A certificate that is none.
    #[error("the registry sent a certificate that {0}")]
    Certificate(#[from] CertificateError),
    /// Parameters that are none.
    #[error("{0}")]
    Parameters(#[from] ParametersError),
}

/// How long and how much, at most, for every call.
const BOUNDS: Bounds = Bounds {
    connect: REGISTRY_CONNECT_PATIENCE,
    whole: REGISTRY_CALL_PATIENCE,
    body: REGISTRY_REPLY_OCTETS_MAX,
};

/// The fingerprint of the network's authority, if it is known: whom to believe over TLS.
pub type Pin<'a> = Option<&'a Fingerprint>;

/// Asks for the authority's certificate. Whether it is the right one is the caller's to check.
pub async fn get_ca(url: &RegistryUrl, pin: Pin<'_>) -> Result<Authority, CallError> {
    Ok(Authority::from_pem(&ask(url, pin, &OpenCall::GetCa).await?)?)
}

/// Asks for a token by mail.
pub async fn request_token(url: &RegistryUrl, pin: Pin<'_>, email: &str) -> Result<(), CallError> {
    ask(url, pin, &OpenCall::RequestToken { email: email.into() }).await.map(drop)
}

/// Asks for a certificate: with a token, or anonymously with an empty one. `None` if the registry does
/// not know the token, or gives no anonymous certificates.
pub async fn request_certificate(
    url: &RegistryUrl,
    pin: Pin<'_>,
    token: &str,
    request_pem: &str,
    location: &str,
) -> Result<Option<Certificate>, CallError> {
    let call = OpenCall::RequestCertificate {
        token: token.into(),
        request: request_pem.into(),
        location: location.into(),
    };
    let pem = ask(url, pin, &call).await?;
    if pem.is_empty() { Ok(None) } else { Ok(Some(Certificate::from_pem(&pem)?)) }
}

/// A member's calls, in a session. One for each node key: a second one would take its session.
pub struct RegistryClient {
    url: RegistryUrl,
    core: Client,
}

impl RegistryClient {
    /// A client that has not said hello yet.
    pub fn new(url: RegistryUrl, identity: Identity) -> Self {
        Self { url, core: Client::native(identity, entropy::random()) }
    }

    /// Where the registry is.
    pub const fn url(&self) -> &RegistryUrl {
        &self.url
    }

    /// Who asks.
    pub const fn identity(&self) -> &Identity {
        self.core.identity()
    }

    /// Takes a renewed certificate for the calls to come.
    pub fn set_identity(&mut self, identity: Identity) {
        self.core.set_identity(identity);
    }

    /// Asks for the network's parameters.
    pub async fn get_network_config(&mut self) -> Result<Parameters, CallError> {
        let body = self.call(MemberCall::GetNetworkConfig).await?;
        Ok(Parameters::parse(&body, &self.core.identity().key)?)
    }

    /// Asks for the addresses of some node, `ip,port,proto[,country];…`; `None` if none is known now.
    pub async fn get_bootstrap_peer(&mut self) -> Result<Option<(Prefix, String)>, CallError> {
        let sealed = self.call(MemberCall::GetBootstrapPeer).await?;
        if sealed.is_empty() {
            return Ok(None);
        }
        let text = self.core.identity().key.decrypt(&sealed).ok();
        let text = text.and_then(|text| String::from_utf8(text).ok());
        let peer = text.as_deref().and_then(|text| {
            let (prefix, addresses) = text.split_once(' ')?;
            Some((Prefix::from_bits(prefix).ok()?, passed_on::plain(addresses).to_owned()))
        });
        peer.map(Some).ok_or_else(|| ReplyError::Malformed("not the addresses of a node").into())
    }

    /// Asks for a certificate that lasts longer. The registry sends the same one if it lasts long enough.
    pub async fn renew_certificate(&mut self) -> Result<Certificate, CallError> {
        let pem = self.call(MemberCall::RenewCertificate).await?;
        Ok(Certificate::from_pem(&pem)?)
    }

    /// Asks for the authority's certificate, which may have been renewed: whether it is the same authority
    /// is the caller's to check.
    pub async fn get_ca(&self) -> Result<Authority, CallError> {
        let authority = &self.core.identity().authority;
        let request = Request { target: OpenCall::GetCa.target(), mac: None };
        let reply = send(&self.url, tls::Pin::Key(authority.certificate()), &request).await?;
        Ok(Authority::from_pem(&answer(reply)?)?)
    }

    /// Asks for Diffie-Hellman parameters, PEM.
    pub async fn get_dh(&mut self) -> Result<Vec<u8>, CallError> {
        self.call(MemberCall::GetDh).await
    }

    /// Asks in which country an address is; `None` if the registry cannot tell.
    pub async fn get_country(&mut self, address: IpAddr) -> Result<Option<String>, CallError> {
        match self.call(MemberCall::GetCountry(address)).await {
            Ok(country) => {
                Ok(String::from_utf8(country).ok().filter(|country| !country.is_empty()))
            }
            // Stock's answer if it has no list of countries.
            Err(
                CallError::Reply(ReplyError::Status(400)) | CallError::Refused { status: 400, .. },
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn call(&mut self, call: MemberCall) -> Result<Vec<u8>, CallError> {
        let (mut exchange, mut request) = self.core.begin(call);
        loop {
            let authority = self.core.identity().authority.clone();
            let pin = tls::Pin::Key(authority.certificate());
            let reply = send(&self.url, pin, &request).await?;
            let said = sentence(&reply);
            match exchange.handle(&mut self.core, reply) {
                Ok(Progress::Send(next)) => request = next,
                Ok(Progress::Done(answer)) => return Ok(answer),
                Err(error) => return Err(refused(error, said)),
            }
        }
    }
}

/// Makes an administrator's call, which the registry takes from its own host only.
pub async fn ask_privately(url: &RegistryUrl, target: String) -> Result<Vec<u8>, CallError> {
    ask_target(url, None, target).await
}

/// Makes an administrator's call over the registry's Unix socket.
pub async fn ask_over_socket(socket: &Path, target: &str) -> Result<Vec<u8>, CallError> {
    let get = Get {
        host: "localhost",
        port: 0,
        tls: None,
        authority: "localhost",
        target,
        header: None,
        wanted: MAC_HEADER,
    };
    let reply = http::get_over_socket(socket, get, BOUNDS).await?;
    answer(Reply { status: reply.status, mac: reply.header, body: reply.body })
}

/// Makes a call that needs no session.
async fn ask(url: &RegistryUrl, pin: Pin<'_>, call: &OpenCall) -> Result<Vec<u8>, CallError> {
    ask_target(url, pin, call.target()).await
}

async fn ask_target(url: &RegistryUrl, pin: Pin<'_>, target: String) -> Result<Vec<u8>, CallError> {
    let pin = pin.map_or(tls::Pin::Anybody, tls::Pin::Certificate);
    answer(send(url, pin, &Request { target, mac: None }).await?)
}

fn answer(reply: Reply) -> Result<Vec<u8>, CallError> {
    match reply.status {
        200 | 204 => Ok(reply.body),
        status => Err(refused(ReplyError::Status(status), sentence(&reply))),
    }
}

fn refused(error: ReplyError, said: Option<String>) -> CallError {
    match (error, said) {
        (ReplyError::Status(status), Some(sentence)) => CallError::Refused { status, sentence },
        (error, _) => error.into(),
    }
}

/// Why a registry refuses, if it says so in one sentence: ours does, stock's sends a page.
fn sentence(reply: &Reply) -> Option<String> {
    let text = std::str::from_utf8(&reply.body).ok()?.trim();
    let is_sentence = reply.status >= 400
        && (1..=REGISTRY_SENTENCE_OCTETS_MAX).contains(&text.len())
        && !text.starts_with('<')
        && !text.contains(char::is_control);
    is_sentence.then(|| text.to_owned())
}

async fn send(url: &RegistryUrl, pin: tls::Pin<'_>, request: &Request) -> Result<Reply, HttpError> {
    let get = Get {
        host: &url.host,
        port: url.port,
        tls: url.tls.then_some(http::Tls { pin }),
        authority: &url.authority(),
        target: &format!("{}{}", url.path, request.target),
        header: request.mac.as_deref().map(|mac| (MAC_HEADER, mac)),
        wanted: MAC_HEADER,
    };
    let reply = http::get(get, BOUNDS).await?;
    Ok(Reply { status: reply.status, mac: reply.header, body: reply.body })
}
