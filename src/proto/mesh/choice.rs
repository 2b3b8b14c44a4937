//! Choosing: which of a peer's addresses to try, which peers to connect to, which tunnel to give up.

use crate::proto::cidr::Cidr;
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::mesh::address::{Addresses, Country, is_of_underlay};
use crate::proto::prefix::Prefix;
use crate::proto::random::Random;

/// What restricts the addresses we use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taste {
    /// Protocols that are not used, in words of the manual: `udp`, `tcp6`.
    pub disabled: Vec<String>,
    /// Our country, if known.
    pub country: Option<Country>,
    /// Countries whose borders no tunnel crosses.
    pub same_country: Vec<Country>,
    /// The network itself, and its IPv4 network: no tunnel leads through the tunnels.
    pub own_networks: Vec<Cidr>,
}

impl Taste {
    /// The places to try, in this order: what `worked` last, then UDP before TCP.
    pub fn usable(
        &self,
        addresses: &Addresses,
        worked: Option<Endpoint>,
        own: &Addresses,
    ) -> Vec<Endpoint> {
        let allowed = addresses.iter().filter(|address| {
            let endpoint = &address.endpoint;
            self.allows(address.country)
                && is_of_underlay(endpoint.address)
                && !self.own_networks.iter().any(|network| network.contains(endpoint.address))
                && !self.disabled.iter().any(|word| word == endpoint.protocol())
                && !own.iter().any(|ours| ours.endpoint == *endpoint)
        });
        let mut endpoints: Vec<Endpoint> = allowed.map(|address| address.endpoint).collect();
        endpoints.sort_by_key(|endpoint| {
            (Some(*endpoint) != worked, endpoint.transport == Transport::Tcp)
        });
        endpoints
    }

    /// Whether a tunnel between our country and another may be.
    fn allows(&self, theirs: Option<Country>) -> bool {
        let listed = |country: Option<Country>| {
            country.is_some_and(|country| self.same_country.contains(&country))
        };
        (!listed(self.country) && !listed(theirs)) || self.country == theirs
    }
}

/// Candidates in the order to try them: `preferred` ones first, otherwise random.
pub fn in_order(
    mut candidates: Vec<Prefix>,
    preferred: &[Prefix],
    random: &mut Random,
) -> Vec<Prefix> {
    random.shuffle(&mut candidates);
    candidates.sort_by_key(|prefix| !preferred.contains(prefix));
    candidates
}

/// A tunnel that may be given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spare {
    /// Whom it leads to.
    pub peer: Prefix,
    /// How many prefixes are routed through it.
    pub routed: usize,
}

/// The tunnel that is missed least: it routes the fewest prefixes. `preferred` peers come last.
pub fn least_useful(
    tunnels: &[Spare],
    preferred: &[Prefix],
    random: &mut Random,
) -> Option<Prefix> {
    let worth = |spare: &Spare| (preferred.contains(&spare.peer), spare.routed);
    let least = tunnels.iter().map(worth).min()?;
    let equals: Vec<Prefix> =
        tunnels.iter().filter(|spare| worth(spare) == least).map(|spare| spare.peer).collect();
    random.choose(&equals).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn country(text: &str) -> Option<Country> {
        Country::parse(text)
    }

    fn shown(endpoints: &[Endpoint]) -> String {
        endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_worked_last_comes_first_then_udp() {
        let list = Addresses::parse("10.0.0.1,1,tcp;10.0.0.2,2,tcp;10.0.0.1,1,udp");
        let own = Addresses::default();
        let usable = Taste::default().usable(&list, None, &own);
        assert_eq!(shown(&usable), "10.0.0.1,1,udp 10.0.0.1,1,tcp 10.0.0.2,2,tcp");
        let worked = "10.0.0.2,2,tcp".parse().ok();
        let usable = Taste::default().usable(&list, worked, &own);
        assert_eq!(shown(&usable), "10.0.0.2,2,tcp 10.0.0.1,1,udp 10.0.0.1,1,tcp");
    }

    #[test]
    fn our_own_address_and_disabled_protocols_are_not_tried() {
        let list = Addresses::parse("10.0.0.1,1,tcp;10.0.0.1,1,udp;2001:db8::1,1,udp6");
        let own = Addresses::parse("10.0.0.1,1,tcp");
        let taste = Taste { disabled: vec!["udp".into()], ..Taste::default() };
        assert_eq!(shown(&taste.usable(&list, None, &own)), "2001:db8::1,1,udp6");
    }

    #[test]
    fn addresses_of_no_host_in_the_underlay_are_not_tried() {
        let list = Addresses::parse(
            "127.0.0.1,1,udp;0.0.0.0,1,udp;224.0.0.1,1,udp;255.255.255.255,1,udp;169.254.1.1,1,tcp;\
             ::1,1,udp6;fe80::1,1,udp6;ff02::1,1,udp6;::ffff:127.0.0.1,1,udp6;2001:db8:42:1::1,1,udp6;\
             10.43.0.1,1,udp;10.0.0.1,1,udp",
        );
        let own_networks =
            ["2001:db8:42::/48", "10.43.0.0/16"].map(|text| text.parse().unwrap()).to_vec();
        let taste = Taste { own_networks, ..Taste::default() };
        let usable = taste.usable(&list, None, &Addresses::default());
        assert_eq!(shown(&usable), "10.0.0.1,1,udp");
    }

    #[test]
    fn tunnels_do_not_cross_the_borders_of_listed_countries() {
        let taste = |ours| Taste {
            country: country(ours),
            same_country: vec![country("CN").unwrap()],
            ..Taste::default()
        };
        let table = [
            ("CN", "CN", true),
            ("CN", "FR", false),
            ("CN", "", false),
            ("FR", "CN", false),
            ("", "CN", false),
            ("FR", "DE", true),
            ("", "FR", true),
        ];
        for (ours, theirs, allowed) in table {
            assert_eq!(taste(ours).allows(country(theirs)), allowed, "{ours:?} to {theirs:?}");
        }
    }

    #[test]
    fn the_tunnel_that_routes_least_is_given_up_unless_it_is_preferred() {
        let peer = |value| Prefix::new(value, 16).unwrap();
        let spare = |value, routed| Spare { peer: peer(value), routed };
        let tunnels = [spare(1, 3), spare(2, 1), spare(3, 7)];
        let mut random = Random::from_number(1);
        assert_eq!(least_useful(&tunnels, &[], &mut random), Some(peer(2)));
        assert_eq!(least_useful(&tunnels, &[peer(2)], &mut random), Some(peer(1)));
        assert_eq!(least_useful(&[], &[], &mut random), None);
    }

    #[test]
    fn preferred_candidates_come_first() {
        let peers: Vec<Prefix> = (0..9).map(|value| Prefix::new(value, 16).unwrap()).collect();
        let order = in_order(peers.clone(), &peers[4..5], &mut Random::from_number(1));
        assert_eq!(order[0], peers[4]);
        assert_eq!(order.len(), 9);
    }
}
