//! Tunnels that come: to whom they are opened, and by which address.

use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::mesh::address::Addresses;
use crate::proto::mesh::choice;
use crate::proto::mesh::message::Code;
use crate::proto::mesh::tunnels::{Decision, FIRST_SERVED_LINK, Role, Tunnel, Tunnels};
use crate::proto::prefix::Prefix;
use crate::proto::time::Instant;

impl Tunnels {
    /// Opens tunnels to random nodes of the network that are not neighbours.
    pub(super) fn open_to_distant(&mut self, now: Instant, out: &mut Vec<Decision>) {
        let distant = self.routes.keys().copied().filter(|&peer| {
            self.is_distant(peer)
                && !self.cache.is_resting(peer, now)
                && !self.asked.contains_key(&peer)
        });
        let distant: Vec<Prefix> = distant.collect();
        let mut left = self.wanted().saturating_sub(self.asked.len());
        for peer in choice::in_order(distant, &self.settings.preferred, &mut self.random) {
            if left == 0 {
                break;
            }
            let unknown = self.cache.addresses(peer).is_none_or(Addresses::is_empty);
            if !unknown && !self.cache.has_failed(peer) {
                left -= usize::from(self.connect(peer, now, out));
            } else {
                self.asked.insert(peer, now);
                out.push(Decision::Say { peer, code: Code::Addresses });
                left -= 1;
            }
        }
    }

    /// Opens tunnels to peers of earlier times, and asks the registry for one.
    pub(super) fn open_to_known(&mut self, now: Instant, out: &mut Vec<Decision>) {
        let known = |tunnels: &Self, peer: Prefix| {
            peer != tunnels.own && !tunnels.has_tunnel(peer) && !tunnels.is_routed(peer)
        };
        let rested = self.cache.peers().filter(|&peer| !self.cache.is_resting(peer, now));
        let rested: Vec<Prefix> = rested.filter(|&peer| known(self, peer)).collect();
        for peer in choice::in_order(rested, &self.settings.preferred, &mut self.random) {
            if self.wanted() == 0 {
                break;
            }
            self.connect(peer, now, out);
        }
        let opening = self.tunnels.values().any(|tunnel| tunnel.up_since.is_none());
        if self.bootstrap.should_ask(opening, now) {
            out.push(Decision::Bootstrap);
        }
        if opening || !self.bootstrap.has_failed() {
            return;
        }
        let resting = self.cache.peers().filter(|&peer| {
            known(self, peer) && self.cache.last_resort(peer).is_some_and(|at| at <= now)
        });
        let resting: Vec<Prefix> = resting.collect();
        if let Some(&peer) = self.random.choose(&resting) {
            self.connect(peer, now, out);
        }
    }

    /// Opens a tunnel to a peer if an address is known that we may use.
    pub(super) fn connect(&mut self, peer: Prefix, now: Instant, out: &mut Vec<Decision>) -> bool {
        let Some(addresses) = self.cache.addresses(peer) else { return false };
        let worked = self.cache.worked_last(peer);
        let mut usable = self.settings.taste.usable(addresses, worked, &self.own_addresses);
        if self.udp_suspected >= UDP_SUSPICION {
            usable.sort_by_key(|endpoint| endpoint.transport == Transport::Udp);
        }
        if usable.is_empty() {
            if !addresses.is_empty() {
                self.fail(peer, now, out);
            }
            return false;
        }
        let first = usable.remove(0);
        self.connect_to(peer, first, usable, false, out);
        true
    }

    pub(super) fn connect_to(
        &mut self,
        peer: Prefix,
        endpoint: Endpoint,
        alternatives: Vec<Endpoint>,
        udp_failed: bool,
        out: &mut Vec<Decision>,
    ) {
        let link = self.next_link;
        self.next_link = (self.next_link + 1) % FIRST_SERVED_LINK;
        let mut tunnel = Tunnel::new(Role::Client, peer, Some(endpoint), None);
        tunnel.alternatives = alternatives;
        tunnel.udp_failed = udp_failed;
        self.tunnels.insert(link, tunnel);
        out.push(Decision::Connect { link, peer, endpoint });
    }
}

/// From so many peers on to whom only TCP worked, TCP is tried first.
const UDP_SUSPICION: u32 = 2;
