//! One tunnel that we open.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use crate::command::tunnel::counters::Counters;
use crate::command::tunnel::event::{Ending, Event, EventKind};
use crate::command::tunnel::inward::{self, Lane, LaneOrders};
use crate::command::tunnel::link::Link;
use crate::command::tunnel::particulars::Particulars;
use crate::command::tunnel::peer::order::PeerOrder;
use crate::command::tunnel::peer::{DataPath, Peer, Surroundings};
use crate::os::clock::Clock;
use crate::os::entropy;
use crate::os::link::{LinkError, Links};
use crate::os::tcp::{self, PacketReader};
use crate::os::udp::{Path, Udp};
use crate::proto::endpoint::{Endpoint, Transport};
use crate::proto::limits::TUNNEL_CONTROL_QUEUE;
use crate::proto::tunnel::kind::{Role, Underlay};
use crate::proto::tunnel::session::{Session, SessionSettings};
use crate::proto::tunnel::tls::{Expectation, TlsContext};

/// What a tunnel that we open is to be.
#[derive(Clone, Debug)]
pub struct ConnectSettings {
    /// Where the server is.
    pub remote: Endpoint,
    /// Who we are, and whose certificates we believe.
    pub context: TlsContext,
    /// The name of the interface.
    pub interface: String,
    /// How the tunnel is to be.
    pub particulars: Particulars,
}

impl ConnectSettings {
    /// What a stock network has: every cipher that encrypts, 60 s, an hour for keys.
    pub fn new(remote: Endpoint, context: TlsContext, interface: String) -> Self {
        Self { remote, context, interface, particulars: Particulars::default() }
    }
}

/// A tunnel that was opened. Dropping it closes the tunnel.
#[derive(Debug)]
pub struct Connection {
    orders: mpsc::UnboundedSender<PeerOrder>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Has the server show its certificate again, and closes the tunnel if it is no longer believed.
    pub fn renew_keys(&self) {
        let _ = self.orders.send(PeerOrder::RenewKeys);
    }

    /// Tells the peer, closes the tunnel and waits until its interface is gone.
    pub async fn close(self) {
        drop(self.orders);
        let _ = self.task.await;
    }
}

/// Why there was not even a handshake.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("cannot reach {0}: {1}")]
    Unreachable(Endpoint, #[source] io::Error),
    #[error("no connection to {remote} within {} s", .after.as_secs())]
    Timeout { remote: Endpoint, after: Duration },
    #[error("{0}")]
    Link(#[from] LinkError),
    #[error("OpenSSL does not take the certificate or key: {0}")]
    Tls(#[from] openssl::error::ErrorStack),
}

/// Opens a tunnel. Returns at once; what becomes of it comes as events, the last of which is
/// [`EventKind::Down`]. There is no second attempt.
pub fn connect(settings: ConnectSettings, events: mpsc::Sender<Event>) -> Connection {
    let (orders, received) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let interface = settings.interface.clone();
        let tell =
            |kind| events.send(Event { interface: interface.clone(), role: Role::Client, kind });
        let _ = tell(EventKind::Connecting(settings.remote)).await;
        if let Err(error) = run(settings, events.clone(), received).await {
            let _ = tell(EventKind::Down(Ending::Other(error.to_string()))).await;
        }
    });
    Connection { orders, task }
}

async fn run(
    settings: ConnectSettings,
    events: mpsc::Sender<Event>,
    orders: mpsc::UnboundedReceiver<PeerOrder>,
) -> Result<(), ConnectError> {
    let clock = Clock::start();
    let links = Links::open()?;
    let counters = Arc::new(Counters::default());
    let (heard_sender, heard) = mpsc::channel(TUNNEL_CONTROL_QUEUE);
    let lane =
        Lane::new(Path::to(settings.remote.socket_address()), Arc::clone(&counters), heard_sender);
    let (lane_orders, link) = open_path(&settings, lane, clock).await?;

    let mut first = Vec::new();
    let session = Session::client(
        session_settings(&settings, clock),
        &settings.context,
        entropy::random(),
        clock.now(),
        &mut first,
    )?;
    let surroundings = Surroundings {
        clock,
        links,
        events,
        interface: settings.interface,
        device: settings.particulars.device,
        addresses: settings.particulars.addresses,
        pulls: settings.particulars.pulls,
        underlay: underlay(&settings.remote),
        endpoint: settings.remote,
        statistics_every: settings.particulars.statistics_every,
        mtu: settings.particulars.mtu,
        mssfix: settings.particulars.mssfix,
        key_limit: settings.particulars.key_limit,
        segments: settings.particulars.segments,
    };
    let path = DataPath { link, lane: lane_orders, heard, counters };
    Peer::client(session, surroundings, path, orders).run(first).await;
    Ok(())
}

/// Opens the socket or connection and starts the task that reads it.
async fn open_path(
    settings: &ConnectSettings,
    lane: Lane,
    clock: Clock,
) -> Result<(LaneOrders, Link), ConnectError> {
    let remote = settings.remote;
    let (sender, orders) = mpsc::unbounded_channel();
    let unreachable = |error| ConnectError::Unreachable(remote, error);
    let link = match remote.transport {
        Transport::Udp => {
            let udp = Arc::new(Udp::connect(remote.socket_address()).await.map_err(unreachable)?);
            tokio::spawn(inward::run_connected(Arc::clone(&udp), lane, orders, clock));
            Link::Udp(udp, None)
        }
        Transport::Tcp => {
            let connecting = TcpStream::connect(remote.socket_address());
            let timeout = settings.particulars.handshake_timeout;
            let stream = tokio::time::timeout(timeout, connecting).await;
            let stream = stream.map_err(|_| ConnectError::Timeout { remote, after: timeout })?;
            let stream = stream.map_err(unreachable)?;
            tcp::prepare(&stream, settings.particulars.ping_exit).map_err(unreachable)?;
            let (reader, writer) = stream.into_split();
            tokio::spawn(inward::run_stream(PacketReader::new(reader), lane, orders, clock));
            Link::Tcp(Arc::new(Mutex::new(writer)))
        }
    };
    Ok((LaneOrders { lane: 0, orders: sender }, link))
}

fn session_settings(settings: &ConnectSettings, clock: Clock) -> SessionSettings {
    SessionSettings {
        underlay: underlay(&settings.remote),
        device: settings.particulars.device,
        ciphers: settings.particulars.ciphers.clone(),
        expectation: Expectation {
            name: settings.particulars.peer.clone(),
            revoked: Arc::new(settings.particulars.revoked.clone()),
            list: settings.particulars.list.clone(),
            usage: settings.particulars.usage,
        },
        handshake_timeout: settings.particulars.handshake_timeout,
        ping_exit: settings.particulars.ping_exit,
        renegotiate_after: settings.particulars.renegotiate_after,
        ping: settings.particulars.ping,
        control: settings.particulars.control.clone(),
        unix_start: clock.unix_start(),
    }
}

fn underlay(remote: &Endpoint) -> Underlay {
    Underlay { transport: remote.transport, ipv6: remote.address.is_ipv6() }
}
