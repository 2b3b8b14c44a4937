//! What a running router is asked: to read its configuration again, and what it knows.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use re6st::proto::limits;

use super::routers::{Make, Router, Routers, Setup};
use crate::namespace::{RE6ST, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

fn route(router: &Router, prefix: &str) -> Option<String> {
    let shown = router.namespace.ip("-4 route show proto babel");
    shown.lines().find(|line| line.starts_with(prefix)).map(str::to_owned)
}

fn succeeded(output: &std::process::Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Goal: filters and interfaces change, neighbours stay; what cannot be followed changes nothing and is
/// named with its line.
#[test]
fn a_configuration_is_read_again_and_neighbours_stay() {
    let routers = Routers::start(&[Make::Babeld, Make::Ours], &[(1, 2)], Setup::default());
    let ours = routers.router(2);
    eventually("a route", PATIENCE, || route(ours, "10.9.0.1 "));
    succeeded(&ours.reload(|text| format!("in ip 10.9.0.1/32 deny\n{text}")));
    eventually("refused by the new filter", PATIENCE, || {
        route(ours, "10.9.0.1 ").is_none().then_some(())
    });

    let refused = ours.reload(|text| format!("{text}nonsense 1\n"));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("babeld.conf:") && said.contains("`nonsense`"), "{said}");
    let fixed =
        ours.reload(|text| format!("export-table 10\n{}", text.replace("nonsense 1\n", "")));
    let said = String::from_utf8_lossy(&fixed.stderr).into_owned();
    assert!(said.contains("`export-table` changes only with a restart"), "{said}");

    succeeded(&ours.reload(|text| {
        text.replace("export-table 10\n", "").replace("in ip 10.9.0.1/32 deny\n", "")
    }));
    eventually("taken again", PATIENCE, || route(ours, "10.9.0.1 "));
    // By signal as well.
    ours.signal("HUP");
    eventually("read by signal", PATIENCE, || {
        (ours.printed().matches("was read again").count() == 3).then_some(())
    });
    let met = ours.printed().matches("can be reached").count();
    assert_eq!(met, 1, "{}", ours.printed());
}

/// Goal: neighbours on an interface that is taken out of the configuration know before a Hello is missed.
#[test]
fn an_interface_that_is_taken_out_of_the_configuration_is_taken_leave_of() {
    let routers = Routers::start(&[Make::Babeld, Make::Ours], &[(1, 2)], Setup::default());
    let (babeld, ours) = (routers.router(1), routers.router(2));
    let is_routed = || babeld.route_to(2).is_some_and(|route| route.contains(" via "));
    eventually("a route", PATIENCE, || is_routed().then_some(()));
    succeeded(&ours.reload(|text| text.replace("interface e1\n", "interface e9\n")));
    eventually("no route", Duration::from_millis(1500), || (!is_routed()).then_some(()));
}

/// Goal: whoever asks a router gets an answer or a reason, however many others do, and they may.
/// Method: as many as may connect and say nothing.
#[test]
fn a_router_that_too_many_ask_says_so_and_answers_once_they_are_gone() {
    let routers = Routers::start(&[Make::Ours, Make::Ours], &[(1, 2)], Setup::default());
    let ours = routers.router(1);
    let socket = ours.path("socket");
    let dump = || ours.namespace.output(RE6ST, &["babel", "dump", "--socket", &socket]);
    eventually("an answer", PATIENCE, || dump().status.success().then_some(()));
    let connect = |_| UnixStream::connect(&socket).unwrap();
    let silent: Vec<UnixStream> = (0..limits::CONTROL_CLIENTS_MAX).map(connect).collect();
    let refused = dump();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("too many others ask it; end one of them"), "{said}");
    drop(silent);
    eventually("an answer again", PATIENCE, || dump().status.success().then_some(()));
}
