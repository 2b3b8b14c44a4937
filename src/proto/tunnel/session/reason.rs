//! Why tunnels end.

use std::time::Duration;

use crate::proto::tunnel::agreement::Disagreement;
use crate::proto::tunnel::negotiation::NegotiationError;
use crate::proto::tunnel::settings::UnknownPush;

/// Why a tunnel is over.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// Nobody answered.
    #[error("no answer within {} s", .0.as_secs())]
    Unanswered(Duration),
    /// Somebody answered, but not to the end.
    #[error("the handshake did not come to its end within {} s", .0.as_secs())]
    Handshake(Duration),
    /// The negotiation failed.
    #[error("{0}")]
    Negotiation(#[from] NegotiationError),
    /// The server does not want us, and says why.
    #[error("the server refused us: {0}")]
    Refused(String),
    /// The server does not want us, and does not say why.
    #[error("the server refused us without a reason")]
    RefusedSilently,
    /// The client is not wanted.
    #[error("the client was refused: {0}")]
    NotAdmitted(&'static str),
    /// No frame would get through.
    #[error("{0}")]
    Disagreement(#[from] Disagreement),
    /// The server wants a cipher that is not spoken here.
    #[error("{0}")]
    UnknownPush(#[from] UnknownPush),
    /// The peer fell silent.
    #[error("nothing heard for {} s", .0.as_secs())]
    Silence(Duration),
    /// The peer left.
    #[error("the peer left")]
    PeerExit,
    /// The server wants us to connect anew.
    #[error("the server restarts")]
    Restart,
    /// We left.
    #[error("closed")]
    Closed,
}
