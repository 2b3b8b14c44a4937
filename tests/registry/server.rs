//! What applicants, members and administrators get from a running registry.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use re6st::command::registry::client::CallError;
use re6st::os::clock::unix_time;
use re6st::proto::certificate::{Issuer, Terms};
use re6st::proto::registry::client::ReplyError;
use serde_json::Value;

use super::process::{Registry, identity, re6st, re6st_must, re6st_refused, wait};
use crate::namespace::{RE6ST, eventually};

const ANONYMOUS: &[&str] = &["--anonymous-prefix-length", "16"];

fn nodes(registry: &Registry) -> Vec<Value> {
    let dir = registry.path().to_str().unwrap();
    let printed = re6st_must(&["registry", "nodes", "--dir", dir, "--json"]);
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_network_is_founded_once() {
    let registry = Registry::start(&[]);
    let dir = registry.path().to_str().unwrap();
    use std::os::unix::fs::PermissionsExt;
    let key = fs::metadata(registry.path().join("ca.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    let before = fs::read(registry.path().join("ca.key")).unwrap();
    let init = ["registry", "init", "--network", "2001:db8:1::/48", "--dir", dir];
    assert!(re6st_refused(&init, 1).contains("will not be overwritten"));
    assert_eq!(fs::read(registry.path().join("ca.key")).unwrap(), before);
    for network in ["10.0.0.0/8", "2001:db8::/128", "2000::/4"] {
        let init = ["registry", "init", "--network", network, "--dir", "/nonexistent"];
        let said = re6st_refused(&init, 2);
        assert!(said.contains("for example 2001:db8:42::/48"), "{said}");
    }
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let registry = Registry::start(&[]);
    use std::os::unix::fs::PermissionsExt;
    let key = registry.path().join("ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let dir = registry.path().to_str().unwrap();
    let said = re6st_refused(&["registry", "serve", "--dir", dir, "--port", "0"], 1);
    assert!(said.contains("chmod 600"), "{said}");
}

#[test]
fn applicants_join_anonymously_by_token_and_by_mail() {
    let mut registry = Registry::start(ANONYMOUS);
    let mailbox = registry.path().join("mbox");
    registry.restart(&["--anonymous-prefix-length", "20", "--mailhost", mailbox.to_str().unwrap()]);
    let dir = registry.path().to_str().unwrap().to_owned();
    let fingerprint = re6st_must(&["cert", "fingerprint", &format!("{dir}/ca.crt")]);
    let fingerprint = fingerprint.trim();

    registry.join("one", &["--anonymous", "--fingerprint", fingerprint, "--req", "O", "Some"]);
    let token = re6st_must(&["registry", "token", "add", "two@example.com", "--dir", &dir]);
    registry.join("two", &["--token", token.trim()]);
    let again = registry.try_join(&registry.path().join("three"), &["--token", token.trim()]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(!again.status.success() && said.contains("was it used already"), "{said}");

    let url = registry.url().to_string();
    let three = registry.path().join("three");
    let mut command = Command::new(RE6ST);
    command.args(["cert", "join", "--registry", &url, "--email", "three@example.com", "--dir"]);
    command.arg(&three).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let token = eventually("a mail", Duration::from_secs(20), || {
        let mails = fs::read_to_string(&mailbox).ok()?;
        assert!(mails.contains("To: three@example.com\n"), "{mails}");
        Some(mails.split_once("network is: ")?.1.trim().to_owned())
    });
    writeln!(child.stdin.take().unwrap(), "{token}").unwrap();
    assert!(child.wait().unwrap().success());

    let names: Vec<String> =
        nodes(&registry).iter().map(|node| node["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["0/20", "1/16", "2/16"]);
    let one = registry.path().join("one/cert.crt");
    let shown = re6st_must(&["cert", "show", one.to_str().unwrap(), "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["type"], "certificate");
    assert_eq!(shown["prefix"], "2001:db8:42::/68");
    assert_eq!(shown["subject"], "O=Some, serialNumber=0, CN=0/20");
    assert_eq!(shown["serial"], 1);
}

#[test]
fn a_registry_that_registers_nobody_says_so() {
    let registry = Registry::start(&["--prefix-length", "0"]);
    let said = |how: &[&str]| {
        let output = registry.try_join(&registry.path().join("x"), how);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(said(&["--anonymous"]).contains("does not register anonymously"));
    assert!(said(&["--token", "abc"]).contains("does not register by mail or token"));
    assert!(said(&["--email", "a@b"]).contains("sends no mail"));
    let folder = registry.path().join("x");
    let wrong = format!("sha256:{}", "00".repeat(32));
    let output = registry.try_join(&folder, &["--anonymous", "--fingerprint", &wrong]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("another fingerprint"));
}

#[test]
fn members_are_told_the_parameters_and_renew() {
    let options = ["--hello", "4", "--encrypt", "--ipv4", "10.43.0.0/16", "8"];
    let registry = Registry::start(&[ANONYMOUS, &options].concat());
    let folder = registry.join("one", &["--anonymous"]);
    registry.join("two", &["--anonymous"]);
    let mut client = registry.client(&folder, unix_time());
    wait(async {
        let parameters = client.get_network_config().await.unwrap();
        assert_eq!(parameters.hello, Duration::from_secs(4));
        assert!(parameters.encrypt);
        assert_eq!(parameters.ipv4, Some(("10.43.0.0/16".parse().unwrap(), 8)));
        assert_eq!(parameters.babel_hmac_sign.map(|key| key.0.len()), Some(16));
        assert_eq!(parameters.registry_prefix.to_string(), "0/16");
        assert!(client.get_dh().await.unwrap().starts_with(b"-----BEGIN DH"));
        let same = client.renew_certificate().await.unwrap();
        assert_eq!(same.serial(), Some(1), "it lasts long enough");
        // No node runs here that could be asked.
        assert_eq!(client.get_bootstrap_peer().await.unwrap(), None);
        assert_eq!(client.get_country("192.0.2.1".parse().unwrap()).await.unwrap(), None);
        assert!(client.get_network_config().await.is_ok(), "the session goes on");
    });
}

#[test]
fn a_restarted_registry_is_said_hello_to() {
    let mut registry = Registry::start(ANONYMOUS);
    let folder = registry.join("one", &["--anonymous"]);
    let mut client = registry.client(&folder, unix_time());
    let version = wait(client.get_network_config()).unwrap().version;
    registry.restart(ANONYMOUS);
    // It has another port now: a client's session belongs to its key, not to an address.
    let mut client = registry.client(&folder, unix_time());
    assert_eq!(wait(client.get_network_config()).unwrap().version, version, "nothing changed");
    registry.restart(&["--anonymous-prefix-length", "16", "--hello", "5"]);
    let mut client = registry.client(&folder, unix_time());
    assert!(wait(client.get_network_config()).unwrap().version > version);
}

#[test]
fn a_revoked_node_is_out_and_its_prefix_is_held_back() {
    let registry = Registry::start(ANONYMOUS);
    let url = registry.url().to_string();
    let one = registry.join("one", &["--anonymous"]);
    let two = registry.join("two", &["--anonymous"]);
    let mut other = registry.client(&one, unix_time());
    let mut gone = registry.client(&two, unix_time());
    let before = wait(other.get_network_config()).unwrap();
    wait(gone.get_network_config()).unwrap();

    let revoke = |what: &str| re6st(&["registry", "revoke", what, "--registry", &url]).status;
    assert!(!revoke("9/16").success(), "nobody has that prefix");
    assert!(!revoke("0/16").success(), "the registry's own node");
    assert_eq!(revoke("nonsense").code(), Some(2));
    assert!(revoke("1/16").success());

    let refused = wait(gone.get_network_config()).unwrap_err();
    assert!(matches!(refused, CallError::Reply(ReplyError::Unknown)), "{refused}");
    let after = wait(other.get_network_config()).unwrap();
    assert_eq!(after.crl, [2]);
    assert!(after.version > before.version);
    registry.join("three", &["--anonymous"]);
    let names: Vec<Value> = nodes(&registry).iter().map(|node| node["name"].clone()).collect();
    assert_eq!(names, ["0/16", "2/16"], "1/16 is named by a certificate that still lasts");
}

#[test]
fn a_revoked_serial_is_replaced_at_renewal() {
    let registry = Registry::start(ANONYMOUS);
    registry.join("one", &["--anonymous"]);
    let two = registry.join("two", &["--anonymous"]);
    let url = registry.url().to_string();
    re6st_must(&["registry", "revoke", "2", "--registry", &url]);
    let before = identity(&two, unix_time()).certificate;
    let said = re6st_must(&["cert", "renew", "--dir", two.to_str().unwrap()]);
    assert!(said.contains("lasts until"), "{said}");
    let after = identity(&two, unix_time()).certificate;
    assert_eq!((before.serial(), after.serial()), (Some(2), Some(3)));
    assert_eq!(before.not_after(), after.not_after());
}

/// Goal: whoever has the key of a node that was revoked has no certificate left, not even the one from before
/// the last renewal, which would last for some weeks yet.
#[test]
fn a_certificate_from_before_a_renewal_is_revoked_with_its_node() {
    let registry = Registry::start(ANONYMOUS);
    let one = registry.join("one", &["--anonymous"]);
    let two = registry.join("two", &["--anonymous"]);
    // As if eleven months had passed.
    let read = |name: &str| fs::read(registry.path().join(name)).unwrap();
    let issuer = Issuer::from_pem(&read("ca.crt"), &read("ca.key")).unwrap();
    let given = identity(&two, unix_time()).certificate;
    let terms = Terms {
        prefix: given.prefix().unwrap(),
        subject_serial: given.subject_serial().unwrap(),
        serial: given.serial().unwrap(),
        not_before: given.not_before(),
        not_after: unix_time() + Duration::from_secs(10 * 86_400),
    };
    let ending = issuer.reissue(&given, terms).unwrap().to_pem().unwrap();
    let ending = String::from_utf8(ending).unwrap();
    let row =
        format!("UPDATE cert SET cert = '{ending}' WHERE prefix = '{}'", terms.prefix.to_bits());
    let database = registry.path().join("registry.db");
    crate::namespace::run("sqlite3", &[database.to_str().unwrap(), &row]);

    re6st_must(&["cert", "renew", "--dir", two.to_str().unwrap()]);
    assert_eq!(identity(&two, unix_time()).certificate.serial(), Some(3));
    let mut client = registry.client(&one, unix_time());
    assert!(wait(client.get_network_config()).unwrap().crl.is_empty());
    let url = registry.url().to_string();
    re6st_must(&["registry", "revoke", "1/16", "--registry", &url]);
    assert_eq!(wait(client.get_network_config()).unwrap().crl, [2, 3]);
    let dir = registry.path().to_str().unwrap();
    assert_eq!(re6st_must(&["registry", "check", "--dir", dir]), "");
}

#[test]
fn babels_key_changes_in_three_steps() {
    let registry = Registry::start(ANONYMOUS);
    let url = registry.url().to_string();
    let folder = registry.join("one", &["--anonymous"]);
    let mut client = registry.client(&folder, unix_time());
    let mut table = Vec::new();
    for _ in 0..4 {
        let told = wait(client.get_network_config()).unwrap();
        table.push((told.babel_hmac_sign.unwrap(), told.babel_hmac_accept, told.version));
        re6st_must(&["registry", "rotate-key", "--registry", &url]);
    }
    let [(old, none, first), (still, new, second), (changed, previous, third), (last, end, fourth)] =
        <[_; 4]>::try_from(table).unwrap();
    assert_eq!((&none, &end), (&None, &None));
    assert_eq!((&still, &previous), (&old, &Some(old.clone())));
    assert_eq!((new, &last), (Some(changed.clone()), &changed));
    assert_ne!(old, changed);
    assert!(first < second && second < third && third < fourth);
}

#[test]
fn administrators_ask_from_the_registrys_own_host() {
    let registry = Registry::start(ANONYMOUS);
    registry.join("one", &["--anonymous"]);
    let text = |target: &str| {
        let (status, body) = registry.get(target, "");
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    assert_eq!(text("/isToken?token=abc"), (204, String::new()));
    assert_eq!(text("/addToken?email=a@b&token=abc"), (204, String::new()));
    assert_eq!(text("/addToken?email=c@d&token=abc").0, 409);
    assert_eq!(text("/isToken?token=abc"), (200, "1".into()));
    registry.join("two", &["--token", "abc"]);
    assert_eq!(text("/isToken?token=abc"), (204, String::new()));
    assert_eq!(text("/getNodePrefix?email=a@b"), (200, "1/16".into()));
    assert_eq!(text("/getNodePrefix?email=x@y"), (204, String::new()));
    assert_eq!(text("/getIPv6Address?email=a@b"), (200, "2001:db8:42:1::".into()));
    assert_eq!(text("/getIPv4Information?email=a@b"), (204, String::new()));
    assert_eq!(text("/versions"), (200, r#"{"0000000000000000":null}"#.into()));
    assert_eq!(text("/topology"), (200, "{}".into()));
    assert_eq!(text("/addToken?email=e@f").0, 200, "draws one");
    let (status, drawn) = text("/addToken?email=e@f&token=");
    assert_eq!((status, drawn.len()), (200, 18));
    assert_eq!(text(&format!("/deleteToken?token={drawn}")), (204, String::new()));
    let listed = re6st_must(&[
        "registry",
        "token",
        "list",
        "--json",
        "--dir",
        registry.path().to_str().unwrap(),
    ]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn an_expired_token_is_worth_nothing() {
    let registry = Registry::start(&["--grace-period", "100"]);
    let dir = registry.path().to_str().unwrap();
    let token = re6st_must(&["registry", "token", "add", "a@b", "--dir", dir]);
    let database = format!("{dir}/registry.db");
    crate::namespace::run("sqlite3", &[&database, "UPDATE token SET date = date - 101"]);
    let output = registry.try_join(&registry.path().join("x"), &["--token", token.trim()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not know the token"));
}

#[test]
fn a_database_that_does_not_hold_together_is_found_out() {
    let registry = Registry::start(ANONYMOUS);
    for name in ["one", "two", "three"] {
        registry.join(name, &["--anonymous"]);
    }
    let dir = registry.path().to_str().unwrap();
    re6st_must(&["registry", "revoke", "1/16", "--registry", &registry.url().to_string()]);
    assert_eq!(re6st_must(&["registry", "check", "--dir", dir]), "");
    let database = registry.path().join("registry.db");
    let break_it =
        "UPDATE cert SET cert = (SELECT cert FROM cert WHERE prefix = '0000000000000000')
            WHERE prefix = '0000000000000010';
        DELETE FROM cert WHERE prefix = '1';
        INSERT INTO cert VALUES ('00000000000000001', NULL, NULL);
        UPDATE config SET value = 0 WHERE name = 'serial';
        UPDATE config SET value = x'05aa' WHERE name = 'version';";
    crate::namespace::run("sqlite3", &[database.to_str().unwrap(), break_it]);
    let output = re6st(&["registry", "check", "--dir", dir, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stdout).unwrap();
    for problem in [
        "overlaps 0/16",
        "neither free nor anybody's",
        "names 0/16",
        "same serial number as 0/16",
        "is still to be given",
        "same IPv4 number",
        "not signed",
    ] {
        assert!(printed.contains(problem), "{problem}: {printed}");
    }
}

#[test]
fn the_network_is_told_in_numbers() {
    let registry = Registry::start(ANONYMOUS);
    registry.join("one", &["--anonymous"]);
    registry.get("/nothing", "");
    let (status, text) = registry.get("/metrics", "");
    let text = String::from_utf8(text).unwrap();
    assert_eq!(status, 200);
    for line in [
        "re6st_registry_nodes 1",
        "re6st_network_version 1",
        "re6st_registry_requests_total{status=\"200\"} 2",
        "re6st_registry_requests_total{status=\"400\"} 1",
        "re6st_registry_free_prefixes 16",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    }
    assert_eq!(registry.get("/metrics", "X-Forwarded-For: 203.0.113.9").0, 403);
}

#[test]
fn the_invited_join_with_one_line() {
    let registry = Registry::start(&[]);
    let (dir, url) = (registry.path().to_str().unwrap(), registry.url().to_string());
    let invite = ["registry", "invite", "one@example.com", "--dir", dir, "--registry", &url];
    let invitation = re6st_must(&invite);
    assert_eq!(invitation.lines().count(), 1, "{invitation}");
    let expires = invitation.trim().rsplit_once("expires=").unwrap().1.to_owned();
    for place in [["--dir", dir], ["--registry", &url]] {
        let listed = re6st_must(&[&["registry", "token", "list"], &place[..]].concat());
        assert!(listed.contains(&expires), "{expires}: {listed}");
    }
    let folder = registry.path().join("one");
    let join = ["cert", "join", invitation.trim(), "--dir", folder.to_str().unwrap()];
    // As it is pasted into a shell, without quotes.
    crate::namespace::run("sh", &["-c", &format!("{RE6ST} {}", join.join(" "))]);
    assert_eq!(nodes(&registry)[0]["name"], "0/16");
    let again = registry.path().join("two");
    let again = ["cert", "join", invitation.trim(), "--dir", again.to_str().unwrap()];
    assert!(re6st_refused(&again, 1).contains("was it used already"));
    let both = [&join[..], &["--anonymous"]].concat();
    re6st_refused(&both, 2);
    re6st_refused(&[&invite[..], &["--valid", "200days"]].concat(), 2);
}

#[test]
fn communities_have_their_own_parts_of_the_network() {
    let registry = Registry::start(ANONYMOUS);
    let file = registry.path().join("communities");
    fs::write(&file, "0 *\n10 FR\n11 @AS\n").unwrap();
    let path = file.to_str().unwrap().to_owned();
    let mut registry = registry;
    registry.restart(&["--anonymous-prefix-length", "14", "--community", &path]);
    for (name, location) in [("one", ""), ("two", "FR,EU"), ("three", "JP,AS"), ("four", "FR,EU")] {
        registry.join(name, &["--anonymous", "--location", location]);
    }
    let names: Vec<Value> = nodes(&registry).iter().map(|node| node["name"].clone()).collect();
    assert_eq!(names, ["0/15", "32768/16", "32769/16", "49152/16"]);
    fs::write(&file, "0 FR\n").unwrap();
    let dir = registry.path().to_str().unwrap();
    let serve = ["registry", "serve", "--port", "0", "--dir", dir, "--community", &path];
    assert!(re6st_refused(&serve, 2).contains("exactly one community"));
}

#[test]
fn the_log_is_objects_for_those_who_want_them() {
    let mut registry = Registry::start(&[]);
    registry.restart_with(&[("RE6ST_LOG_FORMAT", "json")], &["-v", "2"]);
    registry.get("/getCa?token=secret", "");
    registry.get("/getCa", "");
    let printed = registry.printed();
    let lines = printed.lines().filter(|line| line.starts_with('{'));
    let objects: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        objects.iter().all(|it| it["type"] == "log" && it["time"].as_str().unwrap().ends_with('Z'))
    );
    let find = |status: u64| objects.iter().find(|object| object["status"] == status).unwrap();
    let (good, bad) = (find(200), find(400));
    assert_eq!((&good["message"], &good["source"]), (&"GET /getCa".into(), &"127.0.0.1".into()));
    assert_eq!((&good["level"], good["octets"].as_u64().unwrap() > 500), (&"info".into(), true));
    assert!(bad["message"].as_str().unwrap().starts_with("GET /getCa: "), "{bad}");
    assert!(!printed.contains("secret"));
}

#[test]
fn the_log_goes_to_a_file_that_may_be_moved_away() {
    let mut registry = Registry::start(&[]);
    let log = registry.path().join("registry.log");
    registry.restart(&["-v", "2", "--logfile", log.to_str().unwrap()]);
    registry.get("/getCa", "");
    assert!(fs::read_to_string(&log).unwrap().contains("GET /getCa"));
    fs::rename(&log, registry.path().join("registry.log.1")).unwrap();
    registry.signal("USR1");
    registry.get("/getCa?token=secret", "");
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("GET /getCa") && !text.contains("secret"), "{text}");
}
