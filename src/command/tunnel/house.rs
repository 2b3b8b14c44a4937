//! What all clients of one listener share: who is in, and who may come in.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::command::tunnel::interface::name_for;
use crate::command::tunnel::peer::order::PeerOrder;
use crate::proto::half_open::{HalfOpen, Verdict};
use crate::proto::limits::{
    TUNNEL_FAILURES_LOGGED, TUNNEL_HALF_OPEN, TUNNEL_HANDSHAKES, TUNNEL_HANDSHAKES_PER_SOURCE,
    TUNNEL_SOURCES,
};
use crate::proto::rate_limit::{Bucket, SourceLimit, source};
use crate::proto::time::Instant;
use crate::proto::tunnel::tls::PeerName;

/// Who is in, and who may come in.
#[derive(Debug)]
pub struct House {
    state: Mutex<State>,
    interface_prefix: String,
}

/// A client on its way in, or in.
#[derive(Debug)]
pub struct Guest {
    house: Arc<House>,
    /// The number of its data packets.
    pub peer_id: u32,
    name: Option<String>,
}

#[derive(Debug)]
struct State {
    clients: HashMap<String, Client>,
    /// Who was admitted and is not in yet, by the number of the guest.
    arriving: HashMap<u32, (String, Client)>,
    clients_max: usize,
    revoked: BTreeSet<u64>,
    last_peer_id: u32,
    guests: HashMap<u32, mpsc::UnboundedSender<PeerOrder>>,
    half_open: HalfOpen,
    /// Handshakes begun, by source and in all.
    begun_by: SourceLimit,
    begun: Bucket,
    /// Failed handshakes that are logged.
    logged: Bucket,
}

#[derive(Debug)]
struct Client {
    peer_id: u32,
    serial: Option<u64>,
    interface: String,
}

/// How long a client waits for its own earlier tunnel to be gone.
const EARLIER_TUNNEL: Duration = Duration::from_secs(5);

/// The number of a client has 24 bits.
const PEER_IDS: u32 = 1 << 24;

impl House {
    /// An empty one.
    pub fn new(clients_max: usize, interface_prefix: String, revoked: BTreeSet<u64>) -> Arc<Self> {
        let state = State {
            clients: HashMap::new(),
            arriving: HashMap::new(),
            clients_max,
            revoked,
            last_peer_id: 0,
            guests: HashMap::new(),
            half_open: HalfOpen::new(TUNNEL_HALF_OPEN),
            begun_by: SourceLimit::new(TUNNEL_HANDSHAKES_PER_SOURCE, TUNNEL_SOURCES),
            begun: Bucket::default(),
            logged: Bucket::default(),
        };
        Arc::new(Self { state: Mutex::new(state), interface_prefix })
    }

    /// Reserves a place for a new handshake, subject to the rates and to the number under way, in all and
    /// from its source. Orders for it come by the channel.
    pub fn invite(
        self: &Arc<Self>,
        from: IpAddr,
        now: Instant,
    ) -> Option<(Guest, mpsc::UnboundedReceiver<PeerOrder>)> {
        let mut state = self.state();
        if !state.begun_by.take(source(from), now) || !state.begun.take(TUNNEL_HANDSHAKES, now) {
            return None;
        }
        let peer_id = state.free_peer_id();
        match state.half_open.begin(peer_id, from, now) {
            Verdict::Begin => {}
            Verdict::Replace(replaced) => {
                if let Some(orders) = state.guests.get(&replaced) {
                    let _ = orders.send(PeerOrder::Drop("a new handshake took its place"));
                }
            }
            Verdict::Refuse => return None,
        }
        let (orders, received) = mpsc::unbounded_channel();
        state.guests.insert(peer_id, orders);
        let house = Arc::clone(self);
        Some((Guest { house, peer_id, name: None }, received))
    }

    /// Closes the tunnel of one interface.
    pub fn close_client(&self, interface: &str) {
        let state = self.state();
        let client = state.clients.values().find(|client| client.interface == interface);
        if let Some(orders) = client.and_then(|client| state.guests.get(&client.peer_id)) {
            let _ = orders.send(PeerOrder::Close);
        }
    }

    /// Has everyone show its certificate again.
    pub fn renew_keys(&self) {
        for guest in self.state().guests.values() {
            let _ = guest.send(PeerOrder::RenewKeys);
        }
    }

    /// Believes these no longer.
    pub fn set_revoked(&self, revoked: BTreeSet<u64>) {
        let mut state = self.state();
        state.revoked = revoked;
        for client in state.clients.values() {
            let is_revoked = client.serial.is_some_and(|serial| state.revoked.contains(&serial));
            if let Some(orders) = state.guests.get(&client.peer_id).filter(|_| is_revoked) {
                let _ = orders.send(PeerOrder::Drop("the client's certificate was revoked"));
            }
        }
    }

    /// Lets in so many from now on; who is in stays.
    pub fn set_clients_max(&self, clients_max: usize) {
        self.state().clients_max = clients_max;
    }

    /// Closes all tunnels; how to hear of the end of each.
    pub fn close_clients(&self) -> Vec<mpsc::UnboundedSender<PeerOrder>> {
        let guests: Vec<_> = self.state().guests.values().cloned().collect();
        for guest in &guests {
            let _ = guest.send(PeerOrder::Close);
        }
        guests
    }

    /// Closes all tunnels and waits until they are.
    pub async fn close(&self) {
        for guest in self.close_clients() {
            let _ = tokio::time::timeout(EARLIER_TUNNEL, guest.closed()).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a client may come; who is here already takes its own place.
    fn has_room_for(&self, name: &str) -> bool {
        let mut names: BTreeSet<&str> = self.clients.keys().map(String::as_str).collect();
        names.extend(self.arriving.values().map(|(name, _)| name.as_str()));
        names.contains(name) || names.len() < self.clients_max
    }

    fn free_peer_id(&mut self) -> u32 {
        loop {
            self.last_peer_id = (self.last_peer_id + 1) % PEER_IDS;
            if !self.guests.contains_key(&self.last_peer_id) {
                return self.last_peer_id;
            }
        }
    }
}

impl Guest {
    /// Decides on the client that proved to be `name`; gives the name that its interface will have, or
    /// what it is told. Its own earlier tunnel is left alone until [`Self::move_in`].
    pub fn admit(&mut self, name: &PeerName) -> Result<String, &'static str> {
        let interface = name_for(&self.house.interface_prefix, &name.common_name);
        let mut state = self.house.state();
        if name.serial.is_some_and(|serial| state.revoked.contains(&serial)) {
            return Err("your certificate was revoked");
        }
        if !state.has_room_for(&name.common_name) {
            return Err("there are as many clients as are allowed");
        }
        let (peer_id, serial) = (self.peer_id, name.serial);
        let client = Client { peer_id, serial, interface: interface.clone() };
        state.arriving.insert(peer_id, (name.common_name.clone(), client));
        Ok(interface)
    }

    /// Lets the admitted client in, once its own earlier tunnel is gone: the new one has come to
    /// something.
    pub async fn move_in(&mut self) {
        let earlier = {
            let mut state = self.house.state();
            let Some((name, client)) = state.arriving.remove(&self.peer_id) else { return };
            let earlier = state.clients.insert(name.clone(), client);
            self.name = Some(name);
            earlier.and_then(|earlier| state.guests.get(&earlier.peer_id).cloned())
        };
        if let Some(earlier) = earlier {
            let _ = earlier.send(PeerOrder::Drop("the client connected anew"));
            let _ = tokio::time::timeout(EARLIER_TUNNEL, earlier.closed()).await;
        }
    }

    /// Whether a failed handshake is to be logged: a stranger can make as many as the rates allow.
    pub fn may_log(&self, now: Instant) -> bool {
        self.house.state().logged.take(TUNNEL_FAILURES_LOGGED, now)
    }

    /// The handshake has come further: it keeps its place for a while.
    pub fn handshake_progressed(&mut self, now: Instant) {
        self.house.state().half_open.progress(self.peer_id, now);
    }

    /// Makes room for another handshake.
    pub fn handshake_is_over(&mut self) {
        self.house.state().half_open.end(self.peer_id);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut state = self.house.state();
        state.guests.remove(&self.peer_id);
        state.half_open.end(self.peer_id);
        state.arriving.remove(&self.peer_id);
        if let Some(name) = &self.name
            && state.clients.get(name).is_some_and(|client| client.peer_id == self.peer_id)
        {
            state.clients.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Arc<House> {
        House::new(20, "re6st-".to_owned(), BTreeSet::new())
    }

    fn at(milliseconds: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(milliseconds)
    }

    #[test]
    fn source_that_begins_too_many_handshakes_waits_alone() {
        let table = table();
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let begins = |from, now| table.invite(from, now).is_some();
        for _ in 0..TUNNEL_HANDSHAKES_PER_SOURCE.burst {
            assert!(begins(one, at(0)));
        }
        assert!(!begins(one, at(0)));
        assert!(begins(other, at(0)));
        assert!(begins(one, at(10_000)));
    }

    #[test]
    fn stalled_handshake_is_dropped_for_a_new_one() {
        let table = table();
        let mut pending = Vec::new();
        for number in 0..TUNNEL_HALF_OPEN.per_source {
            pending.push(table.invite([192, 0, 2, 1].into(), at(number as u64)).unwrap());
        }
        let (first, orders) = &mut pending[0];
        first.handshake_progressed(at(2_000));
        assert!(orders.try_recv().is_err());
        let newcomer = table.invite([192, 0, 2, 1].into(), at(2_000)).unwrap();
        assert!(pending[0].1.try_recv().is_err());
        let order = pending[1].1.try_recv();
        assert_eq!(order, Ok(PeerOrder::Drop("a new handshake took its place")));
        drop(newcomer);
        assert!(table.invite([192, 0, 2, 1].into(), at(2_000)).is_some());
        assert!(pending[2].1.try_recv().is_err(), "there was room");
    }

    #[test]
    fn handshakes_from_all_sources_are_limited_in_rate() {
        let table = table();
        let from = |number: u32| IpAddr::from((0x0a00_0000 + number).to_be_bytes());
        let begun =
            (0..1_000).filter(|&number| table.invite(from(number), at(0)).is_some()).count();
        assert_eq!(begun, TUNNEL_HANDSHAKES.burst as usize);
        assert!(table.invite(from(2_000), at(1_000)).is_some());
    }
}
