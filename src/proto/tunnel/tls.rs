//! TLS 1.2 and 1.3 by OpenSSL over memory: octets in, octets out.
//!
//! Peers' certificates are X.509 version 1, which OpenSSL accepts as leaves. Who the peer must be is
//! checked inside the handshake, so that a stranger learns nothing from us, not even an alert.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use openssl::error::ErrorStack;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions,
    SslSessionCacheMode, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509ExtendedKeyUsage, X509Ref, X509StoreContextRef};

use crate::proto::certificate::{Certificate, CertificateError, KeyRule};
use crate::proto::limits::TUNNEL_RECORD_OCTETS;
use crate::proto::tunnel::credentials::Credentials;
use crate::proto::tunnel::name::ExpectedName;
use crate::proto::tunnel::revocation::RevocationList;

/// What all sessions with the same credentials share; copies are the same one.
#[derive(Clone)]
pub struct TlsContext(Arc<RwLock<Prepared>>);

/// What TLS needs of credentials.
struct Prepared {
    context: SslContext,
    key_rule: Option<KeyRule>,
}

/// Whom we expect at the other end.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// The name it must have; any if `None`.
    pub name: Option<ExpectedName>,
    /// Serial numbers that are not believed.
    pub revoked: Arc<BTreeSet<u64>>,
    /// The authorities' own lists of those that are not.
    pub list: Option<RevocationList>,
    /// What its certificate must say it is for; anything, or nothing, if `None`.
    pub usage: Option<Usage>,
}

/// What a certificate says it is for: its extended key usage (RFC 5280 §4.2.1.12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// Servers.
    Server,
    /// Clients.
    Client,
}

/// Who the peer proved to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerName {
    /// Its common name; empty if it has none.
    pub common_name: String,
    /// The serial number of its certificate.
    pub serial: Option<u64>,
}

/// Why TLS failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlsError {
    /// The peer's certificate is not to be believed.
    #[error("the peer's certificate {0}")]
    Certificate(Distrust),
    /// Its alert, or ours.
    #[error("TLS failed: {0}")]
    Protocol(String),
    /// The peer does not believe us: its alert, in words.
    #[error("the peer refused us: {0}")]
    Refused(&'static str),
    /// The peer closed TLS.
    #[error("the peer closed the control channel")]
    Closed,
}

/// Why a certificate is not believed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Distrust {
    /// Somebody else's.
    #[error("is of an authority that is not ours")]
    OtherAuthority,
    /// Somebody else's, who has the name of ours.
    #[error("names our authority, but was not signed by it")]
    OtherSignature,
    /// OpenSSL's reason: expired, …
    #[error("is not valid: {0}")]
    Invalid(&'static str),
    /// Its authority's own is not to be believed.
    #[error("is of an authority whose own is not valid: {0}")]
    Authority(&'static str),
    /// Its authority is one of ours, and nobody is known who signed that.
    #[error(
        "is of an authority that another one signed: name the certificates of both as authorities"
    )]
    NoRoot,
    /// Not the one we want.
    #[error("names {found}, not {wanted}")]
    OtherName {
        /// Whom it names.
        found: String,
        /// Whom we want.
        wanted: String,
    },
    /// It does not say that it is for this.
    #[error("is not one for {}s", if *.0 == Usage::Server { "server" } else { "client" })]
    OtherUsage(Usage),
    /// Its key is none that a member may have.
    #[error("{0}")]
    Key(CertificateError),
    /// The authority's list has it.
    #[error("was revoked by its authority")]
    Listed,
    /// A list has one of those between it and the authority.
    #[error("is of an authority that was revoked")]
    AuthorityListed,
    /// It was revoked.
    #[error("with serial number {0} was revoked")]
    Revoked(u64),
}

/// One end of one TLS connection.
pub struct Tls {
    stream: SslStream<Memory>,
    distrust: Arc<OnceLock<Distrust>>,
}

/// What lies between TLS and the control packets.
#[derive(Debug, Default)]
struct Memory {
    received: Vec<u8>,
    read: usize,
    to_send: Vec<u8>,
}

impl TlsContext {
    /// Prepares for many sessions.
    pub fn new(credentials: &Credentials) -> Result<Self, ErrorStack> {
        Ok(Self(Arc::new(RwLock::new(prepare(credentials)?))))
    }

    /// Shows other credentials from now on: in new sessions, and in old ones when they next renew their
    /// keys.
    pub fn renew(&self, credentials: &Credentials) -> Result<(), ErrorStack> {
        let context = prepare(credentials)?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = context;
        Ok(())
    }
}

/// What TLS 1.2 may use, in OpenSSL's words: forward secrecy and authenticated encryption only (RFC 9325
/// §4.2). OpenVPN 2.4 has both. TLS 1.3 has nothing else.
const TLS12_CIPHERS: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL";

fn prepare(credentials: &Credentials) -> Result<Prepared, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls())?;
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    // OpenVPN's own level: networks with RSA keys of 1024 bits or SHA-1 signatures are still about.
    context.set_security_level(1);
    context.set_options(SslOptions::NO_TICKET | SslOptions::NO_COMPRESSION);
    context.set_cipher_list(TLS12_CIPHERS)?;
    // Most of the time nothing is said: no buffers are kept for it.
    context.set_mode(SslMode::RELEASE_BUFFERS);
    context.set_num_tickets(0)?;
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    let mut store = X509StoreBuilder::new()?;
    for authority in credentials.authorities() {
        store.add_cert(authority.clone())?;
        context.add_client_ca(authority)?;
    }
    context.set_cert_store(store.build());
    context.set_certificate(credentials.certificate())?;
    // Without these, OpenSSL looks for whoever signed ours among the authorities.
    for between in credentials.chain() {
        context.add_extra_chain_cert(between.clone())?;
    }
    context.set_private_key(credentials.key())?;
    Ok(Prepared { context: context.build(), key_rule: credentials.key_rule().cloned() })
}

impl Tls {
    /// The client's end.
    pub fn client(context: &TlsContext, expectation: Expectation) -> Result<Self, ErrorStack> {
        Self::new(context, expectation, |ssl| ssl.set_connect_state())
    }

    /// The server's end.
    pub fn server(context: &TlsContext, expectation: Expectation) -> Result<Self, ErrorStack> {
        Self::new(context, expectation, |ssl| ssl.set_accept_state())
    }

    fn new(
        context: &TlsContext,
        expectation: Expectation,
        set_role: impl FnOnce(&mut Ssl),
    ) -> Result<Self, ErrorStack> {
        let prepared = context.0.read().unwrap_or_else(PoisonError::into_inner);
        let (mut ssl, key_rule) = (Ssl::new(&prepared.context)?, prepared.key_rule.clone());
        drop(prepared);
        set_role(&mut ssl);
        let distrust = Arc::new(OnceLock::new());
        let found = Arc::clone(&distrust);
        let mode = SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT;
        ssl.set_verify_callback(mode, move |valid, chain| {
            match judge(valid, chain, &expectation, key_rule.as_ref()) {
                Ok(()) => true,
                Err(distrust) => {
                    let _ = found.set(distrust);
                    false
                }
            }
        });
        Ok(Self { stream: SslStream::new(ssl, Memory::default())?, distrust })
    }

    /// Takes octets from the peer.
    pub fn receive(&mut self, octets: &[u8]) {
        let memory = self.stream.get_mut();
        memory.received.drain(..memory.read);
        memory.read = 0;
        memory.received.extend_from_slice(octets);
    }

    /// Goes on with the handshake; whether it is finished.
    pub fn handshake(&mut self) -> Result<bool, TlsError> {
        match self.stream.do_handshake() {
            Ok(()) => Ok(true),
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(false),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// The next record of the peer, if one is complete.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, TlsError> {
        let mut record = vec![0; TUNNEL_RECORD_OCTETS];
        match self.stream.ssl_read(&mut record) {
            Ok(length) => {
                record.truncate(length);
                Ok(Some(record))
            }
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(None),
            Err(error) if error.code() == ErrorCode::ZERO_RETURN => Err(TlsError::Closed),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// Sends one record.
    pub fn write(&mut self, record: &[u8]) -> Result<(), TlsError> {
        match self.stream.ssl_write(record) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.error(&error)),
        }
    }

    /// What is to be sent to the peer since the last time.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.stream.get_mut().to_send)
    }

    /// Who the peer proved to be.
    pub fn peer(&self) -> Option<PeerName> {
        let certificate = Certificate::from_x509(self.stream.ssl().peer_certificate()?);
        let common_name = certificate.common_name().unwrap_or_default();
        Some(PeerName { common_name, serial: certificate.serial() })
    }

    /// Keys that both ends, and nobody else, can derive from this connection.
    pub fn export(&self, label: &str, out: &mut [u8]) -> Result<(), ErrorStack> {
        self.stream.ssl().export_keying_material(out, label, None)
    }

    fn error(&self, error: &openssl::ssl::Error) -> TlsError {
        match self.distrust.get() {
            Some(distrust) => TlsError::Certificate(distrust.clone()),
            None => {
                let reason = error.ssl_error().and_then(|stack| stack.errors().first()?.reason());
                let alert = reason.and_then(alert);
                let reason = reason.unwrap_or("the peer broke off").to_owned();
                alert.map_or(TlsError::Protocol(reason), TlsError::Refused)
            }
        }
    }
}

fn is_for(certificate: &X509Ref, usage: Usage) -> bool {
    let wanted = match usage {
        Usage::Server => X509ExtendedKeyUsage::SSL_SERVER,
        Usage::Client => X509ExtendedKeyUsage::SSL_CLIENT,
    };
    certificate.extended_key_usage().is_some_and(|found| found.contains(wanted))
}

/// What OpenSSL's word for an alert (RFC 8446 §6.2) means between two ends of a tunnel.
fn alert(reason: &str) -> Option<&'static str> {
    let (_, name) = reason.split_once(" alert ")?;
    Some(match name {
        "unknown ca" => "our certificate is not of an authority that it believes",
        "decrypt error" => "our certificate was not signed by the authority that it names",
        "certificate expired" => {
            "our certificate or its authority's has expired, or a clock is wrong"
        }
        "certificate revoked" => "our certificate was revoked",
        "bad certificate" | "certificate unknown" | "unsupported certificate" => {
            "it does not accept our certificate"
        }
        "certificate required" => "it wants a certificate and got none",
        "access denied" => "our certificate gives no access",
        "protocol version" => "it speaks no version of TLS that we do",
        "handshake failure" | "insufficient security" => {
            "it shares no TLS cipher, curve or signature with us"
        }
        _ => return None,
    })
}

/// OpenSSL's numbers (x509_vfy.h): no certificate is known that issued this one; the same of one of ours; the
/// peer showed one that is not believed; the signature is not the issuer's.
const UNKNOWN_ISSUER: i32 = 20;
const UNKNOWN_ISSUER_OF_OURS: i32 = 2;
const UNKNOWN_ROOT: i32 = 19;
const BAD_SIGNATURE: i32 = 7;

fn judge(
    valid: bool,
    chain: &X509StoreContextRef,
    expectation: &Expectation,
    key_rule: Option<&KeyRule>,
) -> Result<(), Distrust> {
    if !valid {
        let error = chain.error();
        return Err(match (error.as_raw(), chain.error_depth()) {
            (UNKNOWN_ISSUER, _) | (UNKNOWN_ROOT, _) => Distrust::OtherAuthority,
            (UNKNOWN_ISSUER_OF_OURS, _) => Distrust::NoRoot,
            (BAD_SIGNATURE, 0) => Distrust::OtherSignature,
            (_, 0) => Distrust::Invalid(error.error_string()),
            _ => Distrust::Authority(error.error_string()),
        });
    }
    let Some(certificate) = chain.current_cert() else { return Ok(()) };
    let (depth, signers) = (chain.error_depth(), chain.chain());
    let signer = signers.and_then(|signers| signers.get(depth as usize + 1));
    if let (Some(list), Some(signer)) = (&expectation.list, signer)
        && list.has(certificate, signer)
    {
        return Err(if depth == 0 { Distrust::Listed } else { Distrust::AuthorityListed });
    }
    if depth > 0 {
        return Ok(());
    }
    if let Some(rule) = key_rule {
        let checked = certificate.public_key().map_err(Into::into).and_then(|key| rule.check(&key));
        checked.map_err(Distrust::Key)?;
    }
    if let Some(usage) = expectation.usage.filter(|&usage| !is_for(certificate, usage)) {
        return Err(Distrust::OtherUsage(usage));
    }
    if let Some(wanted) = &expectation.name {
        wanted.check(certificate).map_err(|found| {
            let wanted = wanted.to_string();
            Distrust::OtherName { found, wanted }
        })?;
    }
    let certificate = Certificate::from_x509(certificate.to_owned());
    match certificate.serial().filter(|serial| expectation.revoked.contains(serial)) {
        Some(serial) => Err(Distrust::Revoked(serial)),
        None => Ok(()),
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unread = &self.received[self.read..];
        if unread.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let length = unread.len().min(buffer.len());
        buffer[..length].copy_from_slice(&unread[..length]);
        self.read += length;
        Ok(length)
    }
}

impl Write for Memory {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.to_send.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl std::fmt::Debug for TlsContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsContext")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::tunnel::pki::{Authority, Validity};

    /// Whether a client that offers only these TLS 1.2 ciphers agrees with our server.
    fn agrees(ciphers: &str) -> bool {
        let authority = Authority::new(Validity::Now);
        let context = TlsContext::new(&authority.issue("0/16", 1, Validity::Now)).unwrap();
        let mut builder = SslContextBuilder::new(SslMethod::tls()).unwrap();
        builder.set_max_proto_version(Some(SslVersion::TLS1_2)).unwrap();
        builder.set_security_level(1);
        builder.set_cipher_list(ciphers).unwrap();
        let credentials = authority.issue("1/16", 2, Validity::Now);
        builder.set_certificate(credentials.certificate()).unwrap();
        builder.set_private_key(credentials.key()).unwrap();
        let mut store = X509StoreBuilder::new().unwrap();
        store.add_cert(credentials.authorities().next().unwrap().clone()).unwrap();
        builder.set_cert_store(store.build());
        let offering = TlsContext(Arc::new(RwLock::new(Prepared {
            context: builder.build(),
            key_rule: None,
        })));
        let mut client = Tls::client(&offering, Expectation::default()).unwrap();
        let mut server = Tls::server(&context, Expectation::default()).unwrap();
        for _ in 0..4 {
            match client.handshake() {
                Ok(true) => return server.handshake() == Ok(true),
                Ok(false) => server.receive(&client.take_output()),
                Err(_) => return false,
            }
            if server.handshake().is_err() {
                return false;
            }
            client.receive(&server.take_output());
        }
        false
    }

    #[test]
    fn tls12_needs_forward_secrecy_and_authenticated_encryption() {
        for cipher in ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305"] {
            assert!(agrees(cipher), "{cipher}");
        }
        for cipher in
            ["AES256-GCM-SHA384", "AES128-SHA", "ECDHE-RSA-AES256-SHA384", "ECDHE-RSA-AES128-SHA"]
        {
            assert!(!agrees(cipher), "{cipher}");
        }
    }
}
