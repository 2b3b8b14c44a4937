//! Authorities and certificates for the tests of tunnels, good ones and others.

use std::sync::OnceLock;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder, X509NameRef};

use crate::proto::tunnel::credentials::Credentials;

/// When a certificate is valid.
#[derive(Clone, Copy)]
pub(super) enum Validity {
    /// From today on.
    Now,
    /// It has ended.
    Past,
    /// It has not begun.
    Future,
}

/// Somebody who signs.
pub(super) struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

impl Authority {
    pub(super) fn new(validity: Validity) -> Self {
        Self::of(key(), "test network", validity)
    }

    /// One of another name.
    pub(super) fn of_another_name() -> Self {
        Self::of(key(), "another network", Validity::Now)
    }

    /// The same key and name with another validity, as before or after a renewal.
    pub(super) fn again(&self, validity: Validity) -> Self {
        Self::of(self.key.clone(), "test network", validity)
    }

    fn of(key: PKey<Private>, name: &str, validity: Validity) -> Self {
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let constraints = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(constraints).unwrap();
        let certificate =
            build(builder, (&subject(&[("CN", name)]), 0x1_2001), validity, &key, None);
        Self { key, certificate }
    }

    /// One whose certificate is signed by this one.
    pub(super) fn authorize(&self, name: &str) -> Self {
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let constraints = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(constraints).unwrap();
        let key = key();
        let certificate =
            build(builder, (&subject(&[("CN", name)]), 77), Validity::Now, &key, Some(self));
        Self { key, certificate }
    }

    /// Who has a certificate and would like to be one.
    pub(super) fn from_credentials(credentials: &Credentials) -> Self {
        let (key, certificate) = (credentials.key().clone(), credentials.certificate().clone());
        Self { key, certificate }
    }

    /// Its certificate.
    pub(super) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    /// Credentials for `name`, with a certificate of version 1.
    pub(super) fn issue(&self, name: &str, serial: u32, validity: Validity) -> Credentials {
        self.finish(X509::builder().unwrap(), name, serial, validity)
    }

    /// The same, with a certificate that is for servers only.
    pub(super) fn issue_for_servers(&self, name: &str, serial: u32) -> Credentials {
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let usage = ExtendedKeyUsage::new().server_auth().build().unwrap();
        builder.append_extension(usage).unwrap();
        self.finish(builder, name, serial, Validity::Now)
    }

    /// What somebody shows who believes this authority and has a certificate of another.
    pub(super) fn believed_by(&self, other: &Credentials) -> Credentials {
        let pem = |x509: &X509| x509.to_pem().unwrap();
        let key = other.key().private_key_to_pem_pkcs8().unwrap();
        Credentials::from_pem(&pem(&self.certificate), &pem(other.certificate()), &key).unwrap()
    }

    /// Credentials with a whole subject, field by field.
    pub(super) fn issue_to(&self, fields: &[(&str, &str)], serial: u32) -> Credentials {
        self.sign(X509::builder().unwrap(), &subject(fields), serial, Validity::Now)
    }

    fn finish(
        &self,
        builder: X509Builder,
        name: &str,
        serial: u32,
        validity: Validity,
    ) -> Credentials {
        self.sign(builder, &subject(&[("CN", name)]), serial, validity)
    }

    fn sign(
        &self,
        builder: X509Builder,
        subject: &X509NameRef,
        serial: u32,
        validity: Validity,
    ) -> Credentials {
        let key = key();
        let certificate = build(builder, (subject, serial), validity, &key, Some(self));
        let pem = |x509: &X509| x509.to_pem().unwrap();
        let key = key.private_key_to_pem_pkcs8().unwrap();
        Credentials::from_pem(&pem(&self.certificate), &pem(&certificate), &key).unwrap()
    }
}

/// The client's and the server's credentials; the third is of another authority.
pub(super) fn pki() -> &'static [Credentials; 3] {
    static PKI: OnceLock<[Credentials; 3]> = OnceLock::new();
    PKI.get_or_init(|| {
        let (ca, other) = (Authority::new(Validity::Now), Authority::new(Validity::Now));
        let now = Validity::Now;
        [ca.issue("1/16", 7, now), ca.issue("0/16", 8, now), other.issue("0/16", 9, now)]
    })
}

fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn subject(fields: &[(&str, &str)]) -> X509Name {
    let mut subject = X509NameBuilder::new().unwrap();
    for (field, value) in fields {
        subject.append_entry_by_text(field, value).unwrap();
    }
    subject.build()
}

fn build(
    mut builder: X509Builder,
    (subject, serial): (&X509NameRef, u32),
    validity: Validity,
    key: &PKey<Private>,
    ca: Option<&Authority>,
) -> X509 {
    builder.set_subject_name(subject).unwrap();
    builder.set_issuer_name(ca.map_or(subject, |ca| ca.certificate.subject_name())).unwrap();
    let serial = BigNum::from_u32(serial).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    let days = |days| Asn1Time::days_from_now(days).unwrap();
    let (from, to) = match validity {
        Validity::Now => (days(0), days(1)),
        Validity::Past => (Asn1Time::from_unix(1).unwrap(), Asn1Time::from_unix(86_400).unwrap()),
        Validity::Future => (days(1), days(2)),
    };
    builder.set_not_before(&from).unwrap();
    builder.set_not_after(&to).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.sign(ca.map_or(key, |ca| &ca.key), MessageDigest::sha512()).unwrap();
    builder.build()
}
