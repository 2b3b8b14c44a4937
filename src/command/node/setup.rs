//! What a node needs before it can run, checked one after the other: who it is, its folders, its host.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::command::Failure;
use crate::command::node::network;
use crate::command::node::options::Options;
use crate::command::registry::client::{CallError, RegistryClient};
use crate::os::clock;
use crate::os::host::{self, Barriers, Changed};
use crate::os::link::{LinkError, Links};
use crate::os::store::Store;
use crate::proto::certificate::{CertificateError, Identity};
use crate::proto::cidr::Cidr;
use crate::proto::mesh::datagram::PORT;
use crate::proto::prefix::{Network, Prefix};
use crate::proto::registry::client::ReplyError;
use crate::proto::registry::ipv4;
use crate::proto::registry::parameters::Parameters;

/// Reads authority, certificate and key.
pub fn identity(options: &Options) -> Result<Identity, Failure> {
    let read = |path: &Path| {
        fs::read(path).map_err(|error| {
            Failure::failed(format!(
                "cannot read {}: {error}; `re6st cert join` makes it",
                path.display()
            ))
        })
    };
    let (ca, certificate, key) = (read(&options.ca)?, read(&options.cert)?, read(&options.key)?);
    Identity::from_pem(&ca, &certificate, &key, clock::unix_time()).map_err(|error| {
        let (ca, cert) = (options.ca.display(), options.cert.display());
        Failure::failed(match error {
            CertificateError::NoNetwork => format!("{ca} {error}"),
            CertificateError::OtherAuthority => {
                format!("{cert} {error} ({ca}); join the network anew, or give the right --ca")
            }
            CertificateError::OtherKey => {
                format!("{cert} {error} in {}; give the right --key", options.key.display())
            }
            CertificateError::Expired(_) => format!("{cert} {error}; join the network anew"),
            CertificateError::Malformed => {
                let key = options.key.display();
                format!("one of {ca}, {cert} and {key} {error}")
            }
            other => format!("{cert} {other}"),
        })
    })
}

/// Makes the folders and takes the lock that keeps a second node out.
pub fn folders(options: &Options) -> Result<impl Sized + use<>, Failure> {
    if !host::is_root() {
        return Err(Failure::failed(
            "only root may change addresses and routes; start `re6st node up` as root",
        ));
    }
    for folder in [&options.state, &options.run] {
        fs::create_dir_all(folder).map_err(|error| {
            Failure::failed(format!("cannot make the folder {}: {error}", folder.display()))
        })?;
    }
    let lock = options.state.join("lock");
    match host::lock(&lock) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Failure::failed(format!(
            "another node runs with the state folder {}; stop it, or give another --state",
            options.state.display()
        ))),
        Err(error) => Err(Failure::failed(format!(
            "cannot write to the state folder {}: {error}",
            options.state.display()
        ))),
    }
}

/// Opens the cache. A folder that is full is no reason not to run: `None`, and a warning.
pub fn store(options: &Options) -> Result<Option<Store>, Failure> {
    let file = options.state.join("cache.db");
    match Store::open(&file) {
        Ok(store) => Ok(Some(store)),
        Err(error) => match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::SystemIoFailure) => {
                tracing::warn!(
                    "the state folder {} is full: what this node learns is lost when it ends",
                    options.state.display()
                );
                Ok(None)
            }
            _ => Err(Failure::failed(format!("cannot use {}: {error}", file.display()))),
        },
    }
}

/// The network's parameters: those of last time, or else from the registry, which may take a while to
/// come up. True if they are of last time.
pub async fn parameters(
    store: Option<&Store>,
    client: &mut RegistryClient,
) -> Result<(Parameters, bool), Failure> {
    if let Some(rows) = store.and_then(|store| store.configuration().ok())
        && let Ok(parameters) = network::from_rows(rows)
    {
        return Ok((parameters, true));
    }
    tracing::info!("asking the registry {} for the network's parameters", client.url());
    let mut attempts = 0;
    loop {
        attempts += 1;
        match client.get_network_config().await {
            Ok(parameters) => return Ok((parameters, false)),
            // It may just be starting, as on a machine that boots.
            Err(CallError::Http(error)) if attempts < FIRST_ATTEMPTS => {
                tracing::info!("the registry does not answer yet: {error}");
                tokio::time::sleep(FIRST_PAUSE * attempts).await;
            }
            Err(error) => return Err(no_parameters(client, &error)),
        }
    }
}

fn no_parameters(client: &RegistryClient, error: &CallError) -> Failure {
    let url = client.url();
    Failure::failed(match error {
        CallError::Http(_) => format!(
            "the registry {url} cannot be reached, and this node does not know the network's \
             parameters from an earlier time: {error}"
        ),
        CallError::Reply(ReplyError::Unknown) => format!(
            "the registry {url} does not know this node: its certificate was revoked, or is of \
             another registry; join the network anew"
        ),
        _ => format!("the registry {url} is of no use: {error}"),
    })
}

/// Where a node is in its network.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The network.
    pub network: Cidr,
    /// The node's part of it.
    pub subnet: Cidr,
    /// Its address there.
    pub address: IpAddr,
}

/// A node's places: in the network and, if it has one, in the IPv4 network.
pub fn places(parameters: &Parameters, identity: &Identity) -> Result<Vec<Place>, Failure> {
    let place = place(identity.authority.network(), identity.prefix)?;
    Ok(std::iter::once(place).chain(place_v4(parameters, identity)).collect())
}

fn place(network: Network, prefix: Prefix) -> Result<Place, Failure> {
    let subnet = network.subnet(prefix).zip(network.node_address(prefix));
    let (subnet, address) = subnet.ok_or_else(|| {
        Failure::failed("the prefix in this node's certificate is too long for its network")
    })?;
    Ok(Place { network: network.cidr(), subnet, address: address.into() })
}

/// `None` if there is no IPv4 network, or it is not large enough.
fn place_v4(parameters: &Parameters, identity: &Identity) -> Option<Place> {
    let (network, bits) = parameters.ipv4?;
    let serial = identity.certificate.subject_serial()?;
    let (address, length) = ipv4::subnet(network, bits, serial)?;
    let subnet = Cidr::new(address.into(), length).ok()?;
    Some(Place { network, subnet, address: address.into() })
}

/// What was changed on the host, to be changed back.
pub struct Host {
    links: Links,
    barriers: Barriers,
    index: u32,
    places: Vec<Place>,
    changed: Vec<Changed>,
}

impl Host {
    /// Gives the host its addresses, makes what is not routed in the network unreachable, and lets it
    /// forward. What a killed predecessor left is replaced.
    pub async fn prepare(places: Vec<Place>, interface: &str) -> Result<Self, Failure> {
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
        let mut host = Self { links, barriers, index, places, changed: Vec::new() };
        // First of all: the kernel counts an address that it completes while this changes twice, as a
        // router's anycast address, and keeps that after the address is gone.
        for name in ["net/ipv6/conf/all/forwarding", "net/ipv4/ip_forward"] {
            match Changed::set(name, "1") {
                Ok(changed) => host.changed.extend(changed),
                Err(error) => tracing::warn!("cannot set {name}, so nothing is forwarded: {error}"),
            }
        }
        for place in host.places.clone() {
            host.take_place(&place, interface).await.map_err(failed)?;
            host.barriers.add(place.network).await.map_err(|error| {
                Failure::failed(format!("cannot make {} unreachable: {error}", place.network))
            })?;
        }
        Ok(host)
    }

    async fn take_place(&self, place: &Place, interface: &str) -> Result<(), LinkError> {
        for (old, _) in self.links.addresses(self.index).await? {
            if place.network.contains(old) && old != place.address {
                tracing::info!("removing {old}, which an earlier node left on {interface}");
                self.links.delete_address(self.index, old).await?;
            }
        }
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
        for changed in self.changed {
            changed.restore();
        }
    }
}

/// Opens UDP port 326 for what comes over the network.
pub fn open_socket() -> Result<UdpSocket, Failure> {
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&std::net::SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)).into())?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|error| {
        Failure::failed(match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "UDP port {PORT}, by which nodes talk, is taken: another node runs on this host; \
                 stop it first"
            ),
            _ => format!("cannot open UDP port {PORT}: {error}"),
        })
    })
}

/// How often a registry is asked that does not answer the first time a node starts.
const FIRST_ATTEMPTS: u32 = 5;
/// After the first of them; longer after each.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
