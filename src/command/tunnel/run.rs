//! `re6st tunnel`: one OpenVPN server or client, in the foreground.

use std::process;

use tokio::sync::mpsc;

use crate::command::json::{self, Object};
use crate::command::tunnel::client::{ConnectSettings, connect};
use crate::command::tunnel::configuration::Configuration;
use crate::command::tunnel::event::{Ending, Event, EventKind};
use crate::command::tunnel::interface::{self, NAME_OCTETS, name_for};
use crate::command::tunnel::list_file::{self, ListFile};
use crate::command::tunnel::options::{Connect, Listen, Tunnel};
use crate::command::tunnel::particulars::Particulars;
use crate::command::tunnel::resolve::{check, resolve, servers};
use crate::command::tunnel::server::listen;
use crate::command::tunnel::terms::{ListenPort, ListenSettings};
use crate::command::{Failure, Outcome, runtime};
use crate::os::signals::Signals;
use crate::os::{entropy, log};
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::tunnel::agreement::Disagreement;
use crate::proto::tunnel::credentials::Credentials;
use crate::proto::tunnel::kind::{Device, Role};
use crate::proto::tunnel::name::ExpectedName;
use crate::proto::tunnel::session::Reason;
use crate::proto::tunnel::tls::TlsContext;

/// Runs one of them until it is told to stop.
pub fn run(tunnel: Tunnel) -> Outcome {
    let runtime = runtime::start();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let outcome = match tunnel {
        Tunnel::Listen(options) => {
            log::start(2 + options.common.verbose);
            runtime.block_on(run_listen(*options))
        }
        Tunnel::Connect(options) => {
            log::start(2 + options.common.verbose);
            runtime.block_on(run_connect(*options))
        }
    };
    // A name may still be looked up, which nothing can cut short: nobody waits for it.
    runtime.shutdown_background();
    outcome
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
        particulars: configuration.particulars,
        ..ListenSettings::new(ports.clone(), context(&configuration.credentials)?)
    };
    try_out(
        &name_for(&settings.interface_prefix, &process::id().to_string()),
        &settings.particulars,
    )?;
    let mut list = configuration.list_file;
    let (events, mut received) = mpsc::channel(64);
    let listener =
        listen(settings, events).await.map_err(|error| Failure::failed(error.to_string()))?;
    for ListenPort { bind, transport } in ports {
        let over = if transport == Transport::Udp { "UDP" } else { "TCP" };
        tracing::info!("listening on {bind}, {over}");
    }
    let mut outcome = Ok(());
    while outcome.is_ok() {
        tokio::select! {
            event = received.recv() => match event {
                Some(event) => outcome = show(&event, as_json),
                None => return Ok(()),
            },
            () = list_file::changed(&mut list) => listener.renew_keys(),
            () = stop.wait() => break,
        }
    }
    let stopping = tokio::spawn(listener.stop());
    while let Some(event) = received.recv().await {
        // Clients are told even when nobody can be told about them.
        outcome = outcome.and_then(|()| show(&event, as_json));
    }
    let _ = stopping.await;
    outcome
}

/// Tries one server after the other; the first tunnel that comes up is the only one.
async fn run_connect(options: Connect) -> Outcome {
    let mut stop = Stop::new()?;
    let as_json = options.common.json;
    let (settings, servers, mut list) = what_to_connect(options)?;
    if !servers.is_empty() {
        try_out(&settings.interface, &settings.particulars)?;
    }
    let mut failure = None;
    for server in servers {
        let found = tokio::select! {
            found = resolve(&server) => found,
            () = stop.wait() => return Ok(()),
        };
        let remote = match found {
            Ok(remote) => remote,
            Err(error) => {
                tracing::info!("{error}");
                failure.get_or_insert(error);
                continue;
            }
        };
        match hold(settings.to(remote), as_json, &mut list, &mut stop).await? {
            Attempt::Over => return Ok(()),
            Attempt::Failed(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| {
        Failure::usage("name a server: HOST,PORT,PROTOCOL, or remote in the file of --config")
    }))
}

/// What became of a server.
enum Attempt {
    /// There was a tunnel until we closed it.
    Over,
    /// There was none: another server may do.
    Failed(Failure),
}

/// Opens a tunnel and says what happens to it until it ends.
async fn hold(
    settings: ConnectSettings,
    as_json: bool,
    list: &mut Option<ListFile>,
    stop: &mut Stop,
) -> Result<Attempt, Failure> {
    let remote = settings.remote;
    let (events, mut received) = mpsc::channel(64);
    let mut connection = Some(connect(settings, events));
    let mut was_up = false;
    loop {
        tokio::select! {
            event = received.recv() => {
                let Some(event) = event else { return Ok(Attempt::Over) };
                if let Err(failure) = show(&event, as_json) {
                    drop(received);
                    if let Some(connection) = connection.take() {
                        connection.close().await;
                    }
                    return Err(failure);
                }
                was_up |= matches!(event.kind, EventKind::Up(_));
                if let EventKind::Down(reason) = event.kind {
                    return match connection {
                        None => Ok(Attempt::Over),
                        Some(_) if was_up => {
                            Err(Failure::failed(format!("the tunnel to {remote} is over: {reason}")))
                        }
                        Some(_) => Ok(Attempt::Failed(Failure::failed(no_tunnel(remote, &reason)))),
                    };
                }
            }
            () = list_file::changed(list) => {
                if let Some(connection) = &connection {
                    connection.renew_keys();
                }
            }
            () = stop.wait(), if connection.is_some() => {
                if let Some(connection) = connection.take() {
                    tokio::spawn(connection.close());
                }
            }
        }
    }
}

/// What options and their files come to: what the tunnel is to be, with which servers, and what to look at
/// again meanwhile.
fn what_to_connect(
    options: Connect,
) -> Result<(ConnectWish, Vec<String>, Option<ListFile>), Failure> {
    if let Some(server) = &options.server {
        check(server)?;
    }
    let configuration = Configuration::read(&options.common, Role::Client)?;
    let profile = &configuration.profile;
    let interface = options.interface.or_else(|| profile.interface.clone());
    let interface = interface.unwrap_or_else(|| "re6st-tunnel".to_owned());
    if !interface::is_name(&interface) {
        let name = name_for("", &interface);
        let name = if interface::is_name(&name) { name } else { "re6st-tunnel".to_owned() };
        return Err(Failure::usage(format!(
            "--interface takes a name of at most {NAME_OCTETS} letters, without spaces, colons and \
             slashes, for example {name}"
        )));
    }
    let servers = match options.server {
        Some(server) => vec![server],
        None => servers(profile, &mut entropy::random()),
    };
    let mut particulars = configuration.particulars;
    if let Some(name) = options.peer {
        particulars.peer = Some(ExpectedName::Common(name));
    }
    if let (None, Some(time), 2..) =
        (options.common.handshake_timeout, profile.answer_timeout, servers.len())
    {
        particulars.handshake_timeout = particulars.handshake_timeout.min(time);
    }
    let wish =
        ConnectWish { context: context(&configuration.credentials)?, interface, particulars };
    Ok((wish, servers, configuration.list_file))
}

/// What a tunnel is to be, whichever server it is with.
struct ConnectWish {
    context: TlsContext,
    interface: String,
    particulars: Particulars,
}

impl ConnectWish {
    fn to(&self, remote: Endpoint) -> ConnectSettings {
        ConnectSettings {
            particulars: self.particulars.clone(),
            ..ConnectSettings::new(remote, self.context.clone(), self.interface.clone())
        }
    }
}

/// Fails now rather than after the first handshake if there can be no interface.
fn try_out(name: &str, particulars: &Particulars) -> Outcome {
    let tried = interface::try_out(name, particulars.device.into());
    tried.map_err(|error| Failure::failed(error.to_string()))
}

/// The signals that end a tunnel.
struct Stop(Signals);

impl Stop {
    fn new() -> Result<Self, Failure> {
        runtime::signals().map(Self)
    }

    async fn wait(&mut self) {
        self.0.end("restart the tunnel for other options or certificates").await;
    }
}

/// The last sentence of a client that got no tunnel, with what to do about it.
fn no_tunnel(remote: Endpoint, ending: &Ending) -> String {
    let reason = match ending {
        Ending::Session(reason) => reason,
        Ending::Hangup => {
            return format!(
                "no tunnel to {remote}: {ending}: is it a server of OpenVPN, and have both ends the same \
                 tls-auth or tls-crypt key?"
            );
        }
        Ending::Other(_) => return format!("no tunnel to {remote}: {ending}"),
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
        Reason::Handshake(_) => {
            "does the server believe our certificate: of its authority, not expired or revoked, for \
             clients?"
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
