//! What a running node tells of itself.

use std::collections::BTreeMap;

use crate::command::json::{NodeRoute, NodeStatus, Object, Peer, Sysctl, Tunnel, TunnelEvent};
use crate::command::node::control::Question;
use crate::command::node::drive::{Drive, Instant, Prefix, Role, clock};
use crate::command::node::renewal;
use crate::proto::cidr::Cidr;
use crate::proto::endpoint::Endpoint;
use crate::proto::mesh::address::Addresses;

impl Drive {
    /// The answer to a question on the control socket.
    pub(super) fn tell(&self, question: Question) -> Vec<Object> {
        match question {
            Question::Status => vec![Object::NodeStatus(self.status())],
            Question::Peers => self.peers().into_iter().map(Object::Peer).collect(),
            Question::Tunnels => self.tunnel_objects().into_iter().map(Object::Tunnel).collect(),
            Question::Routes => self.route_objects().into_iter().map(Object::NodeRoute).collect(),
            Question::Down => Vec::new(),
        }
    }

    fn status(&self) -> NodeStatus {
        let now = self.clock.now();
        let mesh = self.node.tunnels();
        let certificate = &self.identity.certificate;
        let authority = self.identity.authority.certificate();
        NodeStatus {
            time: clock::unix_time().to_string(),
            common_name: self.identity.prefix.to_string(),
            prefix: self.subnet(self.identity.prefix),
            sdn: self.own_address(),
            network: self.identity.authority.network().cidr(),
            registry: self.registry_url.clone(),
            connected: mesh.is_connected(now),
            network_version: self.node.version().map(|version| version.number()),
            tunnels_opened: self.tunnels.working(Role::Client),
            tunnels_accepted: self.tunnels.working(Role::Server),
            tunnels_waiting: self.tunnels.waiting(),
            neighbours: mesh.neighbours().len(),
            nodes_routed: self.routes.len(),
            endpoints: endpoints(mesh.own_addresses()),
            uptime_s: now.since(Instant::ZERO).as_secs(),
            not_after: certificate.not_after().to_string(),
            certificate_revoked: self.is_revoked(),
            certificate_due: renewal::is_due(certificate, clock::unix_time()),
            authority_not_after: authority.not_after().to_string(),
            authority_due: renewal::is_due(authority, clock::unix_time()),
            renewal_failure: self.renewal.failure().map(ToOwned::to_owned),
            sysctls: self.host.sysctls().map(sysctl).collect(),
            forward_dropped_by: self.host.dropping_chain().map(ToOwned::to_owned),
        }
    }

    fn peers(&self) -> Vec<Peer> {
        let now = self.clock.now();
        let mesh = self.node.tunnels();
        let neighbours = mesh.neighbours();
        let mut known: BTreeMap<Prefix, ()> = mesh.cache().peers().map(|p| (p, ())).collect();
        known.extend(self.routes.iter().map(|route| (route.prefix, ())));
        let network = self.identity.authority.network();
        let peers = known.into_keys().map(|prefix| Peer {
            common_name: prefix.to_string(),
            prefix: self.subnet(prefix),
            sdn: network.node_address(prefix),
            endpoints: mesh.cache().addresses(prefix).map(endpoints).unwrap_or_default(),
            routed: mesh.is_routed(prefix),
            neighbour: neighbours.contains(&prefix),
            resting: mesh.cache().is_resting(prefix, now),
        });
        peers.collect()
    }

    fn tunnel_objects(&self) -> Vec<Tunnel> {
        let time = clock::unix_time().to_string();
        let tunnels = self.tunnels.iter().map(|(link, tunnel)| {
            let mesh = self.node.tunnels().all().get(&link);
            let up = tunnel.up.as_ref();
            let role = match tunnel.role {
                Role::Client => "client",
                Role::Server => "server",
            };
            Tunnel {
                time: time.clone(),
                interface: tunnel.interface.clone(),
                event: match up {
                    Some(_) if tunnel.silent => TunnelEvent::Silent,
                    Some(_) => TunnelEvent::Up,
                    None => TunnelEvent::Connecting,
                },
                peer: mesh.map(|mesh| mesh.peer.to_string()),
                endpoint: tunnel.endpoint,
                role: Some(role.to_owned()),
                serial: up.and_then(|up| up.serial),
                external_ip: up.and_then(|up| up.external_ip),
                mtu_octets: up.map(|up| up.mtu),
                cipher: up.map(|up| up.cipher.name().to_owned()),
                packets_in: Some(tunnel.statistics.packets_in),
                packets_out: Some(tunnel.statistics.packets_out),
                octets_in: Some(tunnel.statistics.octets_in),
                octets_out: Some(tunnel.statistics.octets_out),
                refused: Some(tunnel.statistics.refused),
                ..Tunnel::default()
            }
        });
        tunnels.collect()
    }

    fn route_objects(&self) -> Vec<NodeRoute> {
        let network = self.identity.authority.network();
        let installed = self.dump.routes.iter().filter(|route| route.installed);
        let routes = installed.filter_map(|route| {
            let prefix = route.destination.prefix;
            let node = network.prefix_of(prefix).filter(|node| node.length() > 0)?;
            let link = self.tunnels.of_interface(&route.interface);
            let via = link.and_then(|link| self.node.tunnels().all().get(&link));
            Some(NodeRoute {
                common_name: node.to_string(),
                prefix,
                interface: route.interface.clone(),
                via: via.map(|tunnel| tunnel.peer.to_string()),
                metric: route.metric,
            })
        });
        routes.collect()
    }

    fn subnet(&self, prefix: Prefix) -> Option<Cidr> {
        self.identity.authority.network().subnet(prefix)
    }
}

fn sysctl((name, before, value): (&str, &str, &str)) -> Sysctl {
    Sysctl { name: name.into(), before: before.into(), value: value.into() }
}

fn endpoints(addresses: &Addresses) -> Vec<Endpoint> {
    addresses.iter().map(|address| address.endpoint).collect()
}
