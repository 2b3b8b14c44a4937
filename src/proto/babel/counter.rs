//! Packet counters: an authenticated packet is taken once, and only from a neighbour that just proved
//! that it is there (RFC 8967 §4.2 and §4.3, RFC 9467).

use crate::proto::babel::hello::HelloKind;
use crate::proto::babel::packet::RawTlvs;
use crate::proto::bytes::{Reader, Writer};
use crate::proto::limits;
use crate::proto::random::Random;
use crate::proto::time::Instant;

/// Our own counter on an interface.
#[derive(Clone, Copy, Debug)]
pub struct OwnCounter {
    index: [u8; 8],
    count: u32,
}

impl OwnCounter {
    /// Octets of its TLV.
    pub const OCTETS: usize = 2 + 4 + 8;

    /// With an index that was never used before.
    pub fn new(random: &mut Random) -> Self {
        Self { index: random.octets(), count: 0 }
    }

    /// Appends the next counter to a packet's body.
    pub fn put_next(&mut self, random: &mut Random, body: &mut Vec<u8>) {
        match self.count.checked_add(1) {
            Some(count) => self.count = count,
            None => *self = Self::new(random),
        }
        body.put_u8(COUNTER);
        body.put_u8(4 + 8);
        body.put_u32(self.count);
        body.put(&self.index);
    }
}

/// A neighbour's counter, as far as it is known.
#[derive(Clone, Default, Debug)]
pub struct PeerCounter {
    index: Option<Vec<u8>>,
    /// RFC 9467 §3.1: multicast packets may be held back by the link, unicast ones overtake them.
    multicast: Window,
    unicast: Window,
    challenge: Option<Challenge>,
    replied_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Challenge {
    nonce: [u8; NONCE_OCTETS],
    /// When it was sent first: what answers it was signed after that.
    made: Instant,
    /// When it was sent last.
    sent: Instant,
}

impl Challenge {
    fn is_fresh(&self, now: Instant) -> bool {
        now - self.made < limits::BABEL_CHALLENGE_PATIENCE
    }
}

/// Which of the last 128 counters were taken: packets of one kind overtake each other, too (RFC 9467 §3.2).
#[derive(Clone, Copy, Default, Debug)]
struct Window {
    highest: u32,
    /// Bit n: `highest - n` was taken.
    taken: u128,
}

impl Window {
    /// What was sent before is not taken any more.
    const fn after(count: u32) -> Self {
        Self { highest: count, taken: u128::MAX }
    }

    /// Takes a counter; whether that is the first time.
    fn take(&mut self, count: u32) -> bool {
        if let Some(behind) = self.highest.checked_sub(count) {
            let bit = 1_u128.checked_shl(behind).unwrap_or(0);
            let is_new = bit != 0 && self.taken & bit == 0;
            self.taken |= bit;
            return is_new;
        }
        self.taken = self.taken.checked_shl(count - self.highest).unwrap_or(0) | 1;
        self.highest = count;
        true
    }
}

/// What is to be done with a packet whose signature is good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whether its TLVs are looked at.
    pub accepted: bool,
    /// A nonce to ask the neighbour for.
    pub challenge: Option<[u8; NONCE_OCTETS]>,
    /// A nonce that the neighbour asked for.
    pub reply: Option<Vec<u8>>,
}

impl PeerCounter {
    /// Takes a packet whose signature is good.
    pub fn check(
        &mut self,
        body: &[u8],
        kind: HelloKind,
        now: Instant,
        random: &mut Random,
    ) -> Verdict {
        let found = Found::parse(body);
        // RFC 8967 §4.3.1.2: one that is sent to everyone is nothing.
        let asked = found.challenge_request.filter(|_| kind == HelloKind::Unicast);
        let reply = asked.and_then(|nonce| self.reply(nonce, now));
        let mut verdict = Verdict { accepted: false, challenge: None, reply };
        // RFC 8967 §4.3: no counter, no neighbour.
        let Some((count, index)) = found.counter else { return verdict };
        if found.challenge_reply.is_some_and(|nonce| self.is_answer(nonce, now)) {
            self.challenge = None;
            self.index = Some(index.to_vec());
            (self.multicast, self.unicast) = (Window::after(count), Window::after(count));
            verdict.accepted = true;
        } else if self.index.as_deref() != Some(index) {
            verdict.challenge = self.next_challenge(now, random);
        } else {
            let window = match kind {
                HelloKind::Multicast => &mut self.multicast,
                HelloKind::Unicast => &mut self.unicast,
            };
            verdict.accepted = window.take(count);
        }
        verdict
    }

    /// At most one reply in a while: each may be asked for by somebody who repeats old packets.
    fn reply(&mut self, nonce: &[u8], now: Instant) -> Option<Vec<u8>> {
        let late = self.replied_at.is_none_or(|at| now - at >= limits::BABEL_CHALLENGE_INTERVAL);
        late.then(|| {
            self.replied_at = Some(now);
            nonce.to_vec()
        })
    }

    fn is_answer(&self, nonce: &[u8], now: Instant) -> bool {
        self.challenge.is_some_and(|challenge| challenge.nonce == nonce && challenge.is_fresh(now))
    }

    /// What was asked for lately is asked for again: its answer may be on the way, and would be worthless if
    /// something else was asked for meanwhile.
    fn next_challenge(&mut self, now: Instant, random: &mut Random) -> Option<[u8; NONCE_OCTETS]> {
        let former = self.challenge.filter(|challenge| challenge.is_fresh(now));
        if former.is_some_and(|it| now - it.sent < limits::BABEL_CHALLENGE_INTERVAL) {
            return None;
        }
        let begin = || Challenge { nonce: random.octets(), made: now, sent: now };
        let challenge = Challenge { sent: now, ..former.unwrap_or_else(begin) };
        self.challenge = Some(challenge);
        Some(challenge.nonce)
    }
}

/// What a body says about counters; the first of each kind counts.
#[derive(Default)]
struct Found<'a> {
    counter: Option<(u32, &'a [u8])>,
    challenge_request: Option<&'a [u8]>,
    challenge_reply: Option<&'a [u8]>,
}

impl<'a> Found<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut found = Self::default();
        for (kind, body) in RawTlvs::new(body) {
            match kind {
                COUNTER if found.counter.is_none() => {
                    let mut reader = Reader::new(body);
                    // RFC 8967 §4.3: an index of up to 32 octets.
                    if let (Ok(count), index @ ..=32) = (reader.u32(), reader.left()) {
                        found.counter = Some((count, reader.take(index).unwrap_or(&[])));
                    }
                }
                CHALLENGE_REQUEST if body.len() <= NONCE_OCTETS_MAX => {
                    found.challenge_request = found.challenge_request.or(Some(body));
                }
                CHALLENGE_REPLY => found.challenge_reply = found.challenge_reply.or(Some(body)),
                _ => {}
            }
        }
        found
    }
}

/// The number of the PC TLV.
pub const COUNTER: u8 = 17;
/// The number of the Challenge Request TLV.
pub const CHALLENGE_REQUEST: u8 = 18;
/// The number of the Challenge Reply TLV.
pub const CHALLENGE_REPLY: u8 = 19;

const NONCE_OCTETS: usize = 10;
const NONCE_OCTETS_MAX: usize = 192;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::proto::babel::packet::Packet;
    use crate::proto::babel::vectors;

    #[test]
    fn a_neighbour_is_asked_once_and_then_taken_in_order() {
        let mut random = Random::from_number(1);
        let mut own = OwnCounter::new(&mut random);
        let mut peer = PeerCounter::default();
        let now = Instant::ZERO;
        let mut packet = Vec::new();
        own.put_next(&mut random, &mut packet);
        let first = peer.check(&packet, HelloKind::Multicast, now, &mut random);
        assert!(!first.accepted);
        let nonce = first.challenge.unwrap();
        assert_eq!(peer.check(&packet, HelloKind::Multicast, now, &mut random).challenge, None);

        let mut answer = vec![CHALLENGE_REPLY, 10];
        answer.put(&nonce);
        own.put_next(&mut random, &mut answer);
        assert!(peer.check(&answer, HelloKind::Unicast, now, &mut random).accepted);
        assert!(!peer.check(&answer, HelloKind::Unicast, now, &mut random).accepted, "replayed");
        assert!(!peer.check(&packet, HelloKind::Multicast, now, &mut random).accepted, "older");

        let (mut third, mut fourth) = (Vec::new(), Vec::new());
        own.put_next(&mut random, &mut third);
        own.put_next(&mut random, &mut fourth);
        assert!(peer.check(&fourth, HelloKind::Unicast, now, &mut random).accepted);
        assert!(peer.check(&third, HelloKind::Multicast, now, &mut random).accepted, "overtaken");
    }

    #[test]
    fn each_of_the_recent_counters_is_taken_once_and_no_older_one() {
        let mut window = Window::after(1000);
        for count in [0, 900, 999, 1000] {
            assert!(!window.take(count), "{count} was before the answer");
        }
        assert!(window.take(1130));
        for count in [1129, 1003, 1064] {
            assert!(window.take(count), "{count} was overtaken");
            assert!(!window.take(count), "{count} again");
        }
        assert!(!window.take(1002), "129th of the last");
        assert!(!window.take(1000), "before the answer, still");
        assert!(window.take(u32::MAX) && !window.take(u32::MAX) && !window.take(1130));
        assert!(window.take(u32::MAX - 127) && !window.take(u32::MAX - 128));
    }

    #[test]
    fn an_answer_that_comes_too_late_opens_nothing() {
        let mut random = Random::from_number(1);
        let mut own = OwnCounter::new(&mut random);
        let mut peer = PeerCounter::default();
        let mut packet = Vec::new();
        own.put_next(&mut random, &mut packet);
        let verdict = peer.check(&packet, HelloKind::Unicast, Instant::ZERO, &mut random);
        let mut answer = vec![CHALLENGE_REPLY, 10];
        answer.put(&verdict.challenge.unwrap());
        own.put_next(&mut random, &mut answer);
        let late = Instant::ZERO + limits::BABEL_CHALLENGE_PATIENCE;
        assert!(!peer.check(&answer, HelloKind::Unicast, late, &mut random).accepted);
    }

    #[test]
    fn a_challenge_of_babeld_is_answered_with_its_nonce() {
        let mut random = Random::from_number(1);
        let packets = vectors::packets();
        let (_, challenge) = &packets[2];
        let body = Packet::parse(challenge).unwrap().body;
        let verdict =
            PeerCounter::default().check(body, HelloKind::Unicast, Instant::ZERO, &mut random);
        assert_eq!(verdict.reply.as_deref(), Some(&body[2..10]));
        assert!(verdict.challenge.is_some());
    }

    /// A neighbour, and somebody who has just let it in.
    fn acquainted(random: &mut Random) -> (OwnCounter, PeerCounter) {
        let (mut own, mut peer) = (OwnCounter::new(random), PeerCounter::default());
        let mut body = Vec::new();
        own.put_next(random, &mut body);
        let challenge = peer.check(&body, HelloKind::Unicast, Instant::ZERO, random).challenge;
        let mut answer = [&[CHALLENGE_REPLY, 10], &challenge.unwrap()[..]].concat();
        own.put_next(random, &mut answer);
        assert!(peer.check(&answer, HelloKind::Unicast, Instant::ZERO, random).accepted);
        (own, peer)
    }

    /// RFC 9467 §3.1 and §3.3.
    #[test]
    fn packets_to_everyone_may_be_held_back_for_however_many_to_one() {
        let mut random = Random::from_number(1);
        let (mut own, mut peer) = acquainted(&mut random);
        let mut held_back = Vec::new();
        own.put_next(&mut random, &mut held_back);
        for _ in 0..1000 {
            let mut body = Vec::new();
            own.put_next(&mut random, &mut body);
            assert!(peer.check(&body, HelloKind::Unicast, Instant::ZERO, &mut random).accepted);
        }
        let mut is_taken = |kind| peer.check(&held_back, kind, Instant::ZERO, &mut random).accepted;
        assert!(!is_taken(HelloKind::Unicast), "too old for that");
        assert!(is_taken(HelloKind::Multicast));
        assert!(!is_taken(HelloKind::Multicast), "twice");
    }

    #[test]
    fn a_packet_without_a_counter_is_dropped_and_nobody_is_challenged_for_it() {
        let mut random = Random::from_number(1);
        let (_, mut peer) = acquainted(&mut random);
        let hello = [4, 6, 0, 0, 0, 1, 0, 100];
        let verdict = peer.check(&hello, HelloKind::Unicast, Instant::ZERO, &mut random);
        assert_eq!(verdict, Verdict { accepted: false, challenge: None, reply: None });
    }

    #[test]
    fn a_challenge_to_everyone_is_not_answered() {
        let mut random = Random::from_number(1);
        let body = [CHALLENGE_REQUEST, 2, 7, 7];
        for (kind, reply) in [(HelloKind::Multicast, None), (HelloKind::Unicast, Some(vec![7, 7]))]
        {
            let verdict = PeerCounter::default().check(&body, kind, Instant::ZERO, &mut random);
            assert_eq!(verdict.reply, reply, "{kind:?}");
        }
    }

    #[test]
    fn an_index_may_be_empty_or_of_32_octets_and_only_the_first_counter_counts() {
        let mut random = Random::from_number(1);
        for (octets, is_known) in [(0, true), (32, true), (33, false)] {
            let counter = |count: u8| {
                [&[COUNTER, 4 + octets, 0, 0, 0, count], &[9; 33][..octets.into()]].concat()
            };
            let mut peer = PeerCounter::default();
            let mut check =
                |body: &[u8]| peer.check(body, HelloKind::Unicast, Instant::ZERO, &mut random);
            let challenge = check(&counter(1)).challenge;
            assert_eq!(challenge.is_some(), is_known, "{octets} octets");
            let Some(nonce) = challenge else { continue };
            let answer = [&[CHALLENGE_REPLY, 10], &nonce[..], &counter(2)].concat();
            assert!(check(&answer).accepted);
            assert!(check(&[counter(3), counter(4)].concat()).accepted);
            assert!(check(&counter(4)).accepted, "it did not count");
            assert!(!check(&[counter(3), counter(5)].concat()).accepted, "{octets} octets");
        }
    }

    #[test]
    fn a_counter_that_is_full_begins_anew_under_another_index() {
        let mut random = Random::from_number(1);
        let mut own = OwnCounter { count: u32::MAX - 1, ..OwnCounter::new(&mut random) };
        let mut said = || {
            let mut body = Vec::new();
            own.put_next(&mut random, &mut body);
            let index: [u8; 8] = body[6..].try_into().unwrap();
            (body[2..6].to_vec(), index)
        };
        let (last, first) = (said(), said());
        assert_eq!((last.0, first.0), (vec![255; 4], vec![0; 4]));
        assert_ne!(last.1, first.1);
    }

    #[test]
    fn challenges_are_answered_at_intervals() {
        let mut random = Random::from_number(1);
        let mut peer = PeerCounter::default();
        let is_answered = |at: Duration| {
            let body = [CHALLENGE_REQUEST, 2, 7, 7];
            let now = Instant::ZERO + at;
            peer.check(&body, HelloKind::Unicast, now, &mut random).reply.is_some()
        };
        let interval = limits::BABEL_CHALLENGE_INTERVAL;
        let at = [0, 1, 2, 3, 4].map(|part| interval * part / 2);
        assert_eq!(at.map(is_answered), [true, false, true, false, true]);
    }
}
