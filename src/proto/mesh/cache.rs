//! Peers that were heard of, where they are reached, and which of them did not answer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::proto::endpoint::Endpoint;
use crate::proto::limits;
use crate::proto::mesh::address::Addresses;
use crate::proto::prefix::Prefix;
use crate::proto::time::Instant;

/// What is known of peers that may be needed again.
#[derive(Debug, Default)]
pub struct Cache {
    peers: BTreeMap<Prefix, Entry>,
    /// Counts what was learnt, so that the oldest is known.
    learnt: u64,
}

#[derive(Debug)]
struct Entry {
    addresses: Addresses,
    worked: Option<Endpoint>,
    learnt: u64,
    failures: u32,
    /// No attempt before.
    rests_until: Instant,
}

/// A change that a restart should know of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// These are a peer's addresses now.
    Learnt(Prefix, Addresses),
    /// A peer had to make room.
    Forgotten(Prefix),
}

impl Cache {
    /// What an earlier process knew.
    pub fn new(peers: impl IntoIterator<Item = (Prefix, Addresses)>) -> Self {
        let mut cache = Self::default();
        for (prefix, addresses) in peers {
            let first = addresses.iter().next().map(|address| address.endpoint);
            cache.learn(prefix, addresses, &mut Vec::new());
            if let Some(entry) = cache.peers.get_mut(&prefix) {
                entry.worked = first;
            }
        }
        cache
    }

    /// Where a peer is reached, as far as known.
    pub fn addresses(&self, prefix: Prefix) -> Option<&Addresses> {
        self.peers.get(&prefix).map(|entry| &entry.addresses)
    }

    /// Where the last tunnel to a peer came up; of what an earlier process knew, the first.
    pub fn worked_last(&self, prefix: Prefix) -> Option<Endpoint> {
        self.peers.get(&prefix)?.worked
    }

    /// Every peer whose addresses are known.
    pub fn peers(&self) -> impl Iterator<Item = Prefix> {
        self.peers.iter().filter(|(_, entry)| !entry.addresses.is_empty()).map(|(&p, _)| p)
    }

    /// Takes what a peer, or the registry, says of a peer's addresses.
    pub fn learn(&mut self, prefix: Prefix, mut addresses: Addresses, changes: &mut Vec<Change>) {
        self.learnt += 1;
        let learnt = self.learnt;
        if let Some(entry) = self.peers.get_mut(&prefix) {
            entry.learnt = learnt;
            if let Some(worked) = entry.worked {
                addresses.prefer(worked);
            }
            if entry.addresses == addresses {
                return;
            }
            entry.addresses = addresses.clone();
            entry.failures = 0;
            entry.rests_until = Instant::ZERO;
        } else {
            self.make_room(changes);
            let rests_until = Instant::ZERO;
            let addresses = addresses.clone();
            let entry = Entry { addresses, worked: None, learnt, failures: 0, rests_until };
            self.peers.insert(prefix, entry);
        }
        changes.push(Change::Learnt(prefix, addresses));
    }

    /// A tunnel to this place came up.
    pub fn worked(&mut self, prefix: Prefix, endpoint: Endpoint, changes: &mut Vec<Change>) {
        let Some(entry) = self.peers.get_mut(&prefix) else { return };
        entry.failures = 0;
        entry.rests_until = Instant::ZERO;
        entry.worked = Some(endpoint);
        let before = entry.addresses.clone();
        entry.addresses.prefer(endpoint);
        if entry.addresses != before {
            changes.push(Change::Learnt(prefix, entry.addresses.clone()));
        }
    }

    /// A peer did not answer, nowhere: it rests, twice as long each time.
    pub fn failed(&mut self, prefix: Prefix, now: Instant, changes: &mut Vec<Change>) {
        if !self.peers.contains_key(&prefix) {
            self.learn(prefix, Addresses::default(), &mut Vec::new());
            self.make_room(changes);
        }
        let Some(entry) = self.peers.get_mut(&prefix) else { return };
        entry.rests_until = now + (REST * (1 << entry.failures.min(10))).min(REST_MAX);
        entry.failures += 1;
    }

    /// Whether a peer did not answer and should be left alone for now.
    pub fn is_resting(&self, prefix: Prefix, now: Instant) -> bool {
        self.peers.get(&prefix).is_some_and(|entry| entry.failures > 0 && now < entry.rests_until)
    }

    /// Whether the last attempt failed: what is known of its addresses may be of yesterday.
    pub fn has_failed(&self, prefix: Prefix) -> bool {
        self.peers.get(&prefix).is_some_and(|entry| entry.failures > 0)
    }

    /// When a peer that is resting may be tried where nothing else is left; `None` if it is not.
    pub fn last_resort(&self, prefix: Prefix) -> Option<Instant> {
        let entry = self.peers.get(&prefix).filter(|entry| entry.failures > 0)?;
        let rest = (REST * (1 << (entry.failures - 1).min(10))).min(REST_MAX);
        let tried = entry.rests_until.since_start().saturating_sub(rest);
        Some(Instant::ZERO + tried + REST)
    }

    fn make_room(&mut self, changes: &mut Vec<Change>) {
        if self.peers.len() < limits::MESH_CACHE_PEERS_MAX {
            return;
        }
        let worst = self.peers.iter().min_by_key(|(_, entry)| (entry.failures == 0, entry.learnt));
        if let Some(worst) = worst.map(|(&prefix, _)| prefix) {
            self.peers.remove(&worst);
            changes.push(Change::Forgotten(worst));
        }
    }
}

/// How long a peer rests after it did not answer for the first time.
const REST: Duration = Duration::from_secs(5);
/// How long it rests at most.
const REST_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(value: u128) -> Prefix {
        Prefix::new(value, 16).unwrap()
    }

    fn list(text: &str) -> Addresses {
        Addresses::parse(text)
    }

    #[test]
    fn a_peer_that_does_not_answer_rests_longer_each_time() {
        let mut cache = Cache::new([(prefix(1), list("10.0.0.1,1,udp"))]);
        let mut now = Instant::ZERO;
        let mut rests = Vec::new();
        for _ in 0..9 {
            cache.failed(prefix(1), now, &mut Vec::new());
            let began = now;
            while cache.is_resting(prefix(1), now) {
                now += Duration::from_secs(1);
            }
            rests.push(now.since(began).as_secs());
        }
        assert_eq!(rests, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
        cache.worked(prefix(1), "10.0.0.1,1,udp".parse().unwrap(), &mut Vec::new());
        assert!(!cache.is_resting(prefix(1), now));
    }

    #[test]
    fn new_addresses_end_a_rest() {
        let mut cache = Cache::new([(prefix(1), list("10.0.0.1,1,udp"))]);
        cache.failed(prefix(1), Instant::ZERO, &mut Vec::new());
        cache.learn(prefix(1), list("10.0.0.1,1,udp"), &mut Vec::new());
        assert!(cache.is_resting(prefix(1), Instant::ZERO));
        cache.learn(prefix(1), list("10.0.0.2,1,udp"), &mut Vec::new());
        assert!(!cache.is_resting(prefix(1), Instant::ZERO));
    }

    #[test]
    fn what_worked_is_remembered_first_and_told_once() {
        let mut cache = Cache::new([(prefix(1), list("10.0.0.1,1,udp;10.0.0.1,1,tcp"))]);
        let mut changes = Vec::new();
        let tcp = "10.0.0.1,1,tcp".parse().unwrap();
        cache.worked(prefix(1), tcp, &mut changes);
        cache.worked(prefix(1), tcp, &mut changes);
        cache.learn(prefix(1), list("10.0.0.1,1,udp;10.0.0.1,1,tcp"), &mut changes);
        let expected = list("10.0.0.1,1,tcp;10.0.0.1,1,udp");
        assert_eq!(changes, [Change::Learnt(prefix(1), expected)]);
    }

    #[test]
    fn a_full_cache_forgets_who_did_not_answer_then_the_oldest() {
        let max = limits::MESH_CACHE_PEERS_MAX as u128;
        let mut cache = Cache::new((0..max).map(|p| (prefix(p), list("10.0.0.1,1,udp"))));
        cache.failed(prefix(7), Instant::ZERO, &mut Vec::new());
        let mut changes = Vec::new();
        cache.learn(prefix(max), list("10.0.0.1,1,udp"), &mut changes);
        cache.learn(prefix(max + 1), list("10.0.0.1,1,udp"), &mut changes);
        assert_eq!(changes[0], Change::Forgotten(prefix(7)));
        assert_eq!(changes[2], Change::Forgotten(prefix(0)));
        assert_eq!(cache.peers().count(), limits::MESH_CACHE_PEERS_MAX);
    }
}
