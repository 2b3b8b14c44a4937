//! The TCP port of a listener: each connection is one client.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::command::tunnel::inward::run_stream;
use crate::command::tunnel::link::Link;
use crate::command::tunnel::reception::{Received, Reception};
use crate::os::tcp::{self, PacketReader};
use crate::os::udp::Path;
use crate::proto::half_open::{HalfOpen, Verdict};
use crate::proto::limits::{TUNNEL_CLIENT_HELLO_TIMEOUT, TUNNEL_CONNECTIONS_WAITING};
use crate::proto::time::Instant;
use crate::proto::tunnel::cookie::{Proven, Stranger};

/// Connections that have not sent a ClientHello.
struct Waiting {
    half_open: HalfOpen,
    /// Each connection's task closes it when this is dropped.
    places: HashMap<u32, oneshot::Sender<()>>,
    last: u32,
}

/// Accepts connections for ever.
pub async fn run(listener: TcpListener, reception: Reception) {
    let reception = Arc::new(reception);
    let half_open = HalfOpen::new(TUNNEL_CONNECTIONS_WAITING);
    let waiting = Waiting { half_open, places: HashMap::new(), last: 0 };
    let waiting = Arc::new(StdMutex::new(waiting));
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, or the like: it passes, or it does not.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let Some((number, replaced)) = lock(&waiting).begin(from.ip(), reception.clock.now())
        else {
            continue;
        };
        let (reception, waiting) = (Arc::clone(&reception), Arc::clone(&waiting));
        tokio::spawn(async move {
            let timeout = reception.handshake_timeout().min(TUNNEL_CLIENT_HELLO_TIMEOUT);
            let proven = tokio::select! {
                proven = tokio::time::timeout(timeout, prove(stream, from, &reception)) => proven,
                _ = replaced => Ok(None),
            };
            lock(&waiting).end(number);
            if let Ok(Some((reader, received, orders))) = proven {
                run_stream(reader, received.lane, orders, reception.clock).await;
            }
        });
    }
}

fn lock(waiting: &StdMutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiting {
    /// A place for a connection, and what tells it that another one took it; `None` if it is to be closed.
    fn begin(&mut self, from: IpAddr, now: Instant) -> Option<(u32, oneshot::Receiver<()>)> {
        self.last = self.last.wrapping_add(1);
        match self.half_open.begin(self.last, from, now) {
            Verdict::Begin => {}
            Verdict::Replace(replaced) => {
                self.places.remove(&replaced);
            }
            Verdict::Refuse => return None,
        }
        let (place, replaced) = oneshot::channel();
        self.places.insert(self.last, place);
        Some((self.last, replaced))
    }

    fn end(&mut self, number: u32) {
        self.half_open.end(number);
        self.places.remove(&number);
    }
}

type Orders = mpsc::UnboundedReceiver<(u32, crate::command::tunnel::inward::LaneOrder)>;

/// Exchanges resets with a stranger, until it is a client or not.
async fn prove(
    stream: TcpStream,
    from: SocketAddr,
    reception: &Reception,
) -> Option<(PacketReader, Received, Orders)> {
    tcp::prepare(&stream, reception.ping_exit()).ok()?;
    let (reader, writer) = stream.into_split();
    let link = Link::Tcp(Arc::new(Mutex::new(writer)));
    let mut reader = PacketReader::new(reader);
    let mut acknowledged: Option<Box<Proven>> = None;
    loop {
        while let Some(packet) = reader.next_packet() {
            let now = reception.clock.now();
            match reception.cookies.judge(packet, from, acknowledged.as_deref(), now) {
                Stranger::Asks(answer) => {
                    link.send(&answer).await.ok()?;
                }
                Stranger::Acknowledges(client) => acknowledged = Some(client),
                Stranger::Proven(proven) => {
                    let (sender, orders) = mpsc::unbounded_channel();
                    let received = reception.receive(Path::to(from), *proven, link, sender)?;
                    received.lane.tell_control(packet);
                    return Some((reader, received, orders));
                }
                // Whoever speaks something else is not a client.
                Stranger::Noise => return None,
            }
        }
        reader.fill().await.ok()?;
    }
}

/// How long to wait when no connection can be accepted.
const AFTER_FAILURE: Duration = Duration::from_millis(200);
