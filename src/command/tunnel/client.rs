//! One tunnel that we open.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::command::tunnel::event::{Event, EventKind, Role};
use crate::proto::endpoint::Endpoint;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::credentials::Credentials;

/// What a tunnel that we open is to be.
#[derive(Clone, Debug)]
pub struct ConnectSettings {
    /// Where the server is.
    pub remote: Endpoint,
    /// Who we are, and whose certificates we believe.
    pub credentials: Credentials,
    /// The name of the interface.
    pub interface: String,
    /// The common name the server must have; any of the authority's if `None`.
    pub peer: Option<String>,
    /// What we offer, the preferred first; `[Cipher::None]` for a network without encryption.
    pub ciphers: Vec<Cipher>,
    /// The tunnel is over when nothing authentic was heard for so long; four times the Hello interval.
    pub ping_exit: Duration,
    /// A handshake that takes longer has failed; OpenVPN's is 60 s.
    pub handshake_timeout: Duration,
    /// Serial numbers of certificates that are not believed.
    pub revoked: BTreeSet<u64>,
}

/// A tunnel that was opened. Dropping it closes the tunnel.
#[derive(Debug)]
pub struct Connection {
    close: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Connection {
    /// Tells the peer, closes the tunnel and waits until its interface is gone.
    pub async fn close(self) {
        drop(self.close);
        let _ = self.task.await;
    }
}

/// Opens a tunnel. Returns at once; what becomes of it comes as events, the last of which is
/// [`EventKind::Down`]. There is no second attempt.
pub fn connect(settings: ConnectSettings, events: mpsc::Sender<Event>) -> Connection {
    let (close, closed) = oneshot::channel();
    let task = tokio::spawn(run(settings, events, closed));
    Connection { close, task }
}

async fn run(
    settings: ConnectSettings,
    events: mpsc::Sender<Event>,
    _closed: oneshot::Receiver<()>,
) {
    let kind = EventKind::Down("tunnels are not made yet".to_owned());
    let _ = events.send(Event { interface: settings.interface, role: Role::Client, kind }).await;
}
