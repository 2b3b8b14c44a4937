//! Which address others see this node at: what one server says is a claim, and what two say is believed.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::proto::limits::MESH_OBSERVERS_MAX;
use crate::proto::prefix::Prefix;

/// The last address that each of some peers saw.
#[derive(Clone, Debug, Default)]
pub struct ObservedAddresses {
    /// The oldest first; one of each peer.
    claims: VecDeque<(Prefix, IpAddr)>,
}

impl ObservedAddresses {
    /// Takes what a peer saw; whether another peer has seen the same. Of too many claims the oldest is
    /// forgotten.
    pub fn observe(&mut self, peer: Prefix, address: IpAddr) -> bool {
        self.claims.retain(|(other, _)| *other != peer);
        let is_confirmed = self.claims.iter().any(|(_, seen)| *seen == address);
        if self.claims.len() >= MESH_OBSERVERS_MAX {
            self.claims.pop_front();
        }
        self.claims.push_back((peer, address));
        is_confirmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u128) -> Prefix {
        Prefix::new(number, 16).unwrap()
    }

    #[test]
    fn address_is_believed_when_two_peers_saw_it() {
        let mut observed = ObservedAddresses::default();
        let (one, other): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [198, 51, 100, 1].into());
        assert!(!observed.observe(peer(1), one));
        assert!(!observed.observe(peer(1), one), "the same peer once more");
        assert!(!observed.observe(peer(2), other));
        assert!(observed.observe(peer(3), one));
        // A peer that says something else takes its first word back.
        assert!(!observed.observe(peer(3), [203, 0, 113, 1].into()));
        assert!(!observed.observe(peer(1), [203, 0, 113, 2].into()));
        assert!(!observed.observe(peer(4), one));
    }

    #[test]
    fn claims_are_bounded() {
        let mut observed = ObservedAddresses::default();
        for number in 0..1_000 {
            observed.observe(peer(number), IpAddr::from((number as u32).to_be_bytes()));
        }
        assert_eq!(observed.claims.len(), MESH_OBSERVERS_MAX);
    }
}
