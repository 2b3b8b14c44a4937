//! What happens once the first keys are agreed: who is let in, what is pushed, and the tunnel comes up.

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::time::Instant;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::liveness::Liveness;
use crate::proto::tunnel::negotiation::{Negotiation, Stage};
use crate::proto::tunnel::session::{
    Admission, Established, Output, Progress, Protection, Reason, Session,
};
use crate::proto::tunnel::settings::{PeerInformation, PushReply, Role, choose_cipher};

/// How long a native peer may be silent before the tunnel is over.
const NATIVE_SILENCE: Duration = Duration::from_secs(60);
/// How long a client waits for an answer before it asks again what is pushed.
pub(super) const PUSH_REPEAT: Duration = Duration::from_secs(5);

impl Session {
    /// Makes a negotiation that is agreed the active one.
    pub(super) fn take_agreed(
        &mut self,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        if self.pending.as_ref().is_none_or(|pending| pending.stage != Stage::Agreed) {
            return Ok(());
        }
        let old = std::mem::replace(&mut self.active, self.pending.take());
        if let Some(old) = old {
            return self.change_keys(&old, now, out);
        }
        match self.role {
            Role::Client => {
                let again = now + PUSH_REPEAT;
                self.progress = Progress::Asking { reply: PushReply::default(), again };
                self.say("PUSH_REQUEST")
            }
            Role::Server => {
                self.progress = Progress::Deciding { asked: false };
                out.push(Output::Authenticated(self.peer()));
                Ok(())
            }
        }
    }

    pub(super) fn handle_text(
        &mut self,
        text: &str,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let (word, rest) = text.split_once(',').unwrap_or((text, ""));
        match (word, self.role) {
            ("PUSH_REQUEST", Role::Server) => self.handle_push_request(now, out),
            ("PUSH_REPLY", Role::Client) => self.handle_push_reply(rest, now, out),
            ("AUTH_FAILED", Role::Client) => {
                let why = if rest.is_empty() { "AUTH_FAILED" } else { rest };
                Err(Reason::Refused(why.to_owned()))
            }
            ("RESTART" | "HALT", Role::Client) => Err(Reason::Restart),
            ("EXIT", _) => Err(Reason::PeerExit),
            // What is unknown is for newer peers.
            _ => Ok(()),
        }
    }

    pub(super) fn handle_push_request(
        &mut self,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        match &mut self.progress {
            Progress::Deciding { asked } => {
                *asked = true;
                Ok(())
            }
            Progress::Admitted(admission) => {
                let admission = *admission;
                self.push(admission, now, out)
            }
            // The reply is on its way, and repeated until it is acknowledged.
            _ => Ok(()),
        }
    }

    pub(super) fn handle_admission(
        &mut self,
        admission: Admission,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        match self.progress {
            Progress::Deciding { asked: true } => self.push(admission, now, out),
            Progress::Deciding { asked: false } => {
                self.progress = Progress::Admitted(admission);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn push(
        &mut self,
        admission: Admission,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let said = self.active.as_ref().and_then(Negotiation::client_said);
        let (options, information) = said.unwrap_or_default();
        let client = PeerInformation::parse(information);
        let Some(cipher) = choose_cipher(&self.settings.ciphers, &client, options) else {
            self.progress = Progress::Refusing(Reason::Cipher);
            return self.say("AUTH_FAILED,both ends have no cipher in common");
        };
        let reply = PushReply {
            external_ip: Some(admission.external_ip),
            peer_id: client.data_v2.then_some(admission.peer_id),
            cipher: (!client.ciphers.is_empty()).then_some(cipher),
            tls_export: client.tls_export,
            native: client.native,
            ..PushReply::default()
        };
        self.protection =
            Some(Protection { cipher, export: reply.tls_export, peer_id: reply.peer_id });
        self.establish(None, client.native, now, out)?;
        self.say(&reply.to_text())
    }

    pub(super) fn handle_push_reply(
        &mut self,
        options: &str,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let Progress::Asking { reply, .. } = &mut self.progress else { return Ok(()) };
        reply.read(options).map_err(|_| Reason::Cipher)?;
        if reply.continues {
            return Ok(());
        }
        let reply = reply.clone();
        // A server that pushes no cipher uses what our option string names: none, or one we refuse.
        let cipher = reply.cipher.unwrap_or(Cipher::None);
        if !self.settings.ciphers.contains(&cipher) {
            return Err(Reason::Cipher);
        }
        self.protection =
            Some(Protection { cipher, export: reply.tls_export, peer_id: reply.peer_id });
        self.ping = reply.ping_s.filter(|&seconds| seconds > 0).map(|seconds| {
            let interval = Duration::from_secs(seconds.into());
            (interval, now + interval)
        });
        self.establish(reply.external_ip, reply.native, now, out)
    }

    pub(super) fn establish(
        &mut self,
        external_ip: Option<IpAddr>,
        native: bool,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let (sealer, opener) = self.keys()?;
        let cipher = self.protection.map_or(Cipher::None, |protection| protection.cipher);
        let peer = self.peer();
        out.push(Output::Opener(opener));
        out.push(Output::Sealer(sealer));
        out.push(Output::Established(Established { peer, cipher, external_ip, native }));
        self.progress = Progress::Established;
        self.heard = now;
        if native {
            // What is watched is never silent without a reason.
            self.liveness = Some(Liveness::new(self.role, now));
            self.settings.ping_exit = self.settings.ping_exit.min(NATIVE_SILENCE);
        }
        self.schedule_renegotiation(now);
        Ok(())
    }
}
