//! What a router shows of itself.

use crate::proto::babel::dump::{Announced, Dump, Interface, Neighbour, Route};
use crate::proto::babel::entry::Entry;
use crate::proto::babel::places::DestinationId;
use crate::proto::babel::router::Router;
use crate::proto::babel::selection::metric;
use crate::proto::time::Instant;

impl Router {
    /// All that it knows.
    pub fn dump(&self, now: Instant) -> Dump {
        let mut dump = Dump {
            router_id: Some(self.settings.router_id),
            interfaces: self.interfaces.values().map(|i| interface(&i.link)).collect(),
            neighbours: self.dump_neighbours(now),
            ..Dump::default()
        };
        for (id, entry) in self.table.iter() {
            if let Some(metric) = entry.local {
                dump.announced.push(Announced { destination: entry.destination, metric });
            }
            dump.routes.extend(self.dump_routes(id, entry));
        }
        dump.routes.sort_by_key(|route| (route.destination, !route.installed, route.metric));
        dump.announced.sort_by_key(|announced| announced.destination);
        dump
    }

    fn dump_neighbours(&self, now: Instant) -> Vec<Neighbour> {
        let known = self.neighbours.iter().filter_map(|(_, neighbour)| {
            let link = &self.interfaces.get(&neighbour.interface)?.link;
            let rtt = neighbour.rtt.smoothed(now).filter(|_| link.settings.rtt.is_some());
            Some(Neighbour {
                address: neighbour.address,
                interface: link.name.clone(),
                index: link.index,
                reach: neighbour.multicast.bits(),
                unicast_reach: neighbour.unicast.bits(),
                rxcost: neighbour.rxcost(&link.settings),
                txcost: neighbour.txcost,
                rtt_us: rtt.map(|rtt| u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX)),
                cost: neighbour.cost,
                multiplier: neighbour.multiplier.in_256ths(),
            })
        });
        known.collect()
    }

    fn dump_routes<'a>(
        &'a self,
        id: DestinationId,
        entry: &'a Entry,
    ) -> impl Iterator<Item = Route> + 'a {
        self.table.routes(id).filter_map(move |(from, route)| {
            let neighbour = self.neighbours.get(from)?;
            let link = &self.interfaces.get(&neighbour.interface)?.link;
            Some(Route {
                destination: entry.destination,
                metric: metric(route, neighbour.cost),
                refmetric: route.offer.refmetric,
                router_id: self.table.router_id(route.offer.router),
                seqno: route.offer.seqno,
                next_hop: neighbour.next_hop(route.offer.next_hop),
                neighbour: neighbour.address,
                interface: link.name.clone(),
                index: link.index,
                installed: entry.selected == Some(from),
                feasible: entry.is_feasible(route),
            })
        })
    }
}

fn interface(link: &crate::proto::babel::event::Link) -> Interface {
    Interface { name: link.name.clone(), index: link.index, address: link.address }
}
