//! What statements of babeld's language about links do to a router.

use std::net::IpAddr;
use std::time::Duration;

use re6st::proto::babel::configuration::command_line::CommandLine;
use re6st::proto::babel::event::Input;
use re6st::proto::babel::hello::{Hello, HelloKind};
use re6st::proto::babel::ihu::Ihu;
use re6st::proto::babel::packet::Tlv;
use re6st::proto::babel::update::Update;

use super::bench::{Bench, OURS, SECOND, link, neighbour, prefix, put_hello, put_update};

const MS: Duration = Duration::from_millis(1);

/// A router that babeld's command line describes, on links called `link1` and so on.
fn configured(arguments: &str) -> Bench {
    let mut line = CommandLine::parse(&shlex::split(arguments).unwrap()).unwrap();
    line.add_interfaces();
    let configuration = line.configuration;
    assert_eq!(configuration.remarks, []);
    let mut bench = Bench::new();
    for interface in configuration.resolve_interfaces().unwrap() {
        let index = interface.name.strip_prefix("link").unwrap().parse().unwrap();
        bench.handle(Input::InterfaceUp(link(index, interface.behaviour.settings)));
    }
    bench
}

/// Goal: Hellos and tables come as often as is said, and promise that; without a word a table comes with
/// every fourth Hello.
#[test]
fn hellos_and_tables_come_as_often_as_is_said() {
    let told = "-C 'interface link1 hello-interval 2 update-interval 30' -H 1.5 -h 3 \
                -C 'interface link3 type wireless' link1 link2 link3";
    let mut bench = configured(told);
    for second in 0..600 {
        for link in 1..=3 {
            bench.hear_on(link, link as usize, |composer| put_hello(composer, second));
        }
        bench.wait(SECOND);
        if second == 10 {
            bench.wanted();
        }
    }
    let said = bench.said();
    for (link, hello, update) in [(1, 2.0, 30.0), (2, 1.5, 6.0), (3, 3.0, 12.0)] {
        let on = || said.iter().filter(|(on, _)| *on == link).map(|(_, tlv)| tlv);
        let hellos = on().filter_map(|tlv| match tlv {
            Tlv::Hello(hello) => hello.next_within,
            _ => None,
        });
        let hellos: Vec<Duration> = hellos.collect();
        assert!(hellos.iter().all(|promised| promised.as_secs_f64() == hello), "link {link}");
        let often = 589.0 / hello;
        // A little early so that they do not fall in step, or together with those of another link.
        let expected = often * 0.99..often * 2.0;
        assert!(expected.contains(&(hellos.len() as f64)), "link {link}: {}", hellos.len());
        let updates = on().filter_map(|tlv| match tlv {
            Tlv::Update(update) => Some(update.next_within.as_secs_f64()),
            _ => None,
        });
        let updates: Vec<f64> = updates.collect();
        let latest = update * 1.25;
        assert!(updates.iter().all(|promised| (update..=latest).contains(promised)), "{updates:?}");
        let expected = 589.0 / latest - 1.0..589.0 / update + 1.0;
        assert!(expected.contains(&(updates.len() as f64)), "link {link}: {}", updates.len());
    }
}

/// Goal: what was learned on a link is told there or not, as is said and as its kind has it.
#[test]
fn a_split_horizon_is_kept_where_it_is_said() {
    let told = [
        ("", false),
        ("-s", true),
        ("-w", true),
        ("-C 'default type wireless'", true),
        ("-C 'default type tunnel'", true),
        ("-C 'default type tunnel split-horizon true'", false),
        ("-C 'default type wireless split-horizon true'", false),
        ("-C 'default split-horizon false'", true),
        ("-C 'default split-horizon auto'", false),
        ("-s -C 'default split-horizon true'", false),
    ];
    for (statement, expected) in told {
        let mut bench = configured(&format!("{statement} link1 link2"));
        for round in 0..3 {
            for link in [1, 2] {
                bench.hear_on(link, link as usize, |composer| put_hello(composer, round));
            }
            bench.hear_on(1, 1, |composer| put_update(composer, 1, prefix(1)));
            bench.wait(SECOND);
        }
        let said = bench.said();
        let is_it = |update: &Update| update.destination == Some(prefix(1));
        let told_on = |link| {
            let here = said.iter().filter(|(on, _)| *on == link);
            here.into_iter().any(|(_, tlv)| matches!(tlv, Tlv::Update(it) if is_it(it)))
        };
        assert_eq!((told_on(1), told_on(2)), (expected, true), "`{statement}`");
    }
}

/// Goal: loss counts where it is said, and on radio links.
/// Method: a neighbour of whose Hellos one in four is lost; what it is told that it costs to reach us.
#[test]
fn loss_counts_where_it_is_said() {
    let told = [
        ("", 96..97),
        ("rxcost 200", 200..201),
        ("link-quality true", 1000..6000),
        ("link-quality auto", 96..97),
        ("type tunnel", 96..97),
        ("type wireless", 320..420),
        ("type wireless link-quality false", 256..257),
        ("type wireless rxcost 1000", 1250..1640),
        ("wired false", 320..420),
    ];
    for (parameters, expected) in told {
        let mut bench = configured(&format!("-C 'interface link1 {parameters}'"));
        for round in (0..200).filter(|round| round % 4 > 0) {
            bench.hear_on(1, 1, |composer| put_hello(composer, round));
            bench.wait(if round % 4 == 3 { 2 * SECOND } else { SECOND });
        }
        let said = bench.said();
        let told = said.iter().rev().find_map(|(_, tlv)| match tlv {
            Tlv::Ihu(ihu) => Some(ihu.rxcost),
            _ => None,
        });
        assert!(told.is_some_and(|cost| expected.contains(&cost)), "`{parameters}`: {told:?}");
    }
}

/// Goal: delay is measured where it is said, on tunnels, and where it costs something.
#[test]
fn hellos_have_timestamps_where_it_is_said() {
    let told = [
        ("", false),
        ("enable-timestamps true", true),
        ("type tunnel", true),
        ("type tunnel enable-timestamps false", false),
        ("type tunnel enable-timestamps auto", true),
        ("max-rtt-penalty 10", true),
        ("max-rtt-penalty 10 enable-timestamps false", false),
    ];
    for (parameters, expected) in told {
        let mut bench = configured(&format!("-C 'interface link1 {parameters}'"));
        bench.wait(9 * SECOND);
        let hellos: Vec<bool> = bench
            .said()
            .iter()
            .filter_map(|(_, tlv)| match tlv {
                Tlv::Hello(hello) => Some(hello.sent.is_some()),
                _ => None,
            })
            .collect();
        assert!(!hellos.is_empty() && hellos.iter().all(|is| *is == expected), "`{parameters}`");
    }
}

/// Goal: a round trip costs what is said of it, and so much of the last one counts.
/// Method: a neighbour that echoes timestamps, first after 100 ms, then once after 200.
#[test]
fn delay_costs_what_is_said() {
    // Babel's own cost of 96, the share of the penalty, and what the round trip is taken for at the end.
    let told = [
        ("type tunnel", 96 + 96 * 90 / 110, 96 + 96 * 106 / 110, 116_406),
        ("max-rtt-penalty 1000 rtt-min 50 rtt-max 250", 346, 428, 116_406),
        ("max-rtt-penalty 1000 rtt-min 50 rtt-max 250 rtt-decay 128", 346, 596, 150_000),
        ("max-rtt-penalty 1000 rtt-min 50 rtt-max 250 rtt-decay 256", 346, 846, 200_000),
        ("max-rtt-penalty 1000 rtt-min 50 rtt-max 250 rtt-decay 1", 346, 346, 100_390),
        ("max-rtt-penalty 5000 rtt-max 100", 5096, 5096, 116_406),
        ("max-rtt-penalty 5000 rtt-min 200 rtt-max 300", 96, 96, 116_406),
        ("enable-timestamps true", 96, 96, 116_406),
    ];
    for (parameters, first, second, rtt_us) in told {
        let mut bench = configured(&format!("-C 'interface link1 {parameters}'"));
        for (seqno, delay) in [100, 100, 100, 100, 200].into_iter().enumerate() {
            let sent = bench.now.micros_u32();
            bench.wait(MS * delay);
            let hello = Hello {
                kind: HelloKind::Multicast,
                seqno: u16::try_from(seqno).unwrap(),
                next_within: Some(SECOND),
                sent: Some(77_000),
            };
            let ihu = Ihu {
                address: Some(IpAddr::V6(OURS)),
                rxcost: 96,
                next_within: SECOND,
                // It was held for a millisecond.
                echo: Some((sent.wrapping_sub(1000), 76_000)),
            };
            bench.hear_on(1, 1, |composer| {
                composer.put(Hello::TYPE, |body| hello.put(body));
                composer.put(Ihu::TYPE, |body| ihu.put(body));
            });
            let known = &bench.dump().neighbours[0];
            assert_eq!(known.address, neighbour(1));
            if seqno == 3 {
                assert_eq!((known.cost, known.rtt_us), (first, Some(100_000)), "`{parameters}`");
            }
            if seqno == 4 {
                assert_eq!((known.cost, known.rtt_us), (second, Some(rtt_us)), "`{parameters}`");
            }
            bench.wait(SECOND - MS * delay);
        }
    }
}

/// Goal: with a key, who does not sign is heard only where that is said.
#[test]
fn who_does_not_sign_is_heard_where_it_is_said() {
    let told = [
        ("", true),
        ("key a", false),
        ("key a accept-bad-signatures true", true),
        ("key a accept-bad-signatures false", false),
    ];
    for (parameters, expected) in told {
        let key = "key id a type blake2s128 value 00112233445566778899aabbccddeeff";
        let mut bench = configured(&format!("-C '{key}' -C 'interface link1 {parameters}'"));
        for round in 0..3 {
            bench.hear_on(1, 1, |composer| put_hello(composer, round));
            bench.wait(SECOND);
        }
        assert_eq!(bench.dump().neighbours.len(), usize::from(expected), "`{parameters}`");
    }
}
