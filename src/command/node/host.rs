//! What a node changes on its host, and how all of it is changed back, also after a node that was killed.

use std::net::IpAddr;
use std::path::Path;

use crate::command::Failure;
use crate::command::node::setup::Place;
use crate::os::host::Barriers;
use crate::os::link::{LinkError, Links};
use crate::os::traces::Traces;

/// What was changed on the host, to be changed back.
pub struct Host {
    links: Links,
    barriers: Barriers,
    index: u32,
    places: Vec<Place>,
    traces: Traces,
}

impl Host {
    /// Gives the host its addresses, makes what is not routed in the network unreachable, and lets it
    /// forward. What a killed predecessor left is removed, or ours from now on; `folder` remembers it.
    pub async fn prepare(
        places: Vec<Place>,
        interface: &str,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let failed = |error: LinkError| Failure::failed(error.to_string());
        let links = Links::open().map_err(failed)?;
        let link = links.find(interface).await.map_err(failed)?;
        let link = link.ok_or_else(|| {
            Failure::usage(format!("--main-interface: there is no interface {interface}"))
        })?;
        let index = link.index;
        links.set_up(index).await.map_err(failed)?;
        let barriers = Barriers::open()
            .map_err(|error| Failure::failed(format!("cannot open a netlink socket: {error}")))?;
        let traces = Traces::open(folder.join("host.json"))
            .map_err(|error| Failure::failed(format!("cannot tell which host this is: {error}")))?;
        let mut host = Self { links, barriers, index, places, traces };
        // First of all: the kernel counts an address that it completes while this changes twice, as a
        // router's anycast address, and keeps that after the address is gone.
        host.turn_switches();
        host.clean_up(interface).await.map_err(failed)?;
        for place in host.places.clone() {
            host.take_place(&place, interface).await.map_err(failed)?;
            host.barriers.add(place.network).await.map_err(|error| {
                Failure::failed(format!("cannot make {} unreachable: {error}", place.network))
            })?;
        }
        if let Some(error) = &host.traces.unkept {
            tracing::warn!(
                "{error}: should this node be killed, the next cannot clean up after it"
            );
        }
        Ok(host)
    }

    fn turn_switches(&mut self) {
        for (name, before) in &self.traces.earlier.switches {
            tracing::info!("a node that was killed had set {name}, which was {before} before");
        }
        for (name, value) in SWITCHES {
            match self.traces.switch(name, value) {
                Ok(true) => {}
                Ok(false) => tracing::debug!("this kernel has no {name}"),
                Err(error) => tracing::warn!("cannot set {name}: packets may go astray: {error}"),
            }
        }
    }

    /// Removes what a killed node left that is not ours as well.
    async fn clean_up(&mut self, interface: &str) -> Result<(), LinkError> {
        for (name, address) in self.traces.earlier.addresses.clone() {
            if name == interface && self.places.iter().any(|place| place.address == address) {
                tracing::info!("a node that was killed left {address} on {name}: it is ours now");
                continue;
            }
            tracing::info!("removing {address}, which a node that was killed left on {name}");
            if let Some(link) = self.links.find(&name).await? {
                self.links.delete_address(link.index, address).await?;
            }
            self.traces.removed_address(&name, address);
        }
        let barriers = self.barriers.list().await.unwrap_or_else(|error| {
            tracing::warn!("cannot list the unreachable routes of earlier nodes: {error}");
            Vec::new()
        });
        for network in barriers {
            if self.places.iter().any(|place| place.network == network) {
                tracing::info!("a node that was killed left {network} unreachable: it is ours now");
            } else {
                tracing::info!("a node that was killed left {network} unreachable: removed");
                let _ = self.barriers.remove(network).await;
            }
        }
        Ok(())
    }

    async fn take_place(&mut self, place: &Place, interface: &str) -> Result<(), LinkError> {
        for (old, _) in self.links.addresses(self.index).await? {
            if place.network.contains(old) && old != place.address {
                tracing::info!("removing {old}, which an earlier node left on {interface}");
                self.links.delete_address(self.index, old).await?;
            }
        }
        self.traces.adds_address(interface, place.address);
        self.links.add_address(self.index, place.address, place.subnet.length()).await
    }

    /// Gives a tunnel our IPv4 address, the next hop of IPv4 routes of stock peers.
    pub async fn address_tunnel(&self, index: u32) {
        let ipv4 = self.places.iter().map(|place| place.address).filter(IpAddr::is_ipv4);
        for address in ipv4 {
            if let Err(error) = self.links.add_address(index, address, 32).await {
                tracing::warn!("{error}");
            }
        }
    }

    /// Itself beside what came of an attempt; if that failed, everything is changed back.
    pub async fn keep_if<T>(self, attempt: Result<T, Failure>) -> Result<(Self, T), Failure> {
        match attempt {
            Ok(made) => Ok((self, made)),
            Err(failure) => {
                self.restore().await;
                Err(failure)
            }
        }
    }

    /// Changes everything back.
    pub async fn restore(self) {
        for place in self.places {
            if let Err(error) = self.barriers.remove(place.network).await {
                let network = place.network;
                tracing::debug!("the unreachable route to {network} was gone already: {error}");
            }
            if let Err(error) = self.links.delete_address(self.index, place.address).await {
                tracing::warn!("{error}");
            }
        }
        self.traces.restore(&SWITCHES);
    }
}

/// Packets of others are passed on, and nobody is believed who says that he knows a better way.
const SWITCHES: [(&str, &str); 3] = [
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/conf/all/forwarding", "1"),
    ("net/ipv6/conf/all/accept_redirects", "0"),
];
