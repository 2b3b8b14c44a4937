//! One neighbour: what it says, and what it is told.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use re6st::proto::babel::acknowledgement;
use re6st::proto::babel::composer::Composer;
use re6st::proto::babel::destination::Destination;
use re6st::proto::babel::hello::{Hello, HelloKind};
use re6st::proto::babel::ihu::Ihu;
use re6st::proto::babel::mac::{GROUP, PORT};
use re6st::proto::babel::packet::{HEADER_OCTETS, MAGIC, Packet, Tlv, VERSION};
use re6st::proto::babel::router_id::RouterId;
use re6st::proto::babel::update::Update;
use re6st::proto::cidr::Cidr;
use re6st::proto::time::Instant;
use serde_json::{Value, json};
use socket2::{Domain, Protocol, Socket, Type};

/// What all neighbours have in common.
pub struct World {
    pub prefixes: usize,
    /// The seqno of each prefix's originator.
    pub seqnos: Vec<u16>,
    pub best: u16,
    pub rest: u16,
    pub hello: Duration,
    pub update: Duration,
}

impl World {
    /// 2001:db8:0:NUMBER::/64.
    fn prefix(number: usize) -> Destination {
        let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | (number as u128) << 64);
        let prefix = Cidr::new(IpAddr::V6(address), 64).expect("64 bits are possible");
        Destination::from_anywhere(prefix)
    }

    fn number_of(&self, destination: &Destination) -> Option<usize> {
        let IpAddr::V6(address) = destination.prefix.address() else { return None };
        let number = usize::from(address.segments()[3]);
        (Self::prefix(number) == *destination && number < self.prefixes).then_some(number)
    }

    /// An originator for each prefix: none can be grouped with another.
    fn update(&self, who: usize, number: usize, subject: Subject) -> Update {
        let [.., a, b, c] = number.to_be_bytes();
        let other = u16::try_from((who * 7 + number) % 19).unwrap_or(0);
        let metric = match subject {
            Subject::Retractions => u16::MAX,
            Subject::Table if who == 0 => self.best,
            Subject::Table => self.rest + other,
        };
        Update {
            destination: Some(Self::prefix(number)),
            router_id: RouterId::new([2, 0, 0, 0xff, 0, a, b, c]),
            next_hop: None,
            seqno: self.seqnos[number],
            metric,
            next_within: self.update,
        }
    }
}

/// A neighbour on a link of its own.
pub struct Neighbour {
    who: usize,
    socket: UdpSocket,
    group: SocketAddrV6,
    is_up: bool,
    announces: bool,
    hello_seqno: u16,
    hello_at: Instant,
    /// Hellos that follow each other quickly.
    greetings: u8,
    saying: Option<Saying>,
    /// When the next packet of a repeated table is due, and the prefix it begins with.
    refresh: Option<(Instant, usize)>,
    /// Prefixes to be answered for.
    answers: VecDeque<(Instant, usize)>,
    pub heard: Heard,
}

/// What is being said of each prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Table,
    Retractions,
}

/// How fast.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    AsRead,
    Burst,
}

struct Saying {
    subject: Subject,
    pace: Pace,
    next: usize,
}

/// What the router said to this neighbour.
#[derive(Default)]
pub struct Heard {
    octets: usize,
    packets: usize,
    updates: usize,
    retractions: usize,
    requests: usize,
}

impl Heard {
    pub fn to_json(&self) -> Value {
        json!({
            "octets": self.octets, "packets": self.packets, "updates": self.updates,
            "retractions": self.retractions, "requests": self.requests,
        })
    }
}

impl Neighbour {
    pub fn open(who: usize) -> io::Result<Self> {
        let name = format!("g{who}");
        let index = nix::net::if_::if_nametoindex(name.as_str())?;
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.bind_device(Some(name.as_bytes()))?;
        socket.set_nonblocking(true)?;
        socket.set_multicast_loop_v6(false)?;
        socket.set_multicast_if_v6(index)?;
        socket.join_multicast_v6(&GROUP, index)?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_OCTETS)?;
        setsockopt(&socket, sockopt::SndBufForce, &BUFFER_OCTETS)?;
        socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, PORT, 0, 0).into())?;
        Ok(Self {
            who,
            socket: socket.into(),
            group: SocketAddrV6::new(GROUP, PORT, 0, index),
            is_up: false,
            announces: false,
            hello_seqno: 1000,
            hello_at: Instant::ZERO,
            greetings: 0,
            saying: None,
            refresh: None,
            answers: VecDeque::new(),
            heard: Heard::default(),
        })
    }

    pub fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Says Hello from now on; as one that begins anew if it was silent.
    pub fn begin(&mut self, now: Instant) {
        self.is_up = true;
        self.hello_seqno = self.hello_seqno.wrapping_add(100);
        self.hello_at = now;
        self.greetings = 3;
    }

    pub fn fall_silent(&mut self) {
        (self.is_up, self.announces) = (false, false);
        self.saying = None;
        self.answers.clear();
    }

    pub fn say(&mut self, subject: Subject, pace: Pace) {
        self.announces = subject == Subject::Table;
        self.saying = Some(Saying { subject, pace, next: 0 });
    }

    pub fn saying(&self) -> Option<Pace> {
        self.saying.as_ref().filter(|_| self.is_up).map(|saying| saying.pace)
    }

    pub fn refresh(&mut self, world: &World, now: Instant) {
        // Not all at once.
        let first = world.update / 1000 * u32::try_from(self.who).unwrap_or(0);
        self.refresh = Some((now + first, 0));
    }

    pub fn deadline(&self, world: &World) -> Option<Instant> {
        if !self.is_up {
            return None;
        }
        let answer = self.answers.front().map(|&(at, _)| at);
        let refresh = self.refresh.filter(|_| self.announces && world.prefixes > 0);
        [Some(self.hello_at), answer, refresh.map(|(at, _)| at)].into_iter().flatten().min()
    }

    /// Hellos, repeated tables and answers.
    pub fn say_what_is_due(&mut self, world: &World, now: Instant) -> io::Result<()> {
        if !self.is_up {
            return Ok(());
        }
        if self.hello_at <= now {
            self.say_hello(world)?;
            self.hello_at = now + if self.greetings > 0 { GREETING } else { world.hello };
            self.greetings = self.greetings.saturating_sub(1);
        }
        while let Some((at, from)) = self.refresh.filter(|&(at, _)| self.announces && at <= now) {
            let next = self.say_prefixes(world, Subject::Table, from)?;
            let share = (next - from) as f64 / world.prefixes as f64;
            let next = if next == world.prefixes { 0 } else { next };
            self.refresh = Some((at + world.update.mul_f64(share), next));
        }
        while self.answers.front().is_some_and(|&(at, _)| at <= now) {
            let mut composer = Composer::new(BODY_OCTETS);
            while composer.left() >= UPDATE_OCTETS_MAX
                && let Some((_, number)) = self.answers.pop_front_if(|&mut (at, _)| at <= now)
            {
                let update = world.update(self.who, number, Subject::Table);
                composer.update(&update, &World::prefix(number), None);
            }
            self.send(&mut composer)?;
        }
        Ok(())
    }

    fn say_hello(&mut self, world: &World) -> io::Result<()> {
        let mut composer = Composer::new(BODY_OCTETS);
        let hello = Hello {
            kind: HelloKind::Multicast,
            seqno: self.hello_seqno,
            next_within: Some(world.hello),
            sent: None,
        };
        composer.put(Hello::TYPE, |body| hello.put(body));
        let router = Ipv6Addr::from_bits(0xfe80 << 112 | 0xd << 16 | self.who as u128);
        let ihu = Ihu {
            address: Some(IpAddr::V6(router)),
            rxcost: 96,
            next_within: world.hello * 3,
            echo: None,
        };
        composer.put(Ihu::TYPE, |body| ihu.put(body));
        self.hello_seqno = self.hello_seqno.wrapping_add(1);
        self.send(&mut composer)
    }

    /// One packet more of what is being said; whether that was the last.
    pub fn say_on(&mut self, world: &World) -> io::Result<bool> {
        let Some(Saying { subject, pace, next }) = self.saying.take() else { return Ok(true) };
        let next = self.say_prefixes(world, subject, next)?;
        if next < world.prefixes {
            self.saying = Some(Saying { subject, pace, next });
        }
        Ok(next == world.prefixes)
    }

    /// One packet of prefixes; the first that did not fit.
    fn say_prefixes(&self, world: &World, subject: Subject, from: usize) -> io::Result<usize> {
        let mut composer = Composer::new(BODY_OCTETS);
        let mut next = from;
        while next < world.prefixes && composer.left() >= UPDATE_OCTETS_MAX {
            let update = world.update(self.who, next, subject);
            composer.update(&update, &World::prefix(next), None);
            next += 1;
        }
        self.send(&mut composer)?;
        Ok(next)
    }

    fn send(&self, composer: &mut Composer) -> io::Result<()> {
        for body in composer.take() {
            let mut octets = vec![MAGIC, VERSION];
            let length = u16::try_from(body.len()).expect("bodies are composed to fit a packet");
            octets.extend(length.to_be_bytes());
            octets.extend(body);
            match self.socket.send_to(&octets, self.group) {
                // The router's machine is slow: the packet is lost, as on a real link.
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes what the router said.
    pub fn receive(&mut self, world: &mut World, now: Instant) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let octets = match self.socket.recv(&mut buffer) {
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.heard.octets += octets.len();
            self.heard.packets += 1;
            if let Ok(packet) = Packet::parse(octets) {
                for tlv in packet.tlvs(Ipv6Addr::LOCALHOST).filter_map(Result::ok) {
                    self.hear(world, &tlv, now)?;
                }
            }
        }
    }

    fn hear(&mut self, world: &mut World, tlv: &Tlv, now: Instant) -> io::Result<()> {
        match tlv {
            Tlv::Update(update) => {
                self.heard.updates += 1;
                self.heard.retractions += usize::from(update.metric == u16::MAX);
            }
            Tlv::SeqnoRequest(request) => {
                self.heard.requests += 1;
                if let Some(number) =
                    world.number_of(&request.destination).filter(|_| self.announces)
                {
                    let seqno = &mut world.seqnos[number];
                    if request.seqno.wrapping_sub(*seqno).cast_signed() > 0 {
                        *seqno = request.seqno;
                    }
                    self.answers.push_back((now + ROUND_TRIP, number));
                }
            }
            Tlv::RouteRequest(request) => {
                let number = request.destination.and_then(|asked| world.number_of(&asked));
                if self.announces
                    && let Some(number) = number
                {
                    self.answers.push_back((now + ROUND_TRIP, number));
                } else if self.announces && request.destination.is_none() && self.saying.is_none() {
                    self.say(Subject::Table, Pace::AsRead);
                }
            }
            Tlv::AcknowledgementRequest(request) => {
                let mut composer = Composer::new(BODY_OCTETS);
                let opaque = request.opaque;
                composer.put(acknowledgement::TYPE, |body| acknowledgement::put(opaque, body));
                self.send(&mut composer)?;
            }
            Tlv::Hello(_) | Tlv::Ihu(_) | Tlv::Acknowledgement(_) => {}
        }
        Ok(())
    }
}

/// Octets of a packet's body on a link with an MTU of 1500.
const BODY_OCTETS: usize = 1500 - 48 - HEADER_OCTETS;
/// An update with the router-id before it.
const UPDATE_OCTETS_MAX: usize = 12 + 2 + 10 + 8;
const BUFFER_OCTETS: usize = 16 << 20;
const GREETING: Duration = Duration::from_millis(400);
/// To an originator farther away, and back.
const ROUND_TRIP: Duration = Duration::from_millis(20);
