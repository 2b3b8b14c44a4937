//! Our `cert join` at stock's registry, in each of the ways it knows.

use std::path::Path;

use tempfile::TempDir;

use super::node::{Application, token_for};
use super::ours::OurNode;
use super::registry::{Authority, StockRegistry};
use crate::internet::Internet;
use crate::namespace::run;

const REGISTRY: &str = "http://10.77.0.2/";

/// Goal: a node of ours can get its certificate from a stock registry.
/// Method: `cert join` in each of the ways it knows, one after the other.
#[test]
fn cert_join_gets_certificates_from_a_stock_registry() {
    let directory = TempDir::new().unwrap();
    let internet = Internet::new();
    let host = internet.host("reg", 2);
    let authority = Authority::new(directory.path());
    let registry = StockRegistry::start(&host, directory.path(), &authority, &[]);
    let join = |name: &str, octet, application| {
        let folder = directory.path().join(name);
        let host = internet.host(name, octet);
        OurNode::join(host, &folder, REGISTRY, &authority.fingerprint, application)
    };
    let by_mail = join("mail", 11, Application::Email(&registry.mailbox));
    let anonymous = join("anon", 12, Application::Anonymous);
    host.run("curl", &["-s", "-f", "http://127.0.0.1/requestToken?email=b@example.com"]);
    let token = token_for("b@example.com", &registry.mailbox);
    let by_token = join("token", 13, Application::Token(&token));
    let names = [&by_mail, &anonymous, &by_token].map(|node| node.common_name.as_str());
    assert_eq!(names, ["0/16", "1/16", "2/16"]);
    for node in [&by_mail, &anonymous, &by_token] {
        assert_issued(&node.directory, &node.common_name);
    }
}

/// By openssl, as re6stnet does it for its peers: signed by the network's authority, with that name.
fn assert_issued(directory: &Path, common_name: &str) {
    let [ca, certificate] = ["ca.crt", "cert.crt"].map(|name| directory.join(name));
    let (ca, certificate) = (ca.to_str().unwrap(), certificate.to_str().unwrap());
    run("openssl", &["verify", "-CAfile", ca, certificate]);
    let shown = run("openssl", &["x509", "-noout", "-subject", "-in", certificate]);
    assert!(shown.contains(&format!("CN = {common_name}")), "{shown}");
}
