//! The core: one router, all its links, neighbours and routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::proto::babel::event::{Datagram, Input, Link, Notice, Output};
use crate::proto::babel::filter::Filters;
use crate::proto::babel::interface::{Interface, body_octets_max};
use crate::proto::babel::mac::{BadSignatures, Keys};
use crate::proto::babel::neighbour::{Neighbours, Step};
use crate::proto::babel::pending::Pending;
use crate::proto::babel::places::{DestinationId, NeighbourId};
use crate::proto::babel::settings::{Announcement, InterfaceSettings, Settings};
use crate::proto::babel::state::State;
use crate::proto::babel::table::{Order, Table};
use crate::proto::random::Random;
use crate::proto::time::{Instant, earliest};

/// A Babel router. What it does is spread over files by what sets it off: `receive` (packets), `upkeep`
/// (time), `settle` (selection), `announce` (what it says), `overview` (what it shows).
#[derive(Debug)]
pub struct Router {
    pub(super) settings: Settings,
    pub(super) filters: Filters,
    pub(super) bad_signatures: BadSignatures,
    pub(super) random: Random,
    /// The number of our own announcements.
    pub(super) seqno: u16,
    pub(super) interfaces: BTreeMap<u32, Interface>,
    pub(super) neighbours: Neighbours,
    pub(super) table: Table,
    pub(super) pending: Pending,
    /// Destinations to be looked at before this turn ends.
    pub(super) touched: Vec<DestinationId>,
    /// Destinations to be announced to everyone.
    pub(super) triggered: Vec<DestinationId>,
    pub(super) trigger_at: Option<Instant>,
    /// In which order the whole table is said.
    pub(super) order: Order,
    /// Whether the table was found full, and has not emptied since: the operator is told once.
    pub(super) is_full: bool,
    /// When another router-id was taken last, or this one at the start: for a while others may still pass on
    /// what was announced in its name before.
    pub(super) renamed_at: Instant,
    /// Counts changes of what a dump shows.
    pub(super) version: u64,
    deadline: Option<Instant>,
}

impl Router {
    /// A router without links.
    pub fn new(settings: Settings, mut random: Random) -> Self {
        let mut router = Self {
            seqno: random.u16(),
            random,
            filters: Filters::default(),
            bad_signatures: BadSignatures::default(),
            interfaces: BTreeMap::new(),
            neighbours: Neighbours::default(),
            table: Table::default(),
            pending: Pending::default(),
            touched: Vec::new(),
            triggered: Vec::new(),
            trigger_at: None,
            order: Order { changes: 0, ids: Arc::default() },
            is_full: false,
            renamed_at: Instant::ZERO,
            version: 0,
            deadline: Some(Instant::ZERO),
            settings,
        };
        for announcement in router.settings.announced.clone() {
            router.originate(announcement);
        }
        router
    }

    /// It goes on with this number, under a name it had before.
    #[must_use]
    pub const fn with_past(mut self, seqno: u16) -> Self {
        self.seqno = seqno;
        self
    }

    /// Becomes another number whenever a [`dump`](Self::dump) may show something else.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// What must be remembered over a restart.
    pub const fn state(&self) -> State {
        State { router_id: self.settings.router_id, seqno: self.seqno }
    }

    /// Takes one input; everything to do about it is in `out` afterwards.
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Output>) {
        // More may arrive.
        let speaks = !matches!(input, Input::ReceivedTogether(_));
        match input {
            Input::InterfaceUp(link) => self.add_interface(link, now, out),
            Input::InterfaceDown { interface } => self.remove_interface(interface, out),
            Input::InterfaceLeft { interface } => {
                self.say_goodbye(interface, now);
                self.send_all(now, out);
                self.remove_interface(interface, out);
            }
            Input::Received { interface, path, octets } => {
                self.receive(interface, path, octets, now, out);
            }
            Input::ReceivedTogether(datagrams) => {
                for datagram in datagrams {
                    let Datagram { interface, path, octets } = *datagram;
                    self.receive(interface, path, octets, now, out);
                }
            }
            Input::Settings(settings) => self.set_interface_settings(&settings, now),
            Input::Keys(keys) => self.set_keys(keys),
            Input::BadSignatures(fate) => self.bad_signatures = fate,
            Input::Filters(filters) => self.set_filters(filters, now),
            Input::Announced(announced) => self.set_announced(announced),
            Input::CostMultiplier { interface, address, multiplier } => {
                if let Some(id) = self.neighbours.find(interface, address)
                    && let Some(neighbour) = self.neighbours.get_mut(id)
                {
                    neighbour.multiplier = multiplier;
                    self.recost(id, Step::Any, now, out);
                }
            }
            Input::Measured { interface, quality } => {
                let on: Vec<_> = self.neighbours.on(interface).map(|(id, _)| id).collect();
                for id in on {
                    if let Some(neighbour) = self.neighbours.get_mut(id) {
                        neighbour.loss_told = quality.loss;
                        neighbour.rtt.handle_told(quality.round_trip, now);
                    }
                    self.recost(id, Step::Clear, now, out);
                }
            }
            Input::KernelChanged(change) => self.put_again(change, out),
            Input::Timer => {}
            Input::Stop => return self.stop(now, out),
        }
        if speaks && self.deadline.is_some_and(|deadline| deadline <= now) {
            self.upkeep(now, out);
        }
        self.settle(now, out);
        if speaks {
            self.send_all(now, out);
        }
        self.deadline = self.next_deadline();
    }

    /// When [`Input::Timer`] is wanted.
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether a neighbour with that address is known on that link.
    pub fn has_neighbour(&self, interface: u32, address: std::net::Ipv6Addr) -> bool {
        self.neighbours.find(interface, address).is_some()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let interfaces = self.interfaces.values().map(|interface| {
            let due = interface.hello_at.min(interface.update_at);
            earliest(Some(due), interface.outbox.deadline())
        });
        let neighbours = self
            .neighbours
            .iter()
            .map(|(_, neighbour)| earliest(neighbour.deadline(), neighbour.outbox.deadline()));
        let tables = [self.table.deadline(), self.pending.deadline(), self.trigger_at];
        interfaces.chain(neighbours).chain(tables).flatten().min()
    }

    fn add_interface(&mut self, link: Link, now: Instant, out: &mut Vec<Output>) {
        self.version += 1;
        if let Some(interface) = self.interfaces.get_mut(&link.index) {
            if interface.link.address == link.address {
                let is_other_v4 = interface.link.address_v4 != link.address_v4;
                let (index, settings) = (link.index, &link.settings);
                interface.hello_at = interface.hello_at.min(now + settings.hello_interval);
                interface.update_at = interface.update_at.min(now + settings.update_interval);
                let former = std::mem::replace(&mut interface.link, link);
                self.fit_packets();
                let filters = self.filters.clone();
                self.withdraw(index, (&filters, &former));
                // It is the next hop of what we announce.
                if is_other_v4 {
                    self.say_table(index, now);
                }
                self.deadline = self.next_deadline();
                return;
            }
            // Neighbours know us by our link-local address: they have to begin anew.
            self.remove_interface(link.index, out);
        }
        let index = link.index;
        let keys = self.settings.keys.as_ref();
        let interface = Interface::new(link, keys, &mut self.random, now);
        self.interfaces.insert(index, interface);
        self.deadline = Some(now);
    }

    fn remove_interface(&mut self, index: u32, out: &mut Vec<Output>) {
        if !self.interfaces.contains_key(&index) {
            return;
        }
        self.version += 1;
        let gone: Vec<NeighbourId> = self.neighbours.on(index).map(|(id, _)| id).collect();
        for id in gone {
            self.forget_neighbour(id, out);
        }
        self.interfaces.remove(&index);
    }

    /// Forgets a neighbour and all it offered.
    pub(super) fn forget_neighbour(&mut self, id: NeighbourId, out: &mut Vec<Output>) {
        let Some(neighbour) = self.neighbours.remove(id) else { return };
        self.version += 1;
        if let Some(interface) = self.interfaces.get_mut(&neighbour.interface) {
            interface.is_full = false;
        }
        if neighbour.cost != u16::MAX {
            out.push(Output::Notice(Notice::NeighbourDown {
                interface: self.name_of(neighbour.interface),
                address: neighbour.address,
            }));
        }
        for destination in self.table.remove_routes_of(id) {
            self.touch(destination);
        }
    }

    pub(super) fn name_of(&self, interface: u32) -> String {
        match self.interfaces.get(&interface) {
            Some(interface) => interface.link.name.clone(),
            None => interface.to_string(),
        }
    }

    fn set_interface_settings(&mut self, settings: &InterfaceSettings, now: Instant) {
        for interface in self.interfaces.values_mut() {
            interface.link.settings = settings.clone();
            interface.hello_at = interface.hello_at.min(now + settings.hello_interval);
            interface.update_at = interface.update_at.min(now + settings.update_interval);
        }
        self.deadline = self.next_deadline();
        self.fit_packets();
    }

    fn set_keys(&mut self, keys: Option<Keys>) {
        self.settings.keys = keys;
        self.fit_packets();
    }

    /// Signatures and what is signed share the octets of a packet.
    fn fit_packets(&mut self) {
        let keys = self.settings.keys.as_ref();
        let mut octets_max = BTreeMap::new();
        for (&index, interface) in &mut self.interfaces {
            let octets = body_octets_max(&interface.link, keys);
            interface.outbox.composer.set_octets_max(octets);
            octets_max.insert(index, octets);
        }
        for neighbour in self.neighbours.iter_mut() {
            if let Some(&octets) = octets_max.get(&neighbour.interface) {
                neighbour.outbox.composer.set_octets_max(octets);
            }
        }
    }

    /// What was learned by other filters is asked for again, what is announced by others is said again.
    fn set_filters(&mut self, filters: Filters, now: Instant) {
        let former = std::mem::replace(&mut self.filters, filters);
        let known: Vec<NeighbourId> = self.neighbours.iter().map(|(id, _)| id).collect();
        for id in known {
            self.request_table(id);
        }
        let links: Vec<Link> = self.interfaces.values().map(|it| it.link.clone()).collect();
        for link in links {
            self.withdraw(link.index, (&former, &link));
            self.say_table(link.index, now);
        }
    }

    fn set_announced(&mut self, announced: Vec<Announcement>) {
        let dropped = std::mem::replace(&mut self.settings.announced, announced);
        for announcement in dropped {
            if let Some(id) = self.table.find(&announcement.destination) {
                if let Some(entry) = self.table.get_mut(id) {
                    entry.local = None;
                }
                self.touch(id);
            }
        }
        for announcement in self.settings.announced.clone() {
            self.originate(announcement);
        }
    }

    fn originate(&mut self, announcement: Announcement) {
        // However many neighbours offer.
        let found = self.table.find_or_add(announcement.destination, usize::MAX);
        let Some(id) = found else { return };
        if let Some(entry) = self.table.get_mut(id) {
            entry.local = Some(announcement.metric);
        }
        self.touch(id);
    }

    /// Looks at a destination before this turn ends.
    pub(super) fn touch(&mut self, id: DestinationId) {
        if let Some(entry) = self.table.get_mut(id)
            && !entry.is_touched
        {
            entry.is_touched = true;
            self.touched.push(id);
        }
    }
}
