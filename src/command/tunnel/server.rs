//! Ports on which others open tunnels to us.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::command::tunnel::event::Event;
use crate::command::tunnel::house::House;
use crate::command::tunnel::reception::Reception;
use crate::command::tunnel::terms::{ListenPort, ListenSettings, Terms};
use crate::command::tunnel::{port, stream};
use crate::os::tcp;
use crate::os::udp::Udp;
use crate::proto::endpoint::Transport;

/// Ports on which tunnels are accepted. Dropping it closes all of them.
#[derive(Debug)]
pub struct Listener {
    house: Arc<House>,
    terms: Arc<Mutex<Terms>>,
    /// What serves each port, and how it is told to stop.
    tasks: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Listener {
    /// Closes the tunnel of one interface.
    pub fn close_client(&self, interface: &str) {
        self.house.close_client(interface);
    }

    /// Believes these serial numbers no longer, and closes the tunnels of those who have one.
    pub fn set_revoked(&self, revoked: BTreeSet<u64>) {
        self.house.set_revoked(revoked);
    }

    /// Takes whom comes from now on on other terms.
    pub fn set_terms(&self, terms: Terms) {
        self.house.set_clients_max(terms.clients_max);
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner) = terms;
    }

    /// Closes the tunnels of all clients, who may come again.
    pub fn close_clients(&self) {
        self.house.close_clients();
    }

    /// Has all clients show their certificates again, and closes the tunnels of those that are no longer
    /// believed.
    pub fn renew_keys(&self) {
        self.house.renew_keys();
    }

    /// Tells all clients, closes their tunnels and waits until the interfaces are gone.
    pub async fn stop(self) {
        let (stop, tasks): (Vec<_>, Vec<_>) = self.tasks.into_iter().unzip();
        drop(stop);
        for task in tasks {
            let _ = task.await;
        }
    }
}

/// Opens the ports; clients come as events.
pub async fn listen(
    settings: ListenSettings,
    events: mpsc::Sender<Event>,
) -> Result<Listener, ListenError> {
    let prefix = settings.interface_prefix.clone();
    let house = House::new(settings.clients_max, prefix, settings.particulars.revoked.clone());
    let terms = Arc::new(Mutex::new(Terms {
        clients_max: settings.clients_max,
        ciphers: settings.particulars.ciphers.clone(),
        ping_exit: settings.particulars.ping_exit,
    }));
    let mut tasks = Vec::new();
    for &port in &settings.ports {
        let (stop, stopped) = oneshot::channel();
        let guests = (Arc::clone(&house), Arc::clone(&terms));
        let reception = Reception::open(settings.clone(), port.transport, events.clone(), guests);
        let task = open(port, reception, stopped, Arc::clone(&house));
        tasks.push((stop, task.map_err(|cause| ListenError { bind: port.bind, cause })?));
    }
    Ok(Listener { house, terms, tasks })
}

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {bind}: {cause} ({advice})", advice = advice(cause))]
pub struct ListenError {
    bind: SocketAddr,
    /// What the kernel says.
    #[source]
    pub cause: io::Error,
}

/// What to do about a port that cannot be opened.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program is there: choose another port, or end it",
        io::ErrorKind::AddrNotAvailable => "this host has no such address",
        io::ErrorKind::PermissionDenied => "ports below 1024 take root or CAP_NET_BIND_SERVICE",
        _ => "is another program there?",
    }
}

fn open(
    port: ListenPort,
    reception: io::Result<Reception>,
    stopped: oneshot::Receiver<()>,
    house: Arc<House>,
) -> io::Result<JoinHandle<()>> {
    let reception = reception?;
    Ok(match port.transport {
        Transport::Udp => {
            let udp = Arc::new(Udp::bind(port.bind)?);
            tokio::spawn(serve(port::run(udp, reception), stopped, house))
        }
        Transport::Tcp => {
            let listener = tcp::listen(port.bind)?;
            tokio::spawn(serve(stream::run(listener, reception), stopped, house))
        }
    })
}

/// Serves a port until it is to stop. It is served until all tunnels are closed: without it their ends
/// would only see that it is gone.
async fn serve(port: impl Future<Output = ()>, stopped: oneshot::Receiver<()>, house: Arc<House>) {
    let closing = async {
        let _ = stopped.await;
        house.close().await;
    };
    tokio::select! {
        () = port => house.close().await,
        () = closing => {}
    }
}
