//! What an operator asks of a registry: by its folder or by its address, each answered in words.

use super::process::{Registry, re6st_must, re6st_refused};

const ANONYMOUS: &[&str] = &["--anonymous-prefix-length", "16"];

#[test]
fn a_prefix_that_no_node_can_have_is_refused_with_what_can_be() {
    let registry = Registry::start(ANONYMOUS);
    let (dir, url) = (registry.path().to_str().unwrap(), registry.url().to_string());
    let add = ["registry", "token", "add", "a@example.com", "--prefix-length"];
    for length in ["90", "0", "81"] {
        let said = re6st_refused(&[&add[..], &[length, "--dir", dir]].concat(), 2);
        assert!(said.contains("1 to 80 bits"), "{said}");
        let said = re6st_refused(&[&add[..], &[length, "--registry", &url]].concat(), 1);
        assert!(said.contains("1 to 80 bits") && !said.contains("status"), "{said}");
    }
    for option in ["--prefix-length", "--anonymous-prefix-length"] {
        let serve = ["registry", "serve", "--dir", dir, "--port", "0", option, "90"];
        assert!(re6st_refused(&serve, 2).contains("1 to 80 bits"));
    }
    // A row that an older release took is answered in words, too.
    let row = "INSERT INTO token VALUES ('toolong', 'a@b', 90, strftime('%s', 'now'))";
    let database = registry.path().join("registry.db");
    crate::namespace::run("sqlite3", &[database.to_str().unwrap(), row]);
    let output = registry.try_join(&registry.path().join("x"), &["--token", "toolong"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("1 to 80 bits, and not 90"), "{said}");
}

#[test]
fn a_full_network_says_so_to_the_newcomer() {
    let registry = Registry::start(&["--anonymous-prefix-length", "1"]);
    registry.join("one", &["--anonymous"]);
    registry.join("two", &["--anonymous"]);
    let output = registry.try_join(&registry.path().join("three"), &["--anonymous"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no prefix of 1 bits is left"), "{said}");
}

#[test]
fn every_command_takes_a_folder_or_an_address() {
    let registry = Registry::start(ANONYMOUS);
    let (dir, url) = (registry.path().to_str().unwrap(), registry.url().to_string());
    let database = format!("{dir}/registry.db");
    for name in ["one", "two", "three", "four"] {
        registry.join(name, &["--anonymous"]);
    }
    for place in [["--dir", dir], ["--registry", &url]] {
        let done = |words: &[&str]| re6st_must(&[&["registry"], words, &place].concat());
        let token = done(&["token", "add", "a@example.com", "--prefix-length", "20"]);
        let listed = done(&["token", "list", "--json"]);
        assert!(listed.contains("\"prefix_length\":20"), "{listed}");
        done(&["token", "remove", token.trim()]);
        assert_eq!(done(&["token", "list", "--json"]), "");
        assert!(done(&["nodes"]).contains("0/16"));
        let same = ["registry", "migrate", "--from", &database, "--to", &database];
        assert!(re6st_refused(&same, 2).contains("name the same database"));
        done(&["versions"]);
        done(&["topology"]);
        let said = done(&["rotate-key"]);
        assert!(said.contains("key"), "{said}");
        let node = if place[0] == "--dir" { "1/16" } else { "2/16" };
        let said = done(&["revoke", node]);
        assert!(said.contains(&format!("{node} is no member any more")), "{said}");
        let said = re6st_refused(&[&["registry", "revoke", node], &place[..]].concat(), 1);
        assert!(said.contains(&format!("there is no node {node}")), "{said}");
        let said = re6st_refused(&[&["registry", "revoke", "77"], &place[..]].concat(), 1);
        assert!(said.contains("serial number 77"), "{said}");
        let said = re6st_refused(&[&["registry", "revoke", "0/16"], &place[..]].concat(), 1);
        assert!(said.contains("the registry's own node"), "{said}");
    }
    let both = ["registry", "revoke", "3/16", "--dir", dir, "--registry", &url];
    assert!(re6st_refused(&both, 2).contains("--registry"));
    assert_eq!(re6st_must(&["registry", "check", "--dir", dir]), "");
}

#[test]
fn a_network_with_bits_beyond_its_length_is_refused() {
    for network in ["2001:db8:42::1/48", "2001:db8:42:7::/48"] {
        let init = ["registry", "init", "--network", network, "--dir", "/nonexistent"];
        let said = re6st_refused(&init, 2);
        assert!(said.contains("did you mean 2001:db8:42::/48?"), "{said}");
    }
}

#[test]
fn what_changes_the_network_is_logged_without_being_asked() {
    let mut registry = Registry::start(&[]);
    let log = registry.path().join("registry.log");
    registry.restart(&["--logfile", log.to_str().unwrap(), "--anonymous-prefix-length", "16"]);
    registry.join("one", &["--anonymous"]);
    registry.join("two", &["--anonymous"]);
    let url = registry.url().to_string();
    re6st_must(&["registry", "revoke", "1/16", "--registry", &url]);
    registry.signal("TERM");
    let text = crate::namespace::eventually("it ends", std::time::Duration::from_secs(10), || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.contains("ended by a signal").then_some(text)
    });
    for line in [
        "serving 2001:db8:42::/48: 0 members",
        "issued 0/16, serial number 1",
        "issued 1/16, serial number 2",
        "revoked 1/16",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("getCa"), "{text}");
}

#[test]
fn all_but_keys_can_be_exported() {
    let registry = Registry::start(ANONYMOUS);
    let dir = registry.path().to_str().unwrap();
    registry.join("one", &["--anonymous"]);
    for (name, email) in [("two", "b@example.com"), ("three", "c@example.com")] {
        let token = re6st_must(&["registry", "token", "add", email, "--dir", dir]);
        registry.join(name, &["--token", token.trim()]);
    }
    re6st_must(&["registry", "token", "add", "d@example.com", "--dir", dir, "--token", "abc"]);
    re6st_must(&["registry", "revoke", "1/16", "--dir", dir]);
    let exported = re6st_must(&["registry", "export", "--dir", dir]);
    let lines: Vec<serde_json::Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["network", "node", "node", "token", "revoked"]);
    assert_eq!(
        (&lines[0]["prefix"], &lines[0]["version"]),
        (&"2001:db8:42::/48".into(), &2.into())
    );
    assert_eq!((&lines[2]["name"], &lines[2]["email"]), (&"2/16".into(), &"c@example.com".into()));
    assert_eq!(lines[4]["serial"], 2);
    assert!(!exported.contains("PRIVATE"));
}
