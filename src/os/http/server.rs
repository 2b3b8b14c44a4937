//! HTTP, answering: one request a connection, bounded in number, time and size.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// A request without its body, which is never read.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// The request line's path and query, as they came.
    pub target: String,
    /// Whose connection it is.
    pub source: IpAddr,
    headers: hyper::HeaderMap,
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// One more header.
    pub header: Option<(&'static str, String)>,
    /// The form of the body, if clients are to be told.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

/// How many and how long, at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at a time; more wait to be accepted.
    pub connections: usize,
    /// Connections at a time from one address, unless it is this host's own; more are closed at once.
    pub connections_of_one: usize,
    /// From a connection to the end of its request's headers.
    pub headers: Duration,
    /// From a connection to its end.
    pub whole: Duration,
    /// Octets of a request's line and headers.
    pub headers_octets: usize,
}

impl Request {
    /// A header's value, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Listens on `address`; an IPv6 one takes IPv6 only, as stock's registry does.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    TcpListener::from_std(socket.into())
}

/// Answers every request on `listener` with `answer`, until dropped.
pub async fn serve<A, F>(listener: TcpListener, bounds: Bounds, answer: A)
where
    A: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(bounds.connections));
    let guests = Guests::default();
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let (stream, source) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others must end first.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(guest) = guests.admit(source.ip().to_canonical(), bounds.connections_of_one)
        else {
            continue;
        };
        let answer = answer.clone();
        tokio::spawn(async move {
            let whole = timeout(bounds.whole, connection(stream, source.ip(), bounds, answer));
            if whole.await.is_err() {
                tracing::debug!("{source}: took too long");
            }
            drop((place, guest));
        });
    }
}

/// How many connections each address has.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// One connection; no longer counted when dropped.
struct Guest {
    guests: Guests,
    address: IpAddr,
}

impl Guests {
    /// Counts one more connection of `address`; `None` if it has enough.
    fn admit(&self, address: IpAddr, enough: usize) -> Option<Guest> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        // A proxy on this host stands for many.
        if *count >= enough && !address.is_loopback() {
            return None;
        }
        *count += 1;
        Some(Guest { guests: self.clone(), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn connection<A, F>(stream: TcpStream, source: IpAddr, bounds: Bounds, answer: A)
where
    A: Fn(Request) -> F,
    F: Future<Output = Answer>,
{
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (head, _body) = request.into_parts();
        let request = Request {
            method: head.method.to_string(),
            target: head.uri.path_and_query().map_or(String::new(), ToString::to_string),
            source: source.to_canonical(),
            headers: head.headers,
        };
        let answered = answer(request);
        async move { Ok::<_, Infallible>(response(answered.await)) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.headers)
        .max_buf_size(bounds.headers_octets)
        // As stock: each reply ends its connection, which its clients may count on.
        .keep_alive(false)
        .title_case_headers(true);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("{source}: {error}");
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(form) = answer.content_type {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(form));
    }
    if let Some((name, value)) = answer.header
        && let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value))
    {
        response.headers_mut().insert(name, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let guests = Guests::default();
        let [one, other, own] = ["192.0.2.1", "192.0.2.2", "127.0.0.1"].map(|a| a.parse().unwrap());
        let held: Vec<_> = (0..3).filter_map(|_| guests.admit(one, 2)).collect();
        assert_eq!(held.len(), 2);
        assert!(guests.admit(other, 2).is_some());
        let proxied: Vec<_> = (0..9).filter_map(|_| guests.admit(own, 2)).collect();
        assert_eq!(proxied.len(), 9);
        drop((held, proxied));
        assert!(guests.0.lock().unwrap().is_empty(), "nothing is remembered");
    }
}
