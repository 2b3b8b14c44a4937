//! What a stock registry and its nodes said to each other, said again by our two ends.

use re6st::proto::certificate::{Identity, PrivateKey};
use re6st::proto::cidr::Cidr;
use re6st::proto::prefix::Prefix;
use re6st::proto::registry::call::{MemberCall, OpenCall};
use re6st::proto::registry::client::{Client, Progress, Reply, ReplyError, Request};
use re6st::proto::registry::ipv4;
use re6st::proto::registry::parameters::{BabelKey, Parameters};
use re6st::proto::registry::session::SessionKey;
use re6st::proto::time::UnixTime;
use serde_json::Value;

/// A moment at which the certificates of the vectors are valid.
pub const THEN: UnixTime = UnixTime::from_secs(1_796_000_000);

pub fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/vectors.json")).unwrap()
}

pub fn unhex(text: &Value) -> Vec<u8> {
    let text = text.as_str().unwrap().as_bytes();
    let octet = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.chunks(2).map(octet).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn pem(label: &str, der: &[u8]) -> Vec<u8> {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|l| std::str::from_utf8(l).unwrap()).collect();
    let body = lines.join("\n");
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n").into_bytes()
}

/// The certificate and key of `ca`, `reg`, `h1`, …, PEM.
pub fn owner(name: &str) -> (Vec<u8>, Vec<u8>) {
    let keys: Value = serde_json::from_str(include_str!("../vectors/keys.json")).unwrap();
    let key = PrivateKey::from_pkey(
        openssl::pkey::PKey::private_key_from_der(&unhex(&keys[name]["pkcs8_or_pkcs1_der_hex"]))
            .unwrap(),
    );
    let key = key.pkey().private_key_to_pem_pkcs8().unwrap();
    (pem("CERTIFICATE", &unhex(&keys[name]["certificate_der_hex"])), key)
}

pub fn identity(name: &str) -> Identity {
    let (certificate, key) = owner(name);
    Identity::from_pem(&owner("ca").0, &certificate, &key, THEN).unwrap()
}

/// Who of the vectors has `prefix`.
fn name_of(prefix: &str) -> &'static str {
    ["reg", "h1", "h2", "h3", "h4"][usize::from_str_radix(prefix, 2).unwrap()]
}

/// One call of the recording.
struct Recorded {
    target: String,
    reply: Reply,
    vector: Value,
}

fn recorded() -> Vec<Recorded> {
    let http = vectors()["http"].as_array().unwrap().clone();
    let read = |vector: Value| {
        let target = vector["request"].as_str().unwrap().split(' ').nth(1).unwrap().to_owned();
        let head = vector["response_head"].as_str().unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mac = head.lines().find_map(|line| line.strip_prefix("Re6stHMAC: "));
        let body = unhex(&vector["response_body_hex"]);
        let reply = Reply { status, mac: mac.map(|mac| mac.trim().to_owned()), body };
        Recorded { target, reply, vector }
    };
    http.into_iter().map(read).collect()
}

#[test]
fn every_recorded_session_is_said_again() {
    let mut said = 0;
    for name in ["reg", "h1", "h2", "h3", "h4"] {
        let identity = identity(name);
        let prefix = identity.prefix;
        let bits = prefix.to_bits();
        let mut client = Client::new(identity);
        let mut calls = recorded().into_iter().filter(|call| call.target.contains(&bits));
        let hello = calls.next().unwrap();
        let mut hello = Some(hello);
        for call in calls {
            let asked = match call.target.split('?').next().unwrap() {
                "/getNetworkConfig" => MemberCall::GetNetworkConfig,
                "/getDh" => MemberCall::GetDh,
                "/getBootstrapPeer" => MemberCall::GetBootstrapPeer,
                other => panic!("{other}"),
            };
            let (mut exchange, mut request) = client.begin(asked);
            if let Some(hello) = hello.take() {
                assert_eq!(request, Request { target: hello.target, mac: None });
                let progress = exchange.handle(&mut client, hello.reply).unwrap();
                let Progress::Send(next) = progress else { panic!("{progress:?}") };
                request = next;
            }
            assert_eq!(request.target, call.target);
            let sent = call.vector["request"].as_str().unwrap();
            assert!(sent.contains(&format!("Re6stHMAC: {}", request.mac.unwrap())), "{sent}");
            let body = call.reply.body.clone();
            let progress = exchange.handle(&mut client, call.reply).unwrap();
            assert_eq!(progress, Progress::Done(body.clone()));
            check_answer(asked, &body, &call.vector, client.identity());
            said += 1;
        }
    }
    assert_eq!(said, 14);
}

fn check_answer(asked: MemberCall, body: &[u8], vector: &Value, identity: &Identity) {
    match asked {
        MemberCall::GetNetworkConfig => {
            let parameters = Parameters::parse(body, &identity.key).unwrap();
            let version = unhex(&vectors()["network_version"]["01"]["whole"]);
            assert_eq!(parameters.version, version);
            let key = "c12df85b03907b82dca41df3b356be9d";
            assert_eq!(parameters.babel_hmac_sign, Some(BabelKey(unhex(&key.into()))));
            assert_eq!(parameters.babel_hmac_accept, None);
            assert_eq!(parameters.registry_prefix.to_string(), "0/16");
            assert_eq!(parameters.hello.as_secs(), 15);
            assert_eq!((parameters.client_count, parameters.max_clients), (10, 20));
            assert_eq!((parameters.protocol, parameters.min_protocol), (10, 1));
            assert!(!parameters.encrypt && parameters.crl.is_empty());
            assert!(parameters.babel_default.starts_with("max-rtt-penalty 5000"));
            assert!(parameters.other.is_empty(), "{:?}", parameters.other);
        }
        MemberCall::GetBootstrapPeer => {
            let opened = identity.key.decrypt(body).unwrap();
            assert_eq!(String::from_utf8(opened).unwrap(), vector["decrypted"]);
        }
        _ => assert!(body.starts_with(b"-----BEGIN DH PARAMETERS-----")),
    }
}

#[test]
fn targets_of_applicants_are_the_recorded_ones() {
    for call in recorded() {
        let query = call.target.split_once('?').map_or("", |(_, query)| query);
        let value = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let said = match call.target.split('?').next().unwrap() {
            "/getCa" => OpenCall::GetCa,
            "/requestToken" => OpenCall::RequestToken { email: value("email").unwrap() },
            "/requestCertificate" => OpenCall::RequestCertificate {
                token: value("token").unwrap(),
                request: value("req").unwrap(),
                location: value("location").unwrap(),
            },
            "/hello" => OpenCall::Hello {
                prefix: Prefix::from_bits(&value("client_prefix").unwrap()).unwrap(),
                nonce: None,
            },
            _ => continue,
        };
        assert_eq!(said.target(), call.target);
    }
}

#[test]
fn the_chain_of_keys_is_the_recorded_one() {
    let chained = recorded().into_iter().filter(|call| call.vector["request_key"].is_string());
    for Recorded { target, reply, vector } in chained {
        let key = SessionKey::new(unhex(&vector["request_key"]).try_into().unwrap());
        assert_eq!(hex(key.next().octets()), vector["next_request_key"]);
        assert!(key.accepts_reply(&reply.body, reply.mac.as_deref().unwrap()));
        assert_eq!(key.reply_mac(&reply.body), reply.mac.unwrap());
        let sent = vector["request"].as_str().unwrap();
        let mac = sent.lines().find_map(|line| line.strip_prefix("Re6stHMAC: ")).unwrap();
        assert!(key.accepts_request(&target, mac.trim()));
    }
}

#[test]
fn a_lost_session_costs_one_hello_and_no_more() {
    let hellos: Vec<Recorded> =
        recorded().into_iter().filter(|call| call.target.starts_with("/hello")).collect();
    let bits = "0000000000000001";
    let hello = hellos.iter().find(|hello| hello.target.contains(bits)).unwrap();
    let mut client = Client::new(identity(name_of(bits)));
    let key = SessionKey::new(unhex(&hello.vector["decrypted_key"]).try_into().unwrap());

    let (mut exchange, _) = client.begin(MemberCall::GetDh);
    exchange.handle(&mut client, hello.reply.clone()).unwrap();
    let good = Reply { status: 204, mac: Some(key.reply_mac(b"")), body: Vec::new() };
    assert_eq!(exchange.handle(&mut client, good), Ok(Progress::Done(Vec::new())));

    let lost = Reply { status: 401, mac: None, body: b"<html>".to_vec() };
    let (mut exchange, request) = client.begin(MemberCall::GetDh);
    assert_eq!(request.mac, Some(key.next().request_mac(&request.target)));
    let again = exchange.handle(&mut client, lost.clone()).unwrap();
    assert!(matches!(again, Progress::Send(request) if request.target == hello.target));
    exchange.handle(&mut client, hello.reply.clone()).unwrap();
    assert_eq!(exchange.handle(&mut client, lost), Err(ReplyError::Status(401)));
}

#[test]
fn a_reply_by_somebody_else_is_refused() {
    let calls = recorded();
    let hello = calls.iter().find(|call| call.target.contains("client_prefix=0000000000000001"));
    let hello = &hello.unwrap().reply;
    let refused = |change: &dyn Fn(&mut Reply)| {
        let mut reply = hello.clone();
        change(&mut reply);
        let mut client = Client::new(identity("h1"));
        let (mut exchange, _) = client.begin(MemberCall::GetDh);
        exchange.handle(&mut client, reply).unwrap_err()
    };
    assert_eq!(refused(&|reply| reply.body[0] ^= 1), ReplyError::NotTheAuthority);
    assert_eq!(refused(&|reply| reply.body[511] ^= 1), ReplyError::NotTheAuthority);
    assert_eq!(refused(&|reply| reply.status = 404), ReplyError::Unknown);
    assert_eq!(refused(&|reply| reply.status = 500), ReplyError::Status(500));
    for length in 0..512 {
        refused(&|reply| reply.body.truncate(length));
    }

    let mut client = Client::new(identity("h1"));
    let (mut exchange, _) = client.begin(MemberCall::GetDh);
    exchange.handle(&mut client, hello.clone()).unwrap();
    let forged = Reply { status: 200, mac: None, body: b"a different one".to_vec() };
    assert_eq!(exchange.handle(&mut client, forged), Err(ReplyError::NotAuthentic));
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    let calls = recorded();
    let config = calls.iter().find(|call| call.target.contains("getNetworkConfig")).unwrap();
    let (body, key) = (&config.reply.body, identity("reg").key);
    assert!(Parameters::parse(body, &key).is_ok());
    for length in 0..body.len() {
        // The last octets are a checksum that a whole text does not need.
        if Parameters::parse(&body[..length], &key).is_ok() {
            assert!(length + 4 >= body.len(), "{length} of {} octets", body.len());
        }
    }
    assert!(Parameters::parse(body, &identity("h1").key).is_err(), "sealed for another node");
}

#[test]
fn ipv4_subnets_are_the_recorded_ones() {
    let table: Value = serde_json::from_str(include_str!("../vectors/ipv4.json")).unwrap();
    for row in table.as_array().unwrap() {
        let network: Cidr = row["network"].as_str().unwrap().parse().unwrap();
        let number = |name: &str| row[name].as_u64().unwrap();
        let serial = number("serial").try_into().unwrap();
        let given = ipv4::subnet(network, number("sublen").try_into().unwrap(), serial);
        let expected = row["address"]
            .as_str()
            .map(|address| (address.parse().unwrap(), number("plen").try_into().unwrap()));
        assert_eq!(given, expected, "{row}");
    }
}
