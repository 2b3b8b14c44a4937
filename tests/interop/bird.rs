//! Our router among BIRD's, FRR's and babeld's.

use std::time::Duration;

use super::routers::{Make, Routers, Setup};
use crate::namespace::eventually;

const SECRET: &str = "c12df85b03907b82dca41df3b356be9d";

/// How long a network may take to be whole: BIRD announces after its first interval, FRR's Hellos come late.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_line_of_every_make_is_whole_over_both_families() {
    let makes = [Make::Ours, Make::Bird, Make::Ours, Make::Frr, Make::Babeld, Make::Ours];
    let links = [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6)];
    let routers = Routers::start(&makes, &links, Setup::default());
    let took = routers.wait_until_whole(PATIENCE);
    println!("30 of 30 pairs after {:.1} s", took.as_secs_f64());
    // FRR announces the prefixes of links: nobody's own routes to them may be replaced.
    for router in routers.all.iter().filter(|router| router.make == Make::Ours) {
        for peer in &router.peers {
            let link = router.namespace.ip(&format!("-4 route show dev e{peer} proto kernel"));
            assert_eq!(link.lines().count(), 1, "{}: {link}", router.number);
        }
    }
}

#[test]
fn a_ring_of_every_make_survives_a_cut_and_a_kill() {
    let makes = [Make::Ours, Make::Bird, Make::Babeld, Make::Frr, Make::Ours];
    let links = [(1, 2), (2, 3), (3, 4), (4, 5), (5, 1)];
    let mut routers = Routers::start(&makes, &links, Setup::default());
    routers.wait_until_whole(PATIENCE);
    routers.cut(1, 2);
    let took = routers.wait_until_whole(PATIENCE);
    println!("whole {:.1} s after a cut", took.as_secs_f64());
    routers.mend(1, 2);
    std::thread::sleep(Duration::from_secs(8));
    // Gone without a word: what led through it is found out by silence.
    let killed = routers.all.remove(2);
    killed.namespace.signal("KILL");
    drop(killed);
    let took = routers.wait_until_whole(PATIENCE);
    println!("whole {:.1} s after a router was gone", took.as_secs_f64());
}

/// BIRD begins at number 1 again, babeld with the number that it wrote down.
#[test]
fn bird_and_babeld_come_back_under_their_names() {
    let makes = [Make::Ours, Make::Ours, Make::Bird, Make::Babeld];
    let mut routers = Routers::start(&makes, &[(1, 2), (2, 3), (1, 3), (2, 4)], Setup::default());
    routers.wait_until_whole(PATIENCE);
    let number = |routers: &Routers| {
        let entries = routers.router(3).birdc("show babel entries");
        let own = entries.lines().find(|line| line.contains("2001:db8:0:3::1/128")).unwrap();
        own.split_whitespace().nth(3).unwrap().parse::<u16>().unwrap()
    };
    // The way round is feasible with another number only, as a rule.
    for _ in 0..8 {
        if number(&routers) >= 5 {
            break;
        }
        routers.wait_until_direct(PATIENCE);
        routers.cut(1, 3);
        routers.wait_until_whole(PATIENCE);
        routers.mend(1, 3);
    }
    assert!(number(&routers) >= 5);
    for (router, signal) in [(2, "KILL"), (3, "TERM")] {
        routers.all[router].restart(signal, Setup::default());
        let took = routers.wait_until_whole(PATIENCE);
        println!("{:?}: whole after {:.1} s", makes[router], took.as_secs_f64());
        assert!(took < Duration::from_secs(15));
    }
}

#[test]
fn signed_packets_are_exchanged_with_bird_and_babeld() {
    for hash in ["blake2s128", "hmac-sha256"] {
        let makes = [Make::Ours, Make::Bird, Make::Ours, Make::Babeld];
        let links = [(1, 2), (2, 3), (3, 4)];
        let setup = Setup { key: Some((hash, SECRET)), ..Setup::default() };
        let routers = Routers::start(&makes, &links, setup);
        let took = routers.wait_until_whole(PATIENCE);
        println!("{hash}: 12 of 12 pairs after {:.1} s", took.as_secs_f64());
    }
}

#[test]
fn a_source_specific_default_route_comes_from_bird_and_goes_to_it() {
    let bird = "protocol static { ipv6 sadr; route ::/0 from 2001:db8:42::/48 unreachable; }";
    let makes = [Make::Bird, Make::Ours, Make::Bird];
    let statements = "redistribute proto 4 src-prefix 2001:db8:77::/48";
    let setup = Setup { bird, statements, ..Setup::default() };
    let mut routers = Routers::start(&makes[..2], &[(1, 2)], setup);
    let ours = &routers.all[1];
    let route = eventually("BIRD's default route in our kernel", PATIENCE, || {
        let routes = ours.namespace.ip("-6 route show default");
        routes.lines().find(|line| line.contains("from 2001:db8:42::/48")).map(str::to_owned)
    });
    assert!(route.contains("via fe80::") && route.contains("dev e1"), "{route}");
    // A route of the host becomes one for that source alone.
    ours.namespace.ip("-6 route add 2001:db8:9::/48 dev lo proto static");
    eventually("our route in BIRD", PATIENCE, || {
        let routes = routers.all[0].birdc("show route");
        routes.contains("2001:db8:9::/48 from 2001:db8:77::/48").then_some(())
    });
    // Withdrawn with its origin.
    let bird = routers.all.remove(0);
    drop(bird);
    let ours = &routers.all[0];
    eventually("the default route is gone with BIRD", PATIENCE, || {
        let routes = ours.namespace.ip("-6 route show default");
        routes.lines().all(|line| !line.contains("via fe80::")).then_some(())
    });
}
