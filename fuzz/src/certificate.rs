//! Certificates, requests for them, the names in them, and signed versions of a network.

use re6st::proto::certificate::{
    Authority, Certificate, CertificateRequest, Fingerprint, PrivateKey,
};
use re6st::proto::prefix::{Network, Prefix};
use re6st::proto::time::UnixTime;
use re6st::proto::version::NetworkVersion;

use super::mesh::identity;

/// Any octets as DER, as PEM, as a name, as a version.
pub fn certificate(octets: &[u8]) {
    for certificate in [Certificate::from_der(octets), Certificate::from_pem(octets)] {
        let Ok(certificate) = certificate else { continue };
        look_at(&certificate);
    }
    if let Ok(request) = CertificateRequest::from_pem(octets) {
        let _ = (request.key_octets(), request.subject().entries().count());
    }
    let _ = PrivateKey::from_pem(octets);
    if let Ok(network) = Network::from_serial(octets) {
        assert_eq!(Network::from_serial(&network.to_serial()), Ok(network));
    }
    let authority = &identity("h1").authority;
    let _ = NetworkVersion::parse(octets, authority);
    let text = String::from_utf8_lossy(octets);
    if let Ok(prefix) = text.parse::<Prefix>() {
        assert_eq!(prefix.to_string(), text);
        assert_eq!(Prefix::from_bits(&prefix.to_bits()), Ok(prefix));
    }
    if let Ok(prefix) = Prefix::from_bits(&text) {
        assert_eq!(prefix.to_bits(), text);
    }
    let _ = text.parse::<Fingerprint>().map(|fingerprint| fingerprint.to_string());
}

fn look_at(certificate: &Certificate) {
    let _ = certificate.prefix().map(|prefix| prefix.to_string());
    let _ = (certificate.subject(), certificate.issuer(), certificate.subject_serial());
    let _ = (certificate.serial(), certificate.not_before(), certificate.not_after());
    let _ = (certificate.fingerprint(), certificate.sha1(), certificate.key_octets());
    let _ = (certificate.verify(b"words", b"signature"), certificate.encrypt(b"secret"));
    let _ = identity("h1").authority.verify(certificate, UnixTime::from_secs(1_795_342_400));
    let _ = Authority::new(certificate.clone()).map(|authority| authority.network().cidr());
    if let Ok(der) = certificate.to_der() {
        let again = Certificate::from_der(&der).expect("what was written is a certificate");
        assert_eq!(again.serial_octets(), certificate.serial_octets());
    }
}
