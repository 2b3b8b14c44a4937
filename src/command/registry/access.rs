//! Who may administer the registry: processes on its Unix socket, root and its own user on the loopback
//! interface, and clients at authorized addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::os::http::server::{Peer, Request};
use crate::os::log::NOTABLE;
use crate::os::{socket_owner, user};

use super::refusal::Refusal;
use super::state::Registry;

/// Who may administer, besides root and the registry's own user.
#[derive(Clone, Debug, Default)]
pub struct Administrators {
    /// From where administrators ask, and where proxies are that are trusted.
    pub addresses: Vec<IpAddr>,
    /// Names in a Host header under which administrators ask.
    pub hosts: Vec<String>,
    /// The number of the group whose users may use the Unix socket.
    pub group: Option<u32>,
}

/// An administrator, as the log names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Administrator {
    /// A process on the Unix socket, by its user.
    Socket(u32),
    /// A process of this host over HTTP, by the user who owns its connection.
    Loopback(u32),
    /// A client at an authorized address, over HTTP.
    Address(IpAddr),
    /// A session of the pages, by the start of its ticket's nonce, and where it asks from.
    Page(String, IpAddr),
}

impl fmt::Display for Administrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(uid) => {
                write!(f, "{} (uid {uid}, Unix socket)", socket_owner::name(*uid))
            }
            Self::Loopback(uid) => {
                write!(
                    f,
                    "{} (uid {uid}, HTTP on the loopback interface)",
                    socket_owner::name(*uid)
                )
            }
            Self::Address(address) => write!(f, "{address} (HTTP)"),
            Self::Page(nonce, address) => write!(f, "{address} (page, session {nonce})"),
        }
    }
}

impl Administrators {
    /// Whether a process may use the Unix socket.
    pub fn allow_process(&self, peer: Peer) -> bool {
        let Peer::Unix { uid, gid } = peer else { return false };
        let is_member = |group| gid == group || socket_owner::is_in_group(uid, group);
        is_own(uid) || self.group.is_some_and(is_member)
    }

    /// Whether an address is this host's loopback address, or listed: what a proxy there says of its client
    /// is used.
    fn is_proxy(&self, address: &IpAddr) -> bool {
        is_loopback(address) || self.addresses.contains(address)
    }

    /// The client that a request is for, past the proxies.
    pub fn client(&self, request: &Request) -> IpAddr {
        request.origin().client(request.source, |address| self.is_proxy(address))
    }

    /// Whether the browser's connection is encrypted, up to us or up to a proxy.
    pub fn is_secure(&self, request: &Request) -> bool {
        request.is_tls || self.is_proxy(&request.source) && request.origin().is_forwarded_over_tls()
    }
}

impl Registry {
    /// The administrator who makes a request; `None` if it is none.
    pub(super) async fn administrator(
        self: &Arc<Self>,
        request: &Request,
    ) -> Option<Administrator> {
        let administrators = &self.policy.administrators;
        let (client, server) = match request.peer {
            Peer::Unix { uid, .. } => return Some(Administrator::Socket(uid)),
            Peer::Tcp { client, server } => (client, server),
        };
        // A proxy's client at the loopback address may be any local user: it counts only if listed.
        let is_listed = |address: &IpAddr| administrators.addresses.contains(address);
        if !request.origin().is_forwarded_for(is_listed) {
            return None;
        }
        if is_listed(&request.source) {
            return Some(Administrator::Address(administrators.client(request)));
        }
        if !is_loopback(&request.source) {
            return None;
        }
        let uid = self.blocking(move |_| Ok(owner(client, server))).await.ok()??;
        is_own(uid).then_some(Administrator::Loopback(uid))
    }

    /// Refuses requests of others, and those that another site's page makes a browser send.
    pub(super) async fn require_administrator(
        self: &Arc<Self>,
        request: &Request,
    ) -> Result<Administrator, Refusal> {
        let administrator = self.administrator(request).await.ok_or(Refusal::Forbidden(
            "only root and the registry's user administer it, on its host; others use its socket or an \
             address listed with --authorized-origin",
        ))?;
        if !matches!(administrator, Administrator::Socket(_)) {
            let checked = request.origin().check_browser(&self.policy.administrators.hosts);
            checked.map_err(Refusal::Browser)?;
        }
        Ok(administrator)
    }
}

/// Logs what an administrator did.
pub(super) fn record(administrator: &Administrator, act: fmt::Arguments<'_>) {
    tracing::info!(target: NOTABLE, "{administrator}: {act}");
}

/// The start of a token, for the log: the whole of it is a secret.
pub(super) fn abbreviated(token: &str) -> String {
    token.chars().take(3).chain(['…']).collect()
}

fn owner(client: SocketAddr, server: SocketAddr) -> Option<u32> {
    let found = socket_owner::of_tcp_client(client, server);
    found.unwrap_or_else(|error| {
        tracing::warn!("cannot find the owner of the connection from {client}: {error}");
        None
    })
}

fn is_own(uid: u32) -> bool {
    uid == 0 || uid == user::own_uid()
}

fn is_loopback(address: &IpAddr) -> bool {
    *address == Ipv4Addr::LOCALHOST || *address == Ipv6Addr::LOCALHOST
}
