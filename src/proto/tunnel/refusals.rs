//! What each end says, and to whom, when the other is not to be believed.
//!
//! A client that does not believe a server says nothing to it, not even an alert: the server gives up
//! after a while. A server tells a client by an alert or in words.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::certificate::KeyRule;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::credentials::Credentials;
use crate::proto::tunnel::pair::{End, FINE, World};
use crate::proto::tunnel::pki::{Authority, Validity, pki};
use crate::proto::tunnel::session::SessionSettings;
use crate::proto::tunnel::tls::{Expectation, Tls, TlsContext, Usage};

/// What two ends with these credentials come to: the client's last sentence, and the server's.
fn outcome(
    [client, server]: [&Credentials; 2],
    change: impl FnOnce(&mut SessionSettings, &mut SessionSettings),
) -> [String; 2] {
    let mut world = World::new(5, FINE, &[Cipher::Aes256Gcm]);
    world.contexts = (TlsContext::new(client).unwrap(), TlsContext::new(server).unwrap());
    let (of_client, of_server) = &mut world.settings;
    change(of_client, of_server);
    world.connect();
    world.run(Duration::from_secs(61));
    let said = |end: &End| match &end.closed {
        Some(reason) => reason.to_string(),
        None => "up".to_owned(),
    };
    let both = [said(&world.client), said(&world.server)];
    let is_up = both.iter().all(|said| said == "up");
    assert_eq!(is_up, world.passes_both_ways(), "no key without trust: {both:?}");
    both
}

/// The server heard nothing more.
const NOTHING: &str = "the handshake did not come to its end within 60 s";

/// A network's members have keys that satisfy its rule; those of other OpenVPN users may be any.
#[test]
fn peer_with_a_key_that_no_member_may_have_is_refused() {
    let ca = Authority::new(Validity::Now);
    let [client, server] = [("1/16", 7), ("0/16", 8)].map(|(n, s)| ca.issue(n, s, Validity::Now));
    let with =
        |credentials: &Credentials, octets| credentials.clone().with_key_rule(KeyRule::new(octets));
    let (longer, same) = (512, 256);
    let ends = [&with(&client, same), &with(&server, same)];
    assert_eq!(outcome(ends, |_, _| {}), ["up", "up"]);
    let wanted = "no member may have";
    let said = outcome([&with(&client, longer), &server], |_, _| {});
    assert!(said[0].contains(wanted) && said[1] == NOTHING, "{said:?}");
    let said = outcome([&client, &with(&server, longer)], |_, _| {});
    assert!(said[1].contains(wanted), "{said:?}");
}

#[test]
fn a_server_that_is_not_believed_hears_nothing_more() {
    let ca = Authority::new(Validity::Now);
    let (past, future) = (ca.again(Validity::Past), ca.again(Validity::Future));
    let [client, server] = [("1/16", 7), ("0/16", 8)].map(|(n, s)| ca.issue(n, s, Validity::Now));
    for (what, client, server, wanted) in [
        (
            "expired",
            client.clone(),
            ca.issue("0/16", 8, Validity::Past),
            "the peer's certificate is not valid: certificate has expired",
        ),
        (
            "not valid yet",
            client.clone(),
            ca.issue("0/16", 8, Validity::Future),
            "the peer's certificate is not valid: certificate is not yet valid",
        ),
        (
            "of another authority",
            client.clone(),
            ca.believed_by(&Authority::of_another_name().issue("0/16", 8, Validity::Now)),
            "the peer's certificate is of an authority that is not ours",
        ),
        (
            "of another authority of the same name",
            client.clone(),
            ca.believed_by(&pki()[2]),
            "the peer's certificate names our authority, but was not signed by it",
        ),
        (
            "of an authority that has expired",
            past.believed_by(&client),
            server.clone(),
            "the peer's certificate is of an authority whose own is not valid: certificate has expired",
        ),
        (
            "of an authority that is not valid yet",
            future.believed_by(&client),
            server.clone(),
            "the peer's certificate is of an authority whose own is not valid: certificate is not yet \
             valid",
        ),
    ] {
        let said = outcome([&client, &server], |_, _| {});
        assert_eq!(said, [wanted, NOTHING], "{what}");
    }
    assert_eq!(outcome([&client, &server], |_, _| {}), ["up", "up"]);
}

#[test]
fn a_server_of_another_name_or_use_or_revoked_hears_nothing_more() {
    let ca = Authority::new(Validity::Now);
    let client = ca.issue("1/16", 7, Validity::Now);
    let server = ca.issue("0/16", 8, Validity::Now);
    let said = outcome([&client, &server], |client, _| {
        client.expectation.name = Some("2/16".into());
    });
    assert_eq!(said, ["the peer's certificate names 0/16, not 2/16", NOTHING]);
    let said = outcome([&client, &server], |client, _| {
        client.expectation.revoked = Arc::new(BTreeSet::from([8]));
    });
    assert_eq!(said, ["the peer's certificate with serial number 8 was revoked", NOTHING]);
    let for_servers = |client: &mut SessionSettings, _: &mut SessionSettings| {
        client.expectation.usage = Some(Usage::Server);
    };
    let said = outcome([&client, &server], for_servers);
    assert_eq!(said, ["the peer's certificate is not one for servers", NOTHING]);
    let server = ca.issue_for_servers("0/16", 8);
    assert_eq!(outcome([&client, &server], for_servers), ["up", "up"]);
}

#[test]
fn a_client_that_is_not_believed_is_told_why() {
    let ca = Authority::new(Validity::Now);
    let past = ca.again(Validity::Past);
    let [client, server] = [("1/16", 7), ("0/16", 8)].map(|(n, s)| ca.issue(n, s, Validity::Now));
    let refused = "the peer refused us: ";
    for (what, client, server, client_says, server_says) in [
        (
            "expired",
            ca.issue("1/16", 7, Validity::Past),
            server.clone(),
            "our certificate or its authority's has expired, or a clock is wrong",
            "the peer's certificate is not valid: certificate has expired",
        ),
        (
            "not valid yet",
            ca.issue("1/16", 7, Validity::Future),
            server.clone(),
            "it does not accept our certificate",
            "the peer's certificate is not valid: certificate is not yet valid",
        ),
        (
            "of another authority",
            ca.believed_by(&Authority::of_another_name().issue("1/16", 7, Validity::Now)),
            server.clone(),
            "our certificate is not of an authority that it believes",
            "the peer's certificate is of an authority that is not ours",
        ),
        (
            "of another authority of the same name",
            ca.believed_by(&pki()[2]),
            server.clone(),
            "our certificate was not signed by the authority that it names",
            "the peer's certificate names our authority, but was not signed by it",
        ),
        (
            "of an authority that has expired",
            client.clone(),
            past.believed_by(&server),
            "our certificate or its authority's has expired, or a clock is wrong",
            "the peer's certificate is of an authority whose own is not valid: certificate has expired",
        ),
    ] {
        let said = outcome([&client, &server], |_, _| {});
        assert_eq!(said, [format!("{refused}{client_says}"), server_says.to_owned()], "{what}");
    }
}

/// Credentials read from files as people have them: authorities, our certificate and what follows it.
fn read(authorities: &[&Authority], own: &Credentials, chain: &[&Authority]) -> Credentials {
    let pem = |of: &[&Authority]| of.iter().flat_map(|one| one.pem()).collect::<Vec<u8>>();
    let certificate = [own.certificate().to_pem().unwrap(), pem(chain)].concat();
    let key = own.key().private_key_to_pem_pkcs8().unwrap();
    Credentials::from_pem(&pem(authorities), &certificate, &key).unwrap()
}

#[test]
fn an_authority_between_is_believed_if_either_end_shows_it() {
    let root = Authority::new(Validity::Now);
    let between = root.authorize("between");
    let own = [between.issue("1/16", 7, Validity::Now), between.issue("0/16", 8, Validity::Now)];
    let rooted = [0, 1].map(|end| read(&[&root], &own[end], &[&between]));
    assert_eq!(outcome([&rooted[0], &rooted[1]], |_, _| {}), ["up", "up"]);
    // What is among our authorities is shown, too.
    let all = [0, 1].map(|end| read(&[&between, &root], &own[end], &[]));
    assert_eq!(outcome([&all[0], &rooted[1]], |_, _| {}), ["up", "up"]);
    assert_eq!(outcome([&rooted[0], &all[1]], |_, _| {}), ["up", "up"]);
    let added = read(&[&root], &own[1], &[]).with_chain(&between.pem()).unwrap();
    assert_eq!(outcome([&rooted[0], &added], |_, _| {}), ["up", "up"]);

    let silent = read(&[&root], &own[1], &[]);
    let stranger = "the peer's certificate is of an authority that is not ours";
    assert_eq!(outcome([&rooted[0], &silent], |_, _| {}), [stranger, NOTHING]);
    let rootless = read(&[&between], &own[0], &[]);
    let said = outcome([&rootless, &silent], |_, _| {});
    assert!(said[0].contains("name the certificates of both as authorities"), "{said:?}");
}

#[test]
fn several_authorities_are_believed_side_by_side() {
    let [one, other] = [Authority::new(Validity::Now), Authority::of_another_name()];
    let server = other.issue("0/16", 8, Validity::Now);
    for authority in [&one, &other] {
        let own = authority.issue("1/16", 7, Validity::Now);
        let client = read(&[&one, &other], &own, &[]);
        let both = read(&[&one, &other], &server, &[]);
        assert_eq!(outcome([&client, &both], |_, _| {}), ["up", "up"]);
    }
    let client = read(&[&one, &other], &one.issue("1/16", 7, Validity::Now), &[]);
    let said = outcome([&client, &read(&[&other], &server, &[])], |_, _| {});
    assert_eq!(said[1], "the peer's certificate is of an authority that is not ours");
}

#[test]
fn who_has_a_certificate_is_no_authority() {
    let ca = Authority::new(Validity::Now);
    let stolen = ca.issue("9/16", 9, Validity::Now);
    let forger = Authority::from_credentials(&stolen);
    let forged = read(&[&ca], &forger.issue("0/16", 8, Validity::Now), &[&forger]);
    let said = outcome([&ca.issue("1/16", 7, Validity::Now), &forged], |_, _| {});
    let wanted =
        "the peer's certificate is of an authority whose own is not valid: invalid CA certificate";
    assert_eq!(said, [wanted, NOTHING]);
}

/// A ClientHello (RFC 8446 §4.1.2) that offers no version later than this.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let extensions = [
        // supported_groups: x25519, secp256r1.
        &[0, 10, 0, 6, 0, 4, 0, 29, 0, 23][..],
        // ec_point_formats: uncompressed.
        &[0, 11, 0, 2, 1, 0],
        // signature_algorithms: rsa_pss_rsae_sha256, rsa_pkcs1_sha256, rsa_pkcs1_sha1.
        &[0, 13, 0, 8, 0, 6, 8, 4, 4, 1, 2, 1],
    ]
    .concat();
    let mut body = version.to_vec();
    body.extend([7; 32]);
    // No session; ECDHE-RSA with AES-128-GCM-SHA256 and with AES-128-CBC-SHA; no compression.
    body.extend([0, 0, 4, 0xc0, 0x2f, 0xc0, 0x13, 1, 0, 0, extensions.len() as u8]);
    body.extend(extensions);
    let mut record = vec![22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    record.extend(body);
    record
}

#[test]
fn no_tls_before_1_2_is_spoken() {
    let context = TlsContext::new(&pki()[1]).unwrap();
    let hear = |version| {
        let mut tls = Tls::server(&context, Expectation::default()).unwrap();
        tls.receive(&hello(version));
        tls.handshake().map_err(|error| error.to_string())
    };
    assert_eq!(hear([3, 3]), Ok(false));
    for older in [[3, 2], [3, 1]] {
        let error = hear(older).unwrap_err();
        assert!(error.contains("unsupported protocol"), "{error}");
    }
}
