//! Seqno requests that wait for an answer: ours, and those of others that we passed on (RFC 8966 §3.2.7
//! and §3.8.2).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use crate::proto::babel::entry::DestinationId;
use crate::proto::babel::neighbour::NeighbourId;
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
    requests: HashMap<Key, Request>,
    due: BinaryHeap<Reverse<(Instant, Key)>>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What is asked.
    pub asked: SeqnoRequest,
    /// Whether somebody asked us.
    pub for_others: bool,
    /// How often it was sent.
    tries: u8,
    due: Instant,
}

/// What is to be done about a request whose time has come.
#[derive(Clone, Copy, Debug)]
pub enum Due {
    /// Ask again, everyone this time.
    Repeat(SeqnoRequest),
    /// Nobody answered.
    GivenUp(DestinationId),
}

impl Pending {
    /// Notes a request that is being sent; whether it is new or asks for more than an earlier one.
    pub fn add(
        &mut self,
        id: DestinationId,
        asked: SeqnoRequest,
        asker: Option<NeighbourId>,
        now: Instant,
    ) -> Novelty {
        let key = (id, asked.router_id);
        if let Some(request) = self.requests.get_mut(&key) {
            request.for_others |= asker.is_some();
            if !is_newer(asked.seqno, request.asked.seqno) {
                return Novelty::Known;
            }
        } else if self.requests.len() >= limits::BABEL_REQUESTS_MAX {
            return Novelty::Known;
        }
        let due = now + PATIENCE;
        let for_others = asker.is_some();
        self.requests.insert(key, Request { asked, for_others, tries: 1, due });
        self.due.push(Reverse((due, key)));
        Novelty::New
    }

    /// An announcement came; the request that it answers.
    pub fn answer(
        &mut self,
        id: DestinationId,
        router_id: RouterId,
        seqno: u16,
    ) -> Option<Request> {
        if self.requests.is_empty() {
            return None;
        }
        let key = (id, router_id);
        let answered = !is_newer(self.requests.get(&key)?.asked.seqno, seqno);
        answered.then(|| self.requests.remove(&key)).flatten()
    }

    /// The next request whose time has come. Those of others are not repeated: they repeat them.
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
            if request.for_others || request.tries >= TRIES_MAX {
                self.requests.remove(&key);
                return Some(Due::GivenUp(key.0));
            }
            request.tries += 1;
            request.due = now + PATIENCE * u32::from(request.tries);
            self.due.push(Reverse((request.due, key)));
            return Some(Due::Repeat(request.asked));
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

const PATIENCE: Duration = Duration::from_secs(1);
const TRIES_MAX: u8 = 4;
