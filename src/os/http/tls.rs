//! TLS for HTTP: a registry's end with a certificate, and a client's that knows whom to believe.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::pin;

use openssl::error::ErrorStack;
use openssl::ssl::{SslAcceptor, SslConnector, SslFiletype, SslMethod, SslRef, SslVerifyMode};
use openssl::x509::{X509Ref, X509VerifyResult};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::proto::certificate::{Certificate, Fingerprint, Issuer};

/// What answers over TLS.
pub type Acceptor = SslAcceptor;

/// Whom a client believes, besides those whom the system vouches for.
#[derive(Clone, Copy, Debug)]
pub enum Pin<'a> {
    /// Anybody, as over plain HTTP: what registries say is signed besides.
    Anybody,
    /// Who shows, or was certified by, the certificate with this fingerprint.
    Certificate(&'a Fingerprint),
    /// Who has the key of this one, or was certified with it: a renewed authority keeps its key.
    Key(&'a Certificate),
}

/// Answers with the authority's own certificate, which clients know by its fingerprint.
pub fn of_authority(issuer: &Issuer) -> Result<Acceptor, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_private_key(issuer.key().pkey())?;
    builder.set_certificate(issuer.authority().certificate().x509())?;
    builder.check_private_key()?;
    Ok(builder.build())
}

/// Answers with the certificate, and those that vouch for it, in a file.
pub fn of_files(chain: &Path, key: &Path) -> Result<Acceptor, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_private_key_file(key, SslFiletype::PEM)?;
    builder.set_certificate_chain_file(chain)?;
    builder.check_private_key()?;
    Ok(builder.build())
}

/// Shakes hands as a server.
pub async fn accept(stream: TcpStream, acceptor: &Acceptor) -> io::Result<SslStream<TcpStream>> {
    let ssl = openssl::ssl::Ssl::new(acceptor.context())?;
    let mut stream = SslStream::new(ssl, stream)?;
    pin::Pin::new(&mut stream).accept().await.map_err(io::Error::other)?;
    Ok(stream)
}

/// Shakes hands as a client with `host`: one that the system vouches for, or that shows or was certified
/// by what `pin` names.
pub async fn connect(
    stream: TcpStream,
    host: &str,
    pin: Pin<'_>,
) -> io::Result<SslStream<TcpStream>> {
    let mut builder = SslConnector::builder(SslMethod::tls_client())?;
    // Whom to believe is decided below, when all is known.
    builder.set_verify(SslVerifyMode::NONE);
    let mut configuration = builder.build().configure()?;
    configuration.set_use_server_name_indication(host.parse::<IpAddr>().is_err());
    let ssl = configuration.into_ssl(host)?;
    let mut stream = SslStream::new(ssl, stream)?;
    pin::Pin::new(&mut stream).connect().await.map_err(io::Error::other)?;
    if is_trusted(stream.ssl(), pin) {
        return Ok(stream);
    }
    Err(io::Error::other("it is neither the network's authority nor anybody whom this host trusts"))
}

fn is_trusted(ssl: &SslRef, pin: Pin<'_>) -> bool {
    if matches!(pin, Pin::Anybody) || ssl.verify_result() == X509VerifyResult::OK {
        return true;
    }
    let Some(leaf) = ssl.peer_certificate() else { return false };
    let is_pinned = |x509: &X509Ref| match pin {
        Pin::Anybody => true,
        Pin::Certificate(pin) => {
            let certificate = Certificate::from_x509(x509.to_owned());
            pin.of_same_kind(&certificate).as_ref() == Some(pin)
        }
        Pin::Key(authority) => authority
            .x509()
            .public_key()
            .is_ok_and(|key| x509.public_key().is_ok_and(|other| key.public_eq(&other))),
    };
    let certified = |by: &X509Ref| {
        is_pinned(by) && by.public_key().is_ok_and(|key| leaf.verify(&key).unwrap_or(false))
    };
    is_pinned(&leaf) || ssl.peer_cert_chain().is_some_and(|chain| chain.iter().any(certified))
}
