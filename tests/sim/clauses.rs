//! What single clauses of Babel's RFCs ask of a router, one neighbour or two beside it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use re6st::proto::babel::acknowledgement::AcknowledgementRequest;
use re6st::proto::babel::composer::{Composer, put_wildcard_retraction};
use re6st::proto::babel::configuration::Configuration;
use re6st::proto::babel::counter::{CHALLENGE_REPLY, CHALLENGE_REQUEST, OwnCounter};
use re6st::proto::babel::destination::Destination;
use re6st::proto::babel::event::{Before, Datagram, Input, Link, NextHop, Output};
use re6st::proto::babel::hello::{Hello, HelloKind};
use re6st::proto::babel::ihu::Ihu;
use re6st::proto::babel::mac::{GROUP, Hash, Key, Keys, Path};
use re6st::proto::babel::packet::{Packet, RawTlvs, Tlv};
use re6st::proto::babel::requests::{RouteRequest, SeqnoRequest};
use re6st::proto::babel::settings::{Announcement, InterfaceSettings, SplitHorizon, V4ViaV6};
use re6st::proto::babel::update::Update;
use re6st::proto::random::Random;

use super::bench::{
    Bench, LINK, OURS, SECOND, link, neighbour, packets, prefix, put_hello, put_update,
    put_update_with, router_id,
};

const MS: Duration = Duration::from_millis(1);

/// A router and the first neighbours on one link, all of them heard.
fn among(neighbours: usize) -> Bench {
    let mut bench = Bench::on_a_link();
    greet(&mut bench, neighbours, 0);
    bench.wait(SECOND);
    bench.wanted();
    bench
}

fn greet(bench: &mut Bench, neighbours: usize, first: u16) {
    for round in first..first + 3 {
        for from in 0..neighbours {
            bench.hear(from, |composer| put_hello(composer, round));
        }
    }
}

/// Everything that was said since this was last asked, and to whom.
fn told(bench: &mut Bench) -> Vec<(Ipv6Addr, Tlv)> {
    let mut told = Vec::new();
    for output in bench.wanted() {
        if let Output::Send { path, octets, .. } = output {
            let packet = Packet::parse(&octets).unwrap();
            told.extend(packet.tlvs(OURS).map(|tlv| (path.to, tlv.unwrap())));
        }
    }
    told
}

/// To whom a destination was told of, and the metric.
fn updates(told: &[(Ipv6Addr, Tlv)], of: Destination) -> Vec<(Ipv6Addr, u16)> {
    let update = |(to, tlv): &(Ipv6Addr, Tlv)| match tlv {
        Tlv::Update(update) if update.destination == Some(of) => Some((*to, update.metric)),
        _ => None,
    };
    told.iter().filter_map(update).collect()
}

/// Who was asked for something fresh, and what.
fn requests(told: &[(Ipv6Addr, Tlv)]) -> Vec<(Ipv6Addr, SeqnoRequest)> {
    let request = |(to, tlv): &(Ipv6Addr, Tlv)| match tlv {
        Tlv::SeqnoRequest(request) => Some((*to, *request)),
        _ => None,
    };
    told.iter().filter_map(request).collect()
}

fn put_route_request(composer: &mut Composer, destination: Destination) {
    let request = RouteRequest { destination: Some(destination) };
    composer.put(RouteRequest::TYPE, |body| request.put(body));
}

/// Asks for another number of what neighbour 0 originates.
fn put_seqno_request(composer: &mut Composer, seqno: u16, hop_count: u8) {
    let (destination, router_id) = (prefix(1), router_id(0));
    let request = SeqnoRequest { destination, seqno, hop_count, router_id };
    composer.put(SeqnoRequest::TYPE, |body| request.put(body));
}

/// A route of neighbour 0 as another one has it.
fn put_route(composer: &mut Composer, seqno: u16, metric: u16) {
    let update = Update {
        destination: Some(prefix(1)),
        router_id: Some(router_id(0)),
        next_hop: None,
        seqno,
        metric,
        next_within: Duration::from_secs(60),
    };
    composer.update(&update, &prefix(1), None);
}

/// Whose offer for the first prefix is taken.
fn taken(bench: &Bench) -> Option<Ipv6Addr> {
    let routes = bench.dump().routes;
    let mut routes = routes.iter().filter(|route| route.destination == prefix(1));
    routes.find(|route| route.installed).map(|route| route.neighbour)
}

/// RFC 8966 §4: what does not come from a link-local address of somebody else is not looked at.
#[test]
fn babel_hears_link_local_addresses_of_others_only() {
    for (from, is_heard) in
        [(neighbour(0), true), ("2001:db8::2".parse().unwrap(), false), (OURS, false)]
    {
        let mut bench = Bench::on_a_link();
        for octets in packets(|composer| put_hello(composer, 0)) {
            let path = Path { from, to: GROUP };
            bench.handle(Input::Received { interface: LINK, path, octets: &octets });
        }
        assert_eq!(bench.dump().neighbours.len(), usize::from(is_heard), "{from}");
    }
}

/// RFC 8966 §3.3: an acknowledgement goes to whoever asked, and to nobody else.
#[test]
fn babel_acknowledges_to_whoever_asked() {
    let mut bench = among(2);
    bench.hear(0, |composer| {
        composer.put(AcknowledgementRequest::TYPE, |body| body.extend([0, 0, 0x12, 0x34, 0, 1]));
    });
    let told = told(&mut bench);
    assert_eq!(told, [(neighbour(0), Tlv::Acknowledgement(0x1234))]);
}

/// RFC 8966, Appendix C: what is no unicast prefix of use to others is not taken, whoever offers it.
#[test]
fn babel_takes_no_martians() {
    let martians = [
        "fe80::/64",
        "fe80::1/128",
        "ff00::/8",
        "::1/128",
        "::/128",
        "127.0.0.1/32",
        "0.0.0.0/32",
        "0.0.0.0/8",
        "224.0.0.0/8",
        "169.254.0.0/16",
    ];
    let routable = ["::/0", "0.0.0.0/0", "2001:db8::/32", "10.0.0.0/8", "fd00::/8", "::/1"];
    for (prefixes, is_taken) in [(&martians[..], false), (&routable, true)] {
        for text in prefixes {
            let mut bench = among(1);
            let destination = Destination::from_anywhere(text.parse().unwrap());
            bench.hear(0, |composer| put_update(composer, 0, destination));
            assert_eq!(bench.dump().routes.len(), usize::from(is_taken), "{text}");
        }
    }
}

/// RFC 8966 §3.8.1.1: a request for one prefix is always answered, with a retraction if there is no route.
#[test]
fn babel_answers_every_request_for_a_route() {
    let mut bench = among(2);
    let filters = |text: &str| {
        let mut configuration = Configuration::default();
        assert_eq!(configuration.read_file("filters", text), []);
        Input::Filters(configuration.filters)
    };
    bench.hear(0, |composer| {
        put_update(composer, 0, prefix(1));
        put_update(composer, 0, prefix(2));
    });
    bench.wait(SECOND);
    // Not told here by itself: it was learned here.
    assert_eq!(updates(&told(&mut bench), prefix(1)), []);
    let ask = |bench: &mut Bench, destination| {
        bench.wanted();
        bench.hear(1, |composer| put_route_request(composer, destination));
        updates(&told(bench), destination)
    };
    assert_eq!(ask(&mut bench, prefix(0)), [(neighbour(1), 0)], "our own");
    assert_eq!(ask(&mut bench, prefix(1)), [(neighbour(1), 96)], "learned on that link");
    assert_eq!(ask(&mut bench, prefix(9)), [(neighbour(1), u16::MAX)], "never heard of");
    bench.handle(filters("out ip 2001:db8:0:2::/64 deny"));
    bench.wait(SECOND);
    assert_eq!(ask(&mut bench, prefix(2)), [(neighbour(1), u16::MAX)], "denied");
    bench.hear(0, |composer| put_route(composer, 1, u16::MAX));
    bench.wait(SECOND);
    assert_eq!(ask(&mut bench, prefix(1)), [(neighbour(1), u16::MAX)], "lost");
    for round in 0..100 {
        bench.hear(0, |composer| put_hello(composer, 3 + round));
        bench.hear(1, |composer| put_hello(composer, 3 + round));
        bench.wait(SECOND);
    }
    assert_eq!(ask(&mut bench, prefix(1)), [(neighbour(1), u16::MAX)], "lost long ago");
}

/// RFC 8966 §4.6.9, RFC 9079 §5.2: an update for everything takes back all that its sender offered, whatever
/// the source.
#[test]
fn babel_drops_all_routes_of_whoever_retracts_everything() {
    let mut bench = among(2);
    let default = "::/0".parse().unwrap();
    let default = Destination::from_source(default, "2001:db8::/32".parse().unwrap()).unwrap();
    for from in [0, 1] {
        bench.hear(from, |composer| {
            put_update(composer, from, prefix(1));
            put_update(composer, from, default);
        });
    }
    bench.hear(0, |composer| put_wildcard_retraction(composer, 1));
    let offered = bench.dump().routes;
    assert!(!offered.is_empty());
    for route in offered {
        let by = route.neighbour;
        assert_eq!(route.refmetric == u16::MAX, by == neighbour(0), "{route:?}");
        assert_eq!(route.installed, by == neighbour(1), "{route:?}");
    }
}

/// RFC 8966 §3.8.1.2: a request for a number that is not there yet goes on to one neighbour, not back, not
/// further than it may, and not twice.
#[test]
fn babel_passes_a_seqno_request_on_to_one_other_neighbour() {
    let mut bench = among(3);
    bench.hear(0, |composer| put_route(composer, 1, 0));
    bench.hear(1, |composer| put_route(composer, 1, 50));
    bench.wait(SECOND);
    let mut ask = |from, seqno, hop_count| {
        bench.wanted();
        bench.hear(from, |composer| put_seqno_request(composer, seqno, hop_count));
        let told = told(&mut bench);
        let asked = requests(&told);
        (
            asked.iter().map(|(to, it)| (*to, it.seqno, it.hop_count)).collect::<Vec<_>>(),
            updates(&told, prefix(1)),
        )
    };
    assert_eq!(ask(2, 2, 1), (vec![], vec![]), "it was not to be passed on");
    assert_eq!(ask(2, 1, 9), (vec![], vec![(neighbour(2), 96)]), "it is there");
    assert_eq!(ask(2, 2, 9), (vec![(neighbour(0), 2, 8)], vec![]));
    assert_eq!(ask(1, 2, 9), (vec![], vec![]), "just asked");
    assert_eq!(ask(0, 3, 9), (vec![(neighbour(1), 3, 8)], vec![]), "not back");
    let mut bench = among(3);
    bench.hear(0, |composer| put_update(composer, 5, prefix(1)));
    bench.wanted();
    bench.hear(2, |composer| put_seqno_request(composer, 9, 9));
    let told = told(&mut bench);
    assert_eq!(requests(&told), []);
    assert_eq!(updates(&told, prefix(1)), [(neighbour(2), 96)], "another originator's will do");
}

/// RFC 8966 §3.8.1.2: whoever cannot be asked again is asked last: an offer that may be taken goes first.
/// Method: what was announced once makes the better of two other offers one that may not be taken.
#[test]
fn babel_passes_a_seqno_request_on_along_an_offer_that_may_be_taken() {
    let mut bench = Bench::new();
    for index in [LINK, LINK + 1] {
        let split_horizon = SplitHorizon::Off;
        let settings = InterfaceSettings { split_horizon, ..InterfaceSettings::wired(SECOND) };
        bench.handle(Input::InterfaceUp(link(index, settings)));
    }
    greet(&mut bench, 2, 0);
    // A neighbour on a link of its own, that costs more.
    let expensive = |bench: &mut Bench, metric| {
        for round in 0..3 {
            bench.hear_on(LINK + 1, 2, |composer| put_hello(composer, round));
        }
        bench.hear_on(LINK + 1, 2, |composer| put_route(composer, 1, metric));
    };
    bench.hear(0, |composer| put_route(composer, 1, 0));
    bench.wait(SECOND);
    expensive(&mut bench, 60);
    bench.hear(1, |composer| put_route(composer, 1, 96));
    let settings = InterfaceSettings::wired(SECOND);
    bench.handle(Input::InterfaceUp(link(LINK + 1, settings)));
    let multiplier = re6st::proto::babel::settings::CostMultiplier::AVOID;
    let (interface, address) = (LINK + 1, neighbour(2));
    bench.handle(Input::CostMultiplier { interface, address, multiplier });
    bench.wanted();
    bench.hear(0, |composer| put_seqno_request(composer, 2, 9));
    let asked = requests(&told(&mut bench));
    assert_eq!(asked.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [neighbour(2)]);
}

/// RFC 8966 §3.8.1.2: what others asked for is told them when it is there, also if it came on another way
/// first.
#[test]
fn babel_tells_whoever_waits_when_what_it_takes_is_fresh() {
    let mut bench = Bench::on_a_link();
    let index = LINK + 1;
    bench.handle(Input::InterfaceUp(link(index, InterfaceSettings::wired(SECOND))));
    greet(&mut bench, 2, 0);
    for round in 0..3 {
        bench.hear_on(index, 2, |composer| put_hello(composer, round));
    }
    bench.hear(0, |composer| put_route(composer, 1, 0));
    bench.hear(1, |composer| put_route(composer, 1, 90));
    bench.wait(SECOND);
    bench.wanted();
    bench.hear_on(index, 2, |composer| put_seqno_request(composer, 2, 9));
    // Farther away, and so not what would be announced.
    bench.hear(1, |composer| put_route(composer, 2, 90));
    bench.wait(30 * MS);
    let first = told(&mut bench);
    assert_eq!(requests(&first).len(), 1);
    assert_eq!(updates(&first, prefix(1)), [], "what we take is as old as before");
    bench.hear(0, |composer| put_route(composer, 2, 0));
    bench.wait(30 * MS);
    let fresh = told(&mut bench).into_iter().filter_map(|(_, tlv)| match tlv {
        Tlv::Update(update) if update.destination == Some(prefix(1)) => Some(update.seqno),
        _ => None,
    });
    assert_eq!(fresh.collect::<Vec<_>>(), [2]);
    // Nobody waits any more: a number alone is no news (§3.7.2).
    bench.hear(0, |composer| put_route(composer, 3, 0));
    bench.wait(30 * MS);
    assert_eq!(updates(&told(&mut bench), prefix(1)), []);
}

/// RFC 8966 §3.5.3 and §3.8.2.1: an offer that got worse than what was announced is left at once, and its
/// neighbour is asked for a fresh one, however far it is.
#[test]
fn babel_leaves_what_may_loop_and_asks_for_it_afresh() {
    for metric in [500, 60_000, 65_000] {
        let mut bench = Bench::on_a_link();
        // Somebody else listens, on another link: else nothing would be announced.
        bench.handle(Input::InterfaceUp(link(LINK + 1, InterfaceSettings::wired(SECOND))));
        greet(&mut bench, 1, 0);
        for round in 0..3 {
            bench.hear_on(LINK + 1, 1, |composer| put_hello(composer, round));
        }
        bench.hear(0, |composer| put_route(composer, 1, 0));
        bench.wait(SECOND);
        assert_eq!(taken(&bench), Some(neighbour(0)));
        bench.wanted();
        bench.hear(0, |composer| put_route(composer, 1, metric));
        assert_eq!(taken(&bench), None, "{metric}");
        let asked = requests(&told(&mut bench));
        let asked: Vec<_> = asked.iter().map(|(to, it)| (*to, it.seqno, it.router_id)).collect();
        assert_eq!(asked, [(neighbour(0), 2, router_id(0))], "{metric}");
        bench.hear(0, |composer| put_route(composer, 2, metric));
        assert_eq!(taken(&bench), Some(neighbour(0)), "{metric}");
    }
}

/// RFC 8966 §3.8.2.2: whoever has a better way that may loop is asked for a fresh one, and nobody else. Near
/// enough with an old number, it is asked for the number that others have already: with each that is
/// made, the offers of all others become old.
#[test]
fn babel_asks_for_no_number_that_does_not_exist_yet_where_an_old_one_will_do() {
    for (seqno, metric, asked_for) in [(4, 100, 5), (5, 400, 6), (4, 400, 6)] {
        let mut bench = Bench::on_a_link();
        bench.handle(Input::InterfaceUp(link(LINK + 1, InterfaceSettings::wired(SECOND))));
        greet(&mut bench, 2, 0);
        for round in 0..3 {
            bench.hear_on(LINK + 1, 2, |composer| put_hello(composer, round));
        }
        bench.hear(0, |composer| put_route(composer, 5, 200));
        // What is taken is announced, with 296, and then costs much more.
        bench.wait(100 * MS);
        let ihu = Ihu { address: None, rxcost: 5000, next_within: SECOND, echo: None };
        bench.hear(0, |composer| composer.put(Ihu::TYPE, |body| ihu.put(body)));
        bench.wanted();
        bench.hear(1, |composer| put_route(composer, seqno, metric));
        bench.wait(SECOND + 100 * MS);
        assert_eq!(taken(&bench), Some(neighbour(0)), "{seqno}, {metric}");
        let asked = requests(&told(&mut bench));
        let asked: Vec<_> = asked.iter().map(|(to, it)| (*to, it.seqno)).collect();
        assert_eq!(asked, [(neighbour(1), asked_for); 2], "{seqno}, {metric}");
    }
}

/// RFC 8966 §3.7.2: another originator is said soon and once more; a metric that moves a little, another
/// neighbour and a number are not said before their time. §3.6: a number makes no offer a better one.
#[test]
fn babel_says_soon_what_is_news_and_nothing_else() {
    let mut bench = Bench::on_a_link();
    bench.handle(Input::InterfaceUp(link(LINK + 1, InterfaceSettings::wired(SECOND))));
    let mut round = 0;
    let mut second = |bench: &mut Bench| {
        for from in [0, 1] {
            bench.hear(from, |composer| put_hello(composer, round));
        }
        bench.hear_on(LINK + 1, 2, |composer| put_hello(composer, round));
        round += 1;
        bench.wait(SECOND);
    };
    (0..3).for_each(|_| second(&mut bench));
    bench.hear(0, |composer| put_update_with(composer, 0, prefix(1), 300));
    (0..3).for_each(|_| second(&mut bench));
    bench.wanted();
    let mut say = |bench: &mut Bench, from, put: &dyn Fn(&mut Composer)| {
        bench.hear(from, |composer| put(composer));
        second(bench);
        second(bench);
        let told = told(bench);
        updates(&told, prefix(1)).len()
    };
    assert_eq!(say(&mut bench, 0, &|composer| put_route(composer, 2, 300)), 0, "a number");
    assert_eq!(say(&mut bench, 0, &|composer| put_route(composer, 2, 310)), 0, "a tremble");
    assert_eq!(say(&mut bench, 1, &|composer| put_route(composer, 9, 305)), 0, "as good, fresher");
    assert_eq!(taken(&bench), Some(neighbour(0)));
    assert_eq!(say(&mut bench, 0, &|composer| put_route(composer, 2, 600)), 0, "another neighbour");
    assert_eq!(taken(&bench), Some(neighbour(1)));
    let other = |composer: &mut Composer| put_update_with(composer, 5, prefix(1), 305);
    assert_eq!(say(&mut bench, 1, &other), 2, "another originator");
}

/// A router between two links with a neighbour on each: 0 on the first, 2 on the second.
fn between_two_links() -> Bench {
    let mut bench = Bench::on_a_link();
    bench.handle(Input::InterfaceUp(link(LINK + 1, InterfaceSettings::wired(SECOND))));
    greet(&mut bench, 1, 0);
    for round in 0..3 {
        bench.hear_on(LINK + 1, 2, |composer| put_hello(composer, round));
    }
    bench
}

/// Lets seconds pass in which both say Hello, one for each number; those that get lost are not heard.
fn pass(bench: &mut Bench, rounds: Range<u16>, is_lost: impl Fn(u16) -> bool) {
    for round in rounds {
        if !is_lost(round) {
            bench.hear(0, |composer| put_hello(composer, round));
            bench.hear_on(LINK + 1, 2, |composer| put_hello(composer, round));
        }
        bench.wait(SECOND);
    }
}

/// The links that a destination was told on, and the metric.
fn told_on(bench: &mut Bench, of: Destination) -> Vec<(u32, u16)> {
    let mut told = Vec::new();
    for output in bench.wanted() {
        if let Output::Send { interface, path, octets } = output {
            let packet = Packet::parse(&octets).unwrap();
            let tlvs: Vec<_> = packet.tlvs(OURS).map(|tlv| (path.to, tlv.unwrap())).collect();
            told.extend(updates(&tlvs, of).iter().map(|(_, metric)| (interface, *metric)));
        }
    }
    told
}

/// RFC 8966 §3.7.4: a link is not told of what is reached over it. When a way moves to another link, the former
/// one is told of it, and on the other it is retracted, also if it is about as long and so no news.
#[test]
fn babel_tells_both_links_of_a_way_that_moves() {
    let mut bench = between_two_links();
    bench.hear(0, |composer| put_route(composer, 1, 100));
    bench.wait(100 * MS);
    assert_eq!(told_on(&mut bench, prefix(1)), [(LINK + 1, 196)]);
    bench.hear_on(LINK + 1, 2, |composer| put_route(composer, 1, 90));
    bench.wait(100 * MS);
    assert_eq!(taken(&bench), Some(neighbour(2)));
    assert_eq!(told_on(&mut bench, prefix(1)), [(LINK, 186), (LINK + 1, u16::MAX)]);
    bench.wait(2 * SECOND);
    let again = told_on(&mut bench, prefix(1));
    assert_eq!(again, [(LINK + 1, u16::MAX)], "the first one may have been lost");
}

/// What was lost and is back over another link a moment later is still retracted twice where it goes.
#[test]
fn babel_retracts_twice_where_a_way_goes_that_was_lost_for_a_moment() {
    let mut bench = between_two_links();
    bench.hear(0, |composer| put_route(composer, 1, 100));
    bench.wait(100 * MS);
    told_on(&mut bench, prefix(1));
    bench.hear(0, |composer| put_route(composer, 1, u16::MAX));
    bench.wait(100 * MS);
    assert_eq!(told_on(&mut bench, prefix(1)), [(LINK, u16::MAX), (LINK + 1, u16::MAX)]);
    bench.hear_on(LINK + 1, 2, |composer| put_route(composer, 2, 110));
    bench.wait(2 * SECOND);
    assert_eq!(taken(&bench), Some(neighbour(2)));
    let twice = [(LINK, 206), (LINK + 1, u16::MAX), (LINK, 206)];
    assert_eq!(told_on(&mut bench, prefix(1)), twice);
}

/// The same if the former link is gone: what was said on the other still counts there.
#[test]
fn babel_retracts_a_way_where_it_goes_when_its_link_is_gone() {
    let mut bench = between_two_links();
    bench.hear(0, |composer| put_route(composer, 1, 100));
    bench.wait(100 * MS);
    assert_eq!(told_on(&mut bench, prefix(1)), [(LINK + 1, 196)]);
    bench.hear_on(LINK + 1, 2, |composer| put_route(composer, 1, 110));
    bench.wait(100 * MS);
    assert_eq!(taken(&bench), Some(neighbour(0)));
    assert_eq!(told_on(&mut bench, prefix(1)), []);
    bench.handle(Input::InterfaceDown { interface: LINK });
    bench.wait(100 * MS);
    assert_eq!(taken(&bench), Some(neighbour(2)));
    assert_eq!(told_on(&mut bench, prefix(1)), [(LINK + 1, u16::MAX)]);
}

/// What was lost and is there again is said twice: whoever heard of the loss only would wait for the next table.
#[test]
fn babel_says_twice_that_a_way_is_there_again() {
    let mut bench = between_two_links();
    bench.hear(0, |composer| put_route(composer, 1, 100));
    bench.wait(100 * MS);
    bench.hear(0, |composer| put_route(composer, 1, u16::MAX));
    bench.wait(100 * MS);
    told_on(&mut bench, prefix(1));
    bench.hear(0, |composer| put_route(composer, 2, 100));
    bench.wait(100 * MS);
    assert_eq!(told_on(&mut bench, prefix(1)), [(LINK + 1, 196)]);
    bench.wait(2 * SECOND);
    let again = told_on(&mut bench, prefix(1));
    assert!(again.contains(&(LINK + 1, 196)), "{again:?}");
}

/// Where much gets lost, a loss is said a third time, and whoever has a way is asked for it.
#[test]
fn babel_says_and_asks_once_more_where_much_gets_lost() {
    for (is_lossy, expected) in [(false, 2), (true, 3)] {
        let mut bench = between_two_links();
        let is_lost = |round| is_lossy && round % 3 == 0;
        pass(&mut bench, 3..43, is_lost);
        bench.hear(0, |composer| put_route(composer, 1, 100));
        pass(&mut bench, 43..44, is_lost);
        bench.wanted();
        bench.hear(0, |composer| put_route(composer, 1, u16::MAX));
        pass(&mut bench, 44..50, is_lost);
        let told = told(&mut bench);
        let retractions = updates(&told, prefix(1)).len();
        assert_eq!(retractions, 2 * expected, "on two links");
        let is_asked = |(_, tlv): &(_, Tlv)| {
            let asked = RouteRequest { destination: Some(prefix(1)) };
            matches!(tlv, Tlv::RouteRequest(request) if *request == asked)
        };
        let asked = told.iter().filter(|told| is_asked(told)).count();
        assert_eq!(asked, if is_lossy { 2 } else { 0 });
    }
}

/// Of a link that has another MTU or IPv4 address no neighbour and no route is lost; what is announced is said
/// again, as its next hop is another one.
#[test]
fn babel_keeps_its_neighbours_when_a_link_changes() {
    let mut bench = between_two_links();
    bench.hear(0, |composer| put_route(composer, 1, 100));
    bench.wait(SECOND);
    bench.wanted();
    let settings = || InterfaceSettings::wired(SECOND);
    bench.handle(Input::InterfaceUp(Link { mtu: 1300, ..link(LINK, settings()) }));
    assert_eq!(taken(&bench), Some(neighbour(0)), "another MTU");
    assert_eq!(bench.wanted(), []);
    let address_v4 = Some(Ipv4Addr::new(10, 0, 0, 1));
    bench.handle(Input::InterfaceUp(Link { address_v4, ..link(LINK + 1, settings()) }));
    bench.wait(100 * MS);
    assert_eq!(taken(&bench), Some(neighbour(0)), "another IPv4 address");
    assert_eq!(told_on(&mut bench, prefix(1)), [(LINK + 1, 196)]);
}

/// What may no longer be announced on a link is retracted there, at once.
#[test]
fn babel_retracts_what_it_may_no_longer_announce() {
    let mut bench = between_two_links();
    let withdrawn = |bench: &mut Bench, of| {
        bench.wait(300 * MS);
        let told = told_on(bench, of);
        told.into_iter().filter(|(_, metric)| *metric == u16::MAX).collect::<Vec<_>>()
    };
    bench.hear(0, |composer| put_route(composer, 1, 100));
    assert_eq!(withdrawn(&mut bench, prefix(1)), []);
    let mut configuration = Configuration::default();
    assert_eq!(configuration.read_option("out if link8 deny"), []);
    bench.handle(Input::Filters(configuration.filters.clone()));
    assert_eq!(withdrawn(&mut bench, prefix(1)), [(LINK + 1, u16::MAX)]);
    bench.handle(Input::Filters(configuration.filters));
    assert_eq!(withdrawn(&mut bench, prefix(1)), [], "once");

    let v4 = Destination::from_anywhere("10.0.0.0/8".parse().unwrap());
    let mut bench = between_two_links();
    bench.handle(Input::Announced(vec![Announcement { destination: v4, metric: 0 }]));
    assert_eq!(withdrawn(&mut bench, v4), []);
    let settings =
        InterfaceSettings { v4_via_v6: V4ViaV6::Off, ..InterfaceSettings::wired(SECOND) };
    bench.handle(Input::InterfaceUp(link(LINK, settings)));
    assert_eq!(withdrawn(&mut bench, v4), [(LINK, u16::MAX)]);
}

/// What we no longer announce, neighbours may say a while under our name: nobody else has it.
#[test]
fn babel_keeps_its_name_when_it_hears_what_it_announced_before() {
    let mut bench = among(1);
    let own = bench.router.state().router_id;
    let echo = |composer: &mut Composer, number| {
        let update = Update {
            destination: Some(prefix(number)),
            router_id: Some(own),
            next_hop: None,
            seqno: 1,
            metric: 96,
            next_within: SECOND,
        };
        composer.update(&update, &prefix(number), None);
    };
    bench.hear(0, |composer| echo(composer, 5));
    assert_eq!(bench.router.state().router_id, own, "of a former life, perhaps");
    bench.wait(60 * SECOND);
    bench.handle(Input::Announced(Vec::new()));
    bench.hear(0, |composer| echo(composer, 0));
    assert_eq!(bench.router.state().router_id, own);
    bench.hear(0, |composer| echo(composer, 5));
    assert_ne!(bench.router.state().router_id, own, "that was never ours");
}

/// A neighbour may have another IPv4 address, and next hop, every few days for years.
#[test]
fn babel_forgets_next_hops_that_are_no_longer_named() {
    let mut bench = among(1);
    let destination = Destination::from_anywhere("10.9.0.0/16".parse().unwrap());
    for number in 1..=40 {
        let update = Update {
            destination: Some(destination),
            router_id: Some(router_id(0)),
            next_hop: None,
            seqno: number,
            metric: 0,
            next_within: 60 * SECOND,
        };
        let next_hop = Ipv4Addr::from_bits(10 << 24 | u32::from(number));
        bench.hear(0, |composer| composer.update(&update, &destination, Some(next_hop)));
        let routes = bench.dump().routes;
        let route = routes.iter().find(|route| route.destination == destination).unwrap();
        assert_eq!(route.next_hop, IpAddr::V4(next_hop));
        let installed = bench.wanted().into_iter().filter_map(|output| match output {
            Output::Install { next_hop: NextHop::Via { address, .. }, .. } => Some(address),
            _ => None,
        });
        assert_eq!(installed.collect::<Vec<_>>(), [IpAddr::V4(next_hop)]);
        bench.wait(SECOND);
        bench.hear(0, |composer| put_hello(composer, number + 2));
    }
}

/// RFC 8966 §3.7.3: a distance is remembered for as long as a neighbour may hold what was said with it.
#[test]
fn babel_remembers_a_distance_for_as_long_as_what_it_said_holds() {
    let mut bench = Bench::new();
    let settings = InterfaceSettings {
        update_interval: 600 * SECOND,
        split_horizon: SplitHorizon::Off,
        ..InterfaceSettings::wired(SECOND)
    };
    bench.handle(Input::InterfaceUp(link(LINK, settings)));
    greet(&mut bench, 2, 0);
    let offer = |bench: &mut Bench, from, metric| {
        bench.hear(from, |composer| put_route(composer, 1, metric));
    };
    offer(&mut bench, 0, 1904);
    bench.wait(100 * MS);
    for second in 0..400 {
        bench.hear(0, |composer| put_hello(composer, 3 + second));
        bench.hear(1, |composer| put_hello(composer, 3 + second));
        if second % 50 == 0 {
            offer(&mut bench, 0, 1904);
            offer(&mut bench, 1, 2096);
        }
        bench.wait(SECOND);
    }
    assert_eq!(taken(&bench), Some(neighbour(0)));
    offer(&mut bench, 0, u16::MAX);
    assert_eq!(taken(&bench), None, "what neighbour 1 offers is the way through us");
}

/// A neighbour that says a route again, and that it will say it sooner, is believed.
#[test]
fn babel_drops_what_is_not_said_as_soon_as_was_promised() {
    let mut bench = among(1);
    for next_within in [600 * SECOND, SECOND] {
        let update = Update {
            destination: Some(prefix(1)),
            router_id: Some(router_id(0)),
            next_hop: None,
            seqno: 1,
            metric: 100,
            next_within,
        };
        bench.hear(0, |composer| composer.update(&update, &prefix(1), None));
    }
    assert_eq!(taken(&bench), Some(neighbour(0)));
    for round in 3..9 {
        bench.hear(0, |composer| put_hello(composer, round));
        bench.wait(SECOND);
    }
    assert_eq!(taken(&bench), None);
}

/// An IHU of a neighbour that promises the next one within a second.
fn put_ihu(composer: &mut Composer, rxcost: u16, echo: Option<(u32, u32)>) {
    let ihu = Ihu { address: Some(IpAddr::V6(OURS)), rxcost, next_within: SECOND, echo };
    composer.put(Ihu::TYPE, |body| ihu.put(body));
}

fn put_bare_hello(composer: &mut Composer, seqno: u16, sent: Option<u32>) {
    let kind = HelloKind::Multicast;
    let hello = Hello { kind, seqno, next_within: Some(SECOND), sent };
    composer.put(Hello::TYPE, |body| hello.put(body));
}

/// RFC 8966 §3.4.2 and §3.4.3: whoever no longer says that it hears us cannot be reached, after three and a
/// half intervals (Appendix B); a cost is never zero.
#[test]
fn babel_believes_that_it_is_heard_for_a_while() {
    let mut bench = among(1);
    bench.hear(0, |composer| put_ihu(composer, 0, None));
    let mut costs = Vec::new();
    for seqno in 3..10 {
        bench.hear(0, |composer| put_bare_hello(composer, seqno, None));
        costs.push(bench.dump().neighbours[0].cost);
        bench.wait(SECOND);
    }
    let infinite = u16::MAX;
    assert_eq!(costs, [1, 1, 1, 1, infinite, infinite, infinite]);
}

/// RFC 9616 §3.2: a round trip is measured by the timestamps of one packet.
#[test]
fn babel_measures_delay_by_two_timestamps_of_one_packet() {
    for together in [true, false] {
        let mut bench = Bench::new();
        bench.handle(Input::InterfaceUp(link(LINK, InterfaceSettings::tunnel(SECOND))));
        bench.wait(SECOND);
        let echo = Some((bench.now.micros_u32() - 50_000, 76_000));
        bench.hear(0, |composer| put_bare_hello(composer, 0, Some(76_000)));
        bench.hear(0, |composer| {
            if together {
                put_bare_hello(composer, 1, Some(77_000));
            }
            put_ihu(composer, 96, echo);
        });
        let measured = bench.dump().neighbours[0].rtt_us;
        assert_eq!(measured, together.then_some(49_000));
    }
}

/// RFC 8966 §3.5.4 and §3.7.2: what was lost is retracted, and once more; packets to it are refused for
/// a while, so that no shorter prefix takes them back; the offer itself stays a while, retracted (§3.5.3).
#[test]
fn babel_retracts_twice_and_refuses_for_a_while_what_it_lost() {
    let mut bench = between_two_links();
    bench.hear(0, |composer| put_route(composer, 1, 0));
    pass(&mut bench, 3..5, |_| false);
    bench.wanted();
    bench.hear(0, |composer| put_route(composer, 1, u16::MAX));
    let refused = Output::Install {
        destination: prefix(1),
        next_hop: NextHop::Unreachable,
        before: Before::Present,
    };
    let out = bench.wanted();
    assert!(out.contains(&refused), "{out:?}");
    pass(&mut bench, 5..7, |_| false);
    let retractions = updates(&told(&mut bench), prefix(1));
    assert_eq!(retractions, [(GROUP, u16::MAX); 4], "twice on each link");
    pass(&mut bench, 7..57, |_| false);
    assert!(bench.dump().routes.iter().all(|route| route.refmetric == u16::MAX));
    assert_eq!(bench.dump().routes.len(), 1);
    pass(&mut bench, 57..77, |_| false);
    assert_eq!(bench.dump().routes.len(), 0);
    let free = Output::Uninstall { destination: prefix(1) };
    assert!(!bench.wanted().contains(&free), "still refused");
    pass(&mut bench, 77..107, |_| false);
    assert!(bench.wanted().contains(&free));
}

/// A neighbour that has the key.
struct Signer {
    keys: Keys,
    counter: OwnCounter,
    random: Random,
}

impl Signer {
    fn new() -> Self {
        let key = Key::new(Hash::HmacSha256, &[5; 32]).unwrap();
        let mut random = Random::from_number(3);
        let counter = OwnCounter::new(&mut random);
        Self { keys: Keys { sign: vec![key], accept: Vec::new() }, counter, random }
    }

    /// A packet from neighbour 0, to us alone.
    fn packet(&mut self, fill: impl FnOnce(&mut Composer)) -> Vec<u8> {
        let mut octets = packets(fill).remove(0);
        self.counter.put_next(&mut self.random, &mut octets);
        let length = u16::try_from(octets.len() - 4).unwrap();
        octets[2..4].copy_from_slice(&length.to_be_bytes());
        self.keys.sign(PATH, &mut octets);
        octets
    }
}

const PATH: Path = Path { from: Ipv6Addr::from_bits(0xfe80 << 112 | 0x100), to: OURS };

fn hear_signed(bench: &mut Bench, octets: &[u8]) {
    bench.handle(Input::Received { interface: LINK, path: PATH, octets });
}

/// The nonces of challenges in what was sent.
fn challenges(out: &[Output]) -> Vec<Vec<u8>> {
    let mut nonces = Vec::new();
    for output in out {
        let Output::Send { path, octets, .. } = output else { continue };
        let body = Packet::parse(octets).unwrap().body;
        for (_, nonce) in RawTlvs::new(body).filter(|&(kind, _)| kind == CHALLENGE_REQUEST) {
            assert_eq!(path.to, PATH.from);
            nonces.push(nonce.to_vec());
        }
    }
    nonces
}

/// RFC 8967 §4.3 and §4.4: whoever has no key leaves no trace, and whoever has gone is forgotten, counter and
/// all, though somebody repeats its packets: one that was held back must not be taken later.
#[test]
fn babel_forgets_a_neighbour_whose_packets_are_only_repeated() {
    let mut bench = Bench::on_a_link();
    let mut signer = Signer::new();
    bench.handle(Input::Keys(Some(signer.keys.clone())));
    bench.hear(0, |composer| put_hello(composer, 0));
    assert_eq!(bench.dump().neighbours.len(), 0, "unsigned");

    let first = signer.packet(|composer| put_hello(composer, 0));
    hear_signed(&mut bench, &first);
    let nonce = challenges(&bench.wanted()).remove(0);
    let answer = signer.packet(|composer| {
        composer.put(CHALLENGE_REPLY, |body| body.extend(&nonce));
        put_hello(composer, 1);
    });
    let held_back = signer.packet(|composer| put_hello(composer, 2));
    hear_signed(&mut bench, &answer);
    assert_eq!(bench.dump().neighbours[0].reach, 0x8000);

    let mut forgotten = false;
    for _ in 0..100 {
        bench.wait(SECOND);
        forgotten |= bench.dump().neighbours.is_empty();
        hear_signed(&mut bench, &answer);
    }
    assert!(forgotten);
    hear_signed(&mut bench, &held_back);
    assert!(bench.dump().neighbours.iter().all(|neighbour| neighbour.reach == 0), "held back");
}

/// RFC 8967 §4.3.1.1: however many packets nobody vouches for come, challenges are at least 300 ms apart.
#[test]
fn babel_challenges_no_more_often_than_it_may() {
    let mut bench = Bench::on_a_link();
    let mut signer = Signer::new();
    bench.handle(Input::Keys(Some(signer.keys.clone())));
    for round in 0..100 {
        let octets = signer.packet(|composer| put_hello(composer, round));
        hear_signed(&mut bench, &octets);
        bench.wait(30 * MS);
    }
    let nonces = challenges(&bench.wanted());
    assert!((9..=11).contains(&nonces.len()), "{} in 3 s", nonces.len());
}

/// RFC 9616 §3.2: a Hello says when it leaves. Of what arrives together, in pieces, the next input makes what is
/// said: a router that takes more first says the time at which it speaks.
#[test]
fn babel_says_nothing_before_it_has_taken_what_arrived() {
    let mut bench = between_two_links();
    bench.handle(Input::Settings(InterfaceSettings::tunnel(SECOND)));
    bench.wanted();
    let octets = packets(|composer| put_update(composer, 0, prefix(1))).remove(0);
    let path = Path { from: neighbour(0), to: GROUP };
    let datagram = Datagram { interface: LINK, path, octets: &octets };
    bench.now += 2 * SECOND;
    bench.handle(Input::ReceivedTogether(&[datagram]));
    let wanted = bench.wanted();
    assert!(wanted.iter().any(|output| matches!(output, Output::Install { .. })), "{wanted:?}");
    assert!(!wanted.iter().any(|output| matches!(output, Output::Send { .. })), "{wanted:?}");
    assert!(bench.router.deadline().is_some_and(|due| due <= bench.now), "the rest is due");
    bench.now += 50 * MS;
    bench.handle(Input::Timer);
    let (mut hellos, mut updates) = (0, 0);
    for output in bench.wanted() {
        let Output::Send { octets, .. } = output else { continue };
        for tlv in Packet::parse(&octets).unwrap().tlvs(OURS).flatten() {
            match tlv {
                Tlv::Hello(hello) => {
                    hellos += 1;
                    assert_eq!(hello.sent, Some(bench.now.micros_u32()));
                }
                Tlv::Update(update) if update.destination == Some(prefix(1)) => updates += 1,
                _ => {}
            }
        }
    }
    assert!(hellos > 0 && updates > 0, "{hellos} {updates}");
}

/// RFC 8966 §3.8.1.2: a router that has lost what is asked for passes on a request only for a router-id that it has
/// heard of: whoever invents some is not helped.
#[test]
fn babel_passes_no_request_on_for_a_router_that_nobody_names() {
    let mut bench = between_two_links();
    for round in 0..3 {
        bench.hear(1, |composer| put_hello(composer, round));
    }
    bench.hear(0, |composer| put_route(composer, 1, 0));
    bench.hear(1, |composer| put_route(composer, 1, 500));
    bench.wait(100 * MS);
    bench.hear(0, |composer| put_route(composer, 1, u16::MAX));
    bench.wait(100 * MS);
    assert_eq!(taken(&bench), None, "the other offer may not be taken");
    bench.wanted();
    for (number, expected) in [(0, vec![neighbour(1)]), (77, vec![])] {
        bench.hear_on(LINK + 1, 2, |composer| {
            let (destination, router_id) = (prefix(1), router_id(number));
            let request = SeqnoRequest { destination, seqno: 9, hop_count: 9, router_id };
            composer.put(SeqnoRequest::TYPE, |body| request.put(body));
        });
        let asked = requests(&told(&mut bench));
        assert_eq!(asked.iter().map(|(to, _)| *to).collect::<Vec<_>>(), expected, "{number}");
    }
}
