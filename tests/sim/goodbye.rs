//! How routers part: those who stay know at once, and hear nothing else afterwards.

use std::time::Duration;

use re6st::proto::babel::event::{Input, Output};
use re6st::proto::babel::packet::{Packet, Tlv};
use re6st::proto::babel::settings::Announcement;

use super::bench::{Bench, OURS, SECOND, prefix, put_hello};
use super::world::World;

const MS: Duration = Duration::from_millis(1);

/// Goal: whoever is on a link that a router leaves sends it nothing that way any more, long before Hellos are missed.
/// Method: two ways, the direct one is left by one end.
#[test]
fn babel_says_goodbye_on_a_link_that_it_leaves() {
    for keys in [false, true] {
        let mut world = World::new(3, 1);
        world.hello = 15 * SECOND;
        if keys {
            world = world.with_keys();
        }
        let direct = world.join(0, 1, 10 * MS);
        world.join(0, 2, 10 * MS);
        let detour = world.join(2, 1, 10 * MS);
        world.run_until_whole(10 * SECOND);
        world.run_for(60 * SECOND);
        assert_eq!(world.link_to(1, 0), Some(direct));
        world.leave(0, direct);
        world.run_for(100 * MS);
        assert_eq!(world.link_to(1, 0), Some(detour), "keys {keys}");
        assert_eq!(world.hops(0, 1), Some(2));
    }
}

/// Goal: a router that ends takes back all that it announced, and announces nothing after that.
/// Method: it ends while a neighbour is being told of a large table.
#[test]
fn babel_announces_nothing_after_its_goodbye() {
    let mut bench = Bench::on_a_link();
    let own = |number: usize| Announcement { destination: prefix(number), metric: 0 };
    bench.handle(Input::Announced((0..20_000).map(own).collect()));
    for round in 0..2 {
        bench.hear(0, |composer| put_hello(composer, round));
    }
    bench.wanted();
    // The next piece of it is due.
    bench.now += 10 * MS;
    bench.handle(Input::Stop);
    let mut is_over = false;
    for output in bench.wanted() {
        let Output::Send { octets, .. } = output else { continue };
        for tlv in Packet::parse(&octets).unwrap().tlvs(OURS) {
            if let Tlv::Update(update) = tlv.unwrap() {
                is_over |= update.destination.is_none();
                assert!(!is_over || update.metric == u16::MAX, "{update:?}");
            }
        }
    }
    assert!(is_over);
}
