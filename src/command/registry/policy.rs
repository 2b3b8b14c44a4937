//! What the operator of a registry decided.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::os::countries::Countries;
use crate::os::smtp;
use crate::proto::registry::community::Communities;
use crate::proto::registry::configuration::Settings;

use super::access::Administrators;

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
    /// Whether only native nodes are served, whose hellos are signed as such.
    pub native_only: bool,
    /// How long after its end a certificate can be renewed, and a token used.
    pub grace: Duration,
    /// Where mails go; `None` if there are none.
    pub mailbox: Option<Mailbox>,
    /// Diffie-Hellman parameters, PEM.
    pub dh: Vec<u8>,
    /// Which part of the network applicants get their prefixes from.
    pub communities: Communities,
    /// Which users, addresses and hosts may administer the registry.
    pub administrators: Administrators,
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
