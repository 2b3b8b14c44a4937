//! Updates a second through the pure Babel core: `cargo bench --bench babel`.
//!
//! Twenty neighbours announce the same 10,000 prefixes, each of another originator, in packets for an MTU
//! of 1500: as `scripts/bench babel` does it with sockets and a kernel.
#![allow(missing_docs, reason = "a program of its own, read and not linked")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use re6st::proto::babel::composer::Composer;
use re6st::proto::babel::destination::Destination;
use re6st::proto::babel::event::{Input, Link, Output};
use re6st::proto::babel::hello::{Hello, HelloKind};
use re6st::proto::babel::ihu::Ihu;
use re6st::proto::babel::mac::{GROUP, Path};
use re6st::proto::babel::packet::{HEADER_OCTETS, MAGIC, VERSION};
use re6st::proto::babel::router::Router;
use re6st::proto::babel::router_id::RouterId;
use re6st::proto::babel::settings::{InterfaceSettings, Settings};
use re6st::proto::babel::update::Update;
use re6st::proto::cidr::Cidr;
use re6st::proto::random::Random;
use re6st::proto::time::Instant;

const NEIGHBOURS: u32 = 20;
const PREFIXES: u32 = 10_000;
const BODY_OCTETS: usize = 1500 - 48 - HEADER_OCTETS;
const SECOND: Duration = Duration::from_secs(1);

/// The time on a router's clock, and what it wanted done.
struct Bench {
    now: Instant,
    out: Vec<Output>,
}

impl Bench {
    fn handle(&mut self, router: &mut Router, input: Input<'_>) {
        router.handle(input, self.now, &mut self.out);
        black_box(&self.out);
        self.out.clear();
    }

    fn receive(&mut self, router: &mut Router, interface: u32, packets: &[Vec<u8>]) {
        let path = Path { from: address(1, interface), to: GROUP };
        for octets in packets {
            self.handle(router, Input::Received { interface, path, octets });
        }
    }

    /// Lets a second pass, and what is due in it happen.
    fn pass(&mut self, router: &mut Router) {
        let end = self.now + SECOND;
        while let Some(due) = router.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.handle(router, Input::Timer);
        }
        self.now = end;
    }
}

fn address(host: u32, interface: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(host) << 16 | u128::from(interface))
}

/// A router with twenty neighbours that announced nothing yet.
fn router() -> (Bench, Router) {
    let settings = Settings {
        router_id: RouterId::new([2; 8]).unwrap(),
        announced: Vec::new(),
        accepted: Vec::new(),
        keys: None,
    };
    let mut router = Router::new(settings, Random::from_number(1));
    let mut bench = Bench { now: Instant::ZERO, out: Vec::new() };
    for index in 0..NEIGHBOURS {
        let link = Link {
            index,
            name: format!("d{index}"),
            address: address(2, index),
            address_v4: None,
            mtu: 1500,
            settings: InterfaceSettings::wired(Duration::from_secs(100)),
        };
        bench.handle(&mut router, Input::InterfaceUp(link));
    }
    for seqno in 0..3 {
        for index in 0..NEIGHBOURS {
            bench.receive(&mut router, index, &[hello(index, seqno)]);
        }
        bench.pass(&mut router);
    }
    (bench, router)
}

fn packet(body: &[u8]) -> Vec<u8> {
    let mut octets = vec![MAGIC, VERSION];
    octets.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    octets.extend(body);
    octets
}

fn hello(interface: u32, seqno: u16) -> Vec<u8> {
    let mut composer = Composer::new(BODY_OCTETS);
    let next_within = Duration::from_secs(600);
    let hello =
        Hello { kind: HelloKind::Multicast, seqno, next_within: Some(next_within), sent: None };
    composer.put(Hello::TYPE, |body| hello.put(body));
    let ihu = Ihu {
        address: Some(IpAddr::V6(address(2, interface))),
        rxcost: 96,
        next_within,
        echo: None,
    };
    composer.put(Ihu::TYPE, |body| ihu.put(body));
    packet(&composer.take()[0])
}

/// The whole table of one neighbour.
fn table(who: u32, metric: u16) -> Vec<Vec<u8>> {
    let mut composer = Composer::new(BODY_OCTETS);
    for number in 0..PREFIXES {
        let prefix = Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(number) << 64);
        let destination = Destination::from_anywhere(Cidr::new(IpAddr::V6(prefix), 64).unwrap());
        let [_, a, b, c] = number.to_be_bytes();
        let update = Update {
            destination: Some(destination),
            router_id: RouterId::new([2, 0, 0, 0xff, 0, a, b, c]),
            next_hop: None,
            seqno: 1,
            metric: metric + u16::try_from((who * 7 + number) % 19).unwrap(),
            next_within: Duration::from_secs(600),
        };
        composer.update(&update, &destination, None);
    }
    composer.take().iter().map(|body| packet(body)).collect()
}

fn tables(metric: u16) -> Vec<Vec<Vec<u8>>> {
    (0..NEIGHBOURS).map(|who| table(who, if who == 0 { 100 } else { metric })).collect()
}

fn updates(criterion: &mut Criterion) {
    let (first, other) = (tables(150), tables(160));
    let say = |bench: &mut Bench, router: &mut Router, tables: &[Vec<Vec<u8>>]| {
        for (who, table) in (0..).zip(tables) {
            bench.receive(router, who, table);
        }
    };
    let mut group = criterion.benchmark_group("updates");
    group.throughput(Throughput::Elements(u64::from(NEIGHBOURS * PREFIXES)));
    group.sample_size(10);
    group.bench_function("of a first table", |bencher| {
        bencher.iter_batched(
            router,
            |(mut bench, mut router)| {
                say(&mut bench, &mut router, &first);
                bench.pass(&mut router);
                router
            },
            BatchSize::PerIteration,
        );
    });
    let (mut bench, mut router) = router();
    group.bench_function("that repeat it", |bencher| {
        bencher.iter(|| {
            say(&mut bench, &mut router, &first);
            bench.pass(&mut router);
        });
    });
    let mut tables = [&other, &first].into_iter().cycle();
    group.bench_function("that change it", |bencher| {
        bencher.iter(|| {
            say(&mut bench, &mut router, tables.next().expect("it never ends"));
            bench.pass(&mut router);
        });
    });
    group.finish();
}

criterion_group!(benches, updates);
criterion_main!(benches);
