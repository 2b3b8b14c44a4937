//! The registry as it stands: what it was told, its database, and what requests share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use crate::os::clock::{Clock, unix_time};
use crate::os::database::{Database, Tables};
use crate::os::file;
use crate::proto::certificate::{Authority, Issuer};
use crate::proto::prefix::{Network, Prefix};
use crate::proto::random::Random;
use crate::proto::registry::clock::Timekeeper;
use crate::proto::registry::sessions::Sessions;
use crate::proto::time::{Instant, UnixTime};

use super::call_limits::CallLimits;
use super::parsed::Parsed;
use super::policy::Policy;
use super::refusal::Refusal;
use super::requests::Requests;
use super::web::access::Gate;
use super::web::mesh::Mesh;

/// The registry.
pub struct Registry {
    pub(super) issuer: Issuer,
    pub(super) policy: Policy,
    pub(super) requests: Requests,
    // Apart from the state: a transaction waits for the disk, and nobody else shall.
    pub(super) database: Database,
    pub(super) parsed: Parsed,
    /// Who may see the pages.
    pub(super) gate: Gate,
    /// Places for mails that are being sent.
    pub(super) mails: Arc<Semaphore>,
    /// The mesh as it was a moment ago, and until when that will do.
    pub(super) mesh: tokio::sync::Mutex<Option<(Arc<Mesh>, Instant)>>,
    pub(super) clock: Clock,
    /// The time to act on.
    pub(super) timekeeper: Mutex<Timekeeper>,
    pub(super) state: Mutex<State>,
}

/// What requests share, held for moments only.
pub(super) struct State {
    pub sessions: Sessions,
    pub call_limits: CallLimits,
    pub random: Random,
    /// Routed nodes that bootstrapping ones were not sent to yet, and until when.
    pub routed: (Vec<Prefix>, Instant),
}

impl Registry {
    /// Runs what computes or waits for the disk away from the threads that serve connections.
    pub(super) async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let registry = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&registry)).await;
        done.unwrap_or(Err(Refusal::Internal))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the database, all or nothing.
    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.database.write(work)
    }

    /// Looks at the database.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Tables<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        self.database.read(work)
    }

    /// The authority as its file says now: whoever renews it need not tell us.
    pub(super) fn authority(&self) -> Authority {
        let known = self.issuer.authority();
        let read = file::read(&self.policy.ca).ok();
        let newer = read.and_then(|pem| Authority::from_pem(&pem).ok());
        newer.filter(|newer| known.is_renewed_by(newer)).unwrap_or_else(|| known.clone())
    }

    pub(super) const fn network(&self) -> Network {
        self.issuer.authority().network()
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn unix_time() -> UnixTime {
        unix_time()
    }
}
