//! A running router, as the rest of the process sees it.

use std::net::Ipv6Addr;

use tokio::sync::{mpsc, oneshot, watch};

use crate::command::babel::engine::Engine;
use crate::command::babel::identity::Identity;
use crate::command::babel::request::{Answer, BabelError, Request};
use crate::os::route::KernelSettings;
use crate::proto::babel::dump::Dump;
use crate::proto::babel::event::LinkQuality;
use crate::proto::babel::filter::Filters;
use crate::proto::babel::mac::{BadSignatures, Keys};
use crate::proto::babel::settings::{
    Announcement, Behaviour, CostMultiplier, InterfaceSettings, Settings,
};

/// A handle on a running router. Copies speak to the same one.
///
/// ```text
/// let (babel, mut notices) = Babel::start(settings, kernel, identity)?;
/// babel.add_interface("re6st-paris", InterfaceSettings::tunnel(hello)).await?;
/// babel.remove_interface("re6st-paris").await?;   // or the tunnel went down: the same
/// babel.stop().await?;
/// ```
#[derive(Clone, Debug)]
pub struct Babel {
    requests: mpsc::Sender<Request>,
    changes: watch::Receiver<u64>,
}

impl Babel {
    /// Starts a router in the current network namespace; routes that a killed predecessor left in the
    /// kernel are removed first. What an operator should know comes out of the second value.
    pub fn start(
        settings: Settings,
        kernel: KernelSettings,
        identity: Identity,
    ) -> Result<(Self, mpsc::Receiver<String>), BabelError> {
        let (requests, received) = mpsc::channel(REQUESTS);
        let (notices, notices_out) = mpsc::channel(NOTICES);
        let (changed, changes) = watch::channel(0);
        let engine = Engine::open(settings, kernel, identity, notices, changed)?;
        tokio::spawn(engine.run(received));
        Ok((Self { requests, changes }, notices_out))
    }

    /// Runs on this interface; waits by itself until it is up and has a link-local address.
    pub async fn add_interface(
        &self,
        name: &str,
        behaviour: impl Into<Behaviour>,
    ) -> Result<(), BabelError> {
        let behaviour = behaviour.into();
        self.ask(|answer| Request::AddInterface(name.to_owned(), behaviour, answer)).await
    }

    /// Leaves this interface, or is told that its link is dead: neighbours and routes go at once.
    pub async fn remove_interface(&self, name: &str) -> Result<(), BabelError> {
        self.ask(|answer| Request::RemoveInterface(name.to_owned(), answer)).await
    }

    /// Multiplies what it costs us to reach a neighbour: ×1, avoid, or locked.
    pub async fn set_cost_multiplier(
        &self,
        interface: &str,
        neighbour: Ipv6Addr,
        multiplier: CostMultiplier,
    ) -> Result<(), BabelError> {
        let interface = interface.to_owned();
        self.ask(|answer| Request::SetCostMultiplier(interface, neighbour, multiplier, answer))
            .await
    }

    /// Tells what the owner of an interface measured of its link.
    pub async fn report_quality(&self, name: &str, quality: LinkQuality) -> Result<(), BabelError> {
        self.ask(|answer| Request::ReportQuality(name.to_owned(), quality, answer)).await
    }

    /// Signs and checks with other keys from now on; neighbours stay. `None`: neither signs nor checks.
    pub async fn set_keys(&self, keys: Option<Keys>) -> Result<(), BabelError> {
        self.ask(|answer| Request::SetKeys(keys, answer)).await
    }

    /// Takes or drops packets that no key signed from now on.
    pub async fn set_bad_signatures(&self, fate: BadSignatures) -> Result<(), BabelError> {
        self.ask(|answer| Request::SetBadSignatures(fate, answer)).await
    }

    /// Learns and announces by other filters from now on.
    pub async fn set_filters(&self, filters: Filters) -> Result<(), BabelError> {
        self.ask(|answer| Request::SetFilters(filters, answer)).await
    }

    /// Changes timers and costs of every interface; neighbours stay.
    pub async fn set_defaults(&self, settings: InterfaceSettings) -> Result<(), BabelError> {
        self.ask(|answer| Request::SetDefaults(settings, answer)).await
    }

    /// Originates exactly these destinations from now on; what is missing is retracted.
    pub async fn set_announced(&self, announced: Vec<Announcement>) -> Result<(), BabelError> {
        self.ask(|answer| Request::SetAnnounced(announced, answer)).await
    }

    /// Waits until it may know something else than when this was last asked of this handle.
    pub async fn changed(&mut self) -> Result<(), BabelError> {
        self.changes.changed().await.map_err(|_| BabelError::Stopped)
    }

    /// Waits until it has ended, asked to or not.
    pub async fn ended(&self) {
        self.requests.closed().await;
    }

    /// What it knows at this moment.
    pub async fn dump(&self) -> Result<Dump, BabelError> {
        self.ask(Request::Dump).await
    }

    /// Retracts everything with a last packet on every link, removes every route, ends.
    pub async fn stop(&self) -> Result<(), BabelError> {
        self.ask(Request::Stop).await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, BabelError> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| BabelError::Stopped)?;
        answered.await.map_err(|_| BabelError::Stopped)?
    }
}

/// Requests that wait; one more waits to be queued.
const REQUESTS: usize = 64;
/// Notices that nobody read yet; further ones are only logged.
const NOTICES: usize = 256;
