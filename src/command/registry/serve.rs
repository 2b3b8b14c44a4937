//! `re6st registry serve`: the options of stock's registry, and the server they start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::{Failure, Outcome, runtime};
use crate::os::clock::unix_time;
use crate::os::countries::Countries;
use crate::os::database::{Claim, Database, Location};
use crate::os::http::server::{self, Bounds};
use crate::os::http::tls::{Acceptor, Key};
use crate::os::log::NOTABLE;
use crate::os::signals::Signals;
use crate::os::{entropy, file, log, smtp, user};
use crate::proto::certificate::renewal;
use crate::proto::cidr::Cidr;
use crate::proto::limits::{
    REGISTRY_CONNECTION_PATIENCE, REGISTRY_CONNECTIONS_MAX, REGISTRY_CONNECTIONS_OF_ONE_MAX,
    REGISTRY_HEADERS_PATIENCE, REGISTRY_REQUEST_OCTETS_MAX, REGISTRY_SOCKET_CONNECTIONS_MAX,
    REGISTRY_UNDISTURBED,
};
use crate::proto::prefix::{Network, Prefix};
use crate::proto::registry::PROTOCOL;
use crate::proto::registry::community::Communities;
use crate::proto::registry::configuration::Settings;

use super::access::Administrators;
use super::open;
use super::policy::{Mailbox, Policy};
use super::private::authorized;
use super::refusal::Refusal;
use super::socket::{self, AdminSocket};
use super::state::Registry;

/// How often what is too old is forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// How soon an implausible clock is judged again.
const JUDGE_AGAIN: Duration = Duration::from_secs(60);

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
    /// Answer over TLS, too, on this port; with the authority's own certificate, which clients know, if not
    /// with another
    #[arg(long, value_name = "PORT")]
    tls_port: Option<u16>,
    /// A certificate for TLS, PEM, and those that vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key", requires = "tls_port")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The IPv4 address to listen on
    #[arg(short = '4', long = "bind4", value_name = "ADDRESS", default_value = "0.0.0.0")]
    bind4: Ipv4Addr,
    /// The IPv6 address to listen on
    #[arg(short = '6', long = "bind6", value_name = "ADDRESS", default_value = "::")]
    bind6: Ipv6Addr,
    /// The SQLite database, which is made if it is not there; or PostgreSQL's, which several registries
    /// may serve at a time: postgres://USER@HOST/DATABASE, with the password in PGPASSWORD or in the file that
    /// PGPASSFILE names. TLS is required and verified, against ?sslrootcert=FILE if given; not over a Unix
    /// socket, nor on the loopback interface with ?sslmode=disable
    #[arg(long, value_name = "FILE|postgres://…", env = "RE6ST_DB", hide_env_values = true)]
    db: Option<Location>,
    /// Diffie-Hellman parameters for nodes, PEM; RFC 7919's ffdhe2048 if not given
    #[arg(long, value_name = "FILE")]
    dh: Option<PathBuf>,
    /// The authority's certificate, PEM: its serial number is the network
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The authority's key, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The mail server that sends tokens, or the path of a mailbox file for them; no mails without it
    #[arg(long, value_name = "HOST[:PORT]|FILE")]
    mailhost: Option<String>,
    /// The user to log in as at the mail server
    #[arg(long, requires = "smtp_secret")]
    smtp_user: Option<String>,
    /// The user's password; other users of this host can read it among the arguments: use --smtp-pwd-file
    #[arg(long, value_name = "PASSWORD", group = "smtp_secret")]
    smtp_pwd: Option<String>,
    /// A file with the user's password
    #[arg(long, value_name = "FILE", group = "smtp_secret")]
    smtp_pwd_file: Option<PathBuf>,
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
    /// An address from which administrators may ask over HTTP; what a proxy there says of its client is used;
    /// may be repeated. Without it, only root and the registry's user may, from 127.0.0.1 and ::1; with
    /// 127.0.0.1 or ::1, every user of this host may
    #[arg(long, value_name = "ADDRESS")]
    authorized_origin: Vec<String>,
    /// A name of this registry under which administrators ask over HTTP; may be repeated. Without it, they
    /// ask by its address or localhost: any other name may be another site's (DNS rebinding)
    #[arg(long, value_name = "NAME")]
    authorized_host: Vec<String>,
    /// The Unix socket for administration; DIR/registry.sock if not given, or registry.sock beside the
    /// database, or /run/re6st-registry/registry.sock if that is PostgreSQL's
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// A group whose users may administer over the Unix socket, besides root and the registry's user
    #[arg(long, value_name = "NAME")]
    admin_group: Option<String>,
    /// A file that says which parts of the network are for which countries and continents
    #[arg(long, value_name = "FILE")]
    community: Option<PathBuf>,
    /// How long after its end a certificate can be renewed, and a token used, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 8_640_000)]
    grace_period: u64,
    /// Serve native nodes only: the CA's key then signs no bare ciphertext, which the hello of upstream's
    /// nodes wants
    #[arg(long)]
    native_only: bool,
    /// Become this user once all ports are open and the authority's key is read; the database must be this
    /// user's
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
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
    /// A country whose borders no tunnel crosses, told by the file in MaxMind's format that the environment
    /// variable GEOIP2_MMDB names; may be repeated
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
    if options.dir.is_none() && (options.ca.is_none() || options.key.is_none()) {
        return Err(Failure::usage(
            "say where the authority is: --dir DIR, as `re6st registry init` made it, or --ca FILE \
             and --key FILE",
        ));
    }
    warn_of_arguments(&options);
    // Whatever is created from now on is the owner's alone.
    user::set_umask();
    let ports = ports(&options)?;
    let socket = admin_socket(&options)?;
    // The database is opened and asked where waiting for it holds up nobody.
    // The claim outlives every use of the database.
    let (_claim, registry) = registry(&options)?;
    let registry = Arc::new(registry);
    let runtime = runtime::start_threads(2);
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(serve(ports, socket, registry))
}

fn registry(options: &Options) -> Result<(Claim, Registry), Failure> {
    let issuer = open::issuer(
        &options.place(&options.ca, "ca.crt"),
        &options.place(&options.key, "ca.key"),
    )?;
    let policy = policy(options, issuer.email())?;
    allow_lengths(&policy, issuer.authority().network())?;
    if let Some(name) = &options.user {
        user::become_user(name)
            .map_err(|error| Failure::failed(format!("cannot become the user {name}: {error}")))?;
    }
    if let Some(folder) = &options.dir {
        file::mend_mode(&folder.join("registry.conf"));
    }
    let db = options.db();
    let failed = |error| Failure::failed(format!("cannot open {db}: {error}"));
    let database = Database::open(&db).map_err(failed)?;
    let claim = Claim::take(&db).map_err(failed)?;
    let registry = Registry::new(issuer, policy, database, entropy::random());
    let registry = registry.map_err(|error| Failure::failed(format!("the database: {error}")))?;
    if let Some(why) = renewal::authority_ends(registry.authority().certificate(), unix_time()) {
        tracing::warn!("{why}");
    }
    let (members, version) = registry.summary().unwrap_or_default();
    let network = registry.network().cidr();
    tracing::info!(target: NOTABLE, "serving {network}: {members} members, version {version}");
    Ok((claim, registry))
}

impl Options {
    /// Where a file is that may be in the folder.
    fn place(&self, given: &Option<PathBuf>, name: &str) -> PathBuf {
        let folder = self.dir.as_deref().unwrap_or_else(|| Path::new("."));
        given.clone().unwrap_or_else(|| folder.join(name))
    }

    fn db(&self) -> Location {
        self.db.clone().unwrap_or_else(|| match &self.dir {
            Some(folder) => Location::File(folder.join("registry.db")),
            // As stock.
            None => Location::File("/var/lib/re6stnet/registry.db".into()),
        })
    }
}

async fn serve(ports: Vec<Port>, socket: Option<AdminSocket>, registry: Arc<Registry>) -> Outcome {
    let signals = runtime::signals()?;
    let network = registry.network().cidr();
    let bounds = Bounds {
        connections: REGISTRY_CONNECTIONS_MAX,
        undisturbed: REGISTRY_UNDISTURBED,
        connections_of_one: REGISTRY_CONNECTIONS_OF_ONE_MAX,
        headers: REGISTRY_HEADERS_PATIENCE,
        whole: REGISTRY_CONNECTION_PATIENCE,
        headers_octets: REGISTRY_REQUEST_OCTETS_MAX,
    };
    for port in ports {
        let scheme = if port.tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::from_std(port.listener)
            .map_err(|error| Failure::failed(format!("cannot listen: {error}")))?;
        eprintln!("re6st: the registry of {network} answers on {scheme}://{}/", port.address);
        let registry = Arc::clone(&registry);
        let answer = move |request| Arc::clone(&registry).answer(request);
        tokio::spawn(server::serve(listener, port.tls, bounds, answer));
    }
    if let Some(socket) = &socket {
        let listener = socket.listener().map_err(|error| {
            Failure::failed(format!("cannot listen on {}: {error}", socket.path().display()))
        })?;
        let bounds = Bounds { connections: REGISTRY_SOCKET_CONNECTIONS_MAX, ..bounds };
        let (answering, allowing) = (Arc::clone(&registry), Arc::clone(&registry));
        let is_allowed = move |peer| allowing.policy.administrators.allow_process(peer);
        let answer = move |request| Arc::clone(&answering).answer(request);
        tokio::spawn(server::serve_socket(listener, bounds, is_allowed, answer));
    }
    registry.announce().await;
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    if let Some(patience) = sd_notify::watchdog_enabled() {
        tokio::spawn(watch(Arc::clone(&registry), patience / 2));
    }
    until_ended(&registry, signals).await?;
    if let Err(error) = registry.blocking(Registry::note_run).await {
        tracing::warn!("cannot note when the registry ended: {error}");
    }
    tracing::info!(target: NOTABLE, "ended by a signal");
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    Ok(())
}

async fn until_ended(registry: &Arc<Registry>, mut signals: Signals) -> Outcome {
    // Stock reopens its log on this one; ours needs not be told, but must not end either.
    let mut reopen = signal(SignalKind::user_defined1())
        .map_err(|error| Failure::failed(format!("cannot wait for signals: {error}")))?;
    loop {
        tokio::select! {
            () = signals.end("restart the registry for other options") => return Ok(()),
            _ = reopen.recv() => {}
            () = tokio::time::sleep(until_next(registry)) => forget_old(registry).await,
        }
    }
}

/// An implausible clock may soon be set right: by NTP, or by the operator's word.
fn until_next(registry: &Registry) -> Duration {
    if registry.implausible().is_some() { JUDGE_AGAIN } else { FORGET_EVERY }
}

/// Tells systemd that the registry is well as long as its database answers.
async fn watch(registry: Arc<Registry>, every: Duration) {
    loop {
        if registry.own().await.is_ok() {
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
        tokio::time::sleep(every).await;
    }
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

fn policy(options: &Options, sender: Option<String>) -> Result<Policy, Failure> {
    let dh = match &options.dh {
        None => FFDHE2048.to_vec(),
        Some(path) => file::read(path).map_err(|error| Failure::failed(error.to_string()))?,
    };
    let addresses = authorized(&options.authorized_origin).map_err(|text| {
        Failure::usage(format!("--authorized-origin {text}: give an IP address"))
    })?;
    let administrators = Administrators {
        addresses,
        hosts: options.authorized_host.clone(),
        group: admin_group(options)?,
    };
    let countries = countries()?;
    if countries.is_none() && !options.same_country.is_empty() {
        return Err(Failure::usage(
            "--same-country needs to know where addresses are: let the environment variable \
             GEOIP2_MMDB name a file like GeoLite2-Country.mmdb",
        ));
    }
    let communities = match &options.community {
        None => Communities::default(),
        Some(path) => communities(path)?,
    };
    let present = |length: u8| (length > 0).then_some(length);
    Ok(Policy {
        ca: options.place(&options.ca, "ca.crt"),
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
        native_only: options.native_only,
        grace: Duration::from_secs(options.grace_period),
        mailbox: mailbox(options, sender)?,
        dh,
        communities,
        administrators,
        countries,
    })
}

/// Where addresses are, if the environment names a file that says so.
fn countries() -> Result<Option<Arc<Countries>>, Failure> {
    let Some(path) = std::env::var_os("GEOIP2_MMDB").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    let countries = Countries::open(&path).map_err(|error| {
        Failure::failed(format!("cannot use {} (GEOIP2_MMDB): {error}", path.display()))
    })?;
    Ok(Some(Arc::new(countries)))
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
    let (host, port) = smtp::host_and_port(mailhost).ok_or_else(|| {
        let form = "give a mail server as HOST, HOST:PORT or [IPV6]:PORT, or the path of a mailbox";
        Failure::usage(format!("--mailhost {mailhost}: {form}"))
    })?;
    let password = match &options.smtp_pwd_file {
        Some(path) => {
            Some(file::read_secret(path).map_err(|error| Failure::failed(error.to_string()))?)
        }
        None => options.smtp_pwd.clone(),
    };
    let login = options.smtp_user.clone().zip(password);
    let server = smtp::Server { host, port, starttls: options.smtp_starttls, login };
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

/// Secrets among the arguments are everybody's on this host.
fn warn_of_arguments(options: &Options) {
    let password = options.db.as_ref().and_then(Location::password);
    for (secret, option, remedy) in [
        (options.smtp_pwd.as_deref(), "--smtp-pwd", "--smtp-pwd-file"),
        (password, "--db", "PGPASSFILE, or the environment variable RE6ST_DB"),
    ] {
        if secret.is_some_and(file::is_in_arguments) {
            tracing::warn!(
                "every user of this host can read the password in {option} while the registry runs; use {remedy}"
            );
        }
    }
}

fn admin_group(options: &Options) -> Result<Option<u32>, Failure> {
    let Some(name) = &options.admin_group else { return Ok(None) };
    let group = user::group_of(name);
    group.map(Some).map_err(|error| Failure::usage(format!("--admin-group {name}: {error}")))
}

/// Opens the administration socket. Where its default place cannot be used, the registry runs without.
fn admin_socket(options: &Options) -> Result<Option<AdminSocket>, Failure> {
    let path = match &options.socket {
        Some(path) => path.clone(),
        // Another sentence says so, and how to make one.
        None if options.dir.as_ref().is_some_and(|dir| !dir.exists()) => return Ok(None),
        None => socket::default_path(options.dir.as_deref(), Some(&options.db())),
    };
    let owner =
        match &options.user {
            None => None,
            Some(name) => Some(user::ids_of(name).map_err(|error| {
                Failure::failed(format!("cannot become the user {name}: {error}"))
            })?),
        };
    match AdminSocket::bind(&path, owner, admin_group(options)?) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) if options.socket.is_some() => Err(Failure::failed(error.to_string())),
        Err(error) => {
            tracing::warn!("no administration socket: {error}; choose another place with --socket");
            Ok(None)
        }
    }
}

/// A port that is open.
struct Port {
    address: SocketAddr,
    listener: std::net::TcpListener,
    tls: Option<Acceptor>,
}

/// Listens on both addresses; one of them is enough where the host has no IPv6, or no IPv4.
fn ports(options: &Options) -> Result<Vec<Port>, Failure> {
    let mut ports = Vec::new();
    let mut wanted = vec![(options.port, None)];
    if let Some(port) = options.tls_port {
        wanted.push((port, Some(acceptor(options)?)));
    }
    for (port, tls) in wanted {
        for address in [IpAddr::V4(options.bind4), IpAddr::V6(options.bind6)] {
            let address = SocketAddr::new(address, port);
            match server::listen(address) {
                Ok(listener) => {
                    let address = listener.local_addr().unwrap_or(address);
                    ports.push(Port { address, listener, tls: tls.clone() });
                }
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
                Err(error) => {
                    return Err(Failure::failed(format!("cannot listen on {address}: {error}")));
                }
            }
        }
    }
    Ok(ports)
}

fn acceptor(options: &Options) -> Result<Acceptor, Failure> {
    if let Some((chain, key)) = options.tls_cert.clone().zip(options.tls_key.clone()) {
        let files = format!("{} with {}", chain.display(), key.display());
        return Acceptor::open(chain, Key::File(key))
            .map_err(|error| Failure::failed(format!("cannot use {files} for TLS: {error}")));
    }
    let (ca, key) = (options.place(&options.ca, "ca.crt"), options.place(&options.key, "ca.key"));
    let key = open::issuer(&ca, &key)?.key().clone();
    Acceptor::open(ca, Key::Kept(key))
        .map_err(|error| Failure::failed(format!("cannot use the authority for TLS: {error}")))
}
