//! Babel: packets, a router that lives through any story, babeld's language, the control socket.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use re6st::proto::babel::composer::Composer;
use re6st::proto::babel::configuration::Configuration;
use re6st::proto::babel::configuration::command_line::CommandLine;
use re6st::proto::babel::control::Requests;
use re6st::proto::babel::destination::Destination;
use re6st::proto::babel::event::{Before, Datagram, Input, Link, LinkQuality, NextHop, Output};
use re6st::proto::babel::hello::{Hello, HelloKind};
use re6st::proto::babel::ihu::Ihu;
use re6st::proto::babel::mac::{BadSignatures, GROUP, Hash, Key, Keys, Path};
use re6st::proto::babel::packet::{Packet, Tlv};
use re6st::proto::babel::requests::{RouteRequest, SeqnoRequest};
use re6st::proto::babel::router::Router;
use re6st::proto::babel::router_id::RouterId;
use re6st::proto::babel::settings::{
    Announcement, CostMultiplier, InterfaceSettings, Settings, SplitHorizon,
};
use re6st::proto::babel::update::Update;
use re6st::proto::random::Random;
use re6st::proto::time::Instant;

use super::choices::Choices;

/// Any octets as a packet; an update that is understood is written and understood again.
pub fn babel_packet(octets: &[u8]) {
    let from = neighbour(1);
    let Ok(packet) = Packet::parse(octets) else { return };
    let _ = keys().verify(Path { from, to: GROUP }, &packet);
    for tlv in packet.tlvs(from).filter_map(Result::ok) {
        let Tlv::Update(update) = tlv else { continue };
        let Some(destination) = update.destination else { continue };
        let mut composer = Composer::new(1400);
        composer.update(&update, &destination, None);
        let octets = sealed(composer).remove(0);
        let packet = Packet::parse(&octets).expect("what was written is a packet");
        let again = packet.tlvs(from).last().expect("it has a TLV").expect("which is understood");
        let Tlv::Update(again) = again else { panic!("{update:?} became {again:?}") };
        assert_eq!(again.destination, update.destination);
        assert_eq!((again.seqno, again.metric), (update.seqno, update.metric));
    }
}

/// babeld's language, in a file and on a command line.
pub fn babel_configuration(octets: &[u8]) {
    let text = String::from_utf8_lossy(octets);
    let mut configuration = Configuration::default();
    for problem in configuration.read_file("fuzz", &text) {
        let _ = problem.to_string();
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if let Err(problems) = CommandLine::parse(&words) {
        assert!(!problems.is_empty(), "refused without a reason");
    }
}

/// What a client of the control socket may send, in pieces.
pub fn babel_control(octets: &[u8]) {
    let mut requests = Requests::default();
    for piece in octets.chunks(7) {
        requests.receive(piece);
        while let Ok(Some(_)) = requests.next_request() {}
    }
}

/// A router with up to three links, whose neighbours, clock and operator do anything.
///
/// What must hold: routes are installed and removed in a sequence that a kernel accepts, everything it
/// says is understood, and time given to it is used up: no deadline stays in the past.
pub fn babel_router(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let mut world = World::new(&mut choices);
    for _ in 0..300 {
        if choices.is_empty() {
            break;
        }
        world.next(&mut choices);
    }
    for _ in 0..20 {
        world.pass(Duration::from_secs(30));
    }
    world.handle(Input::Stop);
    assert!(world.kernel.is_empty(), "routes are left behind: {:?}", world.kernel);
}

struct World {
    router: Router,
    now: Instant,
    kernel: BTreeMap<Destination, NextHop>,
    keys: Option<Keys>,
}

impl World {
    fn new(choices: &mut Choices<'_>) -> Self {
        let keys = choices.flip().then(keys);
        let settings = Settings {
            router_id: router_id(0),
            announced: vec![Announcement { destination: destination(0), metric: 0 }],
            accepted: Vec::new(),
            keys: keys.clone(),
        };
        let router = Router::new(settings, Random::from_number(7));
        Self { router, now: Instant::ZERO, kernel: BTreeMap::new(), keys }
    }

    fn next(&mut self, choices: &mut Choices<'_>) {
        match choices.below(16) {
            0 => self.handle(Input::InterfaceUp(link(choices))),
            1 => match choices.below(6) {
                left @ 3.. => self.handle(Input::InterfaceLeft { interface: (left - 3).into() }),
                dead => self.handle(Input::InterfaceDown { interface: dead.into() }),
            },
            2 => self.hear_raw(choices),
            3 => self.operate(choices),
            4..=6 => self.pass(choices.time()),
            7 => {
                self.now += choices.time();
                self.handle(Input::Timer);
            }
            _ => self.hear(choices),
        }
    }

    /// Any octets, from any neighbour.
    fn hear_raw(&mut self, choices: &mut Choices<'_>) {
        let (interface, path) = (choices.below(3).into(), path(choices));
        let body = choices.octets();
        let mut octets = vec![42, 2, 0, body.len() as u8];
        octets.extend_from_slice(body);
        self.receive(interface, path, octets);
    }

    /// A packet that makes sense, more or less.
    fn hear(&mut self, choices: &mut Choices<'_>) {
        let (interface, path) = (choices.below(3).into(), path(choices));
        let mut composer = Composer::new(1400);
        for _ in 0..=choices.below(4) {
            say(choices, &mut composer);
        }
        for octets in sealed(composer) {
            self.receive(interface, path, octets);
        }
    }

    fn receive(&mut self, interface: u32, path: Path, mut octets: Vec<u8>) {
        if let Some(keys) = &self.keys {
            keys.sign(path, &mut octets);
        }
        let octets = &octets[..];
        // More may arrive, or not.
        match octets.len() % 2 {
            0 => self.handle(Input::Received { interface, path, octets }),
            _ => self.handle(Input::ReceivedTogether(&[Datagram { interface, path, octets }])),
        }
    }

    fn operate(&mut self, choices: &mut Choices<'_>) {
        match choices.below(7) {
            0 => {
                self.keys = choices.flip().then(keys);
                self.handle(Input::Keys(self.keys.clone()));
            }
            1 => {
                let fate = [BadSignatures::Refused, BadSignatures::Accepted];
                self.handle(Input::BadSignatures(fate[usize::from(choices.below(2))]));
            }
            2 => {
                let announced = (0..choices.below(4)).map(|_| Announcement {
                    destination: destination(choices.below(8)),
                    metric: choices.u16() >> 2,
                });
                self.handle(Input::Announced(announced.collect()));
            }
            3 => self.handle(Input::CostMultiplier {
                interface: choices.below(3).into(),
                address: neighbour(choices.below(3)),
                multiplier: CostMultiplier::from_256ths(choices.u16()),
            }),
            4 => self.handle(Input::Measured {
                interface: choices.below(3).into(),
                quality: LinkQuality {
                    loss: choices.flip().then(|| f32::from(choices.u8()) / 200.0),
                    round_trip: choices.flip().then(|| choices.time()),
                },
            }),
            5 => {
                let mut configuration = Configuration::default();
                let text = String::from_utf8_lossy(choices.octets()).into_owned();
                configuration.read_file("fuzz", &text);
                self.handle(Input::Filters(configuration.filters));
            }
            _ => self.handle(Input::Settings(interface_settings(choices))),
        }
    }

    /// Lets time pass, deadline by deadline; at most so many that a minute of Hellos fits.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..200 {
            let Some(due) = self.router.deadline().filter(|&due| due <= end) else { break };
            self.now = self.now.max(due);
            self.handle(Input::Timer);
        }
        self.now = end;
        for turn in 0.. {
            self.handle(Input::Timer);
            if self.router.deadline().is_none_or(|due| due > self.now) {
                break;
            }
            assert!(
                turn < 50,
                "at {:?} the deadline stays at {:?}",
                self.now,
                self.router.deadline()
            );
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.router.handle(input, self.now, &mut out);
        for output in out {
            match output {
                Output::Send { path, octets, .. } => {
                    assert!(octets.len() <= 9000, "a packet of {} octets", octets.len());
                    let packet = Packet::parse(&octets).expect("what it says is a packet");
                    for tlv in packet.tlvs(path.from) {
                        assert!(tlv.is_ok(), "it said {tlv:?}");
                    }
                }
                Output::Install { destination, next_hop, before } => {
                    let was = self.kernel.insert(destination, next_hop);
                    assert_eq!(was.is_some(), before == Before::Present, "{destination}");
                }
                Output::Uninstall { destination } => {
                    assert!(self.kernel.remove(&destination).is_some(), "{destination}");
                }
                Output::Notice(notice) => drop(notice.to_string()),
            }
        }
    }
}

/// Adds one TLV to a packet.
fn say(choices: &mut Choices<'_>, composer: &mut Composer) {
    match choices.below(9) {
        0 | 1 => {
            let hello = Hello {
                kind: [HelloKind::Multicast, HelloKind::Unicast][usize::from(choices.below(2))],
                seqno: choices.u8().into(),
                next_within: (choices.u8() != 0).then(|| interval(choices)),
                sent: choices.flip().then(|| choices.u32()),
            };
            composer.put(Hello::TYPE, |body| hello.put(body));
        }
        2 | 3 => {
            let ihu = Ihu {
                address: (choices.u8() != 0).then_some(IpAddr::V6(OURS)),
                rxcost: choices.u16(),
                next_within: interval(choices),
                echo: choices.flip().then(|| (choices.u32(), choices.u32())),
            };
            composer.put(Ihu::TYPE, |body| ihu.put(body));
        }
        4..=6 => {
            let destination = destination(choices.below(8));
            let update = Update {
                destination: Some(destination),
                router_id: Some(router_id(choices.below(4))),
                next_hop: None,
                seqno: choices.u16(),
                metric: choices.u16(),
                next_within: interval(choices),
            };
            composer.update(&update, &destination, None);
        }
        7 => {
            let wanted = choices.below(9);
            let request = RouteRequest { destination: (wanted < 8).then(|| destination(wanted)) };
            composer.put(RouteRequest::TYPE, |body| request.put(body));
        }
        _ => {
            let request = SeqnoRequest {
                destination: destination(choices.below(8)),
                seqno: choices.u16(),
                hop_count: choices.u8().max(1),
                router_id: router_id(choices.below(4)),
            };
            composer.put(SeqnoRequest::TYPE, |body| request.put(body));
        }
    }
}

fn sealed(mut composer: Composer) -> Vec<Vec<u8>> {
    let seal = |body: Vec<u8>| {
        let length = u16::try_from(body.len()).expect("bodies fit packets").to_be_bytes();
        [&[42, 2][..], &length, &body].concat()
    };
    composer.take().into_iter().map(seal).collect()
}

fn interval(choices: &mut Choices<'_>) -> Duration {
    Duration::from_millis(10 * u64::from(choices.u16()))
}

fn link(choices: &mut Choices<'_>) -> Link {
    Link {
        index: choices.below(3).into(),
        name: "fuzz".into(),
        address: OURS,
        address_v4: choices.flip().then(|| [192, 0, 2, choices.u8()].into()),
        mtu: choices.u16().into(),
        settings: interface_settings(choices),
    }
}

fn interface_settings(choices: &mut Choices<'_>) -> InterfaceSettings {
    let hello = interval(choices).max(Duration::from_millis(50));
    let mut settings = match choices.below(2) {
        0 => InterfaceSettings::tunnel(hello),
        _ => InterfaceSettings::wired(hello),
    };
    settings.update_interval = interval(choices).max(Duration::from_millis(50));
    settings.rxcost = choices.u16().max(1);
    if choices.flip() {
        settings.split_horizon = SplitHorizon::Off;
    }
    settings
}

fn path(choices: &mut Choices<'_>) -> Path {
    let from = neighbour(choices.below(3));
    Path { from, to: if choices.flip() { OURS } else { GROUP } }
}

fn keys() -> Keys {
    let key = Key::new(Hash::Blake2s128, &[7; 16]).expect("16 octets are a key");
    Keys { sign: vec![key], accept: Vec::new() }
}

const OURS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xff);

fn neighbour(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(number) + 1)
}

fn router_id(number: u8) -> RouterId {
    RouterId::new([number + 1; 8]).expect("neither zeros nor ones")
}

/// Of IPv6, of IPv4, and from some source only.
fn destination(number: u8) -> Destination {
    let prefix = |text: &str| text.parse().expect("a prefix");
    match number {
        6 => Destination::from_anywhere(prefix("192.0.2.0/24")),
        7 => Destination::from_source(prefix("::/0"), prefix("2001:db8:42::/48"))
            .expect("both of IPv6"),
        _ => Destination::from_anywhere(prefix(&format!("2001:db8:42:{number}::/64"))),
    }
}
