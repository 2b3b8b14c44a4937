//! Certificates are renewed and parameters changed while everything runs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use re6st::proto::certificate::Certificate;

use crate::namespace::{RE6ST, eventually};
use crate::node::underlay::{Underlay, sent_and_received};

const PATIENCE: Duration = Duration::from_secs(60);

/// Goal: a node renews its certificate by itself as soon as the registry is there, writes it as the old
/// one was, and is believed after the old one ended, without a packet lost.
/// Method: a certificate that ends in half a minute, and a registry that is down at first.
#[test]
fn a_certificate_is_renewed_without_losing_a_packet() {
    let mut underlay = Underlay::new(3, &[]);
    underlay.start(0, &[]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    underlay.stop(1);
    underlay.stop_registry();
    underlay.shorten_certificate(1, Duration::from_secs(30));
    let file = underlay.node_folder(1).join("cert.crt");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let before = Certificate::from_pem(&fs::read(&file).unwrap()).unwrap();
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    let ping = underlay.ping(0, 1);
    let status = |underlay: &Underlay| underlay.ask(1, "status")[0].clone();
    eventually("an attempt fails", PATIENCE, || {
        status(&underlay)["renewal_failure"].is_string().then_some(())
    });
    assert_eq!(status(&underlay)["certificate_due"], true);
    let folder = underlay.node_folder(1).join("run");
    let shown =
        underlay.hosts[1].run(RE6ST, &["node", "status", "--run", folder.to_str().unwrap()]);
    assert!(shown.contains("is not renewed: cannot connect"), "{shown}");
    underlay.start_registry(&[]);
    eventually("the certificate is renewed", PATIENCE, || {
        (status(&underlay)["certificate_due"] == false).then_some(())
    });
    let after = Certificate::from_pem(&fs::read(&file).unwrap()).unwrap();
    assert!(after.not_after() > before.not_after() + Duration::from_secs(300 * 86_400));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    eventually("the old certificate ended", PATIENCE, || {
        (re6st::os::clock::unix_time() > before.not_after()).then_some(())
    });
    underlay.start(2, &[]);
    eventually("a newcomer has a tunnel with it", PATIENCE, || {
        let tunnels = underlay.ask(1, "tunnels");
        tunnels.iter().any(|t| t["peer"] == "2/16" && t["event"] == "up").then_some(())
    });
    let (sent, received) = sent_and_received(ping);
    assert!(sent > 100 && sent - received <= 1, "{received} of {sent}");
    let said = underlay.printed(1);
    assert!(!said.contains("re6c-0-16 is down") && !said.contains("re6u-0-16 is down"), "{said}");
}

/// Goal: parameters that concern the future leave the present alone; stock restarts every node.
/// Method: the registry comes back with other numbers; pings meanwhile.
#[test]
fn changed_parameters_disturb_no_tunnel() {
    let mut underlay = Underlay::new(2, &[]);
    underlay.start(0, &[]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    let ping = underlay.ping(0, 1);
    underlay.stop_registry();
    underlay.start_registry(&["--max-clients", "7", "--hello", "4"]);
    eventually("both know", PATIENCE, || {
        let knows = |at: usize| {
            let said = underlay.printed(at);
            said.contains("the network's parameters changed")
        };
        (knows(0) && knows(1)).then_some(())
    });
    std::thread::sleep(Duration::from_secs(3));
    let (sent, received) = sent_and_received(ping);
    assert!(sent > 60 && sent - received <= 1, "{received} of {sent}");
    for at in [0, 1] {
        let said = underlay.printed(at);
        assert!(!said.contains("is down"), "{said}");
    }
}

/// Goal: a node takes its authority's renewed certificate by itself, and says so until there is one.
/// Method: a node whose copy ends in twenty days; the operator renews the authority while all runs.
#[test]
fn a_renewed_authority_reaches_a_running_node() {
    let mut underlay = Underlay::new(1, &[]);
    let end = underlay.shorten_authority(0, Duration::from_secs(20 * 86_400));
    underlay.start(0, &[]);
    eventually("it says that its authority ends", PATIENCE, || {
        let status = underlay.ask(0, "status").first()?.clone();
        (status["authority_due"] == true && status["renewal_failure"].is_string()).then_some(())
    });
    underlay.renew_authority();
    let file = underlay.node_folder(0).join("ca.crt");
    eventually("it has the renewed one", PATIENCE, || {
        let certificate = Certificate::from_pem(&fs::read(&file).unwrap()).unwrap();
        let status = underlay.ask(0, "status")[0].clone();
        (certificate.not_after() > end && status["authority_due"] == false).then_some(())
    });
}
