//! TLS for HTTP: a registry's end with a certificate, and a client's that knows whom to believe.

use std::future::poll_fn;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::{fs, io, pin};

use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslConnector, SslMethod, SslRef, SslVerifyMode};
use openssl::x509::{X509, X509Ref, X509VerifyResult};
use tokio::net::TcpStream;
use tokio::task::block_in_place;
use tokio_openssl::SslStream;

use crate::proto::certificate::{Certificate, Fingerprint, PrivateKey};

/// What answers over TLS, with the certificate that its file has now: whoever renews it need not tell us.
#[derive(Clone)]
pub struct Acceptor(Arc<Shown>);

struct Shown {
    chain: PathBuf,
    key: Key,
    state: Mutex<State>,
}

/// Where the key of a certificate is.
pub enum Key {
    /// Here: it outlasts each certificate for it.
    Kept(PrivateKey),
    /// In a file, PEM: it may be renewed with the certificate.
    File(PathBuf),
}

struct State {
    acceptor: SslAcceptor,
    /// The files as they were when they were last used, or could not be.
    tried: Files,
}

/// What is in the files: the certificate and those that vouch for it, PEM, and the key.
#[derive(PartialEq, Eq)]
struct Files {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Acceptor {
    /// Answers with the certificate in `chain`, and those after it that vouch for it.
    pub fn open(chain: PathBuf, key: Key) -> io::Result<Self> {
        let tried = Files::read(&chain, &key)?;
        let state = Mutex::new(State { acceptor: tried.acceptor()?, tried });
        Ok(Self(Arc::new(Shown { chain, key, state })))
    }

    /// The certificate of now; the last good one if that cannot be used.
    fn current(&self) -> SslAcceptor {
        let Shown { chain, key, state } = &*self.0;
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        // Files that cannot be read are being written, or are not for the user that we became.
        if let Ok(found) = Files::read(chain, key)
            && found != state.tried
        {
            match found.acceptor() {
                Ok(acceptor) => state.acceptor = acceptor,
                Err(error) => tracing::warn!("TLS stays as it was: {}: {error}", chain.display()),
            }
            state.tried = found;
        }
        state.acceptor.clone()
    }
}

impl Files {
    fn read(chain: &Path, key: &Key) -> io::Result<Self> {
        let key = match key {
            Key::Kept(key) => key.to_pem().map_err(io::Error::other)?,
            Key::File(path) => fs::read(path)?,
        };
        Ok(Self { chain: fs::read(chain)?, key })
    }

    fn acceptor(&self) -> io::Result<SslAcceptor> {
        let mut chain = X509::stack_from_pem(&self.chain)?.into_iter();
        let leaf = chain.next().ok_or_else(|| io::Error::other("there is no certificate in it"))?;
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
        builder.set_certificate(&leaf)?;
        for certificate in chain {
            builder.add_extra_chain_cert(certificate)?;
        }
        builder.set_private_key(&*PKey::private_key_from_pem(&self.key)?)?;
        builder.check_private_key()?;
        Ok(builder.build())
    }
}

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

/// Shakes hands as a server. The signature takes a millisecond, in which another thread goes on with the
/// connections of this one.
pub async fn accept(stream: TcpStream, acceptor: &Acceptor) -> io::Result<SslStream<TcpStream>> {
    let ssl = openssl::ssl::Ssl::new(acceptor.current().context())?;
    let mut stream = SslStream::new(ssl, stream)?;
    let hands = |context: &mut Context<'_>| {
        block_in_place(|| pin::Pin::new(&mut stream).poll_accept(context))
    };
    poll_fn(hands).await.map_err(io::Error::other)?;
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
    // Members have certificates of the same CA, and none of them is the registry.
    let is_member = Certificate::from_x509(leaf.clone()).prefix().is_ok();
    let certified = |by: &X509Ref| {
        !is_member
            && is_pinned(by)
            && by.public_key().is_ok_and(|key| leaf.verify(&key).unwrap_or(false))
    };
    is_pinned(&leaf) || ssl.peer_cert_chain().is_some_and(|chain| chain.iter().any(certified))
}
