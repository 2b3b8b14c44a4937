//! The change of keys: begun by either end or by both, with the old ones in use until it is done.

use std::time::Duration;

use crate::proto::time::Instant;
use crate::proto::tunnel::data::{Opener, Sealer};
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::negotiation::{Negotiation, NegotiationError, Room};
use crate::proto::tunnel::packet::{KeyId, Opcode};
use crate::proto::tunnel::session::{Output, Reason, Session};
use crate::proto::tunnel::tls::{PeerName, Tls};

/// How long the old key is used at most for sending after the new one was begun.
const OLD_KEY_SENDS: Duration = Duration::from_secs(60);
/// How long the old key is accepted after the new one was agreed.
const OLD_KEY_OPENS: Duration = Duration::from_secs(3_600);

impl Session {
    pub(super) fn renegotiate(&mut self, now: Instant) -> Result<(), Reason> {
        let Some(active) = self.active.as_ref().filter(|_| self.pending.is_none()) else {
            return Ok(());
        };
        let key_id = after(active.key_id);
        self.renegotiate_at = None;
        let expectation = self.settings.expectation.clone();
        let tls = match self.role {
            Role::Client => Tls::client(&self.context, expectation),
            Role::Server => Tls::server(&self.context, expectation),
        };
        let tls = tls.map_err(|_| NegotiationError::Derivation)?;
        let ours = self.ours();
        let room = Room { first: 0, ..self.room() };
        let negotiation = Negotiation::begin(key_id, Opcode::SoftReset, tls, ours, now);
        self.pending = Some(negotiation.with_room(room));
        Ok(())
    }

    pub(super) fn change_keys(
        &mut self,
        old: &Negotiation,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let (sealer, opener) = self.keys()?;
        if let Some((key_id, _)) = self.old_key.take() {
            out.push(Output::Forget(key_id));
        }
        self.old_key = Some((old.key_id, now + OLD_KEY_OPENS));
        out.push(Output::Opener(opener));
        let limit = OLD_KEY_SENDS.min(self.settings.renegotiate_after / 2);
        let began = self.active.as_ref().map_or(now, |active| active.began);
        self.next_sealer = Some((sealer, began + limit));
        out.push(Output::Rekeyed);
        self.schedule_renegotiation(now);
        Ok(())
    }

    /// The sealer and opener of the active negotiation.
    pub(super) fn keys(&self) -> Result<(Box<Sealer>, Box<Opener>), Reason> {
        let (Some(active), Some(protection)) = (&self.active, self.protection) else {
            return Err(NegotiationError::Derivation.into());
        };
        let remote = self.remote.unwrap_or_default();
        let sessions = match self.role {
            Role::Client => (self.local, remote),
            Role::Server => (remote, self.local),
        };
        let keys = active.keys(protection.export, sessions)?;
        let (ours, theirs) = match self.role {
            Role::Client => (&keys.client, &keys.server),
            Role::Server => (&keys.server, &keys.client),
        };
        let sealer = Sealer::new(protection.cipher, ours, active.key_id, protection.peer_id);
        let opener = Opener::new(protection.cipher, theirs, active.key_id);
        Ok((Box::new(sealer), Box::new(opener)))
    }

    /// A little before the time, and not always the same, so that both ends seldom begin at once.
    pub(super) fn schedule_renegotiation(&mut self, now: Instant) {
        let at = self.settings.renegotiate_after;
        self.renegotiate_at = Some(now + self.random.between(at.mul_f64(0.9), at));
    }

    pub(super) fn peer(&self) -> PeerName {
        let peer = self.active.as_ref().and_then(|active| active.tls().peer());
        peer.unwrap_or(PeerName { common_name: String::new(), serial: None })
    }
}

/// The number of the key after `key_id`: 0 is for the first one only.
pub(super) const fn after(key_id: KeyId) -> KeyId {
    if key_id == 7 { 1 } else { key_id + 1 }
}
