//! A second router on a host leaves the routes of the first alone, and takes over when that is dead.

use std::time::Duration;

use crate::namespace::{RE6ST, eventually};
use crate::node::underlay::Underlay;

const PATIENCE: Duration = Duration::from_secs(60);

/// Goal: no router removes the routes of one that lives, and what a killed one left goes.
/// Method: `babel run` beside a node, in every way that cannot work and in one that can; then kill -9.
#[test]
fn a_router_takes_routes_from_the_dead_only() {
    let mut underlay = Underlay::new(2, &[]);
    underlay.start(0, &[]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    let socket = underlay.node_folder(0).join("babel.sock");
    let socket = socket.to_str().unwrap();
    let run = ["babel", "run", "--socket", socket];
    let with = |more: &[&'static str]| [&run[..], more].concat();
    let before = underlay.babel_routes(0);
    assert!(before.contains("2001:db8:42:1::/64"), "{before}");
    let pid = underlay.pid(0);
    let refused = underlay.hosts[0].output(RE6ST, &with(&["eth0"]));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let words = format!("another Babel router (process {pid}) owns the routes of table 254");
    assert!(said.contains(&words), "{said}");
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert_eq!(underlay.babel_routes(0), before);
    let folder = underlay.node_folder(0);
    let beside = with(&["--table", "100", "eth0"]);
    let mut beside = underlay.hosts[0].spawn(&folder, "beside", RE6ST, &beside);
    eventually("a router with a table of its own", PATIENCE, || {
        underlay.hosts[0]
            .output(RE6ST, &["babel", "dump", "--socket", socket])
            .status
            .success()
            .then_some(())
    });
    assert_eq!(beside.stop(), Some(0), "{}", beside.printed());
    assert_eq!(underlay.babel_routes(0), before);
    underlay.kill(0);
    // Routes through a tunnel go with it, but not those through a device that stays.
    underlay.hosts[0].ip("-6 route add 2001:db8:42:9::/64 dev eth0 proto babel");
    let left = underlay.babel_routes(0);
    // What cannot work is found out before anything is removed.
    let refused = underlay.hosts[0].output(RE6ST, &with(&["--interfaces", "/nowhere"]));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("cannot read /nowhere"), "{said}");
    assert_eq!(underlay.babel_routes(0), left);
    let mut heir = underlay.hosts[0].spawn(&folder, "heir", RE6ST, &with(&["eth0"]));
    eventually("the dead node's routes are gone", PATIENCE, || {
        underlay.babel_routes(0).is_empty().then_some(())
    });
    assert_eq!(heir.stop(), Some(0), "{}", heir.printed());
}
