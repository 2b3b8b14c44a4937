//! An authority that is about to end: who says so, and how it is renewed while everything runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use re6st::os::clock::unix_time;
use re6st::proto::certificate::{Authority, AuthoritySubject, Certificate, Issuer, PrivateKey};
use re6st::proto::time::UnixTime;
use tempfile::TempDir;

use super::process::{Registry, identity, re6st, re6st_must, re6st_refused, wait};
use crate::namespace::run;

const OPTIONS: &[&str] = &["--anonymous-prefix-length", "16", "--tls-port", "0"];

/// A folder with an authority that lasts so long and no longer.
pub fn ending(lasts: Duration) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::with_prefix("re6st-authority-").unwrap();
    let (key, now) = (PrivateKey::generate(2_048).unwrap(), unix_time());
    let network = "2001:db8:42::/48".parse().unwrap();
    let subject = AuthoritySubject { name: "test", email: Some("ca@example.com") };
    let network = re6st::proto::prefix::Network::new(network).unwrap();
    let pem = Issuer::create_authority(network, subject, &key, (now, now + lasts)).unwrap();
    fs::write(folder.path().join("ca.crt"), pem).unwrap();
    let file = folder.path().join("ca.key");
    fs::write(&file, key.to_pem().unwrap()).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

fn authority(folder: &Path) -> Authority {
    Authority::from_pem(&fs::read(folder.join("ca.crt")).unwrap()).unwrap()
}

fn end(folder: &Path) -> UnixTime {
    authority(folder).certificate().not_after()
}

#[test]
fn a_renewed_authority_is_given_and_taken_while_all_runs() {
    let mut registry = Registry::serve(ending(Duration::from_secs(20 * 86_400)), OPTIONS);
    let dir = registry.path().to_str().unwrap().to_owned();
    let node = registry.join("one", &["--anonymous"]);
    assert!(registry.printed().contains("registry renew-ca"), "{}", registry.printed());
    let check = re6st(&["registry", "check", "--dir", &dir]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(!check.status.success() && said.contains("renew-ca"), "{said}");
    let page = registry.talk(b"GET /web/overview HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("role=\"alert\"") && page.contains("renew-ca"), "{page}");

    let old = authority(registry.path());
    let too_short = ["registry", "renew-ca", "--dir", &dir, "--days", "10"];
    assert!(re6st_refused(&too_short, 2).contains("already"));
    let said = re6st_must(&["registry", "renew-ca", "--dir", &dir, "--days", "4000"]);
    assert!(said.contains("Fingerprint: sha256:"), "{said}");
    let new = authority(registry.path());
    assert!(old.is_renewed_by(&new) && !new.is_renewed_by(&old));
    assert_eq!(new.certificate().serial_octets(), old.certificate().serial_octets());
    assert_eq!(new.certificate().not_before(), old.certificate().not_before());
    let leaf = node.join("cert.crt");
    let ca = format!("{dir}/ca.crt");
    run("openssl", &["verify", "-CAfile", &ca, leaf.to_str().unwrap()]);

    // Nobody told the registry.
    let given = Certificate::from_pem(&registry.get("/getCa", "").1).unwrap();
    assert_eq!(given.not_after(), new.certificate().not_after());
    // It shows the renewed one over TLS, too, and who knows the old one only believes it.
    assert_eq!(shown(&registry), given.fingerprint().unwrap());
    let url = format!("https://127.0.0.1:{}/", registry.tls_port());
    let said = re6st_must(&["cert", "renew", "--dir", node.to_str().unwrap(), "--registry", &url]);
    assert!(said.contains("Its authority lasts until"), "{said}");
    assert_eq!(end(&node), end(registry.path()));
    assert_eq!(re6st_must(&["registry", "check", "--dir", &dir]), "");
    let mut client = registry.client(&node, unix_time());
    assert!(wait(client.get_network_config()).is_ok());
    registry.restart(OPTIONS);
    assert!(!registry.printed().contains("renew-ca"), "{}", registry.printed());
}

/// The fingerprint of the certificate that a registry shows over TLS.
fn shown(registry: &Registry) -> String {
    let address = format!("127.0.0.1:{}", registry.tls_port());
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", &address])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&shown.stdout).into_owned();
    let pem = printed.find("-----BEGIN").unwrap_or_else(|| panic!("{printed}"));
    Certificate::from_pem(&printed.as_bytes()[pem..]).unwrap().fingerprint().unwrap()
}

#[test]
fn a_certificate_that_another_program_renews_is_shown_once_it_is_whole() {
    let mut registry = Registry::serve(ending(Duration::from_secs(864_000)), &[]);
    let folder = registry.path().to_owned();
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let make = |name: &str| {
        let (key, certificate) = (at(&format!("{name}.key")), at(&format!("{name}.crt")));
        let words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=registry -keyout";
        let words: Vec<&str> = words.split(' ').collect();
        run("openssl", &[&words[..], &[&key, "-out", &certificate]].concat());
        Certificate::from_pem(&fs::read(certificate).unwrap()).unwrap().fingerprint().unwrap()
    };
    let (first, second) = (make("first"), make("second"));
    let place = |what: &str| fs::copy(at(what), at(&what.replace("second", "first"))).unwrap();
    let options =
        ["--tls-port", "0", "--tls-cert", &at("first.crt"), "--tls-key", &at("first.key")];
    registry.restart(&options);
    assert_eq!(shown(&registry), first);
    place("second.crt");
    assert_eq!(shown(&registry), first, "its key is not there yet");
    assert!(registry.printed().contains("TLS stays as it was"), "{}", registry.printed());
    place("second.key");
    assert_eq!(shown(&registry), second);
    fs::write(at("first.crt"), "rubbish").unwrap();
    assert_eq!(shown(&registry), second);
}

#[test]
fn another_authority_is_never_taken_for_a_renewed_one() {
    let (one, other) = (ending(Duration::from_secs(86_400)), ending(Duration::from_secs(864_000)));
    let (one, other) = (authority(one.path()), authority(other.path()));
    assert!(!one.is_renewed_by(&other), "the same name and network, another key");
    assert!(!one.is_renewed_by(&one), "not later");
}

#[test]
fn an_authority_that_ended_is_renewed_all_the_same() {
    let registry = Registry::serve(ending(Duration::from_secs(86_400)), OPTIONS);
    let node = registry.join("one", &["--anonymous"]);
    let dir = registry.path().to_str().unwrap();
    // As if a day had passed: the node's copy ended a second ago.
    let issuer = Issuer::from_pem(
        &fs::read(registry.path().join("ca.crt")).unwrap(),
        &fs::read(registry.path().join("ca.key")).unwrap(),
    );
    let ended = issuer.unwrap().renew_authority(unix_time() + Duration::from_secs(1)).unwrap();
    fs::write(node.join("ca.crt"), ended).unwrap();
    re6st_must(&["registry", "renew-ca", "--dir", dir]);
    crate::namespace::eventually("it ended", Duration::from_secs(20), || {
        (unix_time() > end(&node)).then_some(())
    });
    re6st_must(&["cert", "renew", "--dir", node.to_str().unwrap()]);
    assert_eq!(
        identity(&node, unix_time()).authority.certificate().not_after(),
        end(registry.path())
    );
}
