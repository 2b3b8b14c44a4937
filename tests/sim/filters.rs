//! What filters in babeld's language do to routers.

use std::time::Duration;

use re6st::proto::babel::configuration::Configuration;
use re6st::proto::babel::event::Input;
use re6st::proto::babel::packet::Tlv;
use re6st::proto::babel::settings::InterfaceSettings;

use super::bench::{Bench, LINK, SECOND, link, prefix, put_hello, put_update, put_update_with};
use super::world::World;

const MS: Duration = Duration::from_millis(1);

/// Gives a router the filters of a configuration.
fn filter(world: &mut World, node: usize, text: &str) {
    let mut configuration = Configuration::default();
    assert_eq!(configuration.read_file("filters", text), []);
    world.handle(node, Input::Filters(configuration.filters));
}

/// Goal: what an output filter denies on one link is not heard of behind it, and nothing else is lost.
/// Method: a line; the router in its middle does not tell the last of the first.
#[test]
fn babel_does_not_announce_what_a_filter_denies() {
    let mut world = World::new(4, 1);
    filter(&mut world, 1, "out if link2 ip 2001:db8:42::/64 deny");
    world.join(0, 1, MS);
    world.join(1, 2, MS);
    world.join(1, 3, MS);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.unreached(), [(2, 0)]);
}

/// Goal: what an input filter denies is not learned, not even after it was learned before.
#[test]
fn babel_does_not_learn_what_a_filter_denies() {
    let mut world = World::new(3, 2);
    world.join(0, 1, MS);
    world.join(1, 2, MS);
    world.run_until_whole(Duration::from_secs(10));
    filter(
        &mut world,
        2,
        "in neigh fe80::2 ip 2001:db8:42::/48 eq 64 ge 64 if link2 metric 7\nin deny",
    );
    world.run_for(Duration::from_secs(70));
    assert_eq!(world.unreached(), []);
    filter(&mut world, 2, "in ip 2001:db8:42:1::/64 allow\nin deny");
    world.run_for(Duration::from_secs(70));
    assert_eq!(world.unreached(), [(2, 0)]);
}

/// Goal: a metric added on one way makes the other way the better one.
#[test]
fn babel_adds_the_metric_of_a_filter() {
    for (text, hops) in [("", 1), ("in if link3 metric 1000", 2), ("in if link1 metric 1000", 1)] {
        let mut world = World::new(3, 3);
        filter(&mut world, 0, text);
        world.join(0, 1, MS);
        world.join(1, 2, MS);
        world.join(0, 2, MS);
        world.run_for(Duration::from_secs(60));
        assert_eq!(world.hops(0, 2), Some(hops), "{text}");
        assert_eq!(world.hops(2, 0), Some(1), "{text}");
    }
}

/// Goal: what a router does not put into its kernel it does not offer others a way to, as babeld does not:
/// packets would come and be lost.
#[test]
fn babel_does_not_announce_what_it_does_not_install() {
    let mut world = World::new(3, 4);
    filter(&mut world, 1, "install ip 2001:db8:42::/64 deny");
    world.join(0, 1, MS);
    world.join(1, 2, MS);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.unreached(), [(1, 0), (2, 0)]);
}

/// Goal: what a filter let a router announce by its originator is retracted there when it is lost, and nothing else is.
/// Method: two destinations of two originators, of which the filter knows one; both are lost.
#[test]
fn babel_retracts_what_a_filter_let_it_announce() {
    let mut bench = Bench::on_a_link();
    let other = LINK + 1;
    bench.handle(Input::InterfaceUp(link(other, InterfaceSettings::wired(SECOND))));
    let mut configuration = Configuration::default();
    let text = "out id 00:00:00:00:00:00:00:01 allow\nout deny";
    assert_eq!(configuration.read_file("filters", text), []);
    bench.handle(Input::Filters(configuration.filters));
    let greet = |bench: &mut Bench, rounds: std::ops::Range<u16>| {
        for round in rounds {
            bench.hear(0, |composer| put_hello(composer, round));
            bench.hear_on(other, 1, |composer| put_hello(composer, round));
        }
    };
    greet(&mut bench, 0..3);
    let told = |bench: &mut Bench| {
        bench.wait(SECOND);
        let said = bench.said().into_iter().filter_map(|(interface, tlv)| match tlv {
            Tlv::Update(update) if interface == other && update.destination.is_some() => {
                Some((update.destination.unwrap(), update.metric == u16::MAX))
            }
            _ => None,
        });
        let mut said: Vec<_> = said.collect();
        said.dedup();
        said
    };
    told(&mut bench);
    bench.hear(0, |composer| {
        put_update(composer, 0, prefix(1));
        put_update(composer, 5, prefix(2));
    });
    assert_eq!(told(&mut bench), [(prefix(1), false)]);
    bench.hear(0, |composer| {
        put_update_with(composer, 0, prefix(1), u16::MAX);
        put_update_with(composer, 5, prefix(2), u16::MAX);
    });
    assert_eq!(told(&mut bench), [(prefix(1), true)]);
    greet(&mut bench, 3..6);
    bench.hear(0, |composer| put_update(composer, 0, prefix(3)));
    assert!(told(&mut bench).contains(&(prefix(3), false)));
    // It is another's now, whom the filter does not let out.
    bench.hear(0, |composer| put_update(composer, 5, prefix(3)));
    assert!(told(&mut bench).contains(&(prefix(3), true)));
}
