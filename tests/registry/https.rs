//! The registry over TLS: whom a newcomer and a member believe.

use re6st::os::clock::unix_time;

use super::process::{Registry, re6st_must, re6st_refused, wait};
use crate::namespace::run;

const OPTIONS: &[&str] = &["--anonymous-prefix-length", "16", "--tls-port", "0"];

fn fingerprint(registry: &Registry) -> String {
    let ca = registry.path().join("ca.crt");
    re6st_must(&["cert", "fingerprint", ca.to_str().unwrap()]).trim().to_owned()
}

#[test]
fn the_authority_itself_answers_over_tls() {
    let registry = Registry::start(OPTIONS);
    let (port, pin) = (registry.tls_port(), fingerprint(&registry));
    let url = format!("https://127.0.0.1:{port}/");
    let folder = registry.path().join("one");
    let dir = folder.to_str().unwrap();
    let join = ["cert", "join", "--registry", &url, "--anonymous", "--dir"];
    let wrong = format!("sha256:{}", "00".repeat(32));
    let refused = [&join[..], &[dir, "--fingerprint", &wrong]].concat();
    assert!(re6st_refused(&refused, 1).contains("neither the network's authority"));
    re6st_must(&[&join[..], &[dir, "--fingerprint", &pin]].concat());
    // The node's configuration names it, and the node knows the authority.
    let said = re6st_must(&["cert", "renew", "--dir", dir]);
    assert!(said.contains("lasts until"), "{said}");
    let identity = super::process::identity(&folder, unix_time());
    let mut client =
        re6st::command::registry::client::RegistryClient::new(url.parse().unwrap(), identity);
    assert!(wait(client.get_network_config()).is_ok());
    // Plain HTTP goes on beside it, for stock nodes.
    assert_eq!(registry.get("/getCa", "").0, 200);
    let plain = format!("https://127.0.0.1:{}/", registry.url().port);
    let said = re6st_refused(&["registry", "nodes", "--registry", &plain], 1);
    assert!(said.contains("TLS"), "{said}");
}

#[test]
fn another_authority_over_tls_is_refused_to_members() {
    let (registry, impostor) = (Registry::start(OPTIONS), Registry::start(OPTIONS));
    let folder = registry.join("one", &["--anonymous"]);
    let url = format!("https://127.0.0.1:{}/", impostor.tls_port());
    let renew = ["cert", "renew", "--dir", folder.to_str().unwrap(), "--registry", &url];
    assert!(re6st_refused(&renew, 1).contains("neither the network's authority"));
}

/// Goal: a member on the path, who has a certificate of the CA, is not taken for the registry.
#[test]
fn certificate_of_a_member_is_not_the_registry() {
    let mut registry = Registry::start(OPTIONS);
    let (one, two) =
        (registry.join("one", &["--anonymous"]), registry.join("two", &["--anonymous"]));
    let pin = fingerprint(&registry);
    let read = |path: std::path::PathBuf| std::fs::read(path).unwrap();
    let chain = [read(two.join("cert.crt")), read(registry.path().join("ca.crt"))].concat();
    let path = registry.path().join("chain.pem");
    std::fs::write(&path, chain).unwrap();
    let key = two.join("cert.key");
    let shown = ["--tls-cert", path.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    registry.restart(&[OPTIONS, &shown].concat());
    let url = format!("https://127.0.0.1:{}/", registry.tls_port());
    let renew = ["cert", "renew", "--dir", one.to_str().unwrap(), "--registry", &url];
    assert!(re6st_refused(&renew, 1).contains("neither the network's authority"));
    let folder = registry.path().join("three");
    let join = ["cert", "join", "--registry", &url, "--anonymous", "--fingerprint", &pin, "--dir"];
    let said = re6st_refused(&[&join[..], &[folder.to_str().unwrap()]].concat(), 1);
    assert!(said.contains("neither the network's authority"), "{said}");
}

#[test]
fn a_certificate_of_the_authority_will_do_and_invitations_say_https() {
    let mut registry = Registry::start(OPTIONS);
    let at = |name: &str| registry.path().join(name).to_str().unwrap().to_owned();
    let (key, request, leaf, chain) =
        (at("tls.key"), at("tls.csr"), at("tls.crt"), at("chain.pem"));
    let (ca, ca_key) = (at("ca.crt"), at("ca.key"));
    let subject = ["-subj", "/CN=registry", "-newkey", "rsa:2048", "-nodes"];
    run("openssl", &[&["req"], &subject[..], &["-keyout", &key, "-out", &request]].concat());
    let sign = ["x509", "-req", "-in", &request, "-CA", &ca, "-CAkey", &ca_key, "-days", "2"];
    run("openssl", &[&sign[..], &["-set_serial", "77", "-out", &leaf]].concat());
    let both = [std::fs::read(&leaf).unwrap(), std::fs::read(&ca).unwrap()].concat();
    std::fs::write(&chain, both).unwrap();
    let dir = registry.path().to_str().unwrap().to_owned();
    registry.restart(&["--tls-port", "0", "--tls-cert", &chain, "--tls-key", &key]);
    let url = format!("https://127.0.0.1:{}/", registry.tls_port());
    let invite = ["registry", "invite", "a@example.com", "--dir", &dir, "--registry", &url, "--qr"];
    let printed = re6st_must(&invite);
    let invitation = printed.lines().next().unwrap();
    assert!(invitation.starts_with("re6st+https://127.0.0.1:"), "{invitation}");
    assert!(printed.lines().count() > 15, "a QR code follows: {printed}");
    let folder = registry.path().join("one");
    re6st_must(&["cert", "join", invitation, "--dir", folder.to_str().unwrap()]);
    let serve = ["registry", "serve", "--dir", &dir, "--port", "0", "--tls-port", "0"];
    let said =
        re6st_refused(&[&serve[..], &["--tls-cert", &leaf, "--tls-key", &ca_key]].concat(), 1);
    assert!(said.contains("for TLS"), "{said}");
}
