//! One router heard on one link: is it there, and what does it cost (RFC 8966 §3.4).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::proto::babel::counter::PeerCounter;
use crate::proto::babel::history::History;
use crate::proto::babel::loss::LossEstimate;
use crate::proto::babel::outbox::Outbox;
use crate::proto::babel::places::NeighbourId;
use crate::proto::babel::rtt::{self, Rtt};
use crate::proto::babel::settings::{CostMultiplier, InterfaceSettings, LinkKind, Loss};
use crate::proto::limits;
use crate::proto::time::{Instant, earliest};

/// How far a cost must have moved to count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// At all: somebody set it.
    Any,
    /// Clearly: it is measured.
    Clear,
}

/// A router heard on a link.
#[derive(Clone, Debug)]
pub struct Neighbour {
    /// The link.
    pub interface: u32,
    /// Its link-local address there.
    pub address: Ipv6Addr,
    /// Its multicast Hellos.
    pub multicast: History,
    /// Its unicast Hellos.
    pub unicast: History,
    /// What it says that it costs to reach it.
    pub txcost: u16,
    /// When that is no longer believed.
    pub txcost_until: Option<Instant>,
    /// The round trip to it.
    pub rtt: Rtt,
    /// How much of what it sends gets lost.
    pub loss: LossEstimate,
    /// The same, as the link's owner knows it.
    pub loss_told: Option<f32>,
    /// What its cost is multiplied with.
    pub multiplier: CostMultiplier,
    /// What is added to the metrics it announces; moves in steps, so that routes do not tremble.
    pub cost: u16,
    /// Which of its packets are fresh.
    pub counter: PeerCounter,
    /// Hellos still to be sent at once, so that it knows us soon.
    pub greetings: u8,
    /// What is to be said to it alone.
    pub outbox: Outbox,
    /// When it gets the whole table.
    pub dump_at: Option<Instant>,
    /// When it last got the whole table.
    dumped_at: Option<Instant>,
    /// Whether it began anew since.
    has_forgotten: bool,
    /// When it was last heard.
    pub heard_at: Instant,
    /// Its next hops by place; `None` where one is no longer named.
    next_hops: Vec<Option<IpAddr>>,
    /// When it was last looked which of them are no longer named.
    next_hops_looked_at: Option<Instant>,
}

impl Neighbour {
    /// Heard for the first time.
    pub fn new(interface: u32, address: Ipv6Addr, outbox: Outbox, now: Instant) -> Self {
        Self {
            interface,
            address,
            multicast: History::default(),
            unicast: History::default(),
            txcost: u16::MAX,
            txcost_until: None,
            rtt: Rtt::default(),
            loss: LossEstimate::default(),
            loss_told: None,
            multiplier: CostMultiplier::ONE,
            cost: u16::MAX,
            counter: PeerCounter::default(),
            greetings: Self::GREETINGS,
            outbox,
            dump_at: None,
            dumped_at: None,
            has_forgotten: false,
            heard_at: now,
            next_hops: vec![Some(IpAddr::V6(address))],
            next_hops_looked_at: None,
        }
    }

    /// It begins anew; what was known of it is void.
    pub fn restart(&mut self) {
        self.txcost = u16::MAX;
        self.txcost_until = None;
        self.rtt = Rtt::default();
        self.loss = LossEstimate::default();
        self.greetings = Self::GREETINGS;
        self.has_forgotten = true;
    }

    /// It is to get the whole table: at once, or, if it just got it, in a while. However often it begins
    /// anew, it costs little.
    pub fn plan_dump(&mut self, now: Instant) {
        let due = self.dumped_at.map_or(now, |at| now.max(at + Self::DUMP_PAUSE));
        self.dump_at = Some(self.dump_at.map_or(due, |at| at.min(due)));
    }

    /// It gets the whole table.
    pub fn dump(&mut self, now: Instant) {
        (self.dump_at, self.dumped_at, self.has_forgotten) = (None, Some(now), false);
    }

    /// Whether it has just got the whole table, and has not begun anew since.
    pub fn was_dumped_lately(&self, now: Instant) -> bool {
        !self.has_forgotten && self.dumped_at.is_some_and(|at| now - at < Self::DUMP_PAUSE)
    }

    /// Whether enough of its Hellos arrive.
    pub fn is_heard(&self, settings: &InterfaceSettings) -> bool {
        // Of a link that loses one in ten, two in a row are lost every few minutes.
        let patient = settings.loss == Loss::Counted && self.loss.is_lossy();
        let is_up = |history: &History| history.is_up() || patient && history.is_alive();
        is_up(&self.multicast) || is_up(&self.unicast)
    }

    /// Whether cost is what frames take that must be sent again (ETX, RFC 8966 §A.2.2).
    fn is_radio(settings: &InterfaceSettings) -> bool {
        settings.kind == LinkKind::Wireless && settings.loss == Loss::Counted
    }

    fn loss_penalty(&self, settings: &InterfaceSettings) -> u16 {
        match settings.loss {
            Loss::Counted if Self::is_radio(settings) => 0,
            Loss::Ignored => 0,
            Loss::Counted => self.loss.penalty(self.loss_told),
        }
    }

    /// What it costs it to reach us, delay apart: what our IHUs tell it.
    pub fn rxcost(&self, settings: &InterfaceSettings) -> u16 {
        if !self.is_heard(settings) {
            return u16::MAX;
        }
        if Self::is_radio(settings) {
            let arrived = self.multicast.arrived_ratio().max(self.unicast.arrived_ratio());
            return finite(f32::from(settings.rxcost) / arrived);
        }
        settings.rxcost.saturating_add(self.loss_penalty(settings)).min(u16::MAX - 1)
    }

    /// What it costs to reach it right now.
    pub fn measured_cost(&self, settings: &InterfaceSettings, now: Instant) -> u16 {
        if !self.is_heard(settings) || self.txcost == u16::MAX {
            return u16::MAX;
        }
        let delay = settings
            .rtt
            .and_then(|rtt_settings| Some(rtt::penalty(self.rtt.smoothed(now)?, &rtt_settings)));
        let sent = if Self::is_radio(settings) {
            let one_try = f32::from(settings.rxcost);
            finite(f32::from(self.txcost).max(one_try) * f32::from(self.rxcost(settings)) / one_try)
        } else {
            self.txcost
        };
        // A cost of zero could close a loop: RFC 8966 §3.5.2.
        let penalty = delay.unwrap_or(0).saturating_add(self.loss_penalty(settings));
        let cost = sent.saturating_add(penalty).clamp(1, u16::MAX - 1);
        self.multiplier.apply(cost).max(1)
    }

    /// Whether a cost differs enough from the one in use to look at all its routes again.
    pub const fn is_other_cost(&self, cost: u16) -> bool {
        let moved = cost.abs_diff(self.cost);
        let infinite = (cost == u16::MAX) != (self.cost == u16::MAX);
        infinite || moved > self.cost / 16 && moved >= 4
    }

    /// Whether nothing was heard of it for so long that it can be forgotten.
    pub fn is_gone(&self, now: Instant) -> bool {
        let expected = earliest(self.multicast.deadline(), self.unicast.deadline());
        expected.is_none()
            && self.txcost_until.is_none()
            && now - self.heard_at >= limits::BABEL_NEIGHBOUR_SILENCE
    }

    /// When something has to be done about it, its outbox apart.
    pub fn deadline(&self) -> Option<Instant> {
        let hellos = earliest(self.multicast.deadline(), self.unicast.deadline());
        let silent = (hellos.is_none() && self.txcost_until.is_none())
            .then(|| self.heard_at + limits::BABEL_NEIGHBOUR_SILENCE);
        earliest(earliest(hellos, self.txcost_until), earliest(self.dump_at, silent))
    }

    /// The place of a next hop that it names; `None` if it names too many.
    pub fn next_hop_place(&mut self, address: IpAddr) -> Option<u8> {
        let place_of = |wanted| self.next_hops.iter().position(|&known| known == wanted);
        let place = match place_of(Some(address)).or_else(|| place_of(None)) {
            Some(place) => {
                self.next_hops[place] = Some(address);
                place
            }
            None if self.next_hops.len() >= limits::BABEL_NEXT_HOPS_MAX => return None,
            None => {
                self.next_hops.push(Some(address));
                self.next_hops.len() - 1
            }
        };
        u8::try_from(place).ok()
    }

    /// Whether it is to be looked which next hops it no longer names: that takes a walk through the table.
    pub fn may_forget_next_hops(&mut self, now: Instant) -> bool {
        let is_due = self.next_hops_looked_at.is_none_or(|at| now - at >= Self::NEXT_HOPS_PAUSE);
        if is_due {
            self.next_hops_looked_at = Some(now);
        }
        is_due
    }

    /// Forgets the next hops that are not used, its own address apart.
    pub fn keep_next_hops(&mut self, used: [bool; limits::BABEL_NEXT_HOPS_MAX]) {
        for (next_hop, _) in self.next_hops.iter_mut().zip(used).skip(1).filter(|(_, used)| !used) {
            *next_hop = None;
        }
    }

    /// The next hop at that place.
    pub fn next_hop(&self, place: u8) -> IpAddr {
        let known = self.next_hops.get(usize::from(place)).copied().flatten();
        known.unwrap_or(IpAddr::V6(self.address))
    }

    /// It gets the whole table at most this often.
    const DUMP_PAUSE: Duration = Duration::from_millis(500);
    /// Next hops are looked through at most this often.
    const NEXT_HOPS_PAUSE: Duration = Duration::from_secs(1);
    /// Hellos sent at once to somebody new: with two it can be sure of us, one may get lost.
    const GREETINGS: u8 = 3;
}

/// A cost that is not infinite.
fn finite(cost: f32) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped")]
    #[expect(clippy::cast_sign_loss, reason = "clamped")]
    {
        cost.clamp(1.0, f32::from(u16::MAX - 1)) as u16
    }
}

/// All neighbours, on all links.
#[derive(Clone, Default, Debug)]
pub struct Neighbours {
    places: Vec<Option<Neighbour>>,
    by_address: HashMap<(u32, Ipv6Addr), NeighbourId>,
}

impl Neighbours {
    /// The neighbour with that address on that link.
    pub fn find(&self, interface: u32, address: Ipv6Addr) -> Option<NeighbourId> {
        self.by_address.get(&(interface, address)).copied()
    }

    /// Adds one that is not there yet.
    pub fn add(&mut self, neighbour: Neighbour) -> NeighbourId {
        let place = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        let id = NeighbourId::new(place).expect("bounded by the number of addresses");
        self.by_address.insert((neighbour.interface, neighbour.address), id);
        if place == self.places.len() {
            self.places.push(Some(neighbour));
        } else {
            self.places[place] = Some(neighbour);
        }
        id
    }

    /// Forgets one; nothing may refer to it any more.
    pub fn remove(&mut self, id: NeighbourId) -> Option<Neighbour> {
        let neighbour = self.places.get_mut(id.place())?.take()?;
        self.by_address.remove(&(neighbour.interface, neighbour.address));
        Some(neighbour)
    }

    /// One of them.
    pub fn get(&self, id: NeighbourId) -> Option<&Neighbour> {
        self.places.get(id.place())?.as_ref()
    }

    /// One of them, to be changed.
    pub fn get_mut(&mut self, id: NeighbourId) -> Option<&mut Neighbour> {
        self.places.get_mut(id.place())?.as_mut()
    }

    /// What one costs; infinite once it is forgotten.
    pub fn cost(&self, id: NeighbourId) -> u16 {
        self.get(id).map_or(u16::MAX, |neighbour| neighbour.cost)
    }

    /// All, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (NeighbourId, &Neighbour)> {
        let places = self.places.iter().enumerate();
        places
            .filter_map(|(place, neighbour)| Some((NeighbourId::new(place)?, neighbour.as_ref()?)))
    }

    /// All, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Neighbour> {
        self.places.iter_mut().flatten()
    }

    /// Whether much of what some of them send gets lost, and so perhaps of what is sent to them.
    pub fn is_any_lossy(&self) -> bool {
        self.iter().any(|(_, neighbour)| neighbour.loss.is_lossy())
    }

    /// Those on one link.
    pub fn on(&self, interface: u32) -> impl Iterator<Item = (NeighbourId, &Neighbour)> {
        self.iter().filter(move |(_, neighbour)| neighbour.interface == interface)
    }
}

#[cfg(test)]
impl Neighbours {
    /// A place, for tests that need any.
    pub fn test_id() -> NeighbourId {
        NeighbourId::new(0).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::hello::{Hello, HelloKind};

    /// The cost of a radio link on which three of four Hellos arrive in both directions, against that of
    /// one without loss (RFC 8966 §A.2.2).
    #[test]
    fn a_radio_link_costs_what_frames_take_to_arrive() {
        let wired = InterfaceSettings::wired(Duration::from_secs(1));
        let radio = InterfaceSettings {
            kind: LinkKind::Wireless,
            rxcost: 256,
            loss: Loss::Counted,
            ..wired
        };
        let cost = |is_lost: fn(u16) -> bool, txcost: u16| {
            let outbox = Outbox::new(1000);
            let mut neighbour = Neighbour::new(1, Ipv6Addr::LOCALHOST, outbox, Instant::ZERO);
            for seqno in (0..64).filter(|&seqno| !is_lost(seqno)) {
                let now = Instant::ZERO + Duration::from_secs(seqno.into());
                let next_within = Some(Duration::from_secs(1));
                let hello = Hello { kind: HelloKind::Multicast, seqno, next_within, sent: None };
                neighbour.multicast.handle(&hello, now);
            }
            neighbour.txcost = txcost;
            (neighbour.rxcost(&radio), neighbour.measured_cost(&radio, Instant::ZERO))
        };
        assert_eq!(cost(|_| false, 256), (256, 256));
        let (rxcost, both) = cost(|seqno| seqno % 4 == 1, 341);
        assert!((330..360).contains(&rxcost), "{rxcost}");
        // 1 / (3/4 · 3/4)
        assert!((440..480).contains(&both), "{both}");
    }

    #[test]
    fn a_neighbour_names_no_more_next_hops_than_the_limits_say() {
        let mut neighbour =
            Neighbour::new(1, Ipv6Addr::LOCALHOST, Outbox::new(1000), Instant::ZERO);
        // Its own address is the first.
        let further = 1..limits::BABEL_NEXT_HOPS_MAX + 10;
        let address = |at: usize| IpAddr::V6(Ipv6Addr::from_bits(0xfe80 << 112 | at as u128));
        let places: Vec<usize> = further
            .filter_map(|at| neighbour.next_hop_place(address(at)))
            .map(usize::from)
            .collect();
        assert_eq!(places, (1..limits::BABEL_NEXT_HOPS_MAX).collect::<Vec<_>>());
        assert_eq!(neighbour.next_hop_place(address(3)), Some(3), "what is known is known");
        assert_eq!(neighbour.next_hop(3), address(3));
    }
}
