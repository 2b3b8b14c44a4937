//! What a node changes on its host, and how all of it is changed back, also after a node that was killed.

use std::net::IpAddr;

use crate::command::Failure;
use crate::command::node::options::Options;
use crate::command::node::setup::Place;
use crate::os::forward_filter::{self, Allowed};
use crate::os::host::Barriers;
use crate::os::link::{LinkError, Links};
use crate::os::sysctl;
use crate::os::traces::Traces;
use crate::proto::cidr::Cidr;

/// What was changed on the host, to be changed back.
pub struct Host {
    links: Links,
    barriers: Barriers,
    /// What has the node's addresses: its name, and the kernel's number of it.
    interface: String,
    index: u32,
    places: Vec<Place>,
    traces: Traces,
    /// Our table of nftables is there.
    is_filtering: bool,
    dropping_chain: Option<String>,
}

impl Host {
    /// Gives the host its addresses, makes what is not routed in the network unreachable, and lets it
    /// forward. What a killed predecessor left is removed, or ours from now on; `folder` remembers it.
    pub async fn prepare(places: Vec<Place>, options: &Options) -> Result<Self, Failure> {
        let (interface, folder) = (options.main_interface.as_str(), options.run.as_path());
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
        let interface = interface.to_owned();
        let mut host = Self {
            links,
            barriers,
            interface,
            index,
            places,
            traces,
            is_filtering: false,
            dropping_chain: None,
        };
        // First of all: the kernel counts an address that it completes while this changes twice, as a
        // router's anycast address, and keeps that after the address is gone.
        host.set_sysctls();
        host.clean_up().await.map_err(failed)?;
        for place in host.places.clone() {
            host.take_place(&place).await.map_err(failed)?;
            host.traces.adds_unreachable(place.network);
            host.barriers.add(place.network).await.map_err(|error| {
                Failure::failed(format!("cannot make {} unreachable: {error}", place.network))
            })?;
        }
        host.filter_forwarding(options);
        if let Some(error) = &host.traces.unkept {
            tracing::warn!(
                "{error}: should this node be killed, the next cannot clean up after it"
            );
        }
        Ok(host)
    }

    /// Limits what packets out of tunnels reach through this host, unless the operator wants them to go
    /// anywhere.
    fn filter_forwarding(&mut self, options: &Options) {
        if let Some(chain) = forward_filter::dropping_chain() {
            tracing::warn!(
                "the firewall of this host drops forwarded packets (policy of the chain {chain}): \
                 unless a rule of it accepts them, no traffic of others passes this node; with \
                 Docker: ip6tables -I DOCKER-USER -i re6+ -o re6+ -j ACCEPT"
            );
            self.dropping_chain = Some(chain);
        }
        if options.forward {
            // A killed node without --forward may have left its table.
            if let Err(error) = forward_filter::remove() {
                tracing::debug!("no table of nftables is left: {error}");
            }
            return;
        }
        let prefixes = self.places.iter().map(|place| place.subnet).collect();
        let allowed = Allowed { prefixes, interfaces: options.interface.clone() };
        match forward_filter::install(&allowed) {
            Ok(()) => self.is_filtering = true,
            Err(error) => tracing::warn!(
                "packets out of tunnels are not limited to the network: nftables cannot be used \
                 ({error}); install nft, or give --forward if they may go anywhere"
            ),
        }
    }

    /// The chain of the host's firewall that drops forwarded packets by its policy, if there is one.
    pub fn dropping_chain(&self) -> Option<&str> {
        self.dropping_chain.as_deref()
    }

    fn set_sysctls(&mut self) {
        for (name, before) in &self.traces.earlier.switches {
            tracing::info!("a node that was killed had set {name}, which was {before} before");
        }
        // Before forwarding: it takes routes away that come by router advertisements.
        let accept_ra = sysctl::accept_ra_of_hosts();
        for name in &accept_ra {
            tracing::info!("setting {name} to 2: this host may live from router advertisements");
        }
        let accept_ra = accept_ra.iter().map(|name| (name.as_str(), sysctl::ACCEPT_RA_AND_FORWARD));
        let has_ipv4 = self.places.iter().any(|place| place.address.is_ipv4());
        let wanted = SYSCTLS.into_iter().filter(|&(name, _)| has_ipv4 || name != IPV4_FORWARDING);
        for (name, value) in accept_ra.chain(wanted) {
            match self.traces.switch(name, value) {
                Ok(true) => {}
                Ok(false) => tracing::debug!("this kernel has no {name}"),
                Err(error) => tracing::warn!("cannot set {name}: packets may go astray: {error}"),
            }
        }
    }

    /// Removes what a killed node left that is not ours as well.
    async fn clean_up(&mut self) -> Result<(), LinkError> {
        for (name, address) in self.traces.earlier.addresses.clone() {
            if name == self.interface && self.places.iter().any(|place| place.address == address) {
                tracing::info!("a node that was killed left {address} on {name}: it is ours now");
                continue;
            }
            tracing::info!("removing {address}, which a node that was killed left on {name}");
            if let Some(link) = self.links.find(&name).await? {
                self.links.delete_address(link.index, address).await?;
            }
            self.traces.removed_address(&name, address);
        }
        for network in self.traces.earlier.unreachable.clone() {
            let Ok(network) = network.parse::<Cidr>() else { continue };
            if self.places.iter().any(|place| place.network == network) {
                tracing::info!("a node that was killed left {network} unreachable: it is ours now");
            } else {
                tracing::info!("a node that was killed left {network} unreachable: removed");
                let _ = self.barriers.remove(network).await;
                self.traces.removed_unreachable(network);
            }
        }
        Ok(())
    }

    async fn take_place(&mut self, place: &Place) -> Result<(), LinkError> {
        // Other addresses of the network belong to services of this host. The node's own address, if it
        // is there and no earlier node's, was configured by the operator and stays when the node ends.
        let addresses = self.links.addresses(self.index).await?;
        let is_there = addresses.iter().any(|&(there, _)| there == place.address);
        if is_there && !self.traces.has_address(&self.interface, place.address) {
            return Ok(());
        }
        self.traces.adds_address(&self.interface, place.address);
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

    /// The sysctls that are changed now: name, value before, value now.
    pub fn sysctls(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.traces.sysctls()
    }

    /// Changes everything back.
    pub async fn restore(self) {
        for place in self.places {
            if let Err(error) = self.barriers.remove(place.network).await {
                let network = place.network;
                tracing::debug!("the unreachable route to {network} was gone already: {error}");
            }
            if self.traces.has_address(&self.interface, place.address)
                && let Err(error) = self.links.delete_address(self.index, place.address).await
            {
                tracing::warn!("{error}");
            }
        }
        if self.is_filtering
            && let Err(error) = forward_filter::remove()
        {
            tracing::debug!("the table of nftables was gone already: {error}");
        }
        self.traces.restore(&SYSCTLS);
    }
}

/// Set only in a network with IPv4.
const IPV4_FORWARDING: &str = "net/ipv4/conf/all/forwarding";

/// The host forwards, and accepts no ICMP redirects.
const SYSCTLS: [(&str, &str); 3] = [
    ("net/ipv6/conf/all/forwarding", "1"),
    (IPV4_FORWARDING, "1"),
    ("net/ipv6/conf/all/accept_redirects", "0"),
];
