//! Hosts with two ways each, by routers of different makes: what fails is passed by, and nothing loops.
//!
//! ```text
//!   1 ours ───── 2 BIRD ───── 4 ours
//!      │    ╳               ╳     │         each of 1, 4 and 5 has a link to 2 and to 3
//!      └─── 3 babeld ─── 5 FRR ───┘
//! ```

use std::time::Duration;

use super::routers::{Make, Routers, Setup, Stream};
use crate::namespace::eventually;

/// FRR's Hellos come late.
const PATIENCE: Duration = Duration::from_secs(60);

/// Hellos come each second; a link is left after some of them, and a machine may be busy.
const DETECTION: Duration = Duration::from_secs(12);

const OLD: &str = "c12df85b03907b82dca41df3b356be9d";
const NEW: &str = "00112233445566778899aabbccddeeff";

/// Goal: a router that falls silent and a link without a carrier cost no more than their detection, and at
/// no time does a packet go round in circles.
/// Method: packets all the time; the router at which they pass forwards nothing any more and says nothing.
#[test]
fn a_dual_homed_host_loses_no_more_than_the_detection_takes() {
    let makes = [Make::Ours, Make::Bird, Make::Babeld, Make::Ours, Make::Frr];
    let links = [(1, 2), (1, 3), (4, 2), (4, 3), (5, 2), (5, 3)];
    let mut routers = Routers::start(&makes, &links, Setup::default());
    routers.wait_until_whole(PATIENCE);

    let stream = Stream::start(routers.router(1), routers.router(4));
    let silent = routers.router(1).way_to(4);
    routers.kill(silent);
    let other = 5 - silent;
    eventually("both ends go by the other router", PATIENCE, || {
        let ways = [routers.router(1).way_to(4), routers.router(4).way_to(1)];
        (ways == [other, other]).then_some(())
    });
    routers.wait_until_others_are_whole(silent, PATIENCE);
    stream.end().lost_less_than(DETECTION);

    routers.revive(silent, Setup::default());
    routers.wait_until_whole(PATIENCE);
    routers.wait_until_direct(PATIENCE * 2);
    let stream = Stream::start(routers.router(1), routers.router(4));
    let by = routers.router(1).way_to(4);
    routers.cut(by, 1);
    eventually("the other way is taken", PATIENCE, || {
        (routers.router(1).way_to(4) != by).then_some(())
    });
    routers.wait_until_whole(PATIENCE);
    routers.mend(by, 1);
    stream.end().lost_less_than(DETECTION);
}

/// Goal: a network changes from one key to another, router by router, while it works.
/// Method: packets all the time from babeld through ours to BIRD; each has its ways to know two keys.
#[test]
fn a_key_is_rotated_with_babeld_and_bird_and_nothing_is_lost() {
    let makes = [Make::Babeld, Make::Ours, Make::Bird];
    let setup = Setup { key: Some(("blake2s128", OLD)), ..Setup::default() };
    let routers = Routers::start(&makes, &[(1, 2), (2, 3)], setup);
    routers.wait_until_whole(PATIENCE);
    let [babeld, ours, bird] = [1, 2, 3].map(|number| routers.router(number));
    let stream = Stream::start(babeld, bird);

    // BIRD signs with both and takes either; ours signs with the old one and takes either.
    let password = |secret: &str| {
        let octets: Vec<&str> =
            (0..secret.len()).step_by(2).map(|at| &secret[at..at + 2]).collect();
        format!("password {} {{ algorithm blake2s128; }};", octets.join(":"))
    };
    let (old, new) = (password(OLD), password(NEW));
    bird.reconfigure_bird(|text| text.replace(&old, &format!("{old} {new}")));
    let key = |id: &str, secret: &str| format!("key id {id} type blake2s128 value {secret}");
    let reload = |change: &dyn Fn(String) -> String| {
        let output = ours.reload(change);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    reload(&|text| format!("{}\n{text}", key("accept", NEW)));
    // babeld has one key, so here is the moment at which they differ: shorter than three Hellos.
    babeld.tell_babeld(&key("shared", NEW));
    reload(&|text| {
        let text = text.replace(&key("shared", OLD), &key("shared", NEW));
        text.replace(&key("accept", NEW), &key("accept", OLD))
    });
    std::thread::sleep(Duration::from_secs(6));
    bird.reconfigure_bird(|text| text.replace(&old, ""));
    reload(&|text| text.replace(&key("accept", OLD), ""));
    // Longer than a neighbour is held that is no longer understood.
    std::thread::sleep(Duration::from_secs(8));
    stream.end().lost_less_than(Duration::from_secs(1));
    // Who still has the old key is a stranger.
    babeld.tell_babeld(&key("shared", OLD));
    eventually("babeld is not understood with the old key", PATIENCE, || {
        (ours.route_to(1).is_none_or(|route| route.contains("unreachable"))).then_some(())
    });
}
