//! Babel's stories: lines, rings and random graphs that are cut, mended, signed, killed and restarted.
//!
//! That no packet could loop is checked by the [`World`] all the time.

use std::collections::BTreeMap;
use std::time::Duration;

use re6st::proto::babel::event::{Input, LinkQuality};
use re6st::proto::babel::mac::BadSignatures;
use re6st::proto::babel::router_id::RouterId;
use re6st::proto::random::Random;

use super::world::World;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Goal: a line of routers is whole soon after it is joined, each hop at its end.
#[test]
fn babel_routes_along_a_line() {
    let mut world = World::new(6, 1);
    for node in 0..5 {
        world.join(node, node + 1, 10 * MS);
    }
    let took = world.run_until_whole(10 * SECOND);
    assert!(took < 3 * SECOND, "{took:?}");
    assert_eq!(world.hops(0, 5), Some(5));
}

/// Goal: signed packets work as well, and those without a key are kept out.
#[test]
fn babel_routes_among_those_who_have_the_key() {
    let mut world = World::new(3, 2).with_keys();
    world.join(0, 1, 10 * MS);
    world.join(1, 2, 10 * MS);
    world.handle(2, Input::Keys(None));
    world.run_for(60 * SECOND);
    assert!(world.reaches(0, 1) && world.reaches(1, 0));
    assert!(!world.reaches(0, 2) && !world.reaches(1, 2));
}

/// Goal: while keys are introduced, those who have them take those who do not, and nobody is lost.
#[test]
fn babel_takes_unsigned_packets_if_it_is_told_to() {
    let mut world = World::new(3, 2).with_keys();
    world.join(0, 1, 10 * MS);
    world.join(1, 2, 10 * MS);
    world.handle(2, Input::Keys(None));
    world.handle(1, Input::BadSignatures(BadSignatures::Accepted));
    world.run_until_whole(10 * SECOND);
}

/// Goal: however rarely Hellos are said, a new link works after a few round trips, signed or not.
#[test]
fn babel_links_come_up_at_once() {
    for keys in [false, true] {
        let mut world = World::new(4, 5);
        world.hello = 15 * SECOND;
        if keys {
            world = world.with_keys();
        }
        for node in 0..3 {
            world.join(node, node + 1, 50 * MS);
        }
        let took = world.run_until_whole(10 * SECOND);
        println!("keys {keys}: {took:?}");
        assert!(took < 2 * SECOND, "keys {keys}: {took:?}");
    }
}

/// Goal: signed links come up however long packets take: no challenge makes the answer to another one worthless.
#[test]
fn babel_signed_links_come_up_however_long_packets_take() {
    for delay in [300, 600, 1500, 4000] {
        let mut world = World::new(2, 8).with_keys();
        world.join(0, 1, delay * MS);
        let took = world.run_until_whole(120 * SECOND);
        println!("{delay} ms: {took:?}");
        assert!(took < 10 * delay * MS, "{delay} ms: {took:?}");
    }
}

/// Goal: a link whose first Hellos are all lost need not wait for those of the next interval.
#[test]
fn babel_links_come_up_soon_when_their_first_packets_are_lost() {
    let mut world = World::new(2, 6);
    world.hello = 15 * SECOND;
    let link = world.join(0, 1, 50 * MS);
    world.lose(link, 100);
    world.run_for(SECOND);
    world.lose(link, 0);
    let took = world.run_until_whole(15 * SECOND);
    assert!(took < 4 * SECOND, "{took:?}");
    // Nor does it go on like that.
    world.run_for(60 * SECOND);
    let before = world.sent.packets;
    world.run_for(150 * SECOND);
    let quiet = world.sent.packets - before;
    assert!(quiet < 40, "{quiet} packets in ten intervals of two nodes");
}

/// Goal: where a fifth of all packets gets lost, pairs may be without a route, but few of them and for seconds.
#[test]
fn babel_leaves_no_pair_without_a_route_for_long_where_packets_get_lost() {
    let mut world = World::new(30, 7);
    (world.hello, world.jitter) = (15 * SECOND, 0.2);
    let mut random = Random::from_number(7);
    for node in 0..30 {
        for _ in 0..4 {
            let other = (node + 1 + random.below(29)) % 30;
            world.join(node, other, random.between(5 * MS, 150 * MS));
        }
    }
    for link in world.links_where(|_| true) {
        world.lose(link, 20);
    }
    world.run_until_whole(60 * SECOND);
    let (mut without, mut gaps) = (BTreeMap::new(), 0);
    for _ in 0..200 {
        world.run_for(SECOND);
        let now = world.unreached();
        gaps += now.len();
        without = now.iter().map(|pair| (*pair, without.get(pair).unwrap_or(&0) + 1)).collect();
        let longest = without.values().max().copied().unwrap_or(0);
        assert!(longest < 10, "{longest} s: {without:?}");
    }
    // Of 870 pairs, two at a time.
    assert!(gaps < 400, "{gaps} in 200 s");
}

/// Goal: routers with the same router-id, as clones of one disk have, tell themselves apart.
#[test]
fn babel_clones_take_other_names() {
    let mut world = World::new(1, 7);
    world.router_id = RouterId::new([9; 8]);
    world.add();
    world.add();
    world.add();
    for node in 0..3 {
        world.join(node, node + 1, 10 * MS);
    }
    let took = world.run_until_whole(200 * SECOND);
    println!("{took:?}");
}

/// Goal: of two ways the faster is taken, and left when it fails without a word.
/// Method: a ring whose one side is slow.
#[test]
fn babel_takes_the_faster_way_and_survives_its_cut() {
    let mut world = World::new(4, 3);
    let fast = world.join(0, 1, 5 * MS);
    world.join(1, 3, 5 * MS);
    world.join(0, 2, 80 * MS);
    world.join(2, 3, 80 * MS);
    world.run_until_whole(10 * SECOND);
    world.run_for(60 * SECOND);
    assert_eq!(world.link_to(0, 3), Some(fast));
    world.cut(fast);
    let took = world.run_until_whole(20 * SECOND);
    assert!(took > SECOND && took < 12 * SECOND, "{took:?}");
    world.mend(fast);
    world.run_for(60 * SECOND);
    assert_eq!(world.hops(0, 1), Some(1));
}

/// Goal: a fast way that loses five packets of a hundred, as its owner says, is left for a slower clean one,
/// and taken again when it no longer does.
/// Method: one hop of 10 ms against two of 25 ms; settings are those of tunnels between nodes.
#[test]
fn babel_prefers_a_clean_way_to_one_of_which_loss_is_told() {
    let mut world = World::new(3, 6);
    let direct = world.join(0, 1, 5 * MS);
    world.join(0, 2, 12 * MS);
    world.join(2, 1, 12 * MS);
    world.run_until_whole(10 * SECOND);
    for (loss, hops) in [(Some(0.05), 2), (Some(0.0), 1), (Some(0.05), 2), (None, 1)] {
        for end in [0, 1] {
            let quality = LinkQuality { loss, round_trip: None };
            world.handle(end, Input::Measured { interface: direct, quality });
        }
        world.run_for(60 * SECOND);
        assert_eq!(world.hops(0, 1), Some(hops), "{loss:?}");
    }
}

/// Goal: a fast way that loses packets is left for a slower clean one, and stays a way when it is the
/// only one.
/// Method: one hop of 10 ms that loses one packet in ten, against two of 25 ms; then without those.
#[test]
fn babel_prefers_a_clean_way_to_a_fast_one() {
    let mut world = World::new(3, 6);
    let direct = world.join(0, 1, 5 * MS);
    let detour = world.join(0, 2, 12 * MS);
    world.join(2, 1, 12 * MS);
    world.run_until_whole(10 * SECOND);
    world.run_for(60 * SECOND);
    assert_eq!(world.hops(0, 1), Some(1));
    world.lose(direct, 10);
    world.run_for(300 * SECOND);
    let mut around = 0;
    for _ in 0..100 {
        world.run_for(10 * SECOND);
        around += usize::from(world.hops(0, 1) == Some(2));
    }
    assert!(around >= 95, "{around} of 100");

    world.take_down(detour);
    let mut reached = 0;
    for _ in 0..1000 {
        world.run_for(SECOND);
        reached += usize::from(world.reaches(0, 1));
    }
    assert!(reached >= 990, "{reached} of 1000 seconds");
}

/// Goal: a link that its owner reports dead is left at once.
#[test]
fn babel_leaves_a_link_reported_dead_at_once() {
    let mut world = World::new(3, 4);
    let direct = world.join(0, 1, 5 * MS);
    world.join(1, 2, 20 * MS);
    world.join(2, 0, 20 * MS);
    world.run_until_whole(10 * SECOND);
    world.run_for(120 * SECOND);
    world.take_down(direct);
    let took = world.run_until_whole(5 * SECOND);
    assert!(took < SECOND, "{took:?}");
}

/// Goal: who loses a way hears at once of another one that a neighbour has, also if that neighbour had taken the
/// lost one as well, and finds the other as good: nothing that everyone would have to know.
#[test]
fn babel_tells_the_link_that_it_leaves_where_it_goes_now() {
    let mut world = World::new(4, 12);
    world.join(0, 1, 20 * MS);
    let lost = world.join(0, 3, 20 * MS);
    world.join(1, 2, 20 * MS);
    world.join(2, 3, 21 * MS);
    world.run_until_whole(10 * SECOND);
    world.run_for(120 * SECOND);
    assert_eq!(world.way(1, 3), Some(vec![1, lost]));
    world.take_down(lost);
    let took = world.run_until_whole(60 * SECOND);
    assert!(took < SECOND, "{took:?}");
}

/// Goal: a router that lost its number, as BIRD does when it begins anew, is reached as soon as it was asked
/// for what the others know of it, which is one step for each question.
#[test]
fn babel_follows_a_router_that_lost_its_number_step_by_step() {
    let mut world = World::new(3, 11);
    world.join(0, 1, 10 * MS);
    world.join(1, 2, 10 * MS);
    world.run_until_whole(10 * SECOND);
    world.kill(0);
    world.run_for(60 * SECOND);
    world.restart_behind(0, 50);
    let took = world.run_until_whole(60 * SECOND);
    assert!(took < 6 * SECOND, "{took:?}");
}

/// Goal: a way is found where there is one, also over many links in a row that lose much and are slow: no sum
/// of their costs may come to infinity.
#[test]
fn babel_finds_a_long_way_over_lossy_links() {
    const LINKS: usize = 10;
    let reached = (1..=12).map(|seed| {
        let mut world = World::new(LINKS + 1, seed);
        for node in 0..LINKS {
            let link = world.join(node, node + 1, 80 * MS);
            world.lose(link, 20);
        }
        // Long enough that it is known how much each of them loses.
        world.run_for(600 * SECOND);
        let reaches = |_: &usize| {
            world.run_for(SECOND);
            world.reaches(0, LINKS)
        };
        (0..100).filter(reaches).count()
    });
    let reached: Vec<usize> = reached.collect();
    let all: usize = reached.iter().sum();
    // Now and then one of the twenty directions loses four Hellos in a row, and is given up.
    assert!(
        all > 12 * 85 && reached.iter().all(|&seconds| seconds > 50),
        "{reached:?} of 100 each"
    );
}

/// Goal: a random graph such as re6st builds heals from deaths, restarts and a cut in two.
/// Method: 40 nodes with some six links each; five die, come back; then all links between halves are cut.
#[test]
fn babel_heals_a_random_graph() {
    let seed = 1;
    let mut world = World::new(40, seed);
    let mut random = Random::from_number(seed);
    for node in 0..40 {
        for _ in 0..3 {
            let other = random.below(40);
            if other != node {
                let delay = random.between(5 * MS, 150 * MS);
                world.join(node, other, delay);
            }
        }
    }
    world.run_until_whole(20 * SECOND);
    world.run_for(30 * SECOND);
    for node in 0..5 {
        world.kill(node);
    }
    world.run_until_whole(60 * SECOND);
    for node in 0..5 {
        world.restart(node);
    }
    world.run_until_whole(60 * SECOND);
    let crossing = world.links_where(|[a, b]| (a < 20) != (b < 20));
    for &link in &crossing {
        world.cut(link);
    }
    world.run_for(100 * SECOND);
    world.run_until_whole(60 * SECOND);
    for &link in &crossing {
        world.mend(link);
    }
    world.run_until_whole(60 * SECOND);
}
