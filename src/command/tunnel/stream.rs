//! The TCP port of a listener: each connection is one client.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};

use crate::command::tunnel::inward::{Heard, run_stream};
use crate::command::tunnel::link::Link;
use crate::command::tunnel::reception::{Received, Reception};
use crate::os::tcp::{self, PacketReader};
use crate::os::udp::Path;
use crate::proto::limits::TUNNEL_HALF_OPEN;
use crate::proto::tunnel::cookie::Stranger;

/// Accepts connections for ever.
pub async fn run(listener: TcpListener, reception: Reception) {
    let reception = Arc::new(reception);
    let strangers = Arc::new(tokio::sync::Semaphore::new(TUNNEL_HALF_OPEN));
    loop {
        let Ok(permit) = Arc::clone(&strangers).acquire_owned().await else { return };
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, or the like: it passes, or it does not.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(AFTER_FAILURE).await;
                continue;
            }
        };
        let reception = Arc::clone(&reception);
        tokio::spawn(async move {
            let timeout = reception.handshake_timeout();
            let proven = tokio::time::timeout(timeout, prove(stream, from, &reception)).await;
            drop(permit);
            if let Ok(Some((reader, received, orders))) = proven {
                run_stream(reader, received.lane, orders, reception.clock).await;
            }
        });
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
    loop {
        while let Some(packet) = reader.next_packet() {
            let now = reception.clock.now();
            match reception.cookies.judge(packet, from, now) {
                Stranger::Asks(answer) => {
                    link.send(&answer).await.ok()?;
                }
                Stranger::Proven(proven) => {
                    let (sender, orders) = mpsc::unbounded_channel();
                    let received = reception.receive(Path::to(from), *proven, link, sender)?;
                    received.lane.tell(Heard::Packet(packet.to_vec()));
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
