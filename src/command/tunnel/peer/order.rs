//! What the owner of a tunnel can want of it.

/// One order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeerOrder {
    /// Tell the peer, and end.
    Close,
    /// Renew the keys, for which the peer shows its certificate.
    RenewKeys,
    /// End without a word: the peer is no longer to be believed, or has come back anew.
    Drop(&'static str),
}
