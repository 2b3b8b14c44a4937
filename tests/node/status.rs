//! What `node status` says is so, and its exit code tells scripts.

use std::time::{Duration, Instant};

use crate::namespace::{RE6ST, eventually};
use crate::node::underlay::Underlay;

const PATIENCE: Duration = Duration::from_secs(60);

/// Exit code and what was printed.
fn status(underlay: &Underlay, at: usize) -> (Option<i32>, String) {
    let folder = underlay.node_folder(at).join("run");
    let output =
        underlay.hosts[at].output(RE6ST, &["node", "status", "--run", folder.to_str().unwrap()]);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// Goal: who asks hears in seconds that all is lost, that it is back, and that the node was revoked.
#[test]
fn status_tells_what_works_now() {
    let mut underlay = Underlay::new(2, &[]);
    underlay.start(0, &[]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    eventually("connected", PATIENCE, || (status(&underlay, 1).0 == Some(0)).then_some(()));
    let (_, shown) = status(&underlay, 1);
    assert!(shown.contains(" connected") && shown.contains("1 up: "), "{shown}");
    // So that the liveness of the tunnel is settled.
    std::thread::sleep(Duration::from_secs(3));
    let cut = "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; \
               add rule inet cut in iifname eth0 drop";
    underlay.hosts[1].run("nft", &[cut]);
    #[allow(clippy::disallowed_methods, reason = "measures a real process")]
    let start = Instant::now();
    eventually("not connected", Duration::from_secs(20), || {
        (status(&underlay, 1).0 == Some(1)).then_some(())
    });
    println!("everything lost is told after {:.1} s", start.elapsed().as_secs_f64());
    let (_, shown) = status(&underlay, 1);
    assert!(shown.contains("not connected") && shown.contains("0 up: "), "{shown}");
    let object = &underlay.ask(1, "status")[0];
    assert_eq!(object["connected"], false);
    assert_eq!((&object["tunnels_opened"], &object["tunnels_accepted"]), (&0.into(), &0.into()));
    underlay.hosts[1].run("nft", &["delete table inet cut"]);
    eventually("connected again", PATIENCE, || (status(&underlay, 1).0 == Some(0)).then_some(()));
    underlay.registry(&["revoke", "1/16"]);
    eventually("it knows that it was revoked", PATIENCE, || {
        let (code, shown) = status(&underlay, 1);
        (code == Some(1) && shown.contains("its certificate was revoked")).then_some(())
    });
    assert_eq!(underlay.ask(1, "status")[0]["certificate_revoked"], true);
}
