//! Where sessions are: in memory, or in the database if several registries share it.

use std::sync::Arc;

use crate::proto::prefix::Prefix;
use crate::proto::registry::session::SessionKey;
use crate::proto::registry::sessions::{Accepted, SessionError, Sessions};

use super::refusal::Refusal;
use super::state::Registry;

impl Registry {
    /// Keeps the key of a hello.
    pub(super) fn begin_session(
        &self,
        node: Prefix,
        key: SessionKey,
        protocol: u32,
    ) -> Result<(), Refusal> {
        self.with_sessions(node, |sessions| sessions.hello(node, key, protocol))
    }

    /// Authenticates a member's call.
    pub(super) async fn accept(
        self: &Arc<Self>,
        node: Prefix,
        target: &str,
        mac: Option<&str>,
    ) -> Result<Accepted, Refusal> {
        let accepted = if self.database.is_shared() {
            let (target, mac) = (target.to_owned(), mac.map(str::to_owned));
            self.blocking(move |registry| {
                registry.with_sessions(node, |all| all.accept(node, &target, mac.as_deref()))
            })
            .await?
        } else {
            self.state().sessions.accept(node, target, mac)
        };
        accepted.map_err(|error| match error {
            SessionError::Unknown => Refusal::NoSession,
            SessionError::Wrong => Refusal::Bad("the call is not authenticated as it should be"),
        })
    }

    /// Ends the sessions of a node that is no member any more.
    pub(super) fn end_sessions(&self, node: Prefix) -> Result<(), Refusal> {
        self.with_sessions(node, |sessions| sessions.end(node))
    }

    fn with_sessions<T>(
        &self,
        node: Prefix,
        work: impl FnOnce(&mut Sessions) -> T,
    ) -> Result<T, Refusal> {
        if !self.database.is_shared() {
            return Ok(work(&mut self.state().sessions));
        }
        self.database.change_session(|tables| {
            let mut sessions = Sessions::default();
            let before = tables.session(node)?;
            if let Some(text) = &before {
                sessions.load(node, text);
            }
            let done = work(&mut sessions);
            let after = sessions.to_text(node);
            if before.as_ref().is_some_and(|before| *before != after) || before.is_none() {
                tables.set_session(node, after)?;
            }
            Ok(done)
        })
    }
}
