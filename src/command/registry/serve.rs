//! `re6st registry serve`: the options of stock's registry, and the server they start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::{Failure, Outcome};
use crate::os::database::{Database, Location};
use crate::os::http::server::{self, Bounds};
use crate::os::log::NOTABLE;
use crate::os::{entropy, file, log, smtp};
use crate::proto::certificate::Issuer;
use crate::proto::cidr::Cidr;
use crate::proto::limits::{
    REGISTRY_CONNECTION_PATIENCE, REGISTRY_CONNECTIONS_MAX, REGISTRY_CONNECTIONS_OF_ONE_MAX,
    REGISTRY_HEADERS_PATIENCE, REGISTRY_REQUEST_OCTETS_MAX,
};
use crate::proto::prefix::{Network, Prefix};
use crate::proto::registry::PROTOCOL;
use crate::proto::registry::community::Communities;
use crate::proto::registry::configuration::Settings;

use super::open;
use super::private::authorized;
use super::server::{Mailbox, Policy, Refusal, Registry};

/// How often what is too old is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// RFC 7919's ffdhe2048, for TLS peers that want such parameters.
const FFDHE2048: &[u8] = include_bytes!("ffdhe2048.pem");

/// Options of `re6st registry serve`.
#[derive(Debug, Args)]
pub struct Options {
    /// The folder that `re6st registry init` made: says where ca.crt, ca.key and registry.db are
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The TCP port
    #[arg(long, default_value_t = 80)]
    port: u16,
    /// The IPv4 address to listen on
    #[arg(short = '4', long = "bind4", value_name = "ADDRESS", default_value = "0.0.0.0")]
    bind4: Ipv4Addr,
    /// The IPv6 address to listen on
    #[arg(short = '6', long = "bind6", value_name = "ADDRESS", default_value = "::")]
    bind6: Ipv6Addr,
    /// The SQLite database, which is made if it is not there; or PostgreSQL's, which several registries
    /// may serve at a time: postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, value_name = "FILE|postgres://…", required_unless_present = "dir")]
    db: Option<Location>,
    /// Diffie-Hellman parameters for nodes, PEM; RFC 7919's ffdhe2048 if not given
    #[arg(long, value_name = "FILE")]
    dh: Option<PathBuf>,
    /// The authority's certificate, PEM: its serial number is the network
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    ca: Option<PathBuf>,
    /// The authority's key, PEM
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    key: Option<PathBuf>,
    /// The mail server that sends tokens, or the path of a mailbox file for them; no mails without it
    #[arg(long, value_name = "HOST[:PORT]|FILE")]
    mailhost: Option<String>,
    /// The user to log in as at the mail server
    #[arg(long, requires = "smtp_pwd")]
    smtp_user: Option<String>,
    /// The user's password
    #[arg(long, value_name = "PASSWORD")]
    smtp_pwd: Option<String>,
    /// Encrypt the connection to the mail server
    #[arg(long)]
    smtp_starttls: bool,
    /// Bits of a prefix that a token is worth; 0: no tokens
    #[arg(long, value_name = "BITS", default_value_t = 16)]
    prefix_length: u8,
    /// Bits of an anonymous prefix; 0: no anonymous certificates
    #[arg(long, value_name = "BITS", default_value_t = 0)]
    anonymous_prefix_length: u8,
    /// An IPv4 network, and how many of its bits name a node: 10.42.0.0/16 8
    #[arg(long, num_args = 2, value_names = ["IP/N", "PLEN"])]
    ipv4: Vec<String>,
    /// Write the log to this file instead of standard error
    #[arg(long, short, value_name = "FILE")]
    logfile: Option<PathBuf>,
    /// Accepted for compatibility: nodes are found in the kernel's routes
    #[arg(long, short, value_name = "DIR")]
    run: Option<PathBuf>,
    /// 0: errors, 1: warnings and what changes the network, 2: calls, 3: details, 4: everything
    #[arg(long, short, default_value_t = 1)]
    verbose: u8,
    /// The oldest protocol that nodes may speak
    #[arg(long, default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(PROTOCOL)))]
    min_protocol: u32,
    /// An address from which administrators may ask; may be repeated
    #[arg(long, value_name = "ADDRESS", default_values = ["127.0.0.1", "::1"])]
    authorized_origin: Vec<String>,
    /// A file that says which parts of the network are for which countries and continents
    #[arg(long, value_name = "FILE")]
    community: Option<PathBuf>,
    /// How long after its end a certificate can be renewed, and a token used, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 8_640_000)]
    grace_period: u64,
    /// Seconds between Babel's Hellos; a tunnel without a packet for four of them is dead
    #[arg(long, value_name = "SECONDS", default_value_t = 15,
          value_parser = clap::value_parser!(u16).range(1..=600))]
    hello: u16,
    /// Encrypt tunnels
    #[arg(long)]
    encrypt: bool,
    /// How many tunnels a node makes
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    client_count: u32,
    /// How many tunnels a node accepts; twice the client count if not given
    #[arg(long, value_name = "COUNT")]
    max_clients: Option<u32>,
    /// Seconds after which a node replaces its worst tunnel
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    tunnel_refresh: u32,
    /// A country whose borders no tunnel crosses; may be repeated
    #[arg(long, value_name = "CODE")]
    same_country: Vec<String>,
}

/// Does what `re6st registry serve` was asked, until a signal ends it.
pub fn run(options: Options) -> Outcome {
    match &options.logfile {
        None => log::start(options.verbose),
        Some(path) => log::start_in(options.verbose, path).map_err(|error| {
            Failure::failed(format!("cannot write the log {}: {error}", path.display()))
        })?,
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    // The database is opened and asked where waiting for it holds up nobody.
    let registry = Arc::new(registry(&options)?);
    runtime.block_on(serve(options, registry))
}

fn registry(options: &Options) -> Result<Registry, Failure> {
    let (issuer, database) = open_both(options)?;
    let policy = policy(options, issuer.email())?;
    allow_lengths(&policy, issuer.authority().network())?;
    let registry = Registry::new(issuer, policy, database, entropy::random());
    let registry = registry.map_err(|error| Failure::failed(format!("the database: {error}")))?;
    let (members, version) = registry.summary().unwrap_or_default();
    let network = registry.network().cidr();
    tracing::info!(target: NOTABLE, "serving {network}: {members} members, version {version}");
    Ok(registry)
}

async fn serve(options: Options, registry: Arc<Registry>) -> Outcome {
    let network = registry.network().cidr();
    let bounds = Bounds {
        connections: REGISTRY_CONNECTIONS_MAX,
        connections_of_one: REGISTRY_CONNECTIONS_OF_ONE_MAX,
        headers: REGISTRY_HEADERS_PATIENCE,
        whole: REGISTRY_CONNECTION_PATIENCE,
        headers_octets: REGISTRY_REQUEST_OCTETS_MAX,
    };
    for (address, listener) in listeners(&options)? {
        eprintln!("re6st: the registry of {network} answers on http://{address}/");
        let registry = Arc::clone(&registry);
        let answer = move |request| Arc::clone(&registry).answer(request);
        tokio::spawn(server::serve(listener, bounds, answer));
    }
    registry.announce().await;
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let wait_for = |kind| {
        signal(kind).map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))
    };
    let mut terminate = wait_for(SignalKind::terminate())?;
    // Stock reopens its log on this one; ours needs not be told, but must not end either.
    let mut reopen = wait_for(SignalKind::user_defined1())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = reopen.recv() => {}
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep(FORGET_EVERY) => forget_old(&registry).await,
        }
    }
    tracing::info!(target: NOTABLE, "ended by a signal");
    Ok(())
}

async fn forget_old(registry: &Arc<Registry>) {
    match registry.blocking(Registry::forget_old).await {
        Ok(true) => registry.announce().await,
        Ok(false) => {}
        Err(error) => tracing::error!("cannot forget old entries: {error}"),
    }
}

/// Refuses prefix lengths that no node of the network, or of one of its communities, can have.
fn allow_lengths(policy: &Policy, network: Network) -> Outcome {
    let longest = 128 - network.cidr().length();
    let taken = policy.communities.prefixes().map(Prefix::length).max().unwrap_or(0);
    let longest = longest.saturating_sub(taken);
    for (option, length) in [
        ("--prefix-length", policy.prefix_length),
        ("--anonymous-prefix-length", policy.anonymous_prefix_length),
    ] {
        if let Some(length) = length.filter(|length| *length > longest) {
            let error = Refusal::Length { length, longest };
            return Err(Failure::usage(format!("{option} {length}: {error}")));
        }
    }
    Ok(())
}

fn open_both(options: &Options) -> Result<(Issuer, Database), Failure> {
    let place = |given: &Option<PathBuf>, name: &str| {
        let folder = options.dir.as_deref().unwrap_or_else(|| Path::new("."));
        given.clone().unwrap_or_else(|| folder.join(name))
    };
    let (ca, key) = (place(&options.ca, "ca.crt"), place(&options.key, "ca.key"));
    let db = options.db.clone().unwrap_or_else(|| Location::File(place(&None, "registry.db")));
    let issuer = open::issuer(&ca, &key)?;
    let database = Database::open(&db)
        .map_err(|error| Failure::failed(format!("cannot open {db}: {error}")))?;
    Ok((issuer, database))
}

fn policy(options: &Options, sender: Option<String>) -> Result<Policy, Failure> {
    let dh = match &options.dh {
        None => FFDHE2048.to_vec(),
        Some(path) => file::read(path).map_err(|error| Failure::failed(error.to_string()))?,
    };
    let authorized = authorized(&options.authorized_origin).map_err(|text| {
        Failure::usage(format!("--authorized-origin {text}: give an IP address"))
    })?;
    let communities = match &options.community {
        None => Communities::default(),
        Some(path) => communities(path)?,
    };
    let present = |length: u8| (length > 0).then_some(length);
    Ok(Policy {
        settings: Settings {
            hello: options.hello,
            encrypt: options.encrypt,
            client_count: options.client_count,
            max_clients: options
                .max_clients
                .unwrap_or_else(|| options.client_count.saturating_mul(2)),
            tunnel_refresh: options.tunnel_refresh,
            min_protocol: options.min_protocol,
            same_country: options.same_country.clone(),
            ipv4: ipv4(&options.ipv4)?,
        },
        prefix_length: present(options.prefix_length),
        anonymous_prefix_length: present(options.anonymous_prefix_length),
        grace: Duration::from_secs(options.grace_period),
        mailbox: mailbox(options, sender)?,
        dh,
        communities,
        authorized,
    })
}

/// As stock: an absolute path or an existing file is a mailbox, anything else a server.
fn mailbox(options: &Options, sender: Option<String>) -> Result<Option<Mailbox>, Failure> {
    let Some(mailhost) = &options.mailhost else { return Ok(None) };
    if mailhost.starts_with('/') || Path::new(mailhost).is_file() {
        return Ok(Some(Mailbox::File(mailhost.into())));
    }
    let sender = sender.ok_or_else(|| {
        Failure::usage(format!(
            "--mailhost {mailhost}: the authority has no mail address to send from; make it with \
             registry init --email ADDRESS"
        ))
    })?;
    let login = options.smtp_user.clone().zip(options.smtp_pwd.clone());
    let server = smtp::Server { host: mailhost.clone(), starttls: options.smtp_starttls, login };
    Ok(Some(Mailbox::Server(server, sender)))
}

fn communities(path: &Path) -> Result<Communities, Failure> {
    let text = file::read(path).map_err(|error| Failure::failed(error.to_string()))?;
    Communities::parse(&String::from_utf8_lossy(&text))
        .map_err(|error| Failure::usage(format!("--community {}: {error}", path.display())))
}

fn ipv4(words: &[String]) -> Result<Option<(Cidr, u8)>, Failure> {
    let [network, bits] = words else { return Ok(None) };
    let read = || {
        let network: Cidr = network.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        let fits = network.is_ipv4() && bits <= 16 && network.length() + bits <= 32;
        fits.then_some((network, bits))
    };
    read().map(Some).ok_or_else(|| {
        Failure::usage(format!(
            "--ipv4 {network} {bits}: give an IPv4 network and how many of its bits name a node, \
             for example 10.42.0.0/16 8"
        ))
    })
}

/// Listens on both addresses; one of them is enough where the host has no IPv6, or no IPv4.
fn listeners(options: &Options) -> Result<Vec<(SocketAddr, TcpListener)>, Failure> {
    let mut listeners = Vec::new();
    for address in [IpAddr::V4(options.bind4), IpAddr::V6(options.bind6)] {
        let address = SocketAddr::new(address, options.port);
        match server::listen(address) {
            Ok(listener) => listeners.push((listener.local_addr().unwrap_or(address), listener)),
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
            Err(error) => {
                return Err(Failure::failed(format!("cannot listen on {address}: {error}")));
            }
        }
    }
    Ok(listeners)
}
