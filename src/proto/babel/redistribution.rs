//! What of a host's own addresses and routes is originated.

use std::collections::BTreeMap;

use crate::proto::babel::destination::Destination;
use crate::proto::babel::filter::{Candidate, Filters, Origin};
use crate::proto::babel::settings::Announcement;

/// An address or a route of the host, not of a Babel router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostRoute {
    /// Where it leads; for an address, that address alone.
    pub destination: Destination,
    /// How the kernel knows it.
    pub origin: Origin,
    /// The name of the interface it is on or leads over.
    pub interface: Option<String>,
}

/// What is originated of them; of several with the same destination, the one with the lowest metric.
pub fn redistribute(routes: &[HostRoute], filters: &Filters) -> Vec<Announcement> {
    let mut announced: BTreeMap<Destination, u16> = BTreeMap::new();
    for route in routes.iter().filter(|route| route.destination.is_routable()) {
        let candidate = Candidate {
            destination: route.destination,
            router_id: None,
            neighbour: None,
            interface: route.interface.as_deref(),
            origin: route.origin,
        };
        let action = filters.redistribute(&candidate);
        if let Some(destination) = action.apply(route.destination) {
            let metric = announced.entry(destination).or_insert(action.metric);
            *metric = action.metric.min(*metric);
        }
    }
    let announcement = |(destination, metric)| Announcement { destination, metric };
    announced.into_iter().map(announcement).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::babel::configuration::Configuration;

    fn route(prefix: &str, origin: Origin, interface: &str) -> HostRoute {
        let destination = Destination::from_anywhere(prefix.parse().unwrap());
        HostRoute { destination, origin, interface: Some(interface.to_owned()) }
    }

    fn host() -> Vec<HostRoute> {
        vec![
            route("2001:db8:42:1::1/128", Origin::Local, "lo"),
            route("::1/128", Origin::Local, "lo"),
            route("2001:db8:42:1::/64", Origin::Protocol(2), "lo"),
            route("2001:db8:42:1::/64", Origin::Protocol(4), "eth0"),
            route("fe80::/64", Origin::Protocol(2), "eth0"),
            route("ff00::/8", Origin::Protocol(2), "eth0"),
            route("10.43.1.0/24", Origin::Protocol(2), "eth0"),
            route("127.0.0.0/8", Origin::Protocol(2), "lo"),
            route("0.0.0.0/0", Origin::Protocol(3), "eth0"),
            route("::/0", Origin::Protocol(9), "eth0"),
        ]
    }

    fn redistributed(text: &str) -> Vec<String> {
        let mut configuration = Configuration::default();
        assert_eq!(configuration.read_file("babeld.conf", text), []);
        let announced = redistribute(&host(), &configuration.filters);
        let line = |a: Announcement| format!("{} metric {}", a.destination, a.metric);
        announced.into_iter().map(line).collect()
    }

    #[test]
    fn addresses_are_redistributed_and_routes_by_filter() {
        assert_eq!(redistributed(""), ["2001:db8:42:1::1/128 metric 0"]);
        assert_eq!(redistributed("redistribute local deny"), [""; 0]);
        assert_eq!(
            redistributed("redistribute local deny\nredistribute ip 2001:db8:42:1::1/64 eq 64"),
            ["2001:db8:42:1::/64 metric 0"]
        );
        assert_eq!(
            redistributed("redistribute metric 256"),
            [
                "10.43.1.0/24 metric 256",
                "::/0 metric 256",
                "2001:db8:42:1::/64 metric 256",
                "2001:db8:42:1::1/128 metric 0"
            ]
        );
    }

    #[test]
    fn of_the_same_destination_the_lowest_metric_counts() {
        assert_eq!(
            redistributed(
                "redistribute if eth0 ip 2001:db8::/32 metric 9\nredistribute if lo metric 7"
            ),
            ["2001:db8:42:1::/64 metric 7", "2001:db8:42:1::1/128 metric 0"]
        );
    }

    #[test]
    fn a_default_route_can_become_one_for_the_network_alone() {
        assert_eq!(
            redistributed(
                "redistribute ip ::/0 eq 0 src-prefix 2001:db8:42::/48\nredistribute local deny"
            ),
            ["::/0 from 2001:db8:42::/48 metric 0"]
        );
    }
}
