//! A member's end of a session: hello, authenticated calls, and what to do when the registry forgot us.
//!
//! ```text
//!  no key ──hello──▶ key ──call, good reply──▶ next key
//!    ▲                └──anything else──┐
//!    └──────────────────────────────────┘
//! ```
//!
//! One client per node key: a second one would take the first one's session.
//!
//! A native node asks for a hello that the CA signs as such ([`hello_statement`]). Upstream's registry
//! refuses the argument, and the node says hello as upstream's nodes do; but not any more where the registry
//! was native once. That protects the CA, whose key then signs no bare ciphertext, rather than the node: it
//! accepts no session key without the CA's signature either way.

use crate::proto::certificate::Identity;
use crate::proto::random::Random;
use crate::proto::registry::call::{MemberCall, OpenCall};
use crate::proto::registry::session::{HelloNonce, SessionKey, hello_statement};

/// An HTTP GET to make: the target is appended to the path of the registry's address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// `/method?key=value&…`.
    pub target: String,
    /// The header that authenticates it.
    pub mac: Option<String>,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The header that authenticates it.
    pub mac: Option<String>,
    /// Empty if there is none.
    pub body: Vec<u8>,
}

/// What to do after a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Send this, and bring its reply.
    Send(Request),
    /// The answer to the call; empty if the registry has none.
    Done(Vec<u8>),
}

/// Why a registry's reply is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplyError {
    /// Our prefix is not there: our certificate was revoked, or is another network's.
    #[error("the registry does not know this node: was its certificate revoked?")]
    Unknown,
    /// Any other status.
    #[error("the registry answered with status {0}")]
    Status(u16),
    /// The reply to a hello is not sealed for us and signed by the network's authority.
    #[error("what answers there does not have the key of this network's authority")]
    NotTheAuthority,
    /// The MAC of a reply is missing or wrong.
    #[error("the registry's answer is not authenticated")]
    NotAuthentic,
    /// An answer in another form than it should have.
    #[error("the registry's answer makes no sense: {0}")]
    Malformed(&'static str),
}

/// The member's end.
pub struct Client {
    identity: Identity,
    key: Option<SessionKey>,
    /// Draws nonces; `None` for a client that says hello as upstream's nodes do.
    random: Option<Random>,
    /// The registry has answered a native hello.
    is_native: bool,
}

/// One call under way: [`Client::begin`], then [`Exchange::handle`] for every reply.
pub struct Exchange {
    target: String,
    stage: Stage,
}

enum Stage {
    /// Asked for a session.
    Hello { nonce: Option<HelloNonce> },
    /// Made the call; a hello may still be tried if the registry lost our session.
    Called { key: SessionKey, hello_left: bool },
}

impl Client {
    /// A client without a session, which says hello as upstream's nodes do.
    pub const fn new(identity: Identity) -> Self {
        Self { identity, key: None, random: None, is_native: false }
    }

    /// A client without a session, which says hello as native nodes do.
    pub const fn native(identity: Identity, random: Random) -> Self {
        Self { identity, key: None, random: Some(random), is_native: false }
    }

    /// Who we are.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Takes a renewed certificate; the session goes on.
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
    }

    /// Begins a call: what to send first.
    pub fn begin(&mut self, call: MemberCall) -> (Exchange, Request) {
        let target = call.target(self.identity.prefix);
        // The key is gone until a good reply: if that gets lost, nobody knows whose turn it is.
        match self.key.take() {
            Some(key) => Exchange::call(target, key, true),
            None => Exchange::hello(target, self),
        }
    }

    /// The key that a hello's reply gives.
    fn open_hello(&self, body: &[u8], nonce: Option<HelloNonce>) -> Result<SessionKey, ReplyError> {
        let (sealed, signature) = body
            .split_at_checked(body.len() / 2)
            .filter(|(sealed, signature)| sealed.len() == signature.len() && !sealed.is_empty())
            .ok_or(ReplyError::Malformed("a hello has two halves"))?;
        let authority = self.identity.authority.certificate();
        let signed = match nonce {
            Some(nonce) => hello_statement(self.identity.prefix, &nonce, sealed),
            None => sealed.to_vec(),
        };
        authority.verify(&signed, signature).map_err(|_| ReplyError::NotTheAuthority)?;
        let key = self.identity.key.decrypt(sealed).map_err(|_| ReplyError::NotTheAuthority)?;
        let key = key.try_into().map_err(|_| ReplyError::Malformed("a key has twenty octets"))?;
        Ok(SessionKey::new(key))
    }
}

impl Exchange {
    fn hello(target: String, client: &mut Client) -> (Self, Request) {
        let nonce = client.random.as_mut().map(Random::octets);
        Self::hello_with(target, client, nonce)
    }

    fn hello_with(target: String, client: &Client, nonce: Option<HelloNonce>) -> (Self, Request) {
        let hello = OpenCall::Hello { prefix: client.identity.prefix, nonce }.target();
        (Self { target, stage: Stage::Hello { nonce } }, Request { target: hello, mac: None })
    }

    fn call(target: String, key: SessionKey, hello_left: bool) -> (Self, Request) {
        let mac = Some(key.request_mac(&target));
        let request = Request { target: target.clone(), mac };
        (Self { target, stage: Stage::Called { key, hello_left } }, request)
    }

    /// Takes the reply to what was sent last.
    pub fn handle(&mut self, client: &mut Client, reply: Reply) -> Result<Progress, ReplyError> {
        match &self.stage {
            Stage::Hello { nonce } => {
                let nonce = *nonce;
                match reply.status {
                    200 => {}
                    // Upstream's registry knows no such argument.
                    400 if nonce.is_some() && !client.is_native => {
                        let plain = Self::hello_with(self.target.clone(), client, None);
                        return Ok(self.go_on(plain));
                    }
                    404 => return Err(ReplyError::Unknown),
                    status => return Err(ReplyError::Status(status)),
                }
                let key = client.open_hello(&reply.body, nonce)?;
                client.is_native |= nonce.is_some();
                Ok(self.go_on(Self::call(self.target.clone(), key, false)))
            }
            // It was restarted, or dropped us: say hello once.
            Stage::Called { hello_left: true, .. } if reply.status == 401 => {
                Ok(self.go_on(Self::hello(self.target.clone(), client)))
            }
            Stage::Called { key, .. } => {
                if !matches!(reply.status, 200 | 204) {
                    return Err(ReplyError::Status(reply.status));
                }
                let mac = reply.mac.as_deref().unwrap_or_default();
                if !key.accepts_reply(&reply.body, mac) {
                    return Err(ReplyError::NotAuthentic);
                }
                client.key = Some(key.next());
                Ok(Progress::Done(reply.body))
            }
        }
    }

    fn go_on(&mut self, (next, request): (Self, Request)) -> Progress {
        *self = next;
        Progress::Send(request)
    }
}
