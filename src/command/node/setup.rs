//! What a node needs before it can run, checked one after the other: who it is, its folders, its host.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::command::Failure;
use crate::command::node::options::Options;
use crate::command::registry::client::{CallError, RegistryClient};
use crate::os::clock;
use crate::os::{file, host};
use crate::proto::certificate::{CertificateError, Identity};
use crate::proto::cidr::Cidr;
use crate::proto::mesh::datagram::PORT;
use crate::proto::prefix::{Network, Prefix};
use crate::proto::registry::client::ReplyError;
use crate::proto::registry::ipv4;
use crate::proto::registry::parameters::Parameters;

/// Reads authority, certificate and key.
pub fn identity(options: &Options) -> Result<Identity, Failure> {
    let read = |path: &Path| fs::read(path).map_err(|error| unreadable(path, &error));
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

/// A relative path is one of the folder the command was started in, wherever it was written.
fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let whole = whole.display();
    Failure::failed(if path.is_relative() {
        format!(
            "cannot read {whole}: {error}; {} is looked for in the folder in which the command is \
             started, also if an options file names it: start it in the right folder, or give the \
             whole path",
            path.display()
        )
    } else {
        format!("cannot read {whole}: {error}; `re6st cert join` makes it")
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
        file::create_folder(folder).map_err(|error| Failure::failed(error.to_string()))?;
    }
    match host::lock(&options.state) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(Failure::failed(format!(
            "another node runs with the state folder {}; stop it, or give another --state",
            options.state.display()
        ))),
        Err(error) => Err(Failure::failed(format!(
            "cannot open the state folder {}: {error}",
            options.state.display()
        ))),
    }
}

/// The network's parameters: those of last time, or else from the registry, which may take a while to
/// come up. True if they are of last time.
pub async fn parameters(
    remembered: Option<Parameters>,
    client: &mut RegistryClient,
) -> Result<(Parameters, bool), Failure> {
    if let Some(parameters) = remembered {
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
