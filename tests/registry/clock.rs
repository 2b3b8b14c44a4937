//! A registry whose clock contradicts its database deletes nobody; who was deleted can be brought back.

use std::fs;
use std::time::Duration;

use re6st::os::clock::unix_time;
use re6st::proto::certificate::{Certificate, Issuer, Terms};

use super::process::{Registry, identity, re6st_must, re6st_refused};
use crate::namespace::run;

const OPTIONS: &[&str] = &["--anonymous-prefix-length", "16", "--grace-period", "3600"];

const DAY: Duration = Duration::from_secs(86_400);

fn sql(registry: &Registry, statement: &str) -> String {
    let database = registry.path().join("registry.db");
    run("sqlite3", &[database.to_str().unwrap(), statement])
}

fn names(registry: &Registry) -> Vec<String> {
    let dir = registry.path().to_str().unwrap();
    let printed = re6st_must(&["registry", "nodes", "--dir", dir, "--json"]);
    let name = |line: &str| -> String {
        let node: serde_json::Value = serde_json::from_str(line).unwrap();
        node["name"].as_str().unwrap().to_owned()
    };
    printed.lines().map(name).collect()
}

/// Makes the certificate of a member in the database end a day ago, as a clock ahead would have it.
fn end_certificate(registry: &Registry, node: &str) {
    let read = |name: &str| fs::read(registry.path().join(name)).unwrap();
    let issuer = Issuer::from_pem(&read("ca.crt"), &read("ca.key")).unwrap();
    let old = Certificate::from_pem(&read(&format!("{node}/cert.crt"))).unwrap();
    let prefix = old.prefix().unwrap();
    let now = unix_time().since_1970();
    let terms = Terms {
        prefix,
        subject_serial: old.subject_serial().unwrap(),
        serial: old.serial().unwrap(),
        not_before: re6st::proto::time::UnixTime::from_duration(now - 400 * DAY),
        not_after: re6st::proto::time::UnixTime::from_duration(now - DAY),
    };
    let pem = issuer.reissue(&old, terms).unwrap().to_pem().unwrap();
    let pem = String::from_utf8(pem).unwrap();
    sql(registry, &format!("UPDATE cert SET cert = '{pem}' WHERE prefix = '{}'", prefix.to_bits()));
}

/// Goal: a registry that starts with a clock far ahead of its last run keeps every member and every
/// revocation, issues certificates that are valid, says so everywhere, and goes on by the operator's word.
#[test]
fn implausible_clock_deletes_no_member() {
    let mut registry = Registry::start(OPTIONS);
    for name in ["one", "two", "three", "four"] {
        registry.join(name, &["--anonymous"]);
    }
    let dir = registry.path().to_str().unwrap().to_owned();
    let members = ["0/16", "1/16", "2/16", "3/16"];
    re6st_must(&["registry", "revoke", "3", "--dir", &dir]);
    registry.stop();
    for name in ["two", "three"] {
        end_certificate(&registry, name);
    }
    let last_run = "UPDATE config SET value = value - 340 * 86400 WHERE name = 'last_run'";
    sql(&registry, &format!("UPDATE crl SET date = 1000; {last_run}"));
    registry.restart(OPTIONS);
    let output = registry.try_join(&registry.path().join("five"), &["--anonymous"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the clock of this registry is implausible"), "{said}");
    registry.stop();
    sql(&registry, "UPDATE config SET value = value + 300 * 86400 WHERE name = 'last_run'");
    registry.restart(OPTIONS);
    assert_eq!(names(&registry), members);
    assert_eq!(sql(&registry, "SELECT serial FROM crl").trim(), "3", "revocations stay, too");
    let said = re6st_refused(&["registry", "check", "--dir", &dir], 1);
    assert!(said.contains("problem"), "{said}");
    let output = super::process::re6st(&["registry", "check", "--dir", &dir]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("the clock is implausible") && printed.contains("--accept"),
        "{printed}"
    );
    assert!(registry.printed().contains("the clock is implausible"), "{}", registry.printed());
    let metrics = String::from_utf8(registry.get("/metrics", "").1).unwrap();
    assert!(metrics.contains("re6st_registry_clock_implausible 1"), "{metrics}");
    let url = registry.url().to_string();
    let said = re6st_refused(&["registry", "clock", "--registry", &url], 1);
    assert!(said.contains("more than a day from the last run"), "{said}");

    // A newcomer is served meanwhile, with a certificate that is valid now and then.
    let five = registry.join("five", &["--anonymous"]);
    let certificate = identity(&five, unix_time()).certificate;
    assert_eq!(certificate.prefix().unwrap().to_string(), "4/16");
    assert!(unix_time().since(certificate.not_before()) > 39 * DAY);

    re6st_must(&["registry", "clock", "--accept", "--registry", &url]);
    assert_eq!(names(&registry), ["0/16", "3/16", "4/16"], "expired by the operator's word");
    assert_eq!(sql(&registry, "SELECT serial FROM crl").trim(), "");
    let metrics = String::from_utf8(registry.get("/metrics", "").1).unwrap();
    assert!(metrics.contains("re6st_registry_clock_implausible 0"), "{metrics}");
    let six = registry.join("six", &["--anonymous"]);
    let next = identity(&six, unix_time()).prefix.to_string();
    assert_eq!(next, "5/16", "the prefixes of expired members are kept for them");
    let printed = super::process::re6st(&["registry", "check", "--dir", &dir]).stdout;
    assert!(!String::from_utf8(printed).unwrap().contains("implausible"));
}

#[test]
fn deleted_member_comes_back_from_the_journal() {
    let mut registry = Registry::start(OPTIONS);
    for name in ["one", "two", "three"] {
        registry.join(name, &["--anonymous"]);
    }
    let dir = registry.path().to_str().unwrap().to_owned();
    registry.stop();
    end_certificate(&registry, "two");
    registry.restart(OPTIONS);
    let url = registry.url().to_string();
    re6st_must(&["registry", "clock", "--accept", "--registry", &url]);
    re6st_must(&["registry", "revoke", "2/16", "--registry", &url]);
    assert_eq!(names(&registry), ["0/16"]);
    let restore =
        |name: &str| ["registry", "restore", "--member", name, "--dir", &dir].map(str::to_owned);
    let must = |name: &str| re6st_must(&restore(name).each_ref().map(String::as_str));
    let refused =
        |name: &str, code| re6st_refused(&restore(name).each_ref().map(String::as_str), code);

    let said = must("1/16");
    assert!(said.contains("expired on") && said.contains("is a member again"), "{said}");
    let said = must("2001:db8:42:2::/64");
    assert!(said.contains("revoked on") && said.contains("stays revoked"), "{said}");
    assert_eq!(names(&registry), ["0/16", "1/16", "2/16"]);
    assert_eq!(re6st_must(&["registry", "check", "--dir", &dir]), "");
    for name in ["two", "three"] {
        let folder = registry.path().join(name);
        let renew = ["cert", "renew", "--dir", folder.to_str().unwrap(), "--registry", &url];
        let said = re6st_must(&renew);
        assert!(said.contains("lasts until"), "{said}");
        assert!(identity(&folder, unix_time()).certificate.serial().unwrap() > 3);
    }
    registry.restart(OPTIONS);
    assert_eq!(names(&registry), ["0/16", "1/16", "2/16"], "and stays");

    assert!(refused("1/16", 1).contains("is a member and has that prefix"));
    assert!(refused("7/16", 1).contains("the journal has no deleted member 7/16"));
    assert!(refused("nonsense", 2).contains("give a node"));
    assert!(refused("2001:db8:43:2::/64", 2).contains("give a node"));
}
