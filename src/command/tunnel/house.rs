//! What all clients of one listener share: who is in, and who may come in.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::command::tunnel::interface::name_for;
use crate::command::tunnel::peer::order::PeerOrder;
use crate::proto::limits::{TUNNEL_HALF_OPEN, TUNNEL_HANDSHAKES_PER_SOURCE, TUNNEL_SOURCES};
use crate::proto::time::Instant;
use crate::proto::tunnel::tls::PeerName;

/// Who is in, and who may come in.
#[derive(Debug)]
pub struct House {
    state: Mutex<State>,
    half_open: Arc<Semaphore>,
    interface_prefix: String,
}

/// A client on its way in, or in.
#[derive(Debug)]
pub struct Guest {
    house: Arc<House>,
    /// The number of its data packets.
    pub peer_id: u32,
    half_open: Option<OwnedSemaphorePermit>,
    name: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    clients: HashMap<String, Client>,
    /// Who was admitted and is not in yet, by the number of the guest.
    arriving: HashMap<u32, (String, Client)>,
    clients_max: usize,
    revoked: BTreeSet<u64>,
    last_peer_id: u32,
    guests: HashMap<u32, mpsc::UnboundedSender<PeerOrder>>,
    sources: Sources,
}

/// How many handshakes each address began lately; with IPv6, each network of 64 bits, which is a host's.
#[derive(Debug, Default)]
struct Sources {
    counts: HashMap<IpAddr, u32>,
    since: Instant,
}

#[derive(Debug)]
struct Client {
    peer_id: u32,
    serial: Option<u64>,
    interface: String,
}

/// How long a client waits for its own earlier tunnel to be gone.
const EARLIER_TUNNEL: Duration = Duration::from_secs(5);

/// After so long, handshakes are counted anew.
const SOURCES_PERIOD: Duration = Duration::from_secs(10);

/// The number of a client has 24 bits.
const PEER_IDS: u32 = 1 << 24;

impl House {
    /// An empty one.
    pub fn new(clients_max: usize, interface_prefix: String, revoked: BTreeSet<u64>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { revoked, clients_max, ..State::default() }),
            half_open: Arc::new(Semaphore::new(TUNNEL_HALF_OPEN)),
            interface_prefix,
        })
    }

    /// Lets a stranger begin a handshake, if there are not too many who do, in all or from there; it
    /// takes orders by the channel.
    pub fn invite(
        self: &Arc<Self>,
        from: IpAddr,
        now: Instant,
    ) -> Option<(Guest, mpsc::UnboundedReceiver<PeerOrder>)> {
        let mut state = self.state();
        if !state.sources.accept(from, now) {
            return None;
        }
        let half_open = Some(Arc::clone(&self.half_open).try_acquire_owned().ok()?);
        let (orders, received) = mpsc::unbounded_channel();
        let peer_id = state.free_peer_id();
        state.guests.insert(peer_id, orders);
        let house = Arc::clone(self);
        Some((Guest { house, peer_id, half_open, name: None }, received))
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

impl Sources {
    fn accept(&mut self, from: IpAddr, now: Instant) -> bool {
        if now - self.since >= SOURCES_PERIOD || self.counts.len() >= TUNNEL_SOURCES {
            self.counts.clear();
            self.since = now;
        }
        let count = self.counts.entry(source(from)).or_default();
        *count += 1;
        *count <= TUNNEL_HANDSHAKES_PER_SOURCE
    }
}

/// Whose address it is: somebody with IPv6 has 2⁶⁴ of them.
fn source(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
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

    /// Makes room for another handshake.
    pub fn handshake_is_over(&mut self) {
        self.half_open = None;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut state = self.house.state();
        state.guests.remove(&self.peer_id);
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

    #[test]
    fn who_begins_too_many_handshakes_waits_and_nobody_else_does() {
        let house = House::new(20, "re6st-".to_owned(), BTreeSet::new());
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let let_in = |from, at| house.invite(from, Instant::ZERO + at).is_some();
        for _ in 0..TUNNEL_HANDSHAKES_PER_SOURCE {
            assert!(let_in(one, Duration::ZERO));
        }
        let late = SOURCES_PERIOD - Duration::from_millis(1);
        assert!(!let_in(one, Duration::ZERO) && !let_in(one, late));
        assert!(let_in(other, late));
        assert!(let_in(one, SOURCES_PERIOD));
    }

    #[test]
    fn who_has_many_addresses_has_no_more_handshakes_for_it() {
        let house = House::new(20, "re6st-".to_owned(), BTreeSet::new());
        let let_in = |from: &str| house.invite(from.parse().unwrap(), Instant::ZERO).is_some();
        for number in 0..TUNNEL_HANDSHAKES_PER_SOURCE {
            assert!(let_in(&format!("2001:db8::{number}:1")));
        }
        assert!(!let_in("2001:db8::ffff:1:1"));
        assert!(let_in("2001:db8:0:1::1"));
        assert!(let_in("::ffff:192.0.2.1"));
        assert!(let_in("::ffff:192.0.2.2"));
    }

    #[test]
    fn only_so_many_are_half_open_from_everywhere() {
        let house = House::new(20, "re6st-".to_owned(), BTreeSet::new());
        let from = |number: usize| IpAddr::from((number as u32).to_be_bytes());
        let invite = |number| house.invite(from(number), Instant::ZERO);
        let mut guests: Vec<_> = (0..TUNNEL_HALF_OPEN).map(|at| invite(at).unwrap()).collect();
        assert!(invite(TUNNEL_HALF_OPEN).is_none());
        guests[0].0.handshake_is_over();
        assert!(invite(TUNNEL_HALF_OPEN).is_some());
        guests.pop();
        assert!(invite(TUNNEL_HALF_OPEN).is_some());
    }
}
