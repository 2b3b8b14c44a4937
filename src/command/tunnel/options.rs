//! `re6st tunnel`: one OpenVPN server or client, in the foreground.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::command::json::{self, Object};
use crate::command::tunnel::client::{ConnectSettings, connect};
use crate::command::tunnel::event::{Ending, Event, EventKind};
use crate::command::tunnel::interface::{NAME_OCTETS, name_for};
use crate::command::tunnel::server::{ListenSettings, listen};
use crate::command::{Failure, Outcome};
use crate::os::log;
use crate::proto::cidr::CidrError;
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::tunnel::agreement::Disagreement;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::credentials::Credentials;
use crate::proto::tunnel::session::Reason;
use crate::proto::tunnel::settings::Device;

/// Which end of a tunnel to be.
#[derive(Debug, Subcommand)]
pub enum Tunnel {
    /// Accept tunnels from OpenVPN and re6st clients, an interface for each
    Listen(Listen),
    /// Open a tunnel to an OpenVPN or re6st server
    Connect(Connect),
}

/// What `listen` is told.
#[derive(Debug, Args)]
pub struct Listen {
    /// Port to listen on
    #[arg(long, default_value_t = 1194)]
    port: u16,
    /// What carries the tunnels
    #[arg(long, value_enum, default_value_t = Protocol::Udp)]
    protocol: Protocol,
    /// Address to listen on [default: every one of the protocol's family]
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<IpAddr>,
    /// Clients at most; further ones are refused
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    max_clients: usize,
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
    /// The server: HOST,PORT,PROTOCOL, for example 203.0.113.7,1194,udp
    #[arg(value_name = "HOST,PORT,PROTOCOL")]
    server: String,
    /// Common name that the server's certificate must have [default: any]
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Name of the interface
    #[arg(long, value_name = "NAME", default_value = "re6st-tunnel")]
    interface: String,
    #[command(flatten)]
    common: Common,
}

/// What both are told.
#[derive(Debug, Args)]
struct Common {
    /// Certificate of the authority, PEM
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Our certificate, PEM
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its key, PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What passes: Ethernet frames or IP packets
    #[arg(long, value_enum, default_value_t = DeviceKind::Tap)]
    device: DeviceKind,
    /// Cipher to use, the preferred first; `none` for a network without encryption
    /// [default: AES-256-GCM, CHACHA20-POLY1305, AES-128-GCM]
    #[arg(long, value_name = "NAME")]
    cipher: Vec<Cipher>,
    /// Address to give each interface, besides its link-local one
    #[arg(long, value_name = "CIDR", value_parser = address)]
    address: Vec<(IpAddr, u8)>,
    /// Serial number of a certificate that is not believed
    #[arg(long, value_name = "SERIAL")]
    revoked: Vec<u64>,
    /// End a tunnel when its peer was silent for so long [default: 60 s with re6st, never with others,
    /// which may have nothing to say]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    ping_exit: Option<Duration>,
    /// Give up a handshake after so long
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    handshake_timeout: Duration,
    /// Renew keys after so long
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    renegotiate_after: Duration,
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

/// Longer than any tunnel lasts.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Runs one of them until it is told to stop.
pub fn run(tunnel: Tunnel) -> Outcome {
    let runtime = tokio::runtime::Runtime::new();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    match tunnel {
        Tunnel::Listen(options) => {
            log::start(2 + options.common.verbose);
            runtime.block_on(run_listen(options))
        }
        Tunnel::Connect(options) => {
            log::start(2 + options.common.verbose);
            runtime.block_on(run_connect(options))
        }
    }
}

async fn run_listen(options: Listen) -> Outcome {
    let mut stop = Stop::new()?;
    let bind = SocketAddr::new(options.address()?, options.port);
    let credentials = options.common.credentials()?;
    if options.dh.is_some() {
        tracing::info!("--dh is not used: every peer knows elliptic curves");
    }
    let transport = options.protocol.transport();
    let common = options.common;
    let mut settings = ListenSettings::new(bind, transport, credentials);
    settings.clients_max = options.max_clients;
    settings.interface_prefix = options.interface_prefix;
    settings.ciphers = common.ciphers();
    settings.ping_exit = common.ping_exit.unwrap_or(NEVER);
    settings.handshake_timeout = common.handshake_timeout;
    settings.revoked = common.revoked();
    settings.device = common.device.device();
    settings.addresses = common.address;
    settings.renegotiate_after = common.renegotiate_after;
    settings.statistics_every = common.statistics_every;
    let (events, mut received) = mpsc::channel(64);
    let listener = listen(settings, events).await.map_err(|error| {
        Failure::failed(format!("cannot listen on {bind}: {error}; is another program there?"))
    })?;
    tracing::info!("listening on {bind}");
    loop {
        tokio::select! {
            event = received.recv() => match event {
                Some(event) => show(&event, common.json)?,
                None => return Ok(()),
            },
            () = stop.wait() => break,
        }
    }
    let stopping = tokio::spawn(listener.stop());
    while let Some(event) = received.recv().await {
        show(&event, common.json)?;
    }
    let _ = stopping.await;
    Ok(())
}

async fn run_connect(options: Connect) -> Outcome {
    let mut stop = Stop::new()?;
    if options.interface.is_empty() || options.interface.len() > NAME_OCTETS {
        let name = name_for("", &options.interface);
        return Err(Failure::usage(format!(
            "--interface takes a name of at most {NAME_OCTETS} letters, for example {name}"
        )));
    }
    let remote = resolve(&options.server).await?;
    let credentials = options.common.credentials()?;
    let common = options.common;
    let mut settings = ConnectSettings::new(remote, credentials, options.interface);
    settings.peer = options.peer;
    settings.ciphers = common.ciphers();
    settings.ping_exit = common.ping_exit.unwrap_or(NEVER);
    settings.handshake_timeout = common.handshake_timeout;
    settings.revoked = common.revoked();
    settings.device = common.device.device();
    settings.addresses = common.address;
    settings.renegotiate_after = common.renegotiate_after;
    settings.statistics_every = common.statistics_every;
    let (events, mut received) = mpsc::channel(64);
    let mut connection = Some(connect(settings, events));
    let mut closing = None;
    loop {
        tokio::select! {
            event = received.recv() => {
                let Some(event) = event else { return Ok(()) };
                show(&event, common.json)?;
                if let EventKind::Down(reason) = event.kind {
                    return match closing {
                        Some(_) => Ok(()),
                        None => Err(Failure::failed(over(remote, &reason))),
                    };
                }
            }
            () = stop.wait(), if closing.is_none() => {
                closing = connection.take().map(|connection| tokio::spawn(connection.close()));
            }
        }
    }
}

impl Listen {
    fn address(&self) -> Result<IpAddr, Failure> {
        let any = match self.protocol {
            Protocol::Udp | Protocol::Tcp => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Protocol::Udp6 | Protocol::Tcp6 => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        };
        let address = self.bind.unwrap_or(any);
        let fits = address.is_ipv6() == any.is_ipv6();
        fits.then_some(address).ok_or_else(|| {
            Failure::usage(format!(
                "--bind {address} is not of the protocol's family: use --protocol {}",
                if address.is_ipv6() { "udp6 or tcp6" } else { "udp or tcp" }
            ))
        })
    }
}

impl Common {
    fn credentials(&self) -> Result<Credentials, Failure> {
        let (ca, cert, key) = (read(&self.ca)?, read(&self.cert)?, read(&self.key)?);
        Credentials::from_pem(&ca, &cert, &key).map_err(|error| {
            let files =
                format!("{}, {} or {}", self.ca.display(), self.cert.display(), self.key.display());
            Failure::failed(format!("{files} {error}"))
        })
    }

    fn ciphers(&self) -> Vec<Cipher> {
        if self.cipher.is_empty() { Cipher::ENCRYPTING.to_vec() } else { self.cipher.clone() }
    }

    fn revoked(&self) -> BTreeSet<u64> {
        self.revoked.iter().copied().collect()
    }
}

impl Protocol {
    const fn transport(self) -> Transport {
        match self {
            Self::Udp | Self::Udp6 => Transport::Udp,
            Self::Tcp | Self::Tcp6 => Transport::Tcp,
        }
    }
}

impl DeviceKind {
    const fn device(self) -> Device {
        match self {
            Self::Tap => Device::Tap,
            Self::Tun => Device::Tun,
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

/// The last sentence of a client, with what to do about it.
fn over(remote: Endpoint, ending: &Ending) -> String {
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
        _ => return format!("the tunnel to {remote} is over: {reason}"),
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
        EventKind::Rekeyed => tracing::info!("{interface}: new keys"),
        EventKind::Down(reason) => tracing::info!("{interface}: down: {reason}"),
        EventKind::Statistics(statistics) => tracing::debug!("{interface}: {statistics:?}"),
    }
    Ok(())
}

/// An address with a prefix length, which, unlike a prefix, keeps its host part.
fn address(text: &str) -> Result<(IpAddr, u8), CidrError> {
    let (address, length) = text.split_once('/').ok_or(CidrError::NoLength)?;
    let address: IpAddr = address.parse().map_err(|_| CidrError::Address)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().ok().filter(|&length| length <= longest);
    Ok((address, length.ok_or(CidrError::Length)?))
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
    let any =
        [parse_with(Ipv4Addr::LOCALHOST.into()), parse_with(std::net::Ipv6Addr::LOCALHOST.into())];
    if let [Err(error), Err(_)] = any {
        return Err(usage(error));
    }
    let found = tokio::net::lookup_host((host, 0)).await;
    let found =
        found.map_err(|error| Failure::failed(format!("cannot find host {host}: {error}")))?;
    let endpoint = found.filter_map(|address| parse_with(address.ip()).ok()).next();
    endpoint.ok_or_else(|| Failure::failed(format!("host {host} has no address for {rest}")))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path)
        .map_err(|error| Failure::failed(format!("cannot read {}: {error}", path.display())))
}
