//! Making certificates: an authority's own, and those it issues.

use openssl::asn1::{Asn1Integer, Asn1Time, Asn1TimeRef, Asn1Type};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{HasPublic, PKeyRef};
use openssl::x509::extension::{AuthorityKeyIdentifier, BasicConstraints, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Name, X509NameRef};

use super::request::own_fields;
use super::{Authority, Certificate, CertificateError, CertificateRequest, PrivateKey};
use crate::proto::prefix::{Network, Prefix};
use crate::proto::time::UnixTime;

/// An authority that has its key.
pub struct Issuer {
    authority: Authority,
    key: PrivateKey,
}

/// What an authority's certificate says about it.
#[derive(Clone, Copy, Debug)]
pub struct AuthoritySubject<'a> {
    /// Its common name.
    pub name: &'a str,
    /// Where its mails come from.
    pub email: Option<&'a str>,
}

/// What the registry decides about a certificate.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The node's prefix.
    pub prefix: Prefix,
    /// The smallest number no other node has: its place in the IPv4 network.
    pub subject_serial: u32,
    /// The registry's counter, which revocation lists name.
    pub serial: u64,
    /// The first moment of its validity.
    pub not_before: UnixTime,
    /// The last moment of its validity.
    pub not_after: UnixTime,
}

impl Issuer {
    /// Reads the PEM of an authority's certificate and key, which must fit each other.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let authority = Authority::from_pem(certificate)?;
        let key = PrivateKey::from_pem(key)?;
        if !key.belongs_to(authority.certificate()) {
            return Err(CertificateError::OtherKey);
        }
        Ok(Self { authority, key })
    }

    /// Makes the certificate of a new authority, PEM: X.509 v3, its serial number carries the network.
    pub fn create_authority(
        network: Network,
        subject: AuthoritySubject<'_>,
        key: &PrivateKey,
        (not_before, not_after): (UnixTime, UnixTime),
    ) -> Result<Vec<u8>, CertificateError> {
        let mut name = X509Name::builder()?;
        name.append_entry_by_nid(Nid::COMMONNAME, subject.name)?;
        if let Some(email) = subject.email {
            name.append_entry_by_nid(Nid::PKCS9_EMAILADDRESS, email)?;
        }
        let lasts = [&*asn1(not_before)?, &*asn1(not_after)?];
        authority_certificate(network, &name.build(), key, lasts)
    }

    /// The authority's certificate with another end, PEM. Key, name and serial number stay, and with them
    /// everything that it issued; so does its beginning, for the clocks of nodes may be behind.
    pub fn renew_authority(&self, not_after: UnixTime) -> Result<Vec<u8>, CertificateError> {
        let old = self.authority.certificate().x509();
        let lasts = [old.not_before(), &*asn1(not_after)?];
        authority_certificate(self.authority.network(), old.subject_name(), &self.key, lasts)
    }

    /// The authority.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its key.
    pub const fn key(&self) -> &PrivateKey {
        &self.key
    }

    /// The address its mails come from, if its subject has one.
    pub fn email(&self) -> Option<String> {
        self.authority.certificate().subject_entry(Nid::PKCS9_EMAILADDRESS)
    }

    /// Issues a certificate for a request.
    pub fn issue(
        &self,
        request: &CertificateRequest,
        terms: Terms,
    ) -> Result<Certificate, CertificateError> {
        self.sign(request.subject(), request.key(), terms)
    }

    /// Issues a certificate for the key and subject of an older one.
    pub fn reissue(
        &self,
        old: &Certificate,
        terms: Terms,
    ) -> Result<Certificate, CertificateError> {
        let key = old.x509().public_key()?;
        self.sign(old.x509().subject_name(), &key, terms)
    }

    /// X.509 v1, without extensions, as stock nodes expect.
    fn sign<K: HasPublic>(
        &self,
        subject: &X509NameRef,
        key: &PKeyRef<K>,
        terms: Terms,
    ) -> Result<Certificate, CertificateError> {
        self.authority.key_rule().check(key)?;
        let mut name = X509Name::builder()?;
        for entry in own_fields(subject) {
            name.append_entry(entry)?;
        }
        let (serial, prefix) = (terms.subject_serial.to_string(), terms.prefix.to_string());
        name.append_entry_by_nid_with_type(Nid::SERIALNUMBER, &serial, Asn1Type::PRINTABLESTRING)?;
        name.append_entry_by_nid_with_type(Nid::COMMONNAME, &prefix, Asn1Type::UTF8STRING)?;
        let mut builder = X509::builder()?;
        builder.set_version(0)?;
        let serial = BigNum::from_slice(&terms.serial.to_be_bytes())?;
        builder.set_serial_number(&*Asn1Integer::from_bn(&serial)?)?;
        builder.set_subject_name(&name.build())?;
        builder.set_issuer_name(self.authority.certificate().x509().subject_name())?;
        builder.set_pubkey(key)?;
        builder.set_not_before(&*asn1(terms.not_before)?)?;
        builder.set_not_after(&*asn1(terms.not_after)?)?;
        builder.sign(self.key.pkey(), MessageDigest::sha512())?;
        Ok(Certificate::from_x509(builder.build()))
    }
}

fn authority_certificate(
    network: Network,
    name: &X509NameRef,
    key: &PrivateKey,
    [not_before, not_after]: [&Asn1TimeRef; 2],
) -> Result<Vec<u8>, CertificateError> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = BigNum::from_slice(&network.to_serial())?;
    builder.set_serial_number(&*Asn1Integer::from_bn(&serial)?)?;
    builder.set_subject_name(name)?;
    builder.set_issuer_name(name)?;
    builder.set_pubkey(key.pkey())?;
    builder.set_not_before(not_before)?;
    builder.set_not_after(not_after)?;
    let context = builder.x509v3_context(None, None);
    let subject_key = SubjectKeyIdentifier::new().build(&context)?;
    builder.append_extension(subject_key)?;
    let context = builder.x509v3_context(None, None);
    let authority_key = AuthorityKeyIdentifier::new().keyid(true).build(&context)?;
    builder.append_extension(authority_key)?;
    builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
    builder.sign(key.pkey(), MessageDigest::sha256())?;
    Ok(builder.build().to_pem()?)
}

fn asn1(time: UnixTime) -> Result<Asn1Time, CertificateError> {
    let seconds = i64::try_from(time.as_secs()).map_err(|_| CertificateError::Malformed)?;
    Ok(Asn1Time::from_unix(seconds)?)
}
