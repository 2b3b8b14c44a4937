//! One tunnel's control channel: from the first reset over every renewal of the keys to the end.
//!
//! A client's session begins with a reset. A server's begins when a client has shown that it receives
//! at its address (see [`cookie`](crate::proto::tunnel::cookie)); the driver then decides whether the
//! client is admitted. Frames do not pass through here: the session gives out sealers and openers.

mod event;
mod push;
mod reason;
mod renewal;
#[cfg(test)]
mod strangers;

use std::time::Duration;

use openssl::error::ErrorStack;

use crate::proto::random::Random;
use crate::proto::time::{Instant, UnixTime, earliest};
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::control_keys::ControlProtection;
use crate::proto::tunnel::cookie::Proven;
use crate::proto::tunnel::data::Sealer;
use crate::proto::tunnel::kind::{Device, Role, Underlay};
use crate::proto::tunnel::liveness::{self, Liveness};
use crate::proto::tunnel::negotiation::{Negotiation, Ours, Room};
use crate::proto::tunnel::packet::{ControlPacket, KeyId, Opcode, SessionId};
use crate::proto::tunnel::session::push::PUSH_REPEAT;
use crate::proto::tunnel::session::renewal::after;
use crate::proto::tunnel::settings::{PeerInformation, PushReply, option_string};
use crate::proto::tunnel::tls::{Expectation, Tls, TlsContext};
use crate::proto::tunnel::wrapper::Wrapper;

pub use event::{Admission, EXIT, Established, Input, Output, PING};
pub use reason::Reason;

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct SessionSettings {
    /// What carries it.
    pub underlay: Underlay,
    /// What it carries.
    pub device: Device,
    /// What we offer or accept, the preferred first.
    pub ciphers: Vec<Cipher>,
    /// Whom we expect.
    pub expectation: Expectation,
    /// A handshake that takes longer has failed.
    pub handshake_timeout: Duration,
    /// The tunnel is over when nothing authentic was heard for so long.
    pub ping_exit: Duration,
    /// Keys are renewed after so long at most.
    pub renegotiate_after: Duration,
    /// Send a ping when nothing else was sent for so long; a server pushes it, too.
    pub ping: Option<Duration>,
    /// How control packets are protected besides TLS.
    pub control: ControlProtection,
    /// What the clock on the wall showed when ours read zero; control packets carry it if protected.
    pub unix_start: UnixTime,
}

/// One tunnel's control channel.
pub struct Session {
    role: Role,
    settings: SessionSettings,
    context: TlsContext,
    random: Random,
    local: SessionId,
    remote: Option<SessionId>,
    wrapper: Wrapper,
    active: Option<Negotiation>,
    pending: Option<Negotiation>,
    progress: Progress,
    protection: Option<Protection>,
    heard: Instant,
    ping: Option<(Duration, Instant)>,
    renegotiate_at: Option<Instant>,
    old_key: Option<(KeyId, Instant)>,
    next_sealer: Option<(Box<Sealer>, Instant)>,
    liveness: Option<Liveness>,
}

/// How far the first negotiation is after keys are agreed.
#[derive(Debug)]
enum Progress {
    /// It is not there yet.
    Negotiating,
    /// A client has asked what is pushed, and asks again then.
    Asking { reply: PushReply, again: Instant },
    /// A server has asked its driver.
    Deciding { asked: bool },
    /// A server let the client in, which has not asked yet what is pushed.
    Admitted(Admission),
    /// The tunnel is up.
    Established,
    /// A server told the client that it is not wanted, and waits until the client knows.
    Refusing(Reason),
    /// It is over.
    Over,
}

/// How frames are protected, the same for all keys of a session.
#[derive(Clone, Copy, Debug)]
struct Protection {
    cipher: Cipher,
    export: bool,
    peer_id: Option<u32>,
}

impl Session {
    /// A client's session: its first packet is in `out` at once.
    pub fn client(
        settings: SessionSettings,
        context: &TlsContext,
        mut random: Random,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<Self, ErrorStack> {
        let local = random.u64().max(1);
        let tls = Tls::client(context, settings.expectation.clone())?;
        let wrapper = Wrapper::client(&settings.control, settings.unix_start);
        let reset = wrapper.reset();
        let mut session = Self::new(Role::Client, settings, context, random, wrapper, now);
        session.local = local;
        let ours = session.ours();
        let negotiation = Negotiation::begin(0, reset, tls, ours, now);
        session.pending = Some(negotiation.with_room(session.room()));
        session.flush(now, out);
        Ok(session)
    }

    /// A server's session with a client that answered our reset, or cannot unless we remember it.
    pub fn server(
        settings: SessionSettings,
        context: &TlsContext,
        random: Random,
        proven: Proven,
        now: Instant,
    ) -> Result<Self, ErrorStack> {
        let tls = Tls::server(context, settings.expectation.clone())?;
        let wrapper = Wrapper::server(proven.keys, settings.unix_start);
        let mut session = Self::new(Role::Server, settings, context, random, wrapper, now);
        session.local = proven.local;
        session.remote = Some(proven.remote);
        let ours = session.ours();
        let negotiation = if proven.answered {
            Negotiation::after_resets(tls, ours, now)
        } else {
            Negotiation::begin(0, Opcode::HardResetServer, tls, ours, now)
        };
        session.pending = Some(negotiation.with_room(session.room()));
        Ok(session)
    }

    fn new(
        role: Role,
        settings: SessionSettings,
        context: &TlsContext,
        random: Random,
        wrapper: Wrapper,
        now: Instant,
    ) -> Self {
        Self {
            role,
            settings,
            context: context.clone(),
            random,
            local: 0,
            remote: None,
            wrapper,
            active: None,
            pending: None,
            progress: Progress::Negotiating,
            protection: None,
            heard: now,
            ping: None,
            renegotiate_at: None,
            old_key: None,
            next_sealer: None,
            liveness: None,
        }
    }
}

impl Session {
    /// Takes what happened; what to do is pushed to `out`.
    pub fn handle(&mut self, input: Input<'_>, now: Instant, out: &mut Vec<Output>) {
        if matches!(self.progress, Progress::Over) {
            return;
        }
        let done = match input {
            Input::Packet(packet) => self.handle_packet(packet, now, out),
            Input::Timer => self.handle_timer(now, out),
            Input::Heard(at) => {
                self.heard = self.heard.max(at);
                self.watch(liveness::Input::Heard(at), now, out)
            }
            Input::Probe(probe) => {
                self.heard = now;
                self.watch(liveness::Input::Probe(probe), now, out)
            }
            Input::IntoSilence => self.watch(liveness::Input::IntoSilence, now, out),
            Input::Admit(admission) => self.handle_admission(admission, now, out),
            Input::Refuse(why) => self.refuse(Reason::NotAdmitted(why), why),
            Input::Renegotiate => self.renegotiate(now),
            Input::PeerExit => Err(Reason::PeerExit),
            Input::Close => Err(Reason::Closed),
        };
        match done {
            Ok(()) => self.flush(now, out),
            Err(reason) => return self.close(reason, now, out),
        }
        if let Progress::Refusing(reason) = &self.progress
            && self.active.as_ref().is_none_or(|active| active.reliability.is_idle())
        {
            let reason = reason.clone();
            self.close(reason, now, out);
        }
    }

    /// When [`Input::Timer`] is to be given.
    pub fn deadline(&self) -> Option<Instant> {
        if matches!(self.progress, Progress::Over) {
            return None;
        }
        let again = match &self.progress {
            Progress::Asking { again, .. } => Some(*again),
            _ => None,
        };
        let negotiations = [&self.active, &self.pending].into_iter().flatten();
        let due = negotiations.filter_map(|n| n.reliability.deadline()).min();
        [
            due,
            again,
            self.handshake_deadline(),
            self.is_established().then(|| self.heard + self.settings.ping_exit),
            self.ping.map(|(_, at)| at),
            self.renegotiate_at,
            self.old_key.map(|(_, at)| at),
            self.next_sealer.as_ref().map(|&(_, at)| at),
            self.liveness.as_ref().map(Liveness::deadline),
        ]
        .into_iter()
        .fold(None, earliest)
    }

    /// How far the peer has brought the first handshake: octets of TLS that came in order.
    pub fn handshake_progress(&self) -> usize {
        [&self.pending, &self.active].into_iter().flatten().map(Negotiation::received).sum()
    }

    /// Whether the tunnel is up.
    pub const fn is_established(&self) -> bool {
        matches!(self.progress, Progress::Established)
    }

    fn handle_packet(
        &mut self,
        packet: &[u8],
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        // What is malformed or not of this session may come from anybody: it changes nothing.
        let Some(packet) = self.wrapper.open(packet) else { return Ok(()) };
        let Ok(packet) = ControlPacket::parse(&packet) else { return Ok(()) };
        if !self.is_ours(&packet) {
            return Ok(());
        }
        if packet.opcode == Opcode::SoftReset && self.pending.is_none() && self.is_next(&packet) {
            self.renegotiate(now)?;
        }
        let acks = match packet.remote_session_id {
            Some(id) if id == self.local => packet.acks.as_slice(),
            _ => &[],
        };
        let mut texts = Vec::new();
        let negotiations = [&mut self.pending, &mut self.active].into_iter().flatten();
        for negotiation in negotiations.filter(|n| n.key_id == packet.key_id) {
            let handled = negotiation.handle(&packet, acks, now, &mut texts);
            if handled.is_err() {
                // TLS has made an alert, which tells a client why it is refused.
                let _ = negotiation.flush();
            }
            handled?;
            self.heard = now;
        }
        self.take_agreed(now, out)?;
        for text in texts {
            self.handle_text(&text, now, out)?;
        }
        Ok(())
    }

    /// Whether a packet is of this session; the first one of a server tells us its number.
    fn is_ours(&mut self, packet: &ControlPacket<'_>) -> bool {
        match self.remote {
            Some(remote) => packet.session_id == remote,
            None => {
                let answer = packet.opcode == Opcode::HardResetServer
                    && packet.remote_session_id == Some(self.local);
                if answer {
                    self.remote = Some(packet.session_id);
                    self.wrapper.take_wishes(packet.payload);
                }
                answer
            }
        }
    }

    fn is_next(&self, packet: &ControlPacket<'_>) -> bool {
        self.is_established()
            && packet.packet_id == Some(0)
            && self.active.as_ref().is_some_and(|active| packet.key_id == after(active.key_id))
    }

    fn handle_timer(&mut self, now: Instant, out: &mut Vec<Output>) -> Result<(), Reason> {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.handshake_deadline()) {
            return Err(self.timeout());
        }
        if self.is_established() && self.heard + self.settings.ping_exit <= now {
            return Err(Reason::Silence(self.settings.ping_exit));
        }
        if let Progress::Asking { again, .. } = &mut self.progress
            && *again <= now
        {
            *again = now + PUSH_REPEAT;
            self.say("PUSH_REQUEST")?;
        }
        if let Some((interval, at)) = &mut self.ping
            && *at <= now
        {
            *at = now + *interval;
            out.push(Output::Frame(PING.to_vec()));
        }
        if let Some((key_id, at)) = self.old_key
            && at <= now
        {
            self.old_key = None;
            out.push(Output::Forget(key_id));
        }
        if is_due(self.renegotiate_at) {
            self.renegotiate(now)?;
        }
        if is_due(self.liveness.as_ref().map(Liveness::deadline)) {
            self.watch(liveness::Input::Timer, now, out)?;
        }
        Ok(())
    }

    /// Hands something to the liveness exchange, if the peer speaks it.
    fn watch(
        &mut self,
        input: liveness::Input,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        let Some(liveness) = &mut self.liveness else { return Ok(()) };
        let mut said = Vec::new();
        liveness.handle(input, now, &mut said);
        out.extend(said.into_iter().map(|said| match said {
            liveness::Output::Send(probe) => Output::Frame(probe.to_bytes()),
            liveness::Output::Silent => Output::Silent,
            liveness::Output::Recovered => Output::Recovered,
        }));
        Ok(())
    }

    /// What is known of the path to a native peer.
    pub const fn liveness(&self) -> Option<&Liveness> {
        self.liveness.as_ref()
    }

    /// Takes what share of the peer's packets was lately missed, to be told to a native peer.
    pub fn set_loss(&mut self, share: u16) {
        if let Some(liveness) = &mut self.liveness {
            liveness.we_miss = share;
        }
    }

    /// Sends what is due, and goes over to the new key when the peer has it for certain.
    fn flush(&mut self, now: Instant, out: &mut Vec<Output>) {
        let mut packets = Vec::new();
        for negotiation in [&mut self.active, &mut self.pending].into_iter().flatten() {
            let from = packets.len();
            negotiation.poll(now, &mut packets);
            let key_id = negotiation.key_id;
            for packet in packets.drain(from..) {
                let packet = ControlPacket {
                    opcode: self.wrapper.opcode(packet.opcode, key_id, packet.packet_id),
                    key_id,
                    session_id: self.local,
                    acks: packet.acks,
                    remote_session_id: self.remote,
                    packet_id: packet.packet_id,
                    payload: &packet.payload,
                };
                out.push(Output::Send(self.wrapper.seal(packet.to_bytes(), now)));
            }
        }
        let acknowledged = self.active.as_ref().is_some_and(|n| n.reliability.is_idle());
        if self.next_sealer.as_ref().is_some_and(|&(_, at)| acknowledged || at <= now)
            && let Some((sealer, _)) = self.next_sealer.take()
        {
            out.push(Output::Sealer(sealer));
        }
    }

    fn close(&mut self, reason: Reason, now: Instant, out: &mut Vec<Output>) {
        if reason == Reason::Closed && self.is_established() {
            // It may be lost: once more costs little, and saves the peer a minute.
            out.extend([Output::Frame(EXIT.to_vec()), Output::Frame(EXIT.to_vec())]);
        }
        // Last words and acknowledgements; but a stranger where we wanted a server hears nothing.
        if self.role == Role::Server || !matches!(reason, Reason::Negotiation(_)) {
            self.flush(now, out);
        }
        self.progress = Progress::Over;
        out.push(Output::Closed(reason));
    }

    fn timeout(&self) -> Reason {
        let patience = self.settings.handshake_timeout;
        match self.remote {
            None => Reason::Unanswered(patience),
            Some(_) => Reason::Handshake(patience),
        }
    }

    fn say(&mut self, text: &str) -> Result<(), Reason> {
        match &mut self.active {
            Some(active) => Ok(active.say(text)?),
            None => Ok(()),
        }
    }

    fn handshake_deadline(&self) -> Option<Instant> {
        let began = match (&self.pending, &self.active) {
            (Some(pending), _) => pending.began,
            (None, Some(active)) if !self.is_established() => active.began,
            _ => return None,
        };
        Some(began + self.settings.handshake_timeout)
    }

    /// What protection takes of the packets of the first negotiation.
    fn room(&self) -> Room {
        let (every, first) = self.wrapper.overhead();
        Room { every, first }
    }

    fn ours(&mut self) -> Ours {
        let encrypted = self.settings.ciphers.iter().any(|&cipher| cipher != Cipher::None);
        let (underlay, device) = (self.settings.underlay, self.settings.device);
        let options = option_string(self.role, underlay, device, encrypted);
        let information = PeerInformation::ours(&self.settings.ciphers);
        Ours::draw(self.role, options, information, &mut self.random)
    }
}
