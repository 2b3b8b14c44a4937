//! Keys that no member may have, wherever one is shown to the registry or to a member; what the CA signs.

use std::fs;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Public};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509Name, X509Req};
use re6st::os::clock::unix_time;
use re6st::proto::certificate::{
    AuthoritySubject, Certificate, CertificateError, Issuer, KeyError, PrivateKey, Terms,
};
use re6st::proto::prefix::{Network, Prefix};
use re6st::proto::random::Random;
use re6st::proto::registry::call::{MemberCall, OpenCall, target};
use re6st::proto::registry::client::{Client, Progress, Reply, ReplyError};
use re6st::proto::registry::session::hello_statement;

use super::process::{Registry, identity, re6st, re6st_must, re6st_refused, wait};
use crate::namespace::run;

const ANONYMOUS: &[&str] = &["--anonymous-prefix-length", "16"];

/// Keys as an attacker chooses them, with what is wrong.
fn chosen_keys() -> Vec<(PKey<Public>, &'static str)> {
    let mut prime = BigNum::new().unwrap();
    prime.generate_prime(2_048, false, None, None).unwrap();
    let mut half = prime.to_owned().unwrap();
    half.sub_word(1).unwrap();
    half.div_word(2).unwrap();
    half.set_bit(0).unwrap();
    let rsa = |n: &BigNum, e: BigNum| {
        let rsa = Rsa::from_public_components(BigNum::from_slice(&n.to_vec()).unwrap(), e).unwrap();
        PKey::from_rsa(rsa).unwrap()
    };
    let short = PrivateKey::generate(1_024).unwrap();
    let short = PKey::public_key_from_der(&short.pkey().public_key_to_der().unwrap()).unwrap();
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let ec = PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
    let ec = PKey::public_key_from_der(&ec.public_key_to_der().unwrap()).unwrap();
    vec![
        (rsa(&prime, BigNum::from_u32(65_537).unwrap()), "the product of two large primes"),
        (rsa(&prime, half), "public exponent"),
        (short, "it has 1024 bits; it must be as long as the CA's, which has 2048"),
        (ec, "not an RSA key"),
    ]
}

/// A certificate of the CA in `folder` for any key, as a registry issues it that does not look.
fn certify<K: HasPublic>(registry: &Registry, key: &PKeyRef<K>, cn: &str, serial: u32) -> X509 {
    let read = |name: &str| fs::read(registry.path().join(name)).unwrap();
    let ca = X509::from_pem(&read("ca.crt")).unwrap();
    let ca_key = PKey::private_key_from_pem(&read("ca.key")).unwrap();
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_text("serialNumber", &serial.to_string()).unwrap();
    name.append_entry_by_text("CN", cn).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_subject_name(&name.build()).unwrap();
    builder.set_issuer_name(ca.subject_name()).unwrap();
    let serial = BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(300).unwrap()).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.sign(&ca_key, MessageDigest::sha512()).unwrap();
    builder.build()
}

/// Goal: the registry encrypts nothing for a key that was chosen, and so signs nothing that its owner wants,
/// although the certificate is in its database; the operator and all others are told.
#[test]
fn member_with_a_chosen_key_is_refused() {
    let mut registry = Registry::start(ANONYMOUS);
    for name in ["one", "two"] {
        registry.join(name, &["--anonymous"]);
    }
    let dir = registry.path().to_str().unwrap().to_owned();
    let (database, file) = (format!("{dir}/registry.db"), registry.path().join("chosen.crt"));
    for (key, wrong) in chosen_keys() {
        let pem = certify(&registry, &key, "1/16", 2).to_pem().unwrap();
        fs::write(&file, &pem).unwrap();
        let pem = String::from_utf8(pem).unwrap();
        let row = format!("UPDATE cert SET cert = '{pem}' WHERE prefix = '0000000000000001'");
        run("sqlite3", &[&database, &row]);
        let prefix: Prefix = "1/16".parse().unwrap();
        for nonce in [None, Some([7; 16])] {
            let (status, said) = registry.get(&OpenCall::Hello { prefix, nonce }.target(), "");
            let said = String::from_utf8(said).unwrap();
            assert!(status == 403 && said.contains(wrong), "{status} {said}");
            assert!(said.contains("1/16") && said.contains("join again"), "{said}");
        }
        let printed = re6st(&["registry", "check", "--dir", &dir]).stdout;
        let printed = String::from_utf8(printed).unwrap();
        assert!(printed.contains("1/16: its certificate") && printed.contains(wrong), "{printed}");
        let said = re6st_refused(&["cert", "verify", file.to_str().unwrap()], 1);
        assert!(said.contains(wrong), "{said}");
    }
    registry.restart(ANONYMOUS);
    assert_eq!(registry.get("/hello?client_prefix=0000000000000001&protocol=10", "").0, 403);
    assert_eq!(registry.get("/hello?client_prefix=0000000000000000&protocol=10", "").0, 200);
}

#[test]
fn request_for_a_chosen_key_is_refused() {
    let registry = Registry::start(ANONYMOUS);
    let ask = |pem: &[u8]| {
        let pem = std::str::from_utf8(pem).unwrap();
        let arguments = [("token", ""), ("req", pem)];
        let (status, said) = registry.get(&target("requestCertificate", &arguments), "");
        (status, String::from_utf8(said).unwrap())
    };
    let group = openssl::ec::EcGroup::from_curve_name(openssl::nid::Nid::X9_62_PRIME256V1).unwrap();
    let ec = PKey::from_ec_key(openssl::ec::EcKey::generate(&group).unwrap()).unwrap();
    let (good, other) = (Rsa::generate(2_048).unwrap(), Rsa::generate(2_048).unwrap());
    let (good, other) = (PKey::from_rsa(good).unwrap(), PKey::from_rsa(other).unwrap());
    let short = PKey::from_rsa(Rsa::generate(1_024).unwrap()).unwrap();
    for (key, signer, status, wanted) in [
        (&ec, &ec, 400, "its own RSA key signed"),
        (&short, &short, 400, "as long as the CA's"),
        (&good, &other, 400, "its own RSA key signed"),
        (&good, &good, 200, "-----BEGIN CERTIFICATE"),
    ] {
        let mut request = X509Req::builder().unwrap();
        request.set_pubkey(key).unwrap();
        request.sign(signer, MessageDigest::sha512()).unwrap();
        let (found, said) = ask(&request.build().to_pem().unwrap());
        assert!(found == status && said.contains(wanted), "{found} {said}");
    }
}

#[test]
fn issuer_certifies_no_chosen_key() {
    let network = Network::new("2001:db8:43::/48".parse().unwrap()).unwrap();
    let (key, now) = (PrivateKey::generate(2_048).unwrap(), unix_time());
    let end = now + std::time::Duration::from_secs(86_400);
    let subject = AuthoritySubject { name: "test", email: None };
    let pem = Issuer::create_authority(network, subject, &key, (now, end)).unwrap();
    let issuer = Issuer::from_pem(&pem, &key.to_pem().unwrap()).unwrap();
    let registry = Registry::start(ANONYMOUS);
    let prefix = "1/16".parse().unwrap();
    let terms = Terms { prefix, subject_serial: 1, serial: 2, not_before: now, not_after: end };
    for (chosen, _) in chosen_keys() {
        let old = Certificate::from_x509(certify(&registry, &chosen, "1/16", 2));
        let error = issuer.reissue(&old, terms).unwrap_err();
        assert!(
            matches!(
                error,
                CertificateError::Key(
                    KeyError::Modulus
                        | KeyError::Exponent
                        | KeyError::Length { .. }
                        | KeyError::Algorithm
                )
            ),
            "{error}"
        );
    }
}

/// Goal: for native nodes the CA signs a statement that is nothing else than a hello, for one node and once;
/// where the registry was native, nobody on the path can have the node say hello otherwise.
#[test]
fn native_hello_is_signed_for_nothing_else() {
    let mut registry = Registry::start(ANONYMOUS);
    let folder = registry.join("one", &["--anonymous"]);
    let identity = identity(&folder, unix_time());
    let mut client = Client::native(identity.clone(), Random::from_number(1));
    let reply = |registry: &Registry, target: &str| {
        let (status, body) = registry.get(target, "");
        Reply { status, mac: None, body }
    };
    // An upstream registry refuses the argument: the node says hello as upstream's do.
    let (mut exchange, request) = client.begin(MemberCall::GetDh);
    assert!(request.target.contains("&nonce="), "{}", request.target);
    let refused = Reply { status: 400, mac: None, body: Vec::new() };
    let Ok(Progress::Send(plain)) = exchange.handle(&mut client, refused.clone()) else { panic!() };
    assert!(!plain.target.contains("nonce"), "{}", plain.target);
    let answer = reply(&registry, &plain.target);
    assert!(exchange.handle(&mut client, answer).is_ok());

    let (mut exchange, request) = client.begin(MemberCall::GetDh);
    let answer = reply(&registry, &request.target);
    let (sealed, signature) = answer.body.split_at(answer.body.len() / 2);
    let ca = identity.authority.certificate();
    assert!(ca.verify(sealed, signature).is_err(), "no bare ciphertext is signed");
    let nonce = request.target.split_once("nonce=").unwrap().1;
    let nonce = u128::from_str_radix(nonce, 16).unwrap().to_be_bytes();
    let statement = hello_statement(identity.prefix, &nonce, sealed);
    assert_eq!(ca.verify(&statement, signature), Ok(()));
    // A reply to another hello is none to this one.
    let (mut other, request) = client.begin(MemberCall::GetDh);
    assert_eq!(other.handle(&mut client, answer.clone()), Err(ReplyError::NotTheAuthority));
    assert!(exchange.handle(&mut client, answer).is_ok());
    let (mut exchange, again) = client.begin(MemberCall::GetDh);
    assert_ne!(request, again);
    assert_eq!(exchange.handle(&mut client, refused), Err(ReplyError::Status(400)));

    registry.restart(&[ANONYMOUS, &["--native-only"]].concat());
    assert_eq!(registry.get("/hello?client_prefix=0000000000000000&protocol=10", "").0, 403);
    let mut client = registry.client(&folder, unix_time());
    assert!(wait(client.get_network_config()).is_ok());
    re6st_must(&[
        "cert",
        "renew",
        "--dir",
        folder.to_str().unwrap(),
        "--registry",
        &registry.url().to_string(),
    ]);
}
