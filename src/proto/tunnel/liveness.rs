//! Whether the path to a native peer works, found out within half a second under traffic.
//!
//! Anything authentic that arrives shows that it does. Who sends and hears nothing, or was idle for two
//! seconds, asks with a probe, and again and again until an answer or the verdict. OpenVPN never sees
//! this: clients announce that they speak it, and servers push that they do.
//!
//! ```text
//!            sending into silence (150 ms), or idle
//!   Fine ───────────────────────────────────────────▶ Suspicious ──no answer──▶ Silent
//!    ▲                                                    │                       │
//!    └────────────── anything authentic ──────────────────┴───────────────────────┘
//!
//! probe: magic (16)  flags (1)  own time (4)  peer's time (4)  held for (4)  loss (2)
//! ```
//!
//! A probe asks every few seconds under traffic, too, for the round trip: routers go by it.
//!
//! A probe may be followed by any octets, which show that the path takes so many.
//!
//! Times are microseconds; a probe gives back the time of the peer's last one and how long that is ago,
//! which makes a round trip of every exchange, whoever began it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::proto::bytes::{Reader, Short, Writer};
use crate::proto::time::Instant;
use crate::proto::tunnel::kind::Role;

/// What a probe begins with; its length and this tell it from frames.
pub const MAGIC: [u8; 16] = [
    0xd5, 0x0b, 0x5e, 0x1f, 0x83, 0x92, 0x4c, 0xe7, 0xa6, 0x71, 0x3d, 0xf8, 0x29, 0xbc, 0x60, 0x14,
];

/// Octets of a probe.
pub const PROBE_OCTETS: usize = 31;

/// How long nothing may be heard under traffic before the data path says so.
pub const SILENCE: Duration = Duration::from_millis(150);

/// How long a probe under traffic may stay unanswered, at least.
const TRAFFIC_PATIENCE: Duration = Duration::from_millis(350);
/// How long an idle path may be silent.
const IDLE_PATIENCE: Duration = Duration::from_secs(3);
/// When an idle client asks. What the server answers keeps it from asking as well.
const IDLE_CLIENT: Duration = Duration::from_millis(2_100);
/// When an idle server asks.
const IDLE_SERVER: Duration = Duration::from_millis(2_400);
/// How often is asked under suspicion: so often that loss alone is never taken for silence.
const AGAIN: Duration = Duration::from_millis(25);
/// How often is asked when the path is silent.
const AGAIN_SILENT: Duration = Duration::from_secs(1);
/// How old the latest round trip may be before another one is measured.
const MEASURED_LASTS: Duration = Duration::from_secs(5);
/// Of so many round trips, the median is told.
const RECENT: usize = 5;
/// What a round trip takes until one was measured.
const ROUND_TRIP_UNKNOWN: Duration = Duration::from_secs(1);
/// A round trip that takes longer is a mistake.
const ROUND_TRIP_MAX: u32 = 60_000_000;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// Something authentic arrived at that moment.
    Heard(Instant),
    /// Frames are sent, and nothing was heard for [`SILENCE`].
    IntoSilence,
    /// A probe arrived.
    Probe(Probe),
    /// The deadline came.
    Timer,
}

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send a probe.
    Send(Probe),
    /// Nothing comes through any more.
    Silent,
    /// Something comes through again.
    Recovered,
}

/// A probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// An answer is wanted.
    pub wants_answer: bool,
    /// When it was sent, by its sender's clock.
    pub time: u32,
    /// The time in the last probe that its sender received; 0 if there was none.
    pub echo: u32,
    /// How long that was ago.
    pub held: u32,
    /// What its sender lately missed of our packets, in 65,535ths.
    pub loss: u16,
}

/// The state of one path.
#[derive(Clone, Debug)]
pub struct Liveness {
    idle_after: Duration,
    heard: Instant,
    suspicion: Option<Suspicion>,
    silent: bool,
    /// As TCP smooths it: for how long to wait.
    round_trip: Option<Duration>,
    /// The latest ones, for who wants to know how long the path is.
    recent: VecDeque<Duration>,
    measure_at: Instant,
    last_probe: Option<(u32, Instant)>,
    peer_misses: Option<u16>,
    /// What we lately missed of the peer's packets, in 65,535ths.
    pub we_miss: u16,
}

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    since: Instant,
    verdict: Instant,
    again: Instant,
}

impl Probe {
    /// Reads a frame that may be one.
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let fields = frame.strip_prefix(&MAGIC)?;
        Self::read(&mut Reader::new(fields)).ok()
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Short> {
        Ok(Self {
            wants_answer: reader.u8()? & 1 != 0,
            time: reader.u32()?,
            echo: reader.u32()?,
            held: reader.u32()?,
            loss: reader.u16()?,
        })
    }

    /// Writes it, with so many octets in all.
    pub fn to_padded_bytes(self, octets: usize) -> Vec<u8> {
        let mut frame = self.to_bytes();
        frame.resize(octets.max(PROBE_OCTETS), 0);
        frame
    }

    /// Writes it.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut frame = MAGIC.to_vec();
        frame.put_u8(self.wants_answer.into());
        frame.put_u32(self.time);
        frame.put_u32(self.echo);
        frame.put_u32(self.held);
        frame.put_u16(self.loss);
        frame
    }
}

impl Liveness {
    /// Of a path that has just shown that it works.
    pub fn new(role: Role, now: Instant) -> Self {
        let idle_after = match role {
            Role::Client => IDLE_CLIENT,
            Role::Server => IDLE_SERVER,
        };
        Self {
            idle_after,
            heard: now,
            suspicion: None,
            silent: false,
            round_trip: None,
            recent: VecDeque::new(),
            measure_at: match role {
                Role::Client => now,
                Role::Server => now + MEASURED_LASTS,
            },
            last_probe: None,
            peer_misses: None,
            we_miss: 0,
        }
    }

    /// The median of the latest round trips: one that was late because a processor was busy does not count.
    pub fn round_trip(&self) -> Option<Duration> {
        let mut recent = Vec::from_iter(self.recent.iter().copied());
        recent.sort_unstable();
        recent.get(recent.len().checked_sub(1)? / 2).copied()
    }

    /// What the peer lately missed of our packets, in 65,535ths, once told.
    pub const fn peer_misses(&self) -> Option<u16> {
        self.peer_misses
    }

    /// Whether an answer is awaited: the data path need not point out silence again.
    pub const fn is_suspicious(&self) -> bool {
        self.suspicion.is_some()
    }

    /// What asks whether the path takes frames of so many octets: its answer repeats `time`.
    pub fn padded_probe(&self, time: u32, octets: usize) -> Vec<u8> {
        let probe = Probe { wants_answer: true, time, echo: 0, held: 0, loss: self.we_miss };
        probe.to_padded_bytes(octets)
    }

    /// Takes what happened; what to do is pushed to `out`.
    pub fn handle(&mut self, input: Input, now: Instant, out: &mut Vec<Output>) {
        match input {
            Input::Heard(at) => self.handle_heard(at, out),
            Input::IntoSilence => {
                let patience = TRAFFIC_PATIENCE.max(self.two_round_trips() + 2 * AGAIN);
                let verdict = now + patience;
                if !self.silent && self.suspicion.is_none_or(|known| verdict < known.verdict) {
                    self.suspect(verdict, AGAIN, now, out);
                }
            }
            Input::Probe(probe) => {
                self.handle_heard(now, out);
                self.measure(probe, now);
                if probe.wants_answer {
                    out.push(Output::Send(self.probe(false, now)));
                }
            }
            Input::Timer => self.handle_timer(now, out),
        }
    }

    /// When [`Input::Timer`] is to be given.
    pub fn deadline(&self) -> Instant {
        self.measure_at.min(self.verdict_deadline())
    }

    fn verdict_deadline(&self) -> Instant {
        match self.suspicion {
            None => self.heard + self.idle_after,
            Some(suspicion) if self.silent => suspicion.again,
            Some(suspicion) => suspicion.again.min(suspicion.verdict),
        }
    }

    fn handle_heard(&mut self, at: Instant, out: &mut Vec<Output>) {
        self.heard = self.heard.max(at);
        if self.suspicion.is_some_and(|suspicion| at > suspicion.since) {
            self.suspicion = None;
            if std::mem::take(&mut self.silent) {
                out.push(Output::Recovered);
            }
        }
    }

    fn handle_timer(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.measure_at <= now {
            self.measure_at = now + MEASURED_LASTS;
            if self.suspicion.is_none() {
                out.push(Output::Send(self.probe(true, now)));
            }
        }
        let late = now - self.verdict_deadline();
        let Some(suspicion) = &mut self.suspicion else {
            if self.heard + self.idle_after <= now {
                // The first probe of an idle path usually gets its answer: no hurry.
                let first = (IDLE_PATIENCE - self.idle_after) / 3;
                let again = first.max(self.two_round_trips());
                self.suspect(self.heard + IDLE_PATIENCE, again, now, out);
            }
            return;
        };
        if late >= AGAIN {
            // We were not scheduled, and perhaps not the peer either: an answer may be waiting.
            suspicion.verdict = suspicion.verdict.max(now) + late;
        }
        if !self.silent && suspicion.verdict <= now {
            self.silent = true;
            suspicion.again = now + AGAIN_SILENT;
            out.push(Output::Silent);
        }
        if suspicion.again <= now {
            suspicion.again = now + if self.silent { AGAIN_SILENT } else { AGAIN };
            out.push(Output::Send(self.probe(true, now)));
        }
    }

    fn suspect(&mut self, verdict: Instant, again: Duration, now: Instant, out: &mut Vec<Output>) {
        // A process that slept, or a machine that did, has to ask before it judges.
        let verdict = verdict.max(now + TRAFFIC_PATIENCE);
        self.suspicion = Some(Suspicion { since: now, verdict, again: now + again });
        out.push(Output::Send(self.probe(true, now)));
    }

    fn probe(&self, wants_answer: bool, now: Instant) -> Probe {
        let (echo, at) = self.last_probe.unwrap_or((0, now));
        let held = now.micros_u32().wrapping_sub(at.micros_u32());
        Probe { wants_answer, time: now.micros_u32(), echo, held, loss: self.we_miss }
    }

    fn measure(&mut self, probe: Probe, now: Instant) {
        self.last_probe = Some((probe.time, now));
        self.peer_misses = Some(probe.loss);
        if probe.echo == 0 {
            return;
        }
        let took = now.micros_u32().wrapping_sub(probe.echo).wrapping_sub(probe.held);
        if took > ROUND_TRIP_MAX {
            return;
        }
        let took = Duration::from_micros(took.into());
        self.measure_at = now + MEASURED_LASTS;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(took);
        // As TCP smooths (RFC 6298 §2.3).
        self.round_trip = Some(self.round_trip.map_or(took, |known| (known * 7 + took) / 8));
    }

    /// As long as none was measured, it may be a satellite's.
    fn two_round_trips(&self) -> Duration {
        self.round_trip.unwrap_or(ROUND_TRIP_UNKNOWN) * 2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::random::Random;

    fn at(millis: u64) -> Instant {
        // Not from zero: a probe's time of 0 means that there was none.
        Instant::ZERO + Duration::from_millis(10_000 + millis)
    }

    /// Two ends and a path that delays by `delay` and loses a share of the probes.
    struct Path {
        ends: [Liveness; 2],
        flying: Vec<(Instant, usize, Probe)>,
        random: Random,
        delay: Duration,
        loss: f64,
        now: Instant,
        sent: u32,
        said: Vec<(Instant, usize, Output)>,
    }

    impl Path {
        fn new(delay: u64, loss: f64) -> Self {
            let ends = [Role::Client, Role::Server].map(|role| Liveness::new(role, at(0)));
            let random = Random::from_number(5);
            let (flying, said) = (Vec::new(), Vec::new());
            let delay = Duration::from_millis(delay);
            Self { ends, flying, random, delay, loss, now: at(0), sent: 0, said }
        }

        fn give(&mut self, end: usize, input: Input) {
            let mut out = Vec::new();
            self.ends[end].handle(input, self.now, &mut out);
            for output in out {
                match output {
                    Output::Send(probe) => {
                        self.sent += 1;
                        if self.random.fraction() >= self.loss {
                            self.flying.push((self.now + self.delay, 1 - end, probe));
                        }
                    }
                    said => self.said.push((self.now, end, said)),
                }
            }
        }

        /// Goes on for `millis`; the first end sends frames all the time if `traffic`.
        fn run(&mut self, millis: u64, traffic: bool) {
            for _ in 0..millis {
                self.now += Duration::from_millis(1);
                while let Some(next) = self.flying.iter().position(|&(at, ..)| at <= self.now) {
                    let (_, end, probe) = self.flying.remove(next);
                    self.give(end, Input::Probe(probe));
                }
                let silent = self.now - self.ends[0].heard >= SILENCE;
                if traffic && silent && !self.ends[0].is_suspicious() {
                    self.give(0, Input::IntoSilence);
                }
                for end in 0..2 {
                    if self.ends[end].deadline() <= self.now {
                        self.give(end, Input::Timer);
                    }
                }
            }
        }
    }

    #[test]
    fn an_idle_path_costs_less_than_a_hundred_octets_a_second() {
        let mut path = Path::new(20, 0.0);
        path.run(60_000, false);
        assert!(path.said.is_empty());
        // Of Ethernet, IPv4, UDP and the seal around it, too.
        let octets = path.sent * (PROBE_OCTETS as u32 + 24 + 28 + 14);
        assert!(octets / 60 < 100, "{octets}");
    }

    #[test]
    fn a_cut_is_noticed_within_half_a_second_under_traffic_and_three_when_idle() {
        for (traffic, limit) in [(true, 500), (false, 3_050)] {
            let mut path = Path::new(20, 0.0);
            path.run(10_000, traffic);
            assert!(path.said.is_empty());
            path.loss = 1.0;
            let cut = path.now;
            path.run(5_000, traffic);
            let noticed = path.said.iter().find(|&&(_, end, _)| end == 0).unwrap();
            assert_eq!(noticed.2, Output::Silent);
            assert!(noticed.0 - cut <= Duration::from_millis(limit), "{:?}", noticed.0 - cut);
            path.loss = 0.0;
            path.run(3_000, traffic);
            assert_eq!(path.said.last().unwrap().2, Output::Recovered);
        }
    }

    #[test]
    fn loss_and_delay_are_not_taken_for_silence() {
        for (delay, loss) in [(20, 0.2), (150, 0.1), (400, 0.05)] {
            let mut path = Path::new(delay, loss);
            path.run(600_000, true);
            assert!(path.said.is_empty(), "{delay} ms, {loss}: {:?}", path.said.first());
            let round_trip = path.ends[0].round_trip().unwrap();
            let wanted = Duration::from_millis(2 * delay);
            assert!(round_trip.abs_diff(wanted) <= Duration::from_millis(2), "{round_trip:?}");
        }
    }

    proptest! {
        #[test]
        fn any_frame_is_a_probe_or_not(frame in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(Probe::parse(&frame).is_none());
            let framed = [&MAGIC[..], &frame].concat();
            prop_assert_eq!(Probe::parse(&framed).is_some(), framed.len() >= PROBE_OCTETS);
            if let Some(probe) = Probe::parse(&framed) {
                let written = Probe::parse(&probe.to_bytes());
                prop_assert_eq!(written, Some(probe));
            }
        }
    }
}
