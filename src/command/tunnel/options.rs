//! `re6st tunnel`: one OpenVPN server or client, in the foreground.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::command::json::{self, Object};
use crate::command::tunnel::client::{ConnectSettings, connect};
use crate::command::tunnel::configuration::Configuration;
use crate::command::tunnel::event::{Ending, Event, EventKind};
use crate::command::tunnel::interface::{NAME_OCTETS, name_for};
use crate::command::tunnel::list_file::{self, ListFile};
use crate::command::tunnel::particulars::Segments;
use crate::command::tunnel::server::{ListenPort, ListenSettings, listen};
use crate::command::{Failure, Outcome, runtime};
use crate::os::log;
use crate::proto::cidr::CidrError;
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::tunnel::agreement::Disagreement;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::control_keys::{Digest, Direction};
use crate::proto::tunnel::credentials::Credentials;
use crate::proto::tunnel::profile::{self, Profile};
use crate::proto::tunnel::session::Reason;
use crate::proto::tunnel::settings::{Device, Role};
use crate::proto::tunnel::tls::TlsContext;

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
    port: Option<u16>,
    /// What carries the tunnels; given several times, clients may come over each [default: udp]
    #[arg(long, value_enum)]
    protocol: Vec<Protocol>,
    /// Address to listen on [default: every one of the protocol's family]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// Clients at most; further ones are refused [default: 20]
    #[arg(long, value_name = "COUNT")]
    max_clients: Option<usize>,
    /// What interfaces' names begin with; the client's common name follows
    #[arg(long, value_name = "PREFIX", default_value = "re6st-")]
    interface_prefix: String,
    /// Diffie-Hellman parameters; accepted and not used, for every peer knows elliptic curves
    #[arg(long, value_name = "FILE")]
    dh: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// What `connect` is told.
#[derive(Debug, Args)]
pub struct Connect {
    /// The server: HOST,PORT,PROTOCOL, for example 203.0.113.7,1194,udp [default: the first `remote` of
    /// the configuration file]
    #[arg(value_name = "HOST,PORT,PROTOCOL", required_unless_present = "config")]
    server: Option<String>,
    /// Common name that the server's certificate must have [default: any]
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Name of the interface [default: re6st-tunnel]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// What both are told.
#[derive(Debug, Args)]
pub struct Common {
    /// OpenVPN configuration file (.ovpn) to take from what is not said here; files that it names are
    /// looked for beside it, and options that do not apply are named
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Certificate of the authority, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub ca: Option<PathBuf>,
    /// Our certificate, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    pub key: Option<PathBuf>,
    /// The authority's list of revoked certificates, PEM; read again when it changes
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
    /// Address to give each interface, besides its link-local one
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
    statistics_every: Duration,
    /// Write what happens to standard output, one JSON object a line
    #[arg(long)]
    json: bool,
    /// Log more; twice for every packet that is refused
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

/// What carries tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
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

/// Runs one of them until it is told to stop.
pub fn run(tunnel: Tunnel) -> Outcome {
    let runtime = runtime::start();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    match tunnel {
        Tunnel::Listen(options) => {
            log::start(2 + options.common.verbose);
            runtime.block_on(run_listen(*options))
        }
        Tunnel::Connect(options) => {
            log::start(2 + options.common.verbose);
            runtime.block_on(run_connect(*options))
        }
    }
}

async fn run_listen(options: Listen) -> Outcome {
    let mut stop = Stop::new()?;
    let configuration = Configuration::read(&options.common, Role::Server)?;
    let profile = &configuration.profile;
    if options.dh.is_some() {
        tracing::info!("--dh is not used: every peer knows elliptic curves");
    }
    let ports = options.ports(profile)?;
    let as_json = options.common.json;
    let settings = ListenSettings {
        clients_max: options.max_clients.or(profile.clients_max).unwrap_or(20),
        interface_prefix: options.interface_prefix,
        ciphers: configuration.ciphers,
        ping_exit: configuration.ping_exit,
        handshake_timeout: configuration.handshake_timeout,
        revoked: configuration.revoked,
        device: configuration.device,
        addresses: configuration.addresses,
        renegotiate_after: configuration.renegotiate_after,
        statistics_every: options.common.statistics_every,
        particulars: configuration.particulars,
        ..ListenSettings::new(ports.clone(), context(&configuration.credentials)?)
    };
    let mut list = configuration.list_file;
    let (events, mut received) = mpsc::channel(64);
    let listener = listen(settings, events)
        .await
        .map_err(|error| Failure::failed(format!("{error}; is another program there?")))?;
    for ListenPort { bind, transport } in ports {
        let over = if transport == Transport::Udp { "UDP" } else { "TCP" };
        tracing::info!("listening on {bind}, {over}");
    }
    loop {
        tokio::select! {
            event = received.recv() => match event {
                Some(event) => show(&event, as_json)?,
                None => return Ok(()),
            },
            () = list_file::changed(&mut list) => listener.renew_keys(),
            () = stop.wait() => break,
        }
    }
    let stopping = tokio::spawn(listener.stop());
    while let Some(event) = received.recv().await {
        show(&event, as_json)?;
    }
    let _ = stopping.await;
    Ok(())
}

async fn run_connect(options: Connect) -> Outcome {
    let mut stop = Stop::new()?;
    let named = match &options.server {
        Some(server) => Some(resolve(server).await?),
        None => None,
    };
    let as_json = options.common.json;
    let (settings, mut list) = what_to_connect(options, named).await?;
    let remote = settings.remote;
    let (events, mut received) = mpsc::channel(64);
    let mut connection = Some(connect(settings, events));
    let mut closing = None;
    let mut was_up = false;
    loop {
        tokio::select! {
            event = received.recv() => {
                let Some(event) = event else { return Ok(()) };
                show(&event, as_json)?;
                was_up |= matches!(event.kind, EventKind::Up(_));
                if let EventKind::Down(reason) = event.kind {
                    return match closing {
                        Some(_) => Ok(()),
                        None if was_up => {
                            Err(Failure::failed(format!("the tunnel to {remote} is over: {reason}")))
                        }
                        None => Err(Failure::failed(no_tunnel(remote, &reason))),
                    };
                }
            }
            () = list_file::changed(&mut list) => {
                if let Some(connection) = &connection {
                    connection.renew_keys();
                }
            }
            () = stop.wait(), if closing.is_none() => {
                closing = connection.take().map(|connection| tokio::spawn(connection.close()));
            }
        }
    }
}

/// What options and their files come to: what the tunnel is to be, and what to look at again meanwhile.
async fn what_to_connect(
    options: Connect,
    named: Option<Endpoint>,
) -> Result<(ConnectSettings, Option<ListFile>), Failure> {
    let configuration = Configuration::read(&options.common, Role::Client)?;
    let profile = &configuration.profile;
    let interface = options.interface.or_else(|| profile.interface.clone());
    let interface = interface.unwrap_or_else(|| "re6st-tunnel".to_owned());
    if interface.is_empty() || interface.len() > NAME_OCTETS {
        let name = name_for("", &interface);
        return Err(Failure::usage(format!(
            "--interface takes a name of at most {NAME_OCTETS} letters, for example {name}"
        )));
    }
    let remote = match named {
        Some(remote) => remote,
        None => resolve_first(profile).await?,
    };
    let context = context(&configuration.credentials)?;
    let settings = ConnectSettings {
        peer: options.peer.or_else(|| profile.peer.clone()),
        ciphers: configuration.ciphers,
        ping_exit: configuration.ping_exit,
        handshake_timeout: configuration.handshake_timeout,
        revoked: configuration.revoked,
        device: configuration.device,
        addresses: configuration.addresses,
        renegotiate_after: configuration.renegotiate_after,
        statistics_every: options.common.statistics_every,
        particulars: configuration.particulars,
        ..ConnectSettings::new(remote, context, interface)
    };
    Ok((settings, configuration.list_file))
}

impl Listen {
    /// Where clients may come.
    fn ports(&self, profile: &Profile) -> Result<Vec<ListenPort>, Failure> {
        let number = self.port.or(profile.port).unwrap_or(1194);
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

/// The two signals that mean: clean up and end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Result<Self, Failure> {
        let on = |kind| {
            signal(kind)
                .map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))
        };
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The last sentence of a client that got no tunnel, with what to do about it.
fn no_tunnel(remote: Endpoint, ending: &Ending) -> String {
    let Ending::Session(reason) = ending else {
        return format!("no tunnel to {remote}: {ending}");
    };
    let advice = match reason {
        Reason::Disagreement(Disagreement::PeerIsPlain(_)) => {
            "add --cipher none if this network is not to be encrypted"
        }
        Reason::Disagreement(Disagreement::PeerEncrypts) => "leave --cipher none out",
        Reason::Disagreement(Disagreement::Cipher(_)) => "name one of the peer's with --cipher",
        Reason::Disagreement(Disagreement::Device(Device::Tun)) => "add --device tun",
        Reason::Disagreement(Disagreement::Device(Device::Tap)) => "add --device tap",
        Reason::Disagreement(Disagreement::Compression(_)) => {
            "take compression out of the peer's configuration"
        }
        Reason::Disagreement(Disagreement::Digest(_)) => {
            "set auth SHA1 at the peer, or let both ends encrypt"
        }
        Reason::Unanswered(_) => {
            "is a server listening there, does a firewall drop it, and have both ends the same \
             tls-auth or tls-crypt key?"
        }
        Reason::RefusedSilently => "is our certificate revoked, or the server full?",
        Reason::UnknownPush(_) => "offer the server another with --cipher",
        _ => return format!("no tunnel to {remote}: {reason}"),
    };
    format!("no tunnel to {remote}: {reason}: {advice}")
}

fn show(event: &Event, as_json: bool) -> Outcome {
    if as_json {
        return json::print(&Object::Tunnel(event.into()))
            .map_err(|error| Failure::failed(format!("cannot write to standard output: {error}")));
    }
    let interface = &event.interface;
    match &event.kind {
        EventKind::Connecting(endpoint) => tracing::info!("{interface}: connecting to {endpoint}"),
        EventKind::Up(up) => tracing::info!(
            "{interface}: up, with {} at {}, MTU {}, {}",
            up.peer,
            up.endpoint,
            up.mtu,
            up.cipher
        ),
        EventKind::Silent => tracing::warn!("{interface}: silent"),
        EventKind::Recovered => tracing::info!("{interface}: recovered"),
        EventKind::Mtu { mtu, path } => {
            tracing::info!("{interface}: the path takes {path} octets, MTU {mtu}");
        }
        EventKind::Rekeyed => tracing::info!("{interface}: new keys"),
        EventKind::Down(reason) => tracing::info!("{interface}: down: {reason}"),
        EventKind::Statistics(statistics) => tracing::debug!("{interface}: {statistics:?}"),
    }
    Ok(())
}

fn context(credentials: &Credentials) -> Result<TlsContext, Failure> {
    TlsContext::new(credentials).map_err(|error| {
        Failure::failed(format!("OpenSSL does not take the certificate or key: {error}"))
    })
}

/// An address with a prefix length, which, unlike a prefix, keeps its host part.
fn address(text: &str) -> Result<(IpAddr, u8), CidrError> {
    let (address, length) = text.split_once('/').ok_or(CidrError::NoLength)?;
    let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|&length| length <= longest);
    Ok((address, length.ok_or(CidrError::Length)?))
}

/// The first server of a configuration file that has an address.
async fn resolve_first(profile: &Profile) -> Result<Endpoint, Failure> {
    let mut failure = Failure::usage("name a server: HOST,PORT,PROTOCOL, or remote in the file");
    for remote in &profile.remotes {
        let protocol = remote.protocol.or(profile.protocol);
        let ipv6 = protocol.and_then(|protocol| protocol.ipv6);
        let transport = protocol.map_or(Transport::Udp, |protocol| protocol.transport);
        let port = remote.port.or(profile.port).unwrap_or(1194);
        let families: &[&str] = match ipv6 {
            None => &["", "6"],
            Some(false) => &[""],
            Some(true) => &["6"],
        };
        let transport = if transport == Transport::Udp { "udp" } else { "tcp" };
        for family in families {
            match resolve(&format!("{},{port},{transport}{family}", remote.host)).await {
                Ok(endpoint) => return Ok(endpoint),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

/// An endpoint whose host may be a name.
async fn resolve(text: &str) -> Result<Endpoint, Failure> {
    let usage = |error| Failure::usage(format!("{text}: {error}"));
    let error = match text.parse::<Endpoint>() {
        Ok(endpoint) => return Ok(endpoint),
        Err(error) => error,
    };
    let Some((host, rest)) = text.split_once(',') else { return Err(usage(error)) };
    let parse_with = |address: IpAddr| format!("{address},{rest}").parse::<Endpoint>();
    // Wrong port or protocol: the name need not be asked for.
    let any = [parse_with(Ipv4Addr::LOCALHOST.into()), parse_with(Ipv6Addr::LOCALHOST.into())];
    if let [Err(error), Err(_)] = any {
        return Err(usage(error));
    }
    let found = tokio::net::lookup_host((host, 0)).await;
    let found =
        found.map_err(|error| Failure::failed(format!("cannot find host {host}: {error}")))?;
    let endpoint = found.filter_map(|address| parse_with(address.ip()).ok()).next();
    endpoint.ok_or_else(|| Failure::failed(format!("host {host} has no address for {rest}")))
}
