//! What the rest of the process asks of its router, and why it may not be done.

use std::net::Ipv6Addr;

use tokio::sync::oneshot;

use crate::os::route_owner::ClaimError;
use crate::proto::babel::dump::Dump;
use crate::proto::babel::event::LinkQuality;
use crate::proto::babel::filter::Filters;
use crate::proto::babel::mac::{BadSignatures, Keys};
use crate::proto::babel::settings::{Announcement, Behaviour, CostMultiplier, InterfaceSettings};

/// Why a router did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BabelError {
    /// It ended: a notice said why.
    #[error("the Babel router has stopped")]
    Stopped,
    /// It could not open what it needs.
    #[error("cannot {attempt}: {cause}")]
    Open {
        /// What was attempted.
        attempt: String,
        /// The system's reason.
        #[source]
        cause: std::io::Error,
    },
    /// Another router lives that has the same routes.
    #[error("{0}: stop it first, or give this router a table of its own")]
    Claim(#[from] ClaimError),
    /// No neighbour has that address on that interface.
    #[error("no neighbour {address} on {interface}")]
    NoNeighbour {
        /// The interface asked for.
        interface: String,
        /// The address asked for.
        address: Ipv6Addr,
    },
}

/// What a handle asks of its router.
#[derive(Debug)]
pub enum Request {
    /// Run on this interface, as soon as it is up and has a link-local address.
    AddInterface(String, Behaviour, Answer<()>),
    /// Forget this interface with its neighbours and routes.
    RemoveInterface(String, Answer<()>),
    /// Multiply what it costs to reach this neighbour.
    SetCostMultiplier(String, Ipv6Addr, CostMultiplier, Answer<()>),
    /// What the owner of this interface measured of its loss.
    ReportQuality(String, LinkQuality, Answer<()>),
    /// Sign and check with these from now on.
    SetKeys(Option<Keys>, Answer<()>),
    /// Do this with packets that no key signed from now on.
    SetBadSignatures(BadSignatures, Answer<()>),
    /// Learn and announce by these from now on.
    SetFilters(Filters, Answer<()>),
    /// Use these on every interface from now on.
    SetDefaults(InterfaceSettings, Answer<()>),
    /// Originate exactly these.
    SetAnnounced(Vec<Announcement>, Answer<()>),
    /// Tell what is known.
    Dump(Answer<Dump>),
    /// Retract everything, remove every route, end.
    Stop(Answer<()>),
}

/// Where an answer goes.
pub type Answer<T> = oneshot::Sender<Result<T, BabelError>>;
