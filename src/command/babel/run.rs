//! The router alone, in the foreground.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tracing::warn;

use crate::command::babel::SOCKET;
use crate::command::babel::configured::{self, Job};
use crate::command::babel::control::ControlSocket;
use crate::command::babel::identity::{self, Identity};
use crate::command::babel::printing::print_changes;
use crate::command::babel::request::BabelError;
use crate::command::babel::service::Babel;
use crate::command::babel::statements;
use crate::command::json::{Object, Tunnel, TunnelEvent};
use crate::command::{Failure, Outcome, runtime};
use crate::os::log;
use crate::os::route::KernelSettings;
use crate::proto::babel::configuration::Configuration;
use crate::proto::babel::configuration::interface::InterfaceOptions;
use crate::proto::babel::destination::Destination;
use crate::proto::babel::event::LinkQuality;
use crate::proto::babel::mac::{Hash, Key, Keys};
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::settings::{Acceptance, Announcement, InterfaceSettings, Settings};
use crate::proto::cidr::Cidr;

/// Options of `re6st babel run`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Interfaces to route between; they may appear later, disappear and come back
    #[arg(value_name = "IFACE")]
    interface: Vec<String>,
    /// Read more interfaces from FILE, or from standard input if it is `-`, as the JSON Lines that
    /// `re6st tunnel connect --json` prints: a tunnel that is up is added, one that is down removed
    #[arg(long, value_name = "FILE")]
    interfaces: Option<String>,
    /// Do what a configuration file of babeld says; may be given several times. Interfaces named here get
    /// what its `default` lines say
    #[arg(long, value_name = "FILE", conflicts_with_all = OWN_OPTIONS)]
    config: Vec<String>,
    /// Do what a statement of babeld's configuration language says; may be given several times
    #[arg(short = 'C', long, value_name = "STATEMENT", conflicts_with_all = OWN_OPTIONS)]
    statement: Vec<String>,
    /// Announce a prefix as ours: `PREFIX`, or `PREFIX from SOURCE` for packets from there only
    #[arg(long, value_name = "CIDR")]
    redistribute: Vec<Redistributed>,
    /// How interfaces behave
    #[arg(long, value_enum, default_value_t = Kind::Tunnel)]
    kind: Kind,
    /// How often to say Hello; a silent neighbour is left after two to three times that
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = duration)]
    hello: Duration,
    /// How often to repeat the whole table
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    update: Duration,
    /// Sign and check packets with a key: `blake2s128:HEX` or `hmac-sha256:HEX`
    #[arg(long, value_name = "HASH:HEX")]
    key: Vec<KeyText>,
    /// Take packets signed with this key as well, without signing with it
    #[arg(long, value_name = "HASH:HEX", requires = "key")]
    accept_key: Vec<KeyText>,
    /// Take only routes inside this prefix, and default routes, which are then for packets from there
    #[arg(long, value_name = "CIDR")]
    network: Option<Cidr>,
    /// The kernel's table for routes
    #[arg(long, value_name = "NUMBER", default_value_t = 254)]
    table: u32,
    /// The kernel's metric of routes; the lowest wins among those to the same prefix
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    metric: u32,
    /// The source address of our own packets, once for each family
    #[arg(long, value_name = "ADDRESS")]
    pref_src: Vec<IpAddr>,
    /// Keep the router's identity and its numbers in FILE, so that neighbours know it again after a
    /// restart or a crash; for one router alone
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Where `re6st babel dump` asks
    #[arg(long, value_name = "PATH", default_value = SOCKET)]
    socket: PathBuf,
    /// Print every change of neighbours and routes as JSON Lines
    #[arg(long)]
    json: bool,
    /// How much to log: 0 is errors, 2 what happens, 4 everything
    #[arg(long, short, value_name = "LEVEL", default_value_t = 2)]
    verbose: u8,
}

/// How interfaces behave.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Kind {
    /// Tunnels through the Internet: delay counts.
    Tunnel,
    /// Ethernet: delay does not count.
    Wired,
}

/// Routes until told to end.
pub fn run(options: Options) -> Outcome {
    if !options.config.is_empty() || !options.statement.is_empty() {
        return run_configured(options);
    }
    if options.interface.is_empty() && options.interfaces.is_none() {
        return Err(Failure::usage("no interface is given: name one, or use --interfaces -"));
    }
    log::start(options.verbose);
    let runtime = runtime::start_alone();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let done = runtime.block_on(route(options));
    // A read of standard input that is under way would otherwise be waited for.
    runtime.shutdown_background();
    done
}

fn run_configured(options: Options) -> Outcome {
    let Options { interface, config, statement, socket, json, verbose, .. } = options;
    let read = move || read_configuration(&config, &statement, &interface);
    configured::run(Job {
        configuration: read()?,
        verbose,
        usual_state: None,
        babeld_socket: None,
        socket: Some(socket),
        json,
        read_again: Some(Box::new(read)),
    })
}

fn read_configuration(
    files: &[String],
    statements: &[String],
    interfaces: &[String],
) -> Result<Configuration, Failure> {
    let mut configuration = Configuration::default();
    let mut problems = Vec::new();
    for name in files {
        problems.extend(statements::read_file(&mut configuration, name)?);
    }
    for statement in statements {
        problems.extend(configuration.read_option(statement));
    }
    if !problems.is_empty() {
        return Err(statements::refused(&problems));
    }
    for name in interfaces {
        configuration.add_interface(name, &InterfaceOptions::default());
    }
    Ok(configuration)
}

async fn route(options: Options) -> Outcome {
    let failed = |error: BabelError| Failure::failed(error.to_string());
    // All that can fail comes before the router, which removes what a dead one left.
    let mut events = Events::open(&options).await?;
    let socket = ControlSocket::open(&options.socket).await;
    let mut socket = socket.map_err(|error| {
        let path = options.socket.display();
        Failure::failed(format!("cannot listen on {path}: {error}; give another --socket"))
    })?;
    let identity = Identity::find(None, options.state.as_deref(), identity::draw)?;
    let settings = settings(&options, identity.router_id);
    let (babel, _notices) = Babel::start(settings, kernel(&options), identity).map_err(failed)?;
    socket.serve(babel.clone(), None);
    for name in &options.interface {
        babel.add_interface(name, interface(&options)).await.map_err(failed)?;
    }
    if options.json {
        tokio::spawn(print_changes(babel.clone()));
    }
    let done = follow(&options, &babel, &mut events).await;
    done.and(babel.stop().await.map_err(failed))
}

/// Adds and removes interfaces as told, until a signal says that it is enough.
async fn follow(options: &Options, babel: &Babel, events: &mut Events) -> Outcome {
    let mut signals = runtime::signals()?;
    let mut up = BTreeSet::new();
    loop {
        tokio::select! {
            () = signals.end("restart the router for other options, or give it a --config file") => return Ok(()),
            () = babel.ended() => return Err(Failure::failed(BabelError::Stopped.to_string())),
            line = events.next() => match line {
                Some(line) => follow_line(options, babel, &line, &mut up).await?,
                None if up.is_empty() && options.interface.is_empty() => {
                    return Err(nothing_named(options));
                }
                None => warn!("--interfaces ended: those that are up are kept"),
            },
        }
    }
}

/// Who was to name interfaces has ended, and none is left: often it could not do what it was told, and
/// has said so above.
fn nothing_named(options: &Options) -> Failure {
    let whence = match options.interfaces.as_deref() {
        None | Some("-") => "standard input",
        Some(path) => path,
    };
    Failure::failed(format!(
        "{whence} ended, and no interface that it named is up: there is nothing to route between"
    ))
}

async fn follow_line(
    options: &Options,
    babel: &Babel,
    line: &str,
    up: &mut BTreeSet<String>,
) -> Outcome {
    let failed = |error: BabelError| Failure::failed(error.to_string());
    let tunnel = match serde_json::from_str(line) {
        Ok(Object::Tunnel(tunnel)) => tunnel,
        Ok(_) => return Ok(()),
        Err(error) => {
            warn!("a line of --interfaces is no object that re6st prints: {error}");
            return Ok(());
        }
    };
    match tunnel.event {
        TunnelEvent::Up | TunnelEvent::Recovered => {
            up.insert(tunnel.interface.clone());
            babel.add_interface(&tunnel.interface, interface(options)).await
        }
        TunnelEvent::Down | TunnelEvent::Silent => {
            up.remove(&tunnel.interface);
            babel.remove_interface(&tunnel.interface).await
        }
        TunnelEvent::Statistics => babel.report_quality(&tunnel.interface, quality(&tunnel)).await,
        TunnelEvent::Connecting | TunnelEvent::Rekeyed | TunnelEvent::Mtu => Ok(()),
    }
    .map_err(failed)
}

/// What a tunnel measured of its path, the worse direction counting.
fn quality(tunnel: &Tunnel) -> LinkQuality {
    let losses = tunnel.loss_in_ratio.into_iter().chain(tunnel.loss_out_ratio);
    #[expect(clippy::cast_possible_truncation, reason = "a share, 0 to 1")]
    let loss = losses.reduce(f64::max).map(|ratio| ratio as f32);
    LinkQuality { loss, round_trip: tunnel.rtt_us.map(Duration::from_micros) }
}

fn no_interfaces(path: &str, error: &std::io::Error) -> Failure {
    Failure::failed(format!(
        "cannot read {path}: {error}; --interfaces takes a file, and interfaces are named without it"
    ))
}

/// Where tunnels are told of.
enum Events {
    None,
    Input(Lines<BufReader<Stdin>>),
    File(Lines<BufReader<tokio::fs::File>>),
}

impl Events {
    async fn open(options: &Options) -> Result<Self, Failure> {
        Ok(match options.interfaces.as_deref() {
            None => Self::None,
            Some("-") => Self::Input(BufReader::new(tokio::io::stdin()).lines()),
            Some(path) => {
                let file = tokio::fs::File::open(path).await;
                let file = file.map_err(|error| no_interfaces(path, &error))?;
                Self::File(BufReader::new(file).lines())
            }
        })
    }

    /// The next line; `None` once, when there are no more.
    async fn next(&mut self) -> Option<String> {
        let line = match self {
            Self::None => std::future::pending().await,
            Self::Input(lines) => lines.next_line().await,
            Self::File(lines) => lines.next_line().await,
        };
        match line {
            Ok(Some(line)) => Some(line),
            Ok(None) | Err(_) => {
                *self = Self::None;
                None
            }
        }
    }
}

fn settings(options: &Options, router_id: RouterId) -> Settings {
    let announced = options.redistribute.iter();
    let keys = (!options.key.is_empty()).then(|| Keys {
        sign: options.key.iter().map(|text| text.0.clone()).collect(),
        accept: options.accept_key.iter().map(|text| text.0.clone()).collect(),
    });
    Settings {
        router_id,
        announced: announced.map(|r| Announcement { destination: r.0, metric: 0 }).collect(),
        accepted: options.network.map_or_else(Vec::new, |network| {
            let default = if network.is_ipv4() { Cidr::IPV4_DEFAULT } else { Cidr::IPV6_DEFAULT };
            vec![Acceptance::inside(network), Acceptance::exactly(default)]
        }),
        keys,
    }
}

fn interface(options: &Options) -> InterfaceSettings {
    let settings = match options.kind {
        Kind::Tunnel => InterfaceSettings::tunnel(options.hello),
        Kind::Wired => InterfaceSettings::wired(options.hello),
    };
    InterfaceSettings { update_interval: options.update, ..settings }
}

fn kernel(options: &Options) -> KernelSettings {
    KernelSettings {
        table: options.table,
        metric: options.metric,
        preferred_source_v6: options.pref_src.iter().find_map(|address| match address {
            IpAddr::V6(v6) => Some(*v6),
            IpAddr::V4(_) => None,
        }),
        preferred_source_v4: options.pref_src.iter().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        }),
        default_source: options.network.filter(|network| !network.is_ipv4()),
        ..KernelSettings::default()
    }
}

/// A destination to announce, as text.
#[derive(Clone, Copy, Debug)]
struct Redistributed(Destination);

impl FromStr for Redistributed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (prefix, source) = match text.split_once(" from ") {
            Some((prefix, source)) => (prefix, Some(source)),
            None => (text, None),
        };
        let parse = |text: &str| text.trim().parse::<Cidr>().map_err(|error| error.to_string());
        let prefix = parse(prefix)?;
        match source {
            None => Ok(Self(Destination::from_anywhere(prefix))),
            Some(source) => Destination::from_source(prefix, parse(source)?)
                .map(Self)
                .ok_or_else(|| "prefix and source are of different families".to_owned()),
        }
    }
}

/// A key, as text.
#[derive(Clone, Debug)]
struct KeyText(Key);

impl FromStr for KeyText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a key is written blake2s128:HEX or hmac-sha256:HEX";
        let (hash, hex) = text.split_once(':').ok_or(form)?;
        let hash = match hash {
            "blake2s128" => Hash::Blake2s128,
            "hmac-sha256" => Hash::HmacSha256,
            _ => return Err(form.to_owned()),
        };
        let octet = |at| hex.get(at..at + 2).and_then(|text| u8::from_str_radix(text, 16).ok());
        let secret: Option<Vec<u8>> = (0..hex.len()).step_by(2).map(octet).collect();
        let secret = secret.ok_or("a key has an even number of hexadecimal digits")?;
        Key::new(hash, &secret).map(Self).map_err(|error| error.to_string())
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let allowed = Duration::from_millis(10)..=Duration::from_secs(600);
    if allowed.contains(&duration) {
        Ok(duration)
    } else {
        Err("between 10ms and 10min".to_owned())
    }
}

/// Options that say in another way what a configuration says.
const OWN_OPTIONS: [&str; 12] = [
    "state",
    "interfaces",
    "redistribute",
    "kind",
    "hello",
    "update",
    "key",
    "accept_key",
    "network",
    "table",
    "metric",
    "pref_src",
];
