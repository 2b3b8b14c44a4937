//! Options of stock's registry, and of ours, each by what it changes.

use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use re6st::os::clock::unix_time;

use super::process::{Registry, re6st, re6st_must, re6st_refused, wait};
use crate::namespace::run;

const ANONYMOUS: &[&str] = &["--anonymous-prefix-length", "16"];

#[test]
fn countries_are_told_by_a_file() {
    let mut registry = Registry::start(ANONYMOUS);
    let at = |name: &str| registry.path().join(name).to_str().unwrap().to_owned();
    let (file, communities) = (at("countries.mmdb"), at("communities"));
    std::fs::write(&file, mmdb(&[("127.0.0.0/8", "FR", "EU"), ("192.0.2.0/24", "JP", "AS")]))
        .unwrap();
    std::fs::write(&communities, "0 *\n10 FR\n11 @AS\n").unwrap();
    let dir = registry.path().to_str().unwrap().to_owned();
    let options = [ANONYMOUS, &["--same-country", "JP", "--community", &communities]].concat();
    let without = [&["registry", "serve", "--dir", &dir, "--port", "0"], &options[..]].concat();
    assert!(re6st_refused(&without, 2).contains("GEOIP2_MMDB"));
    registry.restart_with(&[("GEOIP2_MMDB", &file)], &options);

    let one = registry.join("one", &["--anonymous"]);
    let mut client = registry.client(&one, unix_time());
    wait(async {
        let mut country = async |address: &str| {
            let address: IpAddr = address.parse().unwrap();
            client.get_country(address).await.unwrap()
        };
        assert_eq!(country("192.0.2.9").await.as_deref(), Some("JP"));
        assert_eq!(country("::ffff:192.0.2.9").await.as_deref(), Some("JP"));
        assert_eq!(country("203.0.113.1").await, None);
        assert_eq!(client.get_network_config().await.unwrap().same_country, ["JP"]);
    });
    // Where an applicant is says in which part of the network it gets its prefix; a proxy on this host
    // says where that is, and what stands before what it adds may be forged.
    let target = {
        let key = re6st::proto::certificate::PrivateKey::generate(2_048).unwrap();
        let request = re6st::proto::certificate::CertificateRequest::create(&key, &[]);
        let request = String::from_utf8(request.unwrap().unwrap()).unwrap();
        re6st::proto::registry::call::OpenCall::RequestCertificate {
            token: String::new(),
            request,
            location: String::new(),
        }
        .target()
    };
    for (header, part) in [
        ("", "10"),
        ("X-Forwarded-For: 192.0.2.9", "11"),
        ("X-Forwarded-For: 203.0.113.1, 192.0.2.9", "11"),
        ("X-Forwarded-For: 192.0.2.9, 203.0.113.1", "0"),
    ] {
        let (status, pem) = registry.get(&target, header);
        assert_eq!(status, 200);
        let certificate = re6st::proto::certificate::Certificate::from_pem(&pem).unwrap();
        let bits = certificate.prefix().unwrap().to_bits();
        assert!(bits.starts_with(part), "{header}: {bits}");
    }
    std::fs::write(&file, b"no such file").unwrap();
    let mut command = std::process::Command::new(crate::namespace::RE6ST);
    let output = command.args(&without).env("GEOIP2_MMDB", &file).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("(GEOIP2_MMDB)"));
}

#[test]
fn every_option_for_the_network_reaches_its_nodes() {
    let options = ["--hello", "7", "--client-count", "3", "--tunnel-refresh", "77", "--encrypt"];
    let mut registry = Registry::start(&[ANONYMOUS, &options].concat());
    let folder = registry.join("one", &["--anonymous"]);
    let told = wait(registry.client(&folder, unix_time()).get_network_config()).unwrap();
    assert_eq!((told.client_count, told.max_clients, told.min_protocol), (3, 6, 1));
    assert_eq!(
        (told.hello, told.tunnel_refresh),
        (Duration::from_secs(7), Duration::from_secs(77))
    );
    assert!(told.encrypt);
    registry.restart(&["--max-clients", "9", "--min-protocol", "8"]);
    let told = wait(registry.client(&folder, unix_time()).get_network_config()).unwrap();
    assert_eq!((told.client_count, told.max_clients, told.min_protocol), (10, 9, 8));
    assert!(!told.encrypt);
    let dir = registry.path().to_str().unwrap();
    let serve = ["registry", "serve", "--dir", dir, "--port", "0"];
    for option in [["--min-protocol", "11"], ["--hello", "0"], ["--ipv4", "10.0.0.0/8"]] {
        re6st_refused(&[&serve[..], &option].concat(), 2);
    }
}

/// Goal: after it has bound its ports, the registry is nobody in particular.
#[test]
fn rights_are_dropped_after_binding() {
    if !nix::unistd::geteuid().is_root() {
        let registry = Registry::start(&[]);
        let dir = registry.path().to_str().unwrap();
        let serve = ["registry", "serve", "--dir", dir, "--port", "0", "--user", "root"];
        assert!(re6st_refused(&serve, 1).contains("cannot become the user"));
        return;
    }
    let mut registry = Registry::start(ANONYMOUS);
    let dir = registry.path().to_str().unwrap().to_owned();
    let unknown = ["registry", "serve", "--dir", &dir, "--port", "0", "--user", "nosuchuser"];
    assert!(re6st_refused(&unknown, 1).contains("there is no such user"));
    run("chown", &["nobody", &dir, &format!("{dir}/registry.db")]);
    registry.restart(&[ANONYMOUS, &["--user", "nobody"]].concat());
    let status = std::fs::read_to_string(format!("/proc/{}/status", registry.id())).unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert_eq!(uids.matches(&nobody.uid.to_string()).count(), 4, "{uids}");
    registry.join("one", &["--anonymous"]);
}

/// Goal: however much is logged, no secret is: no key, no token, no password, no ticket.
#[test]
fn no_secret_is_in_a_log_however_much_is_logged() {
    let folder = tempfile::TempDir::with_prefix("re6st-registry-").unwrap();
    let dir = folder.path().to_str().unwrap().to_owned();
    let network = ["--network", "2001:db8:42::/48", "--email", "ca@example.com"];
    re6st_must(&[&["registry", "init", "--dir", &dir][..], &network].concat());
    let mut registry = Registry::serve(folder, &[]);
    // A mail server that is not there: that is logged.
    let mail = ["--mailhost", "127.0.0.1:1", "--smtp-user", "user", "--smtp-pwd", "pass+word/1"];
    let options = [ANONYMOUS, &mail, &["--tls-port", "0", "-v", "4"]].concat();
    registry.restart_with(&[("RE6ST_LOG", "trace")], &options);
    let url = registry.url().to_string();
    let (one, two) = (registry.join("one", &["--anonymous"]), registry.path().join("two"));
    let token = re6st_must(&["registry", "token", "add", "a@example.com", "--registry", &url]);
    registry.join("two", &["--token", token.trim()]);
    assert_eq!(registry.get("/requestToken?email=a@example.com", "").0, 500);
    let secure = format!("https://127.0.0.1:{}/", registry.tls_port());
    for folder in [&one, &two] {
        wait(registry.client(folder, unix_time()).get_network_config()).unwrap();
        let renew = ["cert", "renew", "--dir", folder.to_str().unwrap(), "--registry", &secure];
        re6st_must(&renew);
    }
    re6st_must(&["registry", "rotate-key", "--registry", &url]);
    re6st_must(&["registry", "revoke", "1/16", "--registry", &url]);
    let ticket = re6st_must(&["registry", "login", "--dir", &dir]);
    let form = format!("ticket={}", ticket.trim());
    let login = format!(
        "POST /web/login HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    let logged_in = String::from_utf8(registry.talk(login.as_bytes())).unwrap();
    let (_, cookie) = logged_in.split_once("re6st=").unwrap();
    let cookie = cookie.split(';').next().unwrap();

    let keys = run(
        "sqlite3",
        &[&format!("{dir}/registry.db"), "SELECT hex(value) FROM config WHERE name LIKE 'babel%'"],
    );
    let ca_key = std::fs::read_to_string(registry.path().join("ca.key")).unwrap();
    let mut secrets: Vec<String> = keys.lines().map(str::to_lowercase).collect();
    assert_eq!(secrets.len(), 2, "{keys}");
    secrets.extend(ca_key.lines().map(str::to_owned));
    secrets.extend(
        ["PRIVATE KEY", "pass+word/1", token.trim(), ticket.trim(), cookie].map(Into::into),
    );
    registry.get(&format!("/nothing?token={}", token.trim()), "");
    let text = registry.printed();
    assert!(text.contains("DEBUG") && text.contains("GET /getNetworkConfig"), "{text}");
    let text = text.to_lowercase();
    for secret in secrets {
        assert!(!text.contains(&secret.to_lowercase()), "{secret}");
    }
}

/// Goal: systemd hears when the registry is ready, and that it is well, and when it ends.
#[test]
fn systemd_is_told() {
    let mut registry = Registry::start(&[]);
    let path = registry.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let environment = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "400000")];
    registry.restart_with(&environment, &[]);
    let heard = || {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert!(heard().contains("READY=1"));
    assert!(heard().contains("WATCHDOG=1") && heard().contains("WATCHDOG=1"));
    registry.signal("TERM");
    while !heard().contains("STOPPING=1") {}
}

/// Goal: going back to a backup forgets neither who was revoked nor who joined since.
#[test]
fn a_restored_network_goes_on() {
    let mut registry = Registry::start(ANONYMOUS);
    let dir = registry.path().to_str().unwrap().to_owned();
    let one = registry.join("one", &["--anonymous"]);
    for name in ["two", "three"] {
        registry.join(name, &["--anonymous"]);
    }
    let before = wait(registry.client(&one, unix_time()).get_network_config()).unwrap();
    let backup = format!("{dir}/backup.db");
    re6st_must(&["registry", "backup", &backup, "--dir", &dir]);
    assert!(re6st_refused(&["registry", "backup", &backup, "--dir", &dir], 1).contains("already"));
    re6st_must(&["registry", "revoke", "1/16", "--dir", &dir]);
    registry.join("four", &["--anonymous"]);
    registry.join("gone", &["--anonymous"]);
    re6st_must(&["registry", "revoke", "4/16", "--dir", &dir]);
    let after = wait(registry.client(&one, unix_time()).get_network_config()).unwrap();
    assert_eq!(after.crl, [2, 5]);

    registry.stop();
    let said = re6st_must(&["registry", "restore", &backup, "--dir", &dir]);
    assert!(said.contains("3 members of the backup and 1 that joined since; 2 revoked"), "{said}");
    assert_eq!(re6st_must(&["registry", "check", "--dir", &dir]), "");
    registry.restart(ANONYMOUS);
    let restored = wait(registry.client(&one, unix_time()).get_network_config()).unwrap();
    assert_eq!(restored.crl, [2, 5], "the list never goes back");
    assert!(restored.version > after.version && after.version > before.version);
    let names = re6st_must(&["registry", "nodes", "--dir", &dir, "--json"]);
    assert!(!names.contains("\"1/16\"") && names.contains("\"3/16\""), "{names}");
    let next = registry.join("next", &["--anonymous"]);
    let next = super::process::identity(&next, unix_time()).prefix.to_string();
    assert_eq!(
        next, "5/16",
        "those who joined and went since the backup are not forgotten, either"
    );

    // Into an empty database: nobody knows how far it was, so it goes on far ahead.
    registry.stop();
    run("rm", &[&format!("{dir}/registry.db")]);
    re6st_must(&["registry", "restore", &backup, "--dir", &dir]);
    registry.restart(ANONYMOUS);
    let new = registry.join("five", &["--anonymous"]);
    let serial = super::process::identity(&new, unix_time()).certificate.serial().unwrap();
    assert!(serial > 1_000, "{serial}");
    let told = wait(registry.client(&one, unix_time()).get_network_config()).unwrap();
    assert!(told.version > restored.version);
}

#[test]
fn the_mesh_is_drawn() {
    let registry = Registry::start(ANONYMOUS);
    let url = registry.url().to_string();
    let svg = re6st_must(&["registry", "topology", "--svg", "--registry", &url]);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    let dot = re6st_must(&["registry", "topology", "--dot", "--registry", &url]);
    assert!(dot.starts_with("digraph re6st {"), "{dot}");
    let both = re6st(&["registry", "topology", "--dot", "--svg", "--registry", &url]);
    assert_eq!(both.status.code(), Some(2));
}

/// A file in MaxMind's format (MaxMind DB 2.0) that says where IPv4 networks are.
pub fn mmdb(networks: &[(&str, &str, &str)]) -> Vec<u8> {
    fn text(text: &str) -> Vec<u8> {
        [&[0x40 | text.len() as u8], text.as_bytes()].concat()
    }
    fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut octets = vec![0xe0 | pairs.len() as u8];
        pairs.iter().for_each(|(name, value)| octets.extend([text(name), value.clone()].concat()));
        octets
    }
    let number = |value: u16| [&[0xa2][..], &value.to_be_bytes()].concat();
    // Each node: where a zero and where a one leads; `usize::MAX - n` stands for the n-th datum.
    let mut tree: Vec<[Option<usize>; 2]> = vec![[None; 2]];
    let (mut data, mut offsets) = (Vec::new(), Vec::new());
    for (at, (network, country, continent)) in networks.iter().enumerate() {
        let (address, length) = network.split_once('/').unwrap();
        let bits = u128::from(address.parse::<std::net::Ipv4Addr>().unwrap().to_bits());
        let length = 96 + length.parse::<usize>().unwrap();
        let mut node = 0;
        for position in 0..length {
            let side = usize::from(bits >> (127 - position) & 1 == 1);
            if position + 1 == length {
                tree[node][side] = Some(usize::MAX - at);
            } else if let Some(next) = tree[node][side] {
                node = next;
            } else {
                tree.push([None; 2]);
                tree[node][side] = Some(tree.len() - 1);
                node = tree.len() - 1;
            }
        }
        offsets.push(data.len());
        data.extend(map(&[
            ("country", map(&[("iso_code", text(country))])),
            ("continent", map(&[("code", text(continent))])),
        ]));
    }
    let mut octets = Vec::new();
    for side in tree.iter().flatten() {
        let record = match side {
            None => tree.len(),
            Some(at) if *at > usize::MAX / 2 => tree.len() + 16 + offsets[usize::MAX - at],
            Some(node) => *node,
        };
        octets.extend(&u32::try_from(record).unwrap().to_be_bytes()[1..]);
    }
    octets.extend([0; 16]);
    octets.extend(data);
    octets.extend(b"\xab\xcd\xefMaxMind.com");
    let count = u32::try_from(tree.len()).unwrap().to_be_bytes();
    octets.extend(map(&[
        ("node_count", [&[0xc4][..], &count].concat()),
        ("record_size", number(24)),
        ("ip_version", number(6)),
        ("database_type", text("Test-Country")),
        ("languages", vec![0x00, 0x04]),
        ("binary_format_major_version", number(2)),
        ("binary_format_minor_version", number(0)),
        ("build_epoch", vec![0x01, 0x02, 1]),
        ("description", map(&[])),
    ]));
    octets
}
