//! Other users of a node's host: what they may ask it, and what they may read.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::namespace::eventually;
use crate::node::underlay::Underlay;

const PATIENCE: Duration = Duration::from_secs(60);

/// Asks the node at `[::1]:326` as a registry does; prints what it answers, or "silence".
const ASK: &str = r"
import os, socket, sys
uid, prefix, code = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
asking = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); asking.settimeout(2)
for attempt in range(3):
    asking.sendto(prefix.encode() + bytes([0, code]), ('::1', 326))
    try: print('answer', asking.recv(65536)); break
    except TimeoutError: pass
else: print('silence')
";

/// Goal: a node is asked by its registry only, and keeps the network's secrets to itself.
/// Method: two nodes, the first is the registry's; questions from users of its host.
#[test]
fn node_answers_the_registrys_user_only() {
    let mut underlay = Underlay::new(2, &[]);
    underlay.start(0, &["--registry-user", "daemon"]);
    underlay.start(1, &[]);
    underlay.wait_for_all_pairs(&[0, 1], PATIENCE);
    let ask = |uid: &str, prefix: &str, code: &str| {
        underlay.hosts[0].run("python3", &["-c", ASK, uid, prefix, code])
    };
    let (own, other) = ("0000000000000000", "0000000000000001");
    for prefix in [own, other] {
        for uid in ["0", "1"] {
            let said = ask(uid, prefix, "4");
            assert!(said.starts_with("answer") && said.contains("re6st"), "{uid}: {said}");
        }
        assert_eq!(ask("65534", prefix, "4").trim(), "silence", "nobody");
    }
    // Retired, and text for the log: only nodes say so to each other.
    for code in ["2", "3", "7"] {
        assert_eq!(ask("0", own, code).trim(), "silence", "code {code}");
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for at in [0, 1] {
        let state = underlay.node_folder(at).join("state");
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join("cache.db")), 0o600);
    }
    // A new version reaches the node from the registry, and from the command on its host.
    let version = underlay.ask(0, "status")[0]["network_version"].as_u64().unwrap();
    underlay.registry(&["rotate-key"]);
    eventually("the new version is known everywhere", PATIENCE, || {
        let has = |at| underlay.ask(at, "status")[0]["network_version"] == version + 1;
        [0, 1].into_iter().all(has).then_some(())
    });
}
