//! A certificate authority that issues what no registry would: expired, not yet valid, for another network.

use std::fs;
use std::path::Path;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::BasicConstraints;
use openssl::x509::{X509, X509Builder, X509Name};

/// An authority of the network 2001:db8:42::/48, or of another one.
pub struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

/// From when until when, in days from now.
pub type Days = (i64, i64);

/// Any time this year.
pub const VALID: Days = (-1, 364);

impl Authority {
    /// One whose serial number carries a network: 1, then the bits of its prefix, in hexadecimal.
    pub fn new(serial: &str, validity: Days) -> Self {
        let key = key();
        let name = name(&[("CN", "re6st.example.com")]);
        let mut builder = builder(serial, validity, &name, &name, &key, 2);
        builder.append_extension(BasicConstraints::new().ca().build().unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha512()).unwrap();
        Self { certificate: builder.build(), key }
    }

    /// Writes `ca.crt`, `cert.crt` and `cert.key` into `directory`, for a node of that name.
    pub fn issue(&self, directory: &Path, common_name: &str, validity: Days) {
        let key = key();
        let number = common_name.split('/').next().unwrap();
        let subject = name(&[("serialNumber", number), ("CN", common_name)]);
        let issuer = self.certificate.subject_name().to_owned().unwrap();
        let mut builder = builder("7", validity, &issuer, &subject, &key, 0);
        builder.sign(&self.key, MessageDigest::sha512()).unwrap();
        fs::create_dir_all(directory).unwrap();
        self.write(directory);
        fs::write(directory.join("cert.crt"), builder.build().to_pem().unwrap()).unwrap();
        fs::write(directory.join("cert.key"), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    }

    /// Writes `ca.crt` alone.
    pub fn write(&self, directory: &Path) {
        fs::write(directory.join("ca.crt"), self.certificate.to_pem().unwrap()).unwrap();
    }
}

fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn name(entries: &[(&str, &str)]) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    for (field, value) in entries {
        name.append_entry_by_text(field, value).unwrap();
    }
    name.build()
}

fn builder(
    serial: &str,
    (from, until): Days,
    issuer: &X509Name,
    subject: &X509Name,
    key: &PKey<Private>,
    version: i32,
) -> X509Builder {
    let now = re6st::os::clock::unix_time().as_secs() as i64;
    let day = |days: i64| Asn1Time::from_unix(now + days * 86_400).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(version).unwrap();
    let serial: Asn1Integer = BigNum::from_hex_str(serial).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_not_before(&day(from)).unwrap();
    builder.set_not_after(&day(until)).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_subject_name(subject).unwrap();
    builder.set_pubkey(key).unwrap();
    builder
}
