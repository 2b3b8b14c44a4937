//! HTTP, asking: one GET on a connection of its own, bounded in time and size.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Request, client};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use crate::os::http::tls::{self, Pin};

/// A GET to make.
#[derive(Clone, Copy, Debug)]
pub struct Get<'a> {
    /// A name or an address, without brackets.
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
    /// Over TLS, if so.
    pub tls: Option<Tls<'a>>,
    /// What the Host header says.
    pub authority: &'a str,
    /// What the request line says, beginning with a slash.
    pub target: &'a str,
    /// One more header.
    pub header: Option<(&'static str, &'a str)>,
    /// The header of the reply to bring back.
    pub wanted: &'static str,
}

/// Over TLS, and with whom.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// Who the other end is or was certified by, unless the system vouches for it.
    pub pin: Pin<'a>,
}

/// How long and how much, at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For each address to accept a connection.
    pub connect: Duration,
    /// For everything together.
    pub whole: Duration,
    /// Octets of the reply's body.
    pub body: usize,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The header that was wanted.
    pub header: Option<String>,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The name has no address.
    #[error("no address found for its name ({0})")]
    Lookup(#[source] io::Error),
    /// No address accepts a connection.
    #[error("cannot connect ({0})")]
    Connect(#[source] io::Error),
    /// No TLS, or with somebody else.
    #[error("no TLS with it ({0})")]
    Tls(#[source] io::Error),
    /// Too slow.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// A body above the bound.
    #[error("the answer is longer than {0} octets")]
    TooLong(usize),
    /// Not HTTP, or cut off.
    #[error("the answer is not HTTP, or is cut off ({0})")]
    Protocol(#[source] hyper::Error),
    /// A host, target or header that HTTP cannot carry.
    #[error("the request cannot be written as HTTP")]
    Request,
}

/// Makes one GET and closes the connection.
pub async fn get(get: Get<'_>, bounds: Bounds) -> Result<Reply, HttpError> {
    let late = |_| HttpError::Late(bounds.whole);
    timeout(bounds.whole, get_unbounded(get, bounds)).await.map_err(late)?
}

/// Makes one GET over a Unix socket; host, port and TLS of `get` count for nothing.
pub async fn get_over_socket(
    socket: &Path,
    get: Get<'_>,
    bounds: Bounds,
) -> Result<Reply, HttpError> {
    let late = |_| HttpError::Late(bounds.whole);
    let exchanged = async {
        let stream = UnixStream::connect(socket).await.map_err(HttpError::Connect)?;
        exchange(stream, write(get)?, get.wanted, bounds.body).await
    };
    timeout(bounds.whole, exchanged).await.map_err(late)?
}

async fn get_unbounded(get: Get<'_>, bounds: Bounds) -> Result<Reply, HttpError> {
    let request = write(get)?;
    let stream = connect(get.host, get.port, bounds.connect).await?;
    match get.tls {
        None => exchange(stream, request, get.wanted, bounds.body).await,
        Some(tls) => {
            let stream = tls::connect(stream, get.host, tls.pin).await.map_err(HttpError::Tls)?;
            exchange(stream, request, get.wanted, bounds.body).await
        }
    }
}

async fn exchange<S>(
    stream: S,
    request: Request<Empty<Bytes>>,
    wanted: &str,
    limit: usize,
) -> Result<Reply, HttpError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = client::conn::http1::Builder::new();
    // Stock's own client writes its headers like this, and old proxies look at the case.
    builder.title_case_headers(true);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(stream)).await.map_err(HttpError::Protocol)?;
    let connection = tokio::spawn(connection);
    let reply = read(&mut sender, request, wanted, limit).await;
    connection.abort();
    reply
}

async fn read(
    sender: &mut client::conn::http1::SendRequest<Empty<Bytes>>,
    request: Request<Empty<Bytes>>,
    wanted: &str,
    limit: usize,
) -> Result<Reply, HttpError> {
    let reply = sender.send_request(request).await.map_err(HttpError::Protocol)?;
    let status = reply.status().as_u16();
    let header = reply.headers().get(wanted).and_then(|value| value.to_str().ok());
    let header = header.map(str::to_owned);
    let body = Limited::new(reply.into_body(), limit).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => HttpError::Protocol(*error),
        Err(error) if error.is::<LengthLimitError>() => HttpError::TooLong(limit),
        Err(_) => HttpError::Request,
    })?;
    Ok(Reply { status, header, body: body.to_bytes().to_vec() })
}

fn write(get: Get<'_>) -> Result<Request<Empty<Bytes>>, HttpError> {
    let agent = concat!("re6stnet/", env!("CARGO_PKG_VERSION"), ", re6st-");
    let agent = format!("{agent}{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    let mut request = Request::get(get.target)
        .header(HOST, get.authority)
        .header(USER_AGENT, agent)
        .body(Empty::new())
        .map_err(|_| HttpError::Request)?;
    if let Some((name, value)) = get.header {
        let name: HeaderName = name.parse().map_err(|_| HttpError::Request)?;
        let value = HeaderValue::from_str(value).map_err(|_| HttpError::Request)?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// Tries each address of `host` in turn.
async fn connect(host: &str, port: u16, patience: Duration) -> Result<TcpStream, HttpError> {
    let addresses: Vec<SocketAddr> =
        lookup_host((host, port)).await.map_err(HttpError::Lookup)?.collect();
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failed = error,
            Err(_) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(HttpError::Connect(failed))
}
