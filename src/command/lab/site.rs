//! The hosts of a lab: a network namespace each, with its interfaces, addresses and default routes.

use std::net::{IpAddr, Ipv4Addr};

use crate::command::Failure;
use crate::command::lab::Lab;
use crate::command::lab::emulator::Devices;
use crate::os::link::{LinkError, Links};
use crate::os::namespace::{Namespace, NamespaceError};
use crate::os::tun::{Layer, Tun};
use crate::proto::lab::scenario::{Host, Scenario};

/// Why a host could not be made.
#[derive(Debug, thiserror::Error)]
enum SiteError {
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("cannot make interface {name}: {cause}")]
    Device { name: &'static str, cause: std::io::Error },
    #[error("interface {0} is not there after it was made")]
    Vanished(&'static str),
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
}

/// Makes every host; what was made before an error is left to be removed by name.
pub fn build(lab: &Lab, scenario: &Scenario) -> Result<Vec<Devices>, Failure> {
    let build = |host: &Host| {
        let made = build_host(&lab.namespace_name(&host.name), host);
        made.map_err(|error| Failure::failed(format!("host {}: {error}", host.name)))
    };
    scenario.hosts.iter().map(build).collect()
}

fn build_host(name: &str, host: &Host) -> Result<Devices, SiteError> {
    let namespace = Namespace::create(name)?;
    namespace.run(|| {
        let open = |name, layer| {
            Tun::open(name, layer, MTU).map_err(|cause| SiteError::Device { name, cause })
        };
        let wan = open(WAN, Layer::Packets)?;
        let lan = host.lan.as_ref().map(|_| open(LAN, Layer::Frames)).transpose()?;
        // The netlink socket must be opened by this thread, which is inside.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(SiteError::Runtime)?.block_on(configure(host))?;
        Ok(Devices { wan, lan })
    })?
}

async fn configure(host: &Host) -> Result<(), SiteError> {
    let links = Links::open()?;
    let loopback = links.find("lo").await?.ok_or(SiteError::Vanished("lo"))?;
    links.set_up(loopback.index).await?;
    let wan = links.find(WAN).await?.ok_or(SiteError::Vanished(WAN))?;
    links.set_up(wan.index).await?;
    if let Some(address) = host.ipv4 {
        links.add_address(wan.index, address.into(), 24).await?;
        // Behind NAT there is a router to ask for port mappings; in public there is just the Internet.
        let gateway = host.nat.map(|_| IpAddr::V4(gateway_of(address)));
        links.add_default_route(wan.index, IpAddr::V4(address), gateway).await?;
    }
    if let Some(address) = host.ipv6 {
        links.add_address(wan.index, address.into(), 64).await?;
        links.add_default_route(wan.index, IpAddr::V6(address), None).await?;
    }
    if host.lan.is_some() {
        let lan = links.find(LAN).await?.ok_or(SiteError::Vanished(LAN))?;
        links.set_up(lan.index).await?;
    }
    Ok(())
}

/// The router of a private network has its first address.
pub fn gateway_of(address: Ipv4Addr) -> Ipv4Addr {
    let [a, b, c, _] = address.octets();
    Ipv4Addr::new(a, b, c, 1)
}

/// The interface to the Internet.
const WAN: &str = "wan";

/// The interface to the LAN segment.
const LAN: &str = "lan";

const MTU: u16 = 1500;
