//! A dump as objects of the JSON vocabulary, the difference of two, and a table for people.

use comfy_table::{ContentArrangement, Table, presets};

use crate::command::json::{Announcement, Change, Interface, Neighbour, Object, Route};
use crate::proto::babel::destination::Destination;
use crate::proto::babel::dump::{self, Dump};
use crate::proto::cidr::Cidr;

/// All of a dump: links, neighbours, what is originated, routes.
pub fn objects(dump: &Dump) -> Vec<Object> {
    let mut objects = Vec::new();
    objects.extend(dump.interfaces.iter().map(|interface| {
        Object::Interface(Interface {
            change: None,
            interface: interface.name.clone(),
            index: interface.index,
            address: interface.address,
        })
    }));
    objects.extend(dump.neighbours.iter().map(neighbour));
    objects.extend(dump.announced.iter().map(|announced| {
        Object::Announcement(Announcement {
            change: None,
            prefix: announced.destination.prefix,
            source: source(&announced.destination),
            metric: announced.metric,
        })
    }));
    objects.extend(dump.routes.iter().map(route));
    objects
}

fn neighbour(neighbour: &dump::Neighbour) -> Object {
    Object::Neighbour(Neighbour {
        change: None,
        address: neighbour.address,
        interface: neighbour.interface.clone(),
        reach: neighbour.reach,
        rxcost: finite(neighbour.rxcost),
        txcost: finite(neighbour.txcost),
        cost: finite(neighbour.cost),
        rtt_us: neighbour.rtt_us,
        multiplier_ratio: f64::from(neighbour.multiplier) / 256.0,
    })
}

fn route(route: &dump::Route) -> Object {
    Object::Route(Route {
        change: None,
        prefix: route.destination.prefix,
        source: source(&route.destination),
        metric: finite(route.metric),
        refmetric: finite(route.refmetric),
        router_id: route.router_id.to_string(),
        seqno: route.seqno,
        next_hop: route.next_hop,
        interface: route.interface.clone(),
        installed: route.installed,
        feasible: route.feasible,
    })
}

fn finite(metric: u16) -> Option<u16> {
    (metric != u16::MAX).then_some(metric)
}

fn source(destination: &Destination) -> Option<Cidr> {
    destination.is_source_specific().then_some(destination.source)
}

/// What turns `before` into `now`: each object with what became of it.
pub fn changes(before: &[Object], now: &[Object]) -> Vec<Object> {
    let index = |objects: &[Object]| {
        let keyed = objects.iter().map(|object| (key(object), object.clone()));
        keyed.collect::<std::collections::BTreeMap<_, _>>()
    };
    let (before, now) = (index(before), index(now));
    let removed = before.iter().filter(|(key, _)| !now.contains_key(*key));
    let mut changes: Vec<Object> =
        removed.map(|(_, object)| with_change(object, Change::Removed)).collect();
    for (key, object) in &now {
        match before.get(key) {
            None => changes.push(with_change(object, Change::Added)),
            Some(before) if before != object => changes.push(with_change(object, Change::Changed)),
            Some(_) => {}
        }
    }
    changes
}

/// What makes an object the same one at another time.
fn key(object: &Object) -> (u8, String) {
    match object {
        Object::Interface(interface) => (0, interface.interface.clone()),
        Object::Neighbour(n) => (1, format!("{} {}", n.interface, n.address)),
        Object::Announcement(a) => (2, format!("{} {:?}", a.prefix, a.source)),
        Object::Route(r) => {
            (3, format!("{} {:?} {} {}", r.prefix, r.source, r.interface, r.next_hop))
        }
        other => (4, format!("{other:?}")),
    }
}

fn with_change(object: &Object, became: Change) -> Object {
    let mut object = object.clone();
    match &mut object {
        Object::Interface(Interface { change, .. })
        | Object::Neighbour(Neighbour { change, .. })
        | Object::Announcement(Announcement { change, .. })
        | Object::Route(Route { change, .. }) => *change = Some(became),
        _ => {}
    }
    object
}

/// Neighbours and routes as tables.
pub fn tables(objects: &[Object]) -> String {
    let mut neighbours =
        table(&["neighbour", "interface", "reach", "rxcost", "txcost", "cost", "rtt"]);
    let mut routes =
        table(&["", "prefix", "from", "metric", "refmetric", "next hop", "interface", "router-id"]);
    for object in objects {
        match object {
            Object::Neighbour(n) => {
                neighbours.add_row([
                    n.address.to_string(),
                    n.interface.clone(),
                    format!("{:04x}", n.reach),
                    number(n.rxcost),
                    number(n.txcost),
                    number(n.cost),
                    n.rtt_us.map_or_else(
                        || "-".to_owned(),
                        |us| format!("{:.1} ms", f64::from(us) / 1000.0),
                    ),
                ]);
            }
            Object::Announcement(a) => {
                let from = a.source.map_or_else(String::new, |source| source.to_string());
                let row = ["own", &a.prefix.to_string(), &from, &a.metric.to_string()];
                routes.add_row(row.iter().map(ToString::to_string).chain(vec![String::new(); 4]));
            }
            Object::Route(r) => {
                let mark = match (r.installed, r.feasible) {
                    (true, _) => "*",
                    (false, true) => "",
                    (false, false) => "loop",
                };
                routes.add_row([
                    mark.to_owned(),
                    r.prefix.to_string(),
                    r.source.map_or_else(String::new, |source| source.to_string()),
                    number(r.metric),
                    number(r.refmetric),
                    r.next_hop.to_string(),
                    r.interface.clone(),
                    r.router_id.clone(),
                ]);
            }
            _ => {}
        }
    }
    format!("{neighbours}\n\n{routes}")
}

fn number(metric: Option<u16>) -> String {
    metric.map_or_else(|| "infinite".to_owned(), |metric| metric.to_string())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}
