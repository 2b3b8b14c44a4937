//! Seqno requests that wait for an answer: ours, and those of others that we passed on (RFC 8966 §3.2.7
//! and §3.8.2).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::proto::babel::places::{DestinationId, NeighbourId};
use crate::proto::babel::requests::SeqnoRequest;
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::source::is_newer;
use crate::proto::limits;
use crate::proto::time::Instant;

/// Of what a request wants to hear.
type Key = (DestinationId, RouterId);

/// Requests that wait for an answer.
#[derive(Clone, Default, Debug)]
pub struct Pending {
    /// Those of one destination are side by side.
    requests: BTreeMap<Key, Request>,
    due: BinaryHeap<Reverse<(Instant, Key)>>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What is asked.
    pub asked: SeqnoRequest,
    /// Whether somebody asked us: they are told of the answer.
    for_others: bool,
    /// Who asked last, other than we.
    pub asker: Option<NeighbourId>,
    /// Whether we want to know ourselves: then we ask again.
    is_ours: bool,
    /// The freshest that was offered so far.
    offered: Option<u16>,
    /// How often we asked.
    tries: u8,
    sent_at: Instant,
    due: Instant,
}

impl Request {
    /// Counts from the last time it was sent; when something is to be done about it.
    fn begin(&mut self) -> Instant {
        self.tries = 1;
        self.due = self.sent_at + PATIENCE;
        self.due
    }
}

/// What is to be done about a request whose time has come.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// Ask again.
    Repeat(DestinationId, SeqnoRequest),
    /// Pass on again what a neighbour asked, to one other.
    Forward(DestinationId, SeqnoRequest, NeighbourId),
    /// Nobody answered.
    GivenUp(DestinationId),
}

impl Pending {
    /// Notes a request that somebody has, and what is offered now; whether it has to be sent: if it is
    /// new, asks for more than an earlier one, or is asked again by others who may not have got an answer.
    pub fn add(
        &mut self,
        id: DestinationId,
        asked: SeqnoRequest,
        asker: Option<NeighbourId>,
        offered: Option<u16>,
        now: Instant,
    ) -> Novelty {
        let key = (id, asked.router_id);
        let (is_ours, for_others) = (asker.is_none(), asker.is_some());
        let has_room = self.requests.len() < limits::BABEL_REQUESTS_MAX;
        let Some(request) = self.requests.get_mut(&key) else {
            if !has_room {
                // Ours must go out once; what others invent is not passed on.
                return if is_ours { Novelty::New } else { Novelty::Known };
            }
            let mut request = Request {
                asked,
                for_others,
                asker,
                is_ours,
                offered,
                tries: 1,
                sent_at: now,
                due: now,
            };
            self.due.push(Reverse((request.begin(), key)));
            self.requests.insert(key, request);
            return Novelty::New;
        };
        let asks_more = is_newer(asked.seqno, request.asked.seqno);
        let begins = is_ours && !request.is_ours;
        let was_lately = now - request.sent_at < PATIENCE;
        request.for_others |= for_others;
        request.is_ours |= is_ours;
        request.asker = asker.or(request.asker);
        if asks_more || begins {
            let seqno = if asks_more { asked.seqno } else { request.asked.seqno };
            request.asked = SeqnoRequest { seqno, ..asked };
        }
        // What we ask ourselves is asked again by the clock, not whenever its destination is looked at.
        let is_sent = asks_more || !was_lately && (for_others || begins);
        if is_sent {
            request.sent_at = now;
        }
        if asks_more || begins {
            self.due.push(Reverse((request.begin(), key)));
        }
        if is_sent { Novelty::New } else { Novelty::Known }
    }

    /// An announcement came: what we want to know ourselves may be answered with it. If it is only nearer
    /// than those before, it is asked for again at once: an originator goes on by one for each request,
    /// whatever is asked (RFC 8966 §3.8.1.2).
    pub fn hear(
        &mut self,
        id: DestinationId,
        router_id: RouterId,
        seqno: u16,
        now: Instant,
    ) -> Option<Request> {
        let Some(request) = self.answered(id, router_id, seqno) else {
            return self.step(id, router_id, seqno, now);
        };
        request.is_ours = false;
        if !request.for_others {
            self.requests.remove(&(id, router_id));
        }
        None
    }

    /// The request to which this announcement is a step, if it is one.
    fn step(
        &mut self,
        id: DestinationId,
        router_id: RouterId,
        seqno: u16,
        now: Instant,
    ) -> Option<Request> {
        let key = (id, router_id);
        let request = self.requests.get_mut(&key)?;
        let is_near = request.asked.seqno.wrapping_sub(seqno) <= STEPS_MAX;
        if !is_near || request.offered.is_some_and(|offered| !is_newer(seqno, offered)) {
            return None;
        }
        request.offered = Some(seqno);
        request.sent_at = now;
        self.due.push(Reverse((request.begin(), key)));
        Some(*request)
    }

    /// This is what we announce: whether others wait for it. What came from another neighbour than the
    /// one whose offer is taken is no answer, since it is not passed on.
    pub fn is_awaited(&mut self, id: DestinationId, router_id: RouterId, seqno: u16) -> bool {
        let awaited = self.answered(id, router_id, seqno).is_some_and(|request| request.for_others);
        awaited && self.requests.remove(&(id, router_id)).is_some()
    }

    fn answered(
        &mut self,
        id: DestinationId,
        router_id: RouterId,
        seqno: u16,
    ) -> Option<&mut Request> {
        if self.requests.is_empty() {
            return None;
        }
        self.requests.get_mut(&(id, router_id)).filter(|it| !is_newer(it.asked.seqno, seqno))
    }

    /// The next request whose time has come. What only others asked is not passed on by the clock if
    /// they have just repeated it: neither are two on a way to answer for each packet that gets lost.
    pub fn next_due(&mut self, now: Instant) -> Option<Due> {
        loop {
            let &Reverse((due, key)) = self.due.peek()?;
            if due > now {
                return None;
            }
            self.due.pop();
            let Some(request) = self.requests.get_mut(&key).filter(|request| request.due == due)
            else {
                continue;
            };
            if request.tries >= TRIES_MAX {
                self.requests.remove(&key);
                return Some(Due::GivenUp(key.0));
            }
            let was_lately = now - request.sent_at < PATIENCE;
            request.tries += 1;
            request.due = now + PATIENCE * u32::from(request.tries);
            self.due.push(Reverse((request.due, key)));
            let due = match request.asker {
                _ if request.is_ours => Due::Repeat(key.0, request.asked),
                Some(asker) if !was_lately => Due::Forward(key.0, request.asked, asker),
                _ => continue,
            };
            request.sent_at = now;
            return Some(due);
        }
    }

    /// A destination is forgotten, and its place may be another one's: nobody waits for that.
    pub fn forget(&mut self, id: DestinationId) {
        if !self.requests.is_empty() {
            let of_it = (id, RouterId::FIRST)..=(id, RouterId::LAST);
            let keys: Vec<Key> = self.requests.range(of_it).map(|(&key, _)| key).collect();
            for key in keys {
                self.requests.remove(&key);
            }
        }
    }

    /// The place is a new neighbour's: that asked nothing yet, whatever the one before it did.
    pub fn forget_asker(&mut self, asker: NeighbourId) {
        for request in self.requests.values_mut().filter(|request| request.asker == Some(asker)) {
            request.asker = None;
        }
    }

    /// When the next one's time comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.peek().map(|&Reverse((due, _))| due)
    }
}

/// Whether a request has to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Novelty {
    /// It has not been sent yet.
    New,
    /// It waits for its answer already.
    Known,
}

/// How many steps are taken one after the other. An originator further behind has lost its number; babeld
/// does not answer to that, and forgets in time what it knew of it.
const STEPS_MAX: u16 = 100;
/// After which a request may have been lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// Ten seconds in all: so long, too, an asker is told of the answer.
const TRIES_MAX: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::destination::Destination;
    use crate::proto::babel::neighbour::Neighbours;
    use crate::proto::cidr::Cidr;

    const PLACE: usize = 7;

    fn place() -> DestinationId {
        DestinationId::new(PLACE).unwrap()
    }

    fn request(seqno: u16) -> SeqnoRequest {
        SeqnoRequest {
            destination: Destination::from_anywhere(Cidr::IPV6_DEFAULT),
            seqno,
            hop_count: 9,
            router_id: RouterId::new([1; 8]).unwrap(),
        }
    }

    fn after(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// When what is asked is sent again, with nobody answering.
    fn repeats(pending: &mut Pending) -> Vec<u64> {
        let mut repeats = Vec::new();
        while let Some(at) = pending.deadline() {
            if let Some(Due::Repeat(..) | Due::Forward(..)) = pending.next_due(at) {
                repeats.push(at.since_start().as_millis() as u64);
            }
        }
        repeats
    }

    #[test]
    fn what_we_want_to_know_is_asked_again_though_others_ask_too() {
        let mut pending = Pending::default();
        assert_eq!(pending.add(place(), request(5), None, None, after(0)), Novelty::New);
        assert_eq!(pending.add(place(), request(5), None, None, after(10)), Novelty::Known);
        let other = Some(Neighbours::test_id());
        assert_eq!(pending.add(place(), request(5), other, None, after(20)), Novelty::Known);
        assert_eq!(repeats(&mut pending), [1_000, 3_000, 6_000]);

        // The others came first.
        assert_eq!(pending.add(place(), request(5), other, None, after(0)), Novelty::New);
        assert_eq!(pending.add(place(), request(5), None, None, after(20)), Novelty::Known);
        assert_eq!(repeats(&mut pending), [1_000, 3_000, 6_000]);
        assert_eq!(pending.add(place(), request(5), other, None, after(0)), Novelty::New);
        assert_eq!(pending.add(place(), request(5), None, None, after(2_000)), Novelty::New);
        assert_eq!(repeats(&mut pending), [3_000, 5_000, 8_000]);
    }

    #[test]
    fn what_others_ask_again_is_passed_on_again_and_the_answer_is_theirs_for_long() {
        let mut pending = Pending::default();
        let other = Some(Neighbours::test_id());
        assert_eq!(pending.add(place(), request(5), other, None, after(0)), Novelty::New);
        assert_eq!(pending.add(place(), request(5), other, None, after(500)), Novelty::Known);
        assert_eq!(pending.add(place(), request(5), other, None, after(1_000)), Novelty::New);
        assert_eq!(pending.add(place(), request(6), other, None, after(1_100)), Novelty::New);
        assert!(pending.next_due(after(2_099)).is_none());
        // Asked again just before the clock would: once is enough.
        assert_eq!(pending.add(place(), request(6), other, None, after(2_100)), Novelty::New);
        assert!(pending.next_due(after(2_150)).is_none());
        let forwarded = pending.next_due(after(4_200));
        assert!(matches!(forwarded, Some(Due::Forward(_, asked, _)) if asked.seqno == 6));
        assert!(pending.next_due(after(4_200)).is_none());
        let router_id = request(5).router_id;
        assert!(!pending.is_awaited(place(), router_id, 5), "6 was asked for");
        assert!(pending.hear(place(), router_id, 6, after(4_300)).is_none());
        assert!(pending.is_awaited(place(), router_id, 6), "heard, but not passed on yet");
        assert!(!pending.is_awaited(place(), router_id, 6));
        assert!(pending.add(place(), request(5), other, None, after(9_500)) == Novelty::New);
        assert_eq!(repeats(&mut pending), [10_500, 12_500, 15_500]);
        assert_eq!(
            pending.add(place(), request(5), other, None, after(20_000)),
            Novelty::New,
            "given up"
        );
    }

    #[test]
    fn each_step_of_an_originator_is_answered_by_asking_for_the_next() {
        let mut pending = Pending::default();
        pending.add(place(), request(1_000), None, Some(1), after(0));
        let mut hear = |seqno, ms| {
            let step = pending.hear(place(), request(1_000).router_id, seqno, after(ms));
            step.is_some_and(|request| request.asked.seqno == 1_000)
        };
        assert!(!hear(899, 20), "too far behind");
        assert!(hear(900, 40));
        assert!(!hear(900, 60), "somebody else has heard it, too");
        assert!(hear(999, 1_000));
        assert!(!hear(998, 1_100));
        assert!(!hear(1_000, 1_200), "answered");
        pending.add(place(), request(7), None, Some(4), after(0));
        pending.hear(place(), request(7).router_id, 5, after(900)).unwrap();
        assert_eq!(repeats(&mut pending), [1_900, 3_900, 6_900], "counts anew from there");
    }

    #[test]
    fn no_more_requests_wait_than_the_limits_say() {
        let mut pending = Pending::default();
        let place = |at| DestinationId::new(at).unwrap();
        for at in 0..limits::BABEL_REQUESTS_MAX {
            assert_eq!(pending.add(place(at), request(5), None, None, after(0)), Novelty::New);
        }
        let further = place(limits::BABEL_REQUESTS_MAX);
        let other = Some(Neighbours::test_id());
        assert_eq!(pending.add(further, request(5), other, None, after(0)), Novelty::Known);
        // Our own is sent, though it is not repeated.
        assert_eq!(pending.add(further, request(5), None, None, after(0)), Novelty::New);
        assert_eq!(pending.requests.len(), limits::BABEL_REQUESTS_MAX);
        pending.hear(place(0), request(5).router_id, 5, after(0));
        assert_eq!(pending.add(further, request(5), None, None, after(0)), Novelty::New);
    }

    #[test]
    fn nothing_is_asked_for_whoever_takes_the_place_of_what_is_forgotten() {
        let mut pending = Pending::default();
        let other = Neighbours::test_id();
        pending.add(place(), request(5), Some(other), None, after(0));
        pending.forget_asker(other);
        assert!(repeats(&mut pending).is_empty());
        for octet in [0, 1, 255] {
            let router_id = RouterId::new([octet, 1, 1, 1, 1, 1, 1, 1]).unwrap();
            let asked = SeqnoRequest { router_id, ..request(5) };
            pending.add(place(), asked, None, None, after(0));
        }
        let next = place().next();
        pending.add(next, request(5), None, None, after(100));
        pending.forget(place());
        assert_eq!(repeats(&mut pending), [1_100, 3_100, 6_100], "the other one's stay");
    }
}
