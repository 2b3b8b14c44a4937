//! One Babel router in virtual time, and neighbours that say what a test gives them to say.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use re6st::proto::babel::composer::Composer;
use re6st::proto::babel::destination::Destination;
use re6st::proto::babel::dump::Dump;
use re6st::proto::babel::event::{Input, Link, Output};
use re6st::proto::babel::hello::{Hello, HelloKind};
use re6st::proto::babel::ihu::Ihu;
use re6st::proto::babel::mac::{GROUP, Path};
use re6st::proto::babel::packet::{Packet, Tlv};
use re6st::proto::babel::router::Router;
use re6st::proto::babel::router_id::RouterId;
use re6st::proto::babel::settings::{Announcement, InterfaceSettings, Settings};
use re6st::proto::babel::update::Update;
use re6st::proto::random::Random;
use re6st::proto::time::Instant;

pub const SECOND: Duration = Duration::from_secs(1);
pub const OURS: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub const LINK: u32 = 7;

/// A router, and all it wanted done.
pub struct Bench {
    pub router: Router,
    pub now: Instant,
    out: Vec<Output>,
}

pub fn link(index: u32, settings: InterfaceSettings) -> Link {
    let name = format!("link{index}");
    Link { index, name, address: OURS, address_v4: None, mtu: 1400, settings }
}

pub fn router_id(number: usize) -> RouterId {
    RouterId::new((number as u64 + 1).to_be_bytes()).unwrap()
}

pub fn neighbour(number: usize) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfe80 << 112 | (number as u128 + 0x100))
}

pub fn prefix(number: usize) -> Destination {
    let address = Ipv6Addr::from_bits(0x2001_0db8 << 96 | (number as u128) << 64);
    Destination::from_anywhere(format!("{address}/64").parse().unwrap())
}

/// The packets that a body of TLVs takes.
pub fn packets(fill: impl FnOnce(&mut Composer)) -> Vec<Vec<u8>> {
    let mut composer = Composer::new(1300);
    fill(&mut composer);
    let framed = |body: Vec<u8>| {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&[42, 2], &length[..], &body].concat()
    };
    composer.take().into_iter().map(framed).collect()
}

pub fn put_hello(composer: &mut Composer, seqno: u16) {
    let hello = Hello { kind: HelloKind::Multicast, seqno, next_within: Some(SECOND), sent: None };
    composer.put(Hello::TYPE, |body| hello.put(body));
    let ihu = Ihu { address: Some(IpAddr::V6(OURS)), rxcost: 96, next_within: SECOND, echo: None };
    composer.put(Ihu::TYPE, |body| ihu.put(body));
}

pub fn put_update(composer: &mut Composer, from: usize, destination: Destination) {
    put_update_with(composer, from, destination, 0);
}

pub fn put_update_with(
    composer: &mut Composer,
    from: usize,
    destination: Destination,
    metric: u16,
) {
    let update = Update {
        destination: Some(destination),
        router_id: Some(router_id(from)),
        next_hop: None,
        seqno: 1,
        metric,
        next_within: Duration::from_secs(60),
    };
    composer.update(&update, &destination, None);
}

impl Bench {
    /// Without links.
    pub fn new() -> Self {
        let settings = Settings {
            router_id: RouterId::new([9; 8]).unwrap(),
            announced: vec![Announcement { destination: prefix(0), metric: 0 }],
            accepted: Vec::new(),
            keys: None,
        };
        let router = Router::new(settings, Random::from_number(1));
        Self { router, now: Instant::ZERO, out: Vec::new() }
    }

    /// On one wired link.
    pub fn on_a_link() -> Self {
        let mut bench = Self::new();
        bench.handle(Input::InterfaceUp(link(LINK, InterfaceSettings::wired(SECOND))));
        bench
    }

    pub fn handle(&mut self, input: Input<'_>) {
        self.router.handle(input, self.now, &mut self.out);
    }

    pub fn hear(&mut self, from: usize, fill: impl FnOnce(&mut Composer)) {
        self.hear_on(LINK, from, fill);
    }

    pub fn hear_on(&mut self, interface: u32, from: usize, fill: impl FnOnce(&mut Composer)) {
        for octets in packets(fill) {
            let path = Path { from: neighbour(from), to: GROUP };
            self.handle(Input::Received { interface, path, octets: &octets });
        }
    }

    /// Lets time pass, timers included.
    pub fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.router.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.handle(Input::Timer);
        }
        self.now = end;
    }

    /// Everything that was wanted since this was last asked.
    pub fn wanted(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// Everything that was said since this was last asked, and on which link.
    pub fn said(&mut self) -> Vec<(u32, Tlv)> {
        let mut said = Vec::new();
        for output in self.wanted() {
            if let Output::Send { interface, octets, .. } = output {
                let packet = Packet::parse(&octets).unwrap();
                said.extend(packet.tlvs(OURS).map(|tlv| (interface, tlv.unwrap())));
            }
        }
        said
    }

    pub fn dump(&self) -> Dump {
        self.router.dump(self.now)
    }
}
