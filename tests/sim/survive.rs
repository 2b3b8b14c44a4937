//! One Babel router and neighbours that are many, loud, mistaken or gone, in virtual time.

use re6st::proto::babel::destination::Destination;
use re6st::proto::babel::event::{Input, Notice, Output};
use re6st::proto::babel::mac::{Hash, Key, Keys};
use re6st::proto::babel::requests::{RouteRequest, SeqnoRequest};
use re6st::proto::babel::settings::{Announcement, Authentication, InterfaceSettings, V4ViaV6};
use re6st::proto::babel::update::Update;
use re6st::proto::limits;

use super::bench::{
    Bench, LINK, OURS, SECOND, link, prefix, put_hello, put_update, put_update_with, router_id,
};

fn installed(out: &[Output]) -> usize {
    out.iter().filter(|output| matches!(output, Output::Install { .. })).count()
}

fn octets(out: &[Output]) -> usize {
    let sent = out.iter().map(|output| match output {
        Output::Send { octets, .. } => octets.len(),
        _ => 0,
    });
    sent.sum()
}

fn notices(out: &[Output], wanted: impl Fn(&Notice) -> bool) -> usize {
    out.iter().filter(|output| matches!(output, Output::Notice(notice) if wanted(notice))).count()
}

/// Goal: a router with many links wakes up once for all their Hellos, and none comes late.
/// Method: ten links that come up at different moments; a minute of Hellos.
#[test]
fn babel_wakes_up_once_for_the_hellos_of_all_links() {
    let mut bench = Bench::on_a_link();
    for index in 1..10 {
        bench.wait(SECOND * index / 13);
        bench.handle(Input::InterfaceUp(link(LINK + index, InterfaceSettings::wired(SECOND))));
    }
    bench.wait(SECOND * 60);

    let (end, mut wakings, mut said) = (bench.now + SECOND * 60, 0, 0);
    while let Some(due) = bench.router.deadline().filter(|&due| due <= end) {
        let gap = due.since(bench.now);
        assert!(gap <= SECOND, "nothing was said for {gap:?}");
        bench.now = due;
        bench.wanted();
        bench.handle(Input::Timer);
        let sent = bench.wanted().iter().filter(|out| matches!(out, Output::Send { .. })).count();
        wakings += usize::from(sent > 0);
        said += sent;
    }
    assert!((60..=70).contains(&wakings), "{wakings} wakings");
    assert!((600..=700).contains(&said), "{said} packets");
}

/// Goal: two hundred neighbours on one link are all routed to, told that they are heard, and let go.
#[test]
fn babel_survives_two_hundred_neighbours_on_one_link() {
    let mut bench = Bench::on_a_link();
    for round in 0..4 {
        for from in 0..200 {
            bench.hear(from, |composer| {
                put_hello(composer, round);
                put_update(composer, from, prefix(from + 1));
            });
        }
        bench.wait(SECOND);
    }
    assert_eq!(installed(&bench.wanted()), 200);
    // A second of Hellos in return: an IHU of 16 octets for each, and little around it.
    bench.wait(10 * SECOND / 10);
    let a_second = octets(&bench.wanted());
    assert!((200 * 16..3 * 200 * 16).contains(&a_second), "{a_second}");
    bench.wait(20 * SECOND);
    assert!(bench.dump().neighbours.iter().all(|neighbour| neighbour.cost == u16::MAX));
    bench.wait(200 * SECOND);
    assert_eq!((bench.dump().neighbours.len(), bench.dump().routes.len()), (0, 0));
}

/// Goal: neighbours beyond the limit are ignored, the operator is told once, and those that are known stay.
#[test]
fn babel_tells_once_of_too_many_neighbours() {
    let mut bench = Bench::on_a_link();
    for round in 0..3 {
        for from in 0..limits::BABEL_NEIGHBOURS_MAX + 100 {
            bench.hear(from, |composer| put_hello(composer, round));
        }
        bench.wait(SECOND / 2);
    }
    let out = bench.wanted();
    let told = |notice: &Notice| matches!(notice, Notice::TooManyNeighbours { .. });
    assert_eq!(notices(&out, told), 1);
    assert_eq!(bench.dump().neighbours.len(), limits::BABEL_NEIGHBOURS_MAX);
}

/// Goal: a table larger than the limit is cut there, the operator is told once, and the rest works on.
#[test]
fn babel_tells_once_of_a_table_that_is_full() {
    let mut bench = Bench::on_a_link();
    for round in 0..2 {
        bench.hear(0, |composer| put_hello(composer, round));
    }
    bench.hear(0, |composer| {
        for number in 1..limits::BABEL_DESTINATIONS_MAX + 1000 {
            put_update(composer, 0, prefix(number));
        }
    });
    let out = bench.wanted();
    assert_eq!(notices(&out, |notice| *notice == Notice::TableFull), 1);
    assert_eq!(installed(&out), limits::BABEL_DESTINATIONS_MAX - 1, "one is our own");
    bench.hear(0, |composer| {
        let retraction = Update {
            destination: Some(prefix(1)),
            router_id: None,
            next_hop: None,
            seqno: 1,
            metric: u16::MAX,
            next_within: SECOND,
        };
        composer.update(&retraction, &prefix(1), None);
    });
    // Nobody was told of it yet, so that nothing need be refused.
    let removed = Output::Uninstall { destination: prefix(1) };
    assert!(bench.wanted().contains(&removed), "a retraction is followed");
}

/// Goal: a route whose updates were lost is asked for before it expires, and kept if that is answered.
/// Method: a neighbour says Hello and no more; once it answers what it is asked, then it does not.
#[test]
fn babel_asks_for_a_route_before_it_expires() {
    for answers in [true, false] {
        let mut bench = Bench::on_a_link();
        for round in 0..3 {
            bench.hear(0, |composer| put_hello(composer, round));
        }
        bench.hear(0, |composer| put_update(composer, 0, prefix(1)));
        bench.wanted();
        let mut asked_at = None;
        // An update every minute was promised, and three and a half times that is waited.
        for second in 0..230 {
            bench.wait(SECOND);
            bench.hear(0, |composer| put_hello(composer, 3 + second));
            let out = bench.wanted();
            if asked_at.is_none() && out.iter().any(asks_for_a_route) {
                asked_at = Some(second);
                if answers {
                    bench.hear(0, |composer| put_update(composer, 0, prefix(1)));
                }
            }
            let is_lost = out.contains(&Output::Uninstall { destination: prefix(1) });
            assert!(!is_lost || asked_at.is_some_and(|at| at < second), "lost at {second} s");
        }
        assert!(asked_at.is_some_and(|at| at > 180), "asked at {asked_at:?} s");
        let routes = bench.dump().routes;
        assert_eq!(routes.iter().any(|route| route.installed), answers, "{routes:?}");
    }
}

/// Goal: the better of two ways is taken at once, and one whose metric trembles does not take the other
/// along: within a minute of a change the next must have been better for a while.
/// Method: one neighbour's metric stays; the other's is better, then changes every second.
#[test]
fn babel_takes_the_better_way_at_once_and_does_not_tremble() {
    let mut bench = Bench::on_a_link();
    let second = |bench: &mut Bench, round: u16, other: u16| {
        bench.hear(1, |composer| {
            put_hello(composer, round);
            put_update_with(composer, 1, prefix(1), 200);
        });
        bench.hear(0, |composer| {
            put_hello(composer, round);
            put_update_with(composer, 0, prefix(1), other);
        });
        bench.wait(SECOND);
        installed(&bench.wanted())
    };
    for round in 0..3 {
        second(&mut bench, round, 300);
    }
    assert_eq!(second(&mut bench, 3, 150), 1, "the better way is not taken");
    let trembling = (4..60).map(|round| second(&mut bench, round, 100 + round % 2 * 200));
    assert_eq!(trembling.sum::<usize>(), 0, "the way changes all the time");
    let worse: Vec<usize> = (60..70).map(|round| second(&mut bench, round, 300)).collect();
    assert_eq!(worse.iter().sum::<usize>(), 1, "the better way is not taken: {worse:?}");
}

/// Whether a packet has a Route Request.
fn asks_for_a_route(output: &Output) -> bool {
    let Output::Send { octets, .. } = output else { return false };
    let mut body = &octets[4..];
    while let [kind, length, rest @ ..] = body {
        if *kind == RouteRequest::TYPE {
            return true;
        }
        body = &rest[usize::from(*length)..];
    }
    false
}

/// Goal: whatever one neighbour asks, and however often, it gets about as much as it sends, and another
/// one's route stays.
#[test]
fn babel_survives_a_neighbour_that_floods() {
    let mut bench = Bench::on_a_link();
    let own = |number: usize| Announcement { destination: prefix(10_000 + number), metric: 0 };
    bench.handle(Input::Announced((0..1000).map(own).collect()));
    for round in 0..3 {
        bench.hear(0, |composer| put_hello(composer, round));
        bench.hear(1, |composer| {
            put_hello(composer, round);
            put_update(composer, 1, prefix(1));
        });
        bench.wait(SECOND / 2);
    }
    let _before = bench.wanted();
    for round in 0..10_000_u16 {
        bench.hear(0, |composer| {
            put_hello(composer, round.wrapping_mul(257));
            RouteRequest { destination: None }.put(&mut Vec::new());
            composer.put(RouteRequest::TYPE, |body| {
                RouteRequest { destination: None }.put(body);
            });
            let request = SeqnoRequest {
                destination: prefix(usize::from(round % 2)),
                seqno: round.wrapping_mul(3),
                hop_count: 64,
                router_id: router_id(usize::from(round)),
            };
            composer.put(SeqnoRequest::TYPE, |body| request.put(body));
        });
        if round % 1000 == 0 {
            bench.hear(1, |composer| put_hello(composer, 3 + round / 1000));
        }
        bench.wait(SECOND / 1000);
    }
    let out = bench.wanted();
    let (heard, said) = (10_000 * 80, octets(&out));
    assert!(said < 2 * heard, "{said} octets");
    let dump = bench.dump();
    let route = dump.routes.iter().find(|route| route.destination == prefix(1)).unwrap();
    assert!(route.installed, "{route:?}");
}

/// Goal: a router's number grows by one for each request that asks for more, whatever it asks for: whoever
/// could set it could make what it announces look old to everyone.
#[test]
fn babel_raises_its_number_by_one_whatever_is_asked() {
    let mut bench = Bench::on_a_link();
    bench.hear(0, |composer| put_hello(composer, 0));
    let before = bench.router.state();
    for asked in [1000, 1000, 30_000] {
        bench.hear(0, |composer| {
            let request = SeqnoRequest {
                destination: prefix(0),
                seqno: before.seqno.wrapping_add(asked),
                hop_count: 64,
                router_id: before.router_id,
            };
            composer.put(SeqnoRequest::TYPE, |body| request.put(body));
        });
    }
    assert_eq!(bench.router.state().seqno, before.seqno.wrapping_add(3));
}

/// Goal: a router whose name is taken takes another one, but whoever takes every name of it makes it do so
/// once a minute and no more.
#[test]
fn babel_takes_another_name_at_most_once_a_minute() {
    let mut bench = Bench::on_a_link();
    let mut names = vec![bench.router.state().router_id];
    for _ in 0..130 {
        let claimed = Update {
            destination: Some(prefix(1)),
            router_id: Some(bench.router.state().router_id),
            next_hop: None,
            seqno: 1,
            metric: 0,
            next_within: SECOND,
        };
        bench.hear(0, |composer| composer.update(&claimed, &prefix(1), None));
        names.push(bench.router.state().router_id);
        bench.wait(SECOND);
    }
    names.dedup();
    assert_eq!(
        names.len(),
        1 + 2,
        "at 60 and 120 seconds: before, it may be an echo of a former life"
    );
    let told = notices(&bench.wanted(), |notice| *notice == Notice::DuplicateRouterId);
    assert_eq!(told, 2);
}

/// Goal: what a neighbour offered before it began anew is not taken any more: it forgot how far it claimed
/// to be, and could mean to come back through us.
#[test]
fn babel_takes_nothing_that_a_neighbour_said_before_it_began_anew() {
    for (next, is_kept) in [(3, true), (5000, false)] {
        let mut bench = Bench::on_a_link();
        for round in 0..3 {
            bench.hear(0, |composer| {
                put_hello(composer, round);
                put_update(composer, 0, prefix(1));
            });
            bench.wait(SECOND);
        }
        for round in next..next + 3 {
            bench.hear(0, |composer| put_hello(composer, round));
        }
        let routes = bench.dump().routes;
        assert_eq!(routes.iter().any(|route| route.installed), is_kept, "{next}: {routes:?}");
        bench.hear(0, |composer| put_update(composer, 0, prefix(1)));
        assert!(bench.dump().routes.iter().any(|route| route.installed), "{next}: said again");
    }
}

/// Goal: a machine that was suspended, or whose clock jumped, finds its neighbours again at once.
#[test]
fn babel_survives_an_hour_without_time() {
    let mut bench = Bench::on_a_link();
    let meet = |bench: &mut Bench, first: u16| {
        for round in 0..3 {
            bench.hear(1, |composer| {
                put_hello(composer, first + round);
                put_update(composer, 1, prefix(1));
            });
            bench.wait(SECOND);
        }
    };
    meet(&mut bench, 0);
    assert_eq!(installed(&bench.wanted()), 1);
    // Nothing happened, and then it is an hour later.
    bench.now += 3600 * SECOND;
    bench.handle(Input::Timer);
    meet(&mut bench, 3600);
    let dump = bench.dump();
    assert!(dump.routes.iter().any(|route| route.destination == prefix(1) && route.installed));
    let out = bench.wanted();
    assert!(octets(&out) < 4000, "{} octets: nothing is made up for", octets(&out));
}

/// Goal: each link has the keys that it was given: with one's the other's packets are not signed.
#[test]
fn babel_signs_on_each_link_with_its_own_key() {
    let mut bench = Bench::on_a_link();
    let keys = |octet| {
        let key = Key::new(Hash::Blake2s128, &[octet; 16]).unwrap();
        Keys { sign: vec![key], accept: Vec::new() }
    };
    for (index, octet) in [(8, 1), (9, 2)] {
        let authentication =
            Some(Authentication { keys: keys(octet), bad_signatures: Default::default() });
        let settings = InterfaceSettings { authentication, ..InterfaceSettings::wired(SECOND) };
        bench.handle(Input::InterfaceUp(link(index, settings)));
    }
    bench.wait(3 * SECOND);
    let mut count = 0;
    for output in bench.wanted() {
        let Output::Send { interface, path, octets } = output else { continue };
        let packet = re6st::proto::babel::packet::Packet::parse(&octets).unwrap();
        let verified = [1, 2].map(|octet| keys(octet).verify(path, &packet));
        let expected = [interface == 8, interface == 9];
        assert_eq!(verified, expected, "on {interface}");
        count += usize::from(interface > LINK);
    }
    assert!(count >= 4, "{count}");
}

/// Goal: IPv4 routes are announced through IPv6 where that is wanted, and nowhere else.
#[test]
fn babel_announces_ipv4_through_ipv6_where_it_is_told_to() {
    for (v4_via_v6, expected) in [(V4ViaV6::On, true), (V4ViaV6::Off, false)] {
        let mut bench = Bench::on_a_link();
        let ipv4 = Destination::from_anywhere("10.9.0.0/24".parse().unwrap());
        bench.handle(Input::Announced(vec![Announcement { destination: ipv4, metric: 0 }]));
        let settings = InterfaceSettings { v4_via_v6, ..InterfaceSettings::wired(SECOND) };
        bench.handle(Input::InterfaceUp(link(LINK, settings)));
        for round in 0..3 {
            bench.hear(1, |composer| put_hello(composer, round));
            bench.wait(SECOND);
        }
        let said = bench.wanted().into_iter().any(|output| {
            let Output::Send { octets, .. } = output else { return false };
            let packet = re6st::proto::babel::packet::Packet::parse(&octets).unwrap();
            packet.tlvs(OURS).flatten().any(|tlv| {
                let of_ipv4 = |update: &Update| update.destination == Some(ipv4);
                matches!(tlv, re6st::proto::babel::packet::Tlv::Update(update) if of_ipv4(&update))
            })
        });
        assert_eq!(said, expected, "{v4_via_v6:?}");
    }
}
