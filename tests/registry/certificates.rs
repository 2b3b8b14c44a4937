//! Certificates issued again from a stock network's requests: the same octets.

use re6st::proto::certificate::{
    Authority, AuthoritySubject, Certificate, CertificateError, CertificateRequest, Issuer,
    PrivateKey, Terms,
};
use re6st::proto::prefix::Network;
use re6st::proto::time::UnixTime;

use super::vectors::{THEN, owner, unhex, vectors};

fn issuer() -> Issuer {
    let (certificate, key) = owner("ca");
    Issuer::from_pem(&certificate, &key).unwrap()
}

/// The requests of the recording, in order: the registry's own node, h1, h2, h3, h4.
fn requests() -> Vec<CertificateRequest> {
    let http = vectors()["http"].as_array().unwrap().clone();
    let target = |call: &serde_json::Value| {
        call["request"].as_str().unwrap().split(' ').nth(1).unwrap().to_owned()
    };
    let asked = http.iter().map(target).filter(|target| target.starts_with("/requestCertificate"));
    asked
        .map(|target| {
            let query = target.split_once('?').unwrap().1;
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let (_, pem) = pairs.find(|(name, _)| name == "req").unwrap();
            CertificateRequest::from_pem(pem.as_bytes()).unwrap()
        })
        .collect()
}

#[test]
fn a_stock_networks_certificates_are_issued_again_octet_for_octet() {
    let issuer = issuer();
    let known = vectors()["prefix"].as_array().unwrap().clone();
    assert_eq!(known.len(), 5);
    for (request, vector) in requests().iter().zip(&known) {
        let der = unhex(&vector["der_hex"]);
        let theirs = Certificate::from_der(&der).unwrap();
        let ours = issuer
            .issue(
                request,
                Terms {
                    prefix: vector["cn"].as_str().unwrap().parse().unwrap(),
                    subject_serial: theirs.subject_serial().unwrap(),
                    serial: vector["serial"].as_u64().unwrap(),
                    not_before: theirs.not_before(),
                    not_after: theirs.not_after(),
                },
            )
            .unwrap();
        assert_eq!(ours.to_der().unwrap(), der, "{}", vector["cn"]);
        assert_eq!(theirs.digest("sha1").unwrap(), vector["fingerprint_sha1"]);
        assert_eq!(issuer.authority().verify(&ours, THEN), ours.prefix());
    }
}

#[test]
fn a_renewed_certificate_keeps_its_subject_and_key() {
    let issuer = issuer();
    let old = Certificate::from_pem(&owner("h2").0).unwrap();
    let terms = Terms {
        prefix: old.prefix().unwrap(),
        subject_serial: old.subject_serial().unwrap(),
        serial: 99,
        not_before: THEN,
        not_after: UnixTime::from_secs(THEN.as_secs() + 1_000),
    };
    let new = issuer.reissue(&old, terms).unwrap();
    assert_eq!(new.subject(), old.subject());
    assert_eq!((new.serial(), new.not_after().as_secs()), (Some(99), THEN.as_secs() + 1_000));
    assert!(PrivateKey::from_pem(&owner("h2").1).unwrap().belongs_to(&new));
}

#[test]
fn what_does_not_fit_is_refused() {
    let (ca, _) = owner("ca");
    let wrong = Issuer::from_pem(&ca, &owner("h1").1).err();
    assert_eq!(wrong, Some(CertificateError::OtherKey));
    let leaf = Certificate::from_pem(&owner("h1").0).unwrap();
    let authority = Authority::from_pem(&ca).unwrap();
    let at = |seconds: u64| authority.verify(&leaf, UnixTime::from_secs(seconds)).unwrap_err();
    assert_eq!(at(1), CertificateError::NotYetValid(leaf.not_before()));
    assert_eq!(at(3_000_000_000), CertificateError::Expired(leaf.not_after()));

    let key = PrivateKey::generate(2_048).unwrap();
    let network = Network::new("2001:db8:43::/48".parse().unwrap()).unwrap();
    let subject = AuthoritySubject { name: "another", email: Some("ca@example.com") };
    let other = Issuer::create_authority(network, subject, &key, (THEN, leaf.not_after())).unwrap();
    let other = Issuer::from_pem(&other, &key.to_pem().unwrap()).unwrap();
    assert_eq!(other.email().as_deref(), Some("ca@example.com"));
    assert_eq!(other.authority().network(), network);
    let refused = other.authority().verify(&leaf, THEN).unwrap_err();
    assert_eq!(refused, CertificateError::OtherAuthority);
}

#[test]
fn a_request_must_be_signed_by_its_key_and_stay_small() {
    let key = PrivateKey::generate(2_048).unwrap();
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let pem = |fields: &[_]| CertificateRequest::create(&key, fields).unwrap();
    let good = pem(&[field("O", "one"), field("CN", "99/16")]).unwrap();
    assert!(CertificateRequest::from_pem(&good).is_ok());
    assert_eq!(pem(&[field("O", "one"), field("nonsense", "two")]), Err(1));
    for length in 0..good.len() - 1 {
        assert!(CertificateRequest::from_pem(&good[..length]).is_err(), "{length} octets");
    }
    let many: Vec<_> = (0..20).map(|at| field("OU", &at.to_string())).collect();
    assert!(CertificateRequest::from_pem(&pem(&many).unwrap()).is_err());
}
