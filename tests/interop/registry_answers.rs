//! The same calls to stock's registry and to ours, on the same database: the same statuses, the same octets.

use std::fs;
use std::path::Path;
use std::time::Duration;

use re6st::proto::certificate::{Certificate, CertificateRequest, PrivateKey};
use re6st::proto::registry::call::OpenCall;
use tempfile::TempDir;

use super::registry::{joined, start_ours};
use super::stock::registry::{Authority, StockRegistry};
use crate::namespace::{Namespace, run};

/// What is looked at in an answer, besides its status.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Its octets.
    Same,
    /// How many they are: it is drawn, or sealed.
    Length,
    /// What it certifies.
    Certificate,
    /// An error's is for people.
    Any,
}
use Body::{Any, Length, Same};

/// Calls in turn, which build on each other: a target, more words for curl, what is looked at.
const CALLS: &[(&str, &[&str], Body)] = &[
    ("/getCa", &[], Same),
    ("/getCa", &["-0"], Same),
    ("/getCa?", &[], Same),
    ("/getCa?x=1", &[], Any),
    ("/getCa/x", &[], Any),
    ("/getCa", &["-I"], Any),
    ("/getCa", &["-d", "x=1"], Any),
    ("/nothing", &[], Any),
    ("/getDh?cn=0000000000000001", &["-H", "Re6stHMAC: AAAAAAAAAAAAAAAAAAAAAAAAAAA="], Any),
    ("/hello?client_prefix=0000000000000000&protocol=8", &[], Length),
    ("/hello?client_prefix=0000000000000000", &[], Length),
    ("/hello?protocol=8&client_prefix=0000000000000001", &[], Length),
    ("/hello?client_prefix=0000000000000111&protocol=8", &[], Any),
    ("/hello", &[], Any),
    ("/hello?client_prefix=0000000000000000&protocol=x", &[], Any),
    ("/getDh?cn=0000000000000000", &[], Any),
    ("/getDh?cn=0000000000000000", &["-H", "Re6stHMAC: AAAAAAAAAAAAAAAAAAAAAAAAAAA="], Any),
    ("/getDh?cn=0000000000000111", &["-H", "Re6stHMAC: AAAAAAAAAAAAAAAAAAAAAAAAAAA="], Any),
    ("/getNetworkConfig", &[], Any),
    ("/requestToken?email=one@example.com", &[], Same),
    ("/requestToken", &[], Any),
    ("/requestCertificate?token=unknown&req=x", &[], Any),
    ("/requestCertificate?token=", &[], Any),
    ("/isToken?token=abcdefgh", &[], Same),
    ("/addToken?email=a%40example.com&token=abcdefgh", &[], Same),
    ("/isToken?token=abcdefgh", &[], Same),
    ("/isToken?token=%61bcdefgh", &[], Same),
    ("/deleteToken?token=abcdefgh", &[], Same),
    ("/deleteToken?token=abcdefgh", &[], Same),
    ("/isToken?token=abcdefgh", &[], Same),
    ("/addToken?email=b%2Bc@example.com&token=second", &[], Same),
    ("/addToken?email=d@example.com&token=", &[], Length),
    ("/getNodePrefix?email=a@example.com", &[], Same),
    ("/getNodePrefix?email=x@example.com", &[], Same),
    ("/getIPv6Address?email=a@example.com", &[], Same),
    ("/getIPv4Information?email=a@example.com", &[], Same),
    ("/topology", &["-H", "X-Forwarded-For: 203.0.113.1"], Any),
    ("/revoke?cn_or_serial=9/16", &[], Any),
    ("/revoke?cn_or_serial=1/16", &[], Same),
    ("/hello?client_prefix=0000000000000001&protocol=8", &[], Any),
    ("/revoke?cn_or_serial=1", &[], Same),
    ("/updateHMAC", &[], Same),
    ("/updateHMAC", &["-H", "X-Forwarded-For: 203.0.113.1"], Any),
];

/// Where ours differs, and means to: the target, stock's answer, ours.
const DIFFERENT: &[(&str, &str, &str)] = &[
    // Without a session: later releases of stock's say 401, upon which a client says hello.
    ("/getDh?cn=0000000000000001", "400", "401"),
    // What is asked wrongly makes this release fail; later ones say 404 to an unknown prefix, too.
    ("/hello?client_prefix=0000000000000111&protocol=8", "500", "404"),
    ("/hello?client_prefix=0000000000000000&protocol=x", "500", "400"),
    ("/getDh?cn=0000000000000111", "400", "401"),
    ("/requestCertificate?token=unknown&req=x", "500", "400"),
    // An empty token would be everybody's: one is drawn.
    ("/addToken?email=d@example.com&token=", "204 0 octets", "200 18 octets"),
    ("/revoke?cn_or_serial=9/16", "500", "404"),
    ("/hello?client_prefix=0000000000000001&protocol=8", "500", "404"),
    // A revoked prefix is held until its certificate ends.
    (
        ANONYMOUS,
        "200 O=Some one, serialNumber=1, CN=1/16, 3, 365 days",
        "200 O=Some one, serialNumber=1, CN=2/16, 3, 365 days",
    ),
    (
        SECOND,
        "200 O=Some one, serialNumber=2, CN=2/16, 4, 365 days",
        "200 O=Some one, serialNumber=2, CN=3/16, 4, 365 days",
    ),
    ("/getNodePrefix?email=b%2Bc@example.com", "200 2/16", "200 3/16"),
];

/// Requests for certificates, without the request.
const ANONYMOUS: &str = "/requestCertificate?token=";
const SECOND: &str = "/requestCertificate?token=second";

/// Goal: whoever asks cannot tell the registries apart, but by their mistakes.
/// Method: both get the same calls in turn, each over its copy of one database that stock made.
#[test]
fn stock_and_ours_answer_alike() {
    let host = Namespace::new("registry");
    let directory = TempDir::with_prefix("re6st-interop-").unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("stock")).unwrap();
    let authority = Authority::new(&at("stock"));
    let stock = StockRegistry::start(&host, &at("stock"), &authority, &[]);
    joined(&host, &at("own"), &["--anonymous"]);
    host.run("curl", &["-s", "http://127.0.0.1/addToken?email=a@example.com&token=first"]);
    joined(&host, &at("one"), &["--token", "first"]);
    drop(stock);
    run("cp", &["-a", at("stock").to_str().unwrap(), at("ours").to_str().unwrap()]);
    let key = PrivateKey::generate(2_048).unwrap();

    let stock = StockRegistry::start(&host, &at("stock"), &authority, &[]);
    let theirs = answers(&host, directory.path(), &key);
    drop(stock);
    let dh = at("stock").join("dh2048.pem");
    let ours = start_ours(&host, &at("ours"), &["--dh", dh.to_str().unwrap()]);
    let told = answers(&host, directory.path(), &key);
    drop(ours);
    assert_eq!(theirs.len(), told.len());
    let differ: Vec<_> = theirs
        .iter()
        .zip(&told)
        .filter(|(theirs, ours)| theirs != ours)
        .map(|((target, theirs), (_, ours))| (target.as_str(), theirs.as_str(), ours.as_str()))
        .collect();
    assert_eq!(differ, DIFFERENT);
}

/// The target of each call, and what became of it as a text to compare.
fn answers(host: &Namespace, folder: &Path, key: &PrivateKey) -> Vec<(String, String)> {
    let request = CertificateRequest::create(key, &[("O".into(), "Some one".into())]);
    let request = String::from_utf8(request.unwrap().unwrap()).unwrap();
    let certificate = |token: &str| {
        let (token, request) = (token.to_owned(), request.clone());
        OpenCall::RequestCertificate { token, request, location: String::new() }.target()
    };
    let (anonymous, second) = (certificate(""), certificate("second"));
    let more = [
        (anonymous.as_str(), &[][..], Body::Certificate),
        (&second, &[], Body::Certificate),
        ("/getNodePrefix?email=b%2Bc@example.com", &[], Same),
    ];
    let body = folder.join("body");
    CALLS
        .iter()
        .copied()
        .chain(more)
        .map(|(target, words, looked_at)| {
            let _ = fs::remove_file(&body);
            let url = format!("http://127.0.0.1{target}");
            let common = ["-s", "-m", "20", "-w", "%{http_code}", "-o", body.to_str().unwrap()];
            let output = host.output("curl", &[&common[..], words, &[&url]].concat());
            let status = String::from_utf8(output.stdout).unwrap();
            let octets = fs::read(&body).unwrap_or_default();
            let seen = match looked_at {
                Any => String::new(),
                Length => format!("{} octets", octets.len()),
                Same => String::from_utf8_lossy(&octets).into_owned(),
                Body::Certificate => {
                    let certificate = Certificate::from_pem(&octets).expect(target);
                    let lasts = certificate.not_after().since(certificate.not_before());
                    let days = (lasts + Duration::from_secs(60)).as_secs() / 86_400;
                    let serial = certificate.serial().unwrap();
                    format!("{}, {serial}, {days} days", certificate.subject())
                }
            };
            let shown = target.split("&req=-").next().unwrap();
            (shown.to_owned(), format!("{status} {seen}").trim_end().to_owned())
        })
        .collect()
}
