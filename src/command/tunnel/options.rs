//! The options of `re6st tunnel`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::command::Failure;
use crate::command::tunnel::particulars::Segments;
use crate::command::tunnel::terms::ListenPort;
use crate::proto::cidr::CidrError;
use crate::proto::endpoint::Transport;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::control_keys::{Digest, Direction};
use crate::proto::tunnel::kind::Device;
use crate::proto::tunnel::profile::{self, Profile};

/// Which end of a tunnel to be.
#[derive(Debug, Subcommand)]
pub enum Tunnel {
    /// Accept tunnels from OpenVPN and re6st clients, an interface for each
    ///
    /// The interface of the client with common name 1/16 is called re6st-1-16. Who removes it (`ip link
    /// delete re6st-1-16`) closes that client's tunnel and no other; the client is told, and may come again
    /// unless --revoked or --crl names its certificate.
    Listen(Box<Listen>),
    /// Open a tunnel to an OpenVPN or re6st server
    Connect(Box<Connect>),
}

/// What `listen` is told.
#[derive(Debug, Args)]
pub struct Listen {
    /// Port to listen on [default: 1194]
    #[arg(long)]
    pub port: Option<u16>,
    /// What carries the tunnels; given several times, clients may come over each [default: udp]
    #[arg(long, value_enum)]
    pub(super) protocol: Vec<Protocol>,
    /// Address to listen on [default: every one of the protocol's family]
    #[arg(long, value_name = "ADDRESS")]
    pub bind: Option<IpAddr>,
    /// Clients at most; further ones are refused [default: 20]
    #[arg(long, value_name = "COUNT")]
    pub max_clients: Option<usize>,
    /// What interfaces' names begin with; the client's common name follows
    #[arg(long, value_name = "PREFIX", default_value = "re6st-")]
    pub interface_prefix: String,
    /// Diffie-Hellman parameters; accepted and not used, for every peer knows elliptic curves
    #[arg(long, value_name = "FILE")]
    pub dh: Option<PathBuf>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// What `connect` is told.
#[derive(Debug, Args)]
pub struct Connect {
    /// The server: HOST,PORT,PROTOCOL, for example 203.0.113.7,1194,udp [default: each `remote` of
    /// the configuration file until there is a tunnel]
    #[arg(value_name = "HOST,PORT,PROTOCOL", required_unless_present = "config")]
    pub server: Option<String>,
    /// Common name that the server's certificate must have [default: any]
    #[arg(long, value_name = "NAME")]
    pub peer: Option<String>,
    /// Name of the interface [default: re6st-tunnel]
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    #[command(flatten)]
    pub(super) common: Common,
}

/// What both are told.
#[derive(Debug, Args)]
pub struct Common {
    /// OpenVPN configuration file (.ovpn) to take from what is not said here; files that it names are
    /// looked for beside it, and options that do not apply are named
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Certificate of the authority, PEM, or of each of several
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub ca: Option<PathBuf>,
    /// Our certificate, PEM; those that lead from it to its authority may follow
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub key: Option<PathBuf>,
    /// Certificates that lead from ours to its authority, PEM, if they are not in its file
    #[arg(long, value_name = "FILE")]
    pub extra_certs: Option<PathBuf>,
    /// The authority's list of revoked certificates, PEM, or that of each; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub crl: Option<PathBuf>,
    /// Serial number of a certificate that is not believed
    #[arg(long, value_name = "SERIAL")]
    pub revoked: Vec<u64>,
    /// Key that authenticates the control channel (`openvpn --genkey secret`): who has it not is not
    /// answered
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tls_crypt", "tls_crypt_v2"])]
    pub tls_auth: Option<PathBuf>,
    /// Which half of that key is for sending; the other end has the other [default: one for both]
    #[arg(long, value_enum)]
    key_direction: Option<KeyDirection>,
    /// Hash of tls-auth: SHA1, SHA256, SHA384 or SHA512 [default: SHA1]
    #[arg(long, value_name = "DIGEST")]
    pub auth: Option<Digest>,
    /// Key that encrypts the control channel, too (`openvpn --genkey secret`)
    #[arg(long, value_name = "FILE", conflicts_with = "tls_crypt_v2")]
    pub tls_crypt: Option<PathBuf>,
    /// The same with a key for each client (`openvpn --genkey tls-crypt-v2-server` and `-client`)
    #[arg(long, value_name = "FILE")]
    pub tls_crypt_v2: Option<PathBuf>,
    /// What passes: Ethernet frames or IP packets [default: tap]
    #[arg(long, value_enum)]
    device: Option<DeviceKind>,
    /// Cipher to use, the preferred first; `none` for a network without encryption
    /// [default: AES-256-GCM, CHACHA20-POLY1305, AES-128-GCM]
    #[arg(long, value_name = "NAME")]
    pub cipher: Vec<Cipher>,
    /// Address to give each interface, besides its link-local one [default: what the configuration file says,
    /// or, where that says `client` or `pull`, what the server assigns]
    #[arg(long, value_name = "CIDR", value_parser = address)]
    pub address: Vec<(IpAddr, u8)>,
    /// Octets of the interface's largest packet [default: as stock networks have it; 1500 over TCP]
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u32).range(576..=65_500))]
    pub mtu: Option<u32>,
    /// Whether many datagrams are handed to the kernel in one call
    #[arg(long, value_enum, default_value_t = Segments::Auto)]
    pub udp_gso: Segments,
    /// End a tunnel when its peer was silent for so long [default: 60 s with re6st, never with others,
    /// which may have nothing to say]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub ping_exit: Option<Duration>,
    /// Give up a handshake after so long [default: 60s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub handshake_timeout: Option<Duration>,
    /// Renew keys after so long [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub renegotiate_after: Option<Duration>,
    /// Tell statistics so often
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub statistics_every: Duration,
    /// Write what happens to standard output, one JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Log more; twice for every packet that is refused
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What carries tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    Udp,
    Tcp,
    Udp6,
    Tcp6,
}

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DeviceKind {
    Tap,
    Tun,
}

/// Which half of a key is for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeyDirection {
    #[value(name = "0")]
    Normal,
    #[value(name = "1")]
    Inverse,
}

impl Listen {
    /// Where clients may come.
    pub fn ports(&self, profile: &Profile) -> Result<Vec<ListenPort>, Failure> {
        let number = self.port.or(profile.port).unwrap_or(1194);
        if number == 0 {
            return Err(Failure::usage("--port takes a number between 1 and 65535"));
        }
        let mut protocols = self.protocol.clone();
        if protocols.is_empty() {
            protocols.push(profile.protocol.map_or(Protocol::Udp, Protocol::of));
        }
        let port = |protocol: Protocol| {
            let address = protocol.address(self.bind.or(profile.bind))?;
            let bind = SocketAddr::new(address, number);
            Ok(ListenPort { bind, transport: protocol.transport() })
        };
        protocols.into_iter().map(port).collect()
    }
}

impl Common {
    /// What passes, if said.
    pub const fn device(&self) -> Option<Device> {
        match self.device {
            Some(DeviceKind::Tap) => Some(Device::Tap),
            Some(DeviceKind::Tun) => Some(Device::Tun),
            None => None,
        }
    }

    /// Which half of the key of `tls-auth` is for sending, if said.
    pub const fn key_direction(&self) -> Option<Direction> {
        match self.key_direction {
            Some(KeyDirection::Normal) => Some(Direction::Normal),
            Some(KeyDirection::Inverse) => Some(Direction::Inverse),
            None => None,
        }
    }
}

impl Protocol {
    /// What a configuration file names.
    const fn of(named: profile::Protocol) -> Self {
        match (named.transport, named.ipv6) {
            (Transport::Udp, Some(true)) => Self::Udp6,
            (Transport::Udp, _) => Self::Udp,
            (Transport::Tcp, Some(true)) => Self::Tcp6,
            (Transport::Tcp, _) => Self::Tcp,
        }
    }

    /// The address to listen on.
    fn address(self, bind: Option<IpAddr>) -> Result<IpAddr, Failure> {
        let any = match self {
            Self::Udp | Self::Tcp => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Udp6 | Self::Tcp6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let address = bind.unwrap_or(any);
        let fits = address.is_ipv6() == any.is_ipv6();
        fits.then_some(address).ok_or_else(|| {
            Failure::usage(format!(
                "--bind {address} is not of the protocol's family: use --protocol {}",
                if address.is_ipv6() { "udp6 or tcp6" } else { "udp or tcp" }
            ))
        })
    }

    const fn transport(self) -> Transport {
        match self {
            Self::Udp | Self::Udp6 => Transport::Udp,
            Self::Tcp | Self::Tcp6 => Transport::Tcp,
        }
    }
}

/// An address with a prefix length, which, unlike a prefix, keeps its host part.
fn address(text: &str) -> Result<(IpAddr, u8), CidrError> {
    let (address, length) = text.split_once('/').ok_or(CidrError::NoLength)?;
    let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|&length| length <= longest);
    Ok((address, length.ok_or(CidrError::Length)?))
}
