//! What happens once the first keys are agreed: who is let in, what is pushed, and the tunnel comes up.

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::time::Instant;
use crate::proto::tunnel::agreement::{
    Disagreement, cipher_disagreement, digest_disagreement, disagreement,
};
use crate::proto::tunnel::assigned::Assigned;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::kind::Role;
use crate::proto::tunnel::liveness::Liveness;
use crate::proto::tunnel::negotiation::{Negotiation, Stage};
use crate::proto::tunnel::session::{
    Admission, Established, Output, Progress, Protection, Reason, Session,
};
use crate::proto::tunnel::settings::{PeerInformation, PushReply, choose_cipher};

/// How long a native peer may be silent before the tunnel is over.
const NATIVE_SILENCE: Duration = Duration::from_secs(60);
/// How long a client waits for an answer before it asks again what is pushed.
pub(super) const PUSH_REPEAT: Duration = Duration::from_secs(5);

/// Who waits for so long waits for ever.
const NEVER: Duration = Duration::from_secs(86_400);

/// Whole seconds, if options can say so many.
fn seconds(time: Duration) -> Option<u32> {
    u32::try_from(time.as_secs()).ok()
}

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
                // Before the driver is asked: who comes to nothing must not disturb who is there.
                if let Err(disagreement) = self.agree() {
                    let why = disagreement.to_string();
                    return self.refuse(disagreement.into(), &why);
                }
                self.progress = Progress::Deciding { asked: false };
                out.push(Output::Authenticated(self.peer()));
                Ok(())
            }
        }
    }

    /// What a server and its client make of each other's wishes: how frames are protected.
    fn agree(&self) -> Result<Cipher, Disagreement> {
        let said = self.active.as_ref().and_then(Negotiation::client_said);
        let (options, information) = said.unwrap_or_default();
        if let Some(disagreement) = disagreement(self.settings.device, options) {
            return Err(disagreement);
        }
        let ours = &self.settings.ciphers;
        let client = PeerInformation::parse(information);
        match choose_cipher(ours, &client, options) {
            Some(Cipher::None) => digest_disagreement(options).map_or(Ok(Cipher::None), Err),
            Some(cipher) => Ok(cipher),
            None if client.ciphers.is_empty() => Err(cipher_disagreement(ours, options)),
            None => Err(cipher_disagreement(ours, "cipher negotiated")),
        }
    }

    /// Tells the client that it is not let in, and why, as it is told by the other end.
    pub(super) fn refuse(&mut self, reason: Reason, why: &str) -> Result<(), Reason> {
        self.progress = Progress::Refusing(reason);
        self.say(&format!("AUTH_FAILED,{why}"))
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
            ("AUTH_FAILED", Role::Client) => Err(self.refused(rest)),
            ("RESTART" | "HALT", Role::Client) => Err(Reason::Restart),
            ("EXIT", _) => Err(Reason::PeerExit),
            // What is unknown is for newer peers.
            _ => Ok(()),
        }
    }

    /// What a server's refusal means. Those for want of a cipher are put in our own words.
    fn refused(&self, why: &str) -> Reason {
        let said = self.active.as_ref().and_then(Negotiation::server_said).unwrap_or_default();
        if let Some(disagreement) = disagreement(self.settings.device, said) {
            return disagreement.into();
        }
        let is_about_ciphers = why.contains("cipher") || why.contains("encrypt");
        match why {
            "" => Reason::RefusedSilently,
            _ if is_about_ciphers => cipher_disagreement(&self.settings.ciphers, said).into(),
            _ => Reason::Refused(why.to_owned()),
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
        let cipher = self.agree()?;
        let said = self.active.as_ref().and_then(Negotiation::client_said);
        let (_, information) = said.unwrap_or_default();
        let client = PeerInformation::parse(information);
        let reply = PushReply {
            external_ip: Some(admission.external_ip),
            peer_id: client.data_v2.then_some(admission.peer_id),
            cipher: (!client.ciphers.is_empty()).then_some(cipher),
            tls_export: client.tls_export,
            native: client.native,
            ping_s: self.settings.ping.and_then(seconds),
            // Who may have nothing to say cannot be told that silence is an end.
            silence_s: self
                .settings
                .ping
                .map(|_| self.settings.ping_exit)
                .filter(|&silence| silence < NEVER)
                .and_then(seconds),
            ..PushReply::default()
        };
        self.protection =
            Some(Protection { cipher, export: reply.tls_export, peer_id: reply.peer_id });
        if reply.silence_s.is_some() {
            // The client gives up first, as with OpenVPN's `keepalive`: it comes again.
            self.settings.ping_exit *= 2;
        }
        self.establish(None, client.native, Assigned::default(), now, out)?;
        self.say(&reply.to_text())
    }

    pub(super) fn handle_push_reply(
        &mut self,
        options: &str,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let Progress::Asking { reply, .. } = &mut self.progress else { return Ok(()) };
        reply.read(options)?;
        if reply.continues {
            return Ok(());
        }
        let reply = reply.clone();
        // A server that pushes no cipher uses what our option string names: none, or one we refuse.
        let cipher = reply.cipher.unwrap_or(Cipher::None);
        self.check(&reply, cipher)?;
        self.protection =
            Some(Protection { cipher, export: reply.tls_export, peer_id: reply.peer_id });
        let time = |seconds: Option<u32>| {
            seconds.filter(|&seconds| seconds > 0).map(|s| Duration::from_secs(s.into()))
        };
        self.settings.ping = time(reply.ping_s).or(self.settings.ping);
        if let Some(silence) = time(reply.silence_s) {
            self.settings.ping_exit = self.settings.ping_exit.min(silence);
        }
        self.establish(reply.external_ip, reply.native, reply.assigned, now, out)
    }

    /// Whether frames would get through to a server that pushed this.
    fn check(&self, reply: &PushReply, cipher: Cipher) -> Result<(), Disagreement> {
        let said = self.active.as_ref().and_then(Negotiation::server_said).unwrap_or_default();
        if let Some(compression) = &reply.compression {
            return Err(Disagreement::Compression(compression.clone()));
        }
        if let Some(disagreement) = disagreement(self.settings.device, said) {
            return Err(disagreement);
        }
        let ours = &self.settings.ciphers;
        match (ours.contains(&cipher), reply.cipher) {
            (true, _) if cipher == Cipher::None => digest_disagreement(said).map_or(Ok(()), Err),
            (true, _) => Ok(()),
            (false, None) => Err(cipher_disagreement(ours, said)),
            (false, Some(Cipher::None)) => Err(Disagreement::PeerIsPlain(ours.clone())),
            (false, Some(_)) => Err(cipher_disagreement(ours, "cipher pushed")),
        }
    }

    pub(super) fn establish(
        &mut self,
        external_ip: Option<IpAddr>,
        native: bool,
        assigned: Assigned,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let (sealer, opener) = self.keys()?;
        let cipher = self.protection.map_or(Cipher::None, |protection| protection.cipher);
        let peer = self.peer();
        out.push(Output::Opener(opener));
        out.push(Output::Sealer(sealer));
        let established = Established { peer, cipher, external_ip, native, assigned };
        out.push(Output::Established(established));
        self.progress = Progress::Established;
        self.heard = now;
        self.ping = self.settings.ping.map(|interval| (interval, now + interval));
        if native {
            // What is watched is never silent without a reason.
            self.liveness = Some(Liveness::new(self.role, now));
            self.settings.ping_exit = self.settings.ping_exit.min(NATIVE_SILENCE);
        }
        self.schedule_renegotiation(now);
        Ok(())
    }
}
