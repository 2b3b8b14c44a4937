//! HTTP, answering: one request a connection, bounded in number, time and size.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout};

use crate::os::http::tls::{self, Acceptor};
use crate::proto::registry::origin::OriginHeaders;

/// A request. Its body is read only when asked for.
#[derive(Debug)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// The request line's path and query, as they came.
    pub target: String,
    /// The client's address; the loopback address if it came over a Unix socket.
    pub source: IpAddr,
    /// Both ends of its connection.
    pub peer: Peer,
    /// Whether it came over TLS.
    pub is_tls: bool,
    headers: hyper::HeaderMap,
    body: Incoming,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// A TCP connection.
    Tcp {
        /// The client's end.
        client: SocketAddr,
        /// Our end.
        server: SocketAddr,
    },
    /// A process of this host, over a Unix socket: its user and group, as the kernel vouches for them.
    Unix {
        /// The process's effective user.
        uid: u32,
        /// The process's effective group.
        gid: u32,
    },
}

impl Peer {
    fn address(self) -> IpAddr {
        match self {
            Self::Tcp { client, .. } => client.ip().to_canonical(),
            Self::Unix { .. } => IpAddr::from([127, 0, 0, 1]),
        }
    }
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// More headers.
    pub headers: Vec<(&'static str, String)>,
    /// The form of the body, if clients are to be told.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

/// How many and how long, at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections at a time; for one more, that which has kept us waiting longest gives way.
    pub connections: usize,
    /// How long none that waits to ask has to give way.
    pub undisturbed: Duration,
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
    /// The value of a header's first line, if it is there and is text. What decides who may do what is read
    /// with [`Self::origin`] instead.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the headers say of where the request comes from.
    pub fn origin(&self) -> OriginHeaders<'_> {
        let lines =
            |name: &str| self.headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        OriginHeaders {
            forwarded_for: lines("X-Forwarded-For"),
            forwarded_proto: lines("X-Forwarded-Proto"),
            is_relayed: ["Forwarded", "X-Real-IP", "Via"]
                .iter()
                .any(|name| self.headers.contains_key(*name)),
            host: lines("Host"),
            origin: lines("Origin"),
            referer: lines("Referer"),
            fetch_site: lines("Sec-Fetch-Site"),
        }
    }

    /// The body, if it is whole within `patience` and has at most `limit` octets.
    pub async fn read_body(&mut self, limit: usize, patience: Duration) -> Option<Vec<u8>> {
        let body = Limited::new(&mut self.body, limit).collect();
        Some(timeout(patience, body).await.ok()?.ok()?.to_bytes().to_vec())
    }
}

/// Listens on `address`; an IPv6 one takes IPv6 only, as stock's registry does.
pub fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    Ok(socket.into())
}

/// Answers every request on `listener` with `answer`, until dropped.
pub async fn serve<A, F>(listener: TcpListener, tls: Option<Acceptor>, bounds: Bounds, answer: A)
where
    A: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(bounds.connections));
    let (guests, waiting) = (Guests::default(), Waiting::default());
    loop {
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
        let place = match Arc::clone(&free).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => match waiting.make_room(&free, bounds.undisturbed).await {
                Some(place) => place,
                None => return,
            },
        };
        let (answer, tls, mut turn) = (answer.clone(), tls.clone(), waiting.begin());
        tokio::spawn(async move {
            let dismissed = turn.dismissed();
            let Ok(server) = stream.local_addr() else { return };
            let peer = Peer::Tcp { client: source, server };
            let talk = Talk { peer, bounds, is_tls: tls.is_some(), turn };
            let whole = timeout(bounds.whole, talk.begin(stream, tls, answer));
            tokio::select! {
                talked = whole => if talked.is_err() {
                    tracing::debug!("{source}: took too long");
                },
                () = dismissed => tracing::debug!("{source}: gave way to others"),
            }
            drop((place, guest));
        });
    }
}

/// Answers every request on a Unix socket with `answer`, until dropped; processes that `is_allowed` refuses are
/// disconnected at once.
pub async fn serve_socket<A, F>(
    listener: UnixListener,
    bounds: Bounds,
    is_allowed: impl Fn(Peer) -> bool,
    answer: A,
) where
    A: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let free = Arc::new(Semaphore::new(bounds.connections));
    loop {
        let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("cannot accept a connection on the administration socket: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(peer) = credentials(&stream).filter(|peer| is_allowed(*peer)) else {
            tracing::warn!(
                "refused a process on the administration socket: {:?}",
                credentials(&stream)
            );
            continue;
        };
        let (answer, turn) = (answer.clone(), Waiting::default().begin());
        tokio::spawn(async move {
            let talk = Talk { peer, bounds, is_tls: false, turn };
            if timeout(bounds.whole, connection(stream, &talk, answer)).await.is_err() {
                tracing::debug!("administration socket: took too long");
            }
            drop(place);
        });
    }
}

fn credentials(stream: &UnixStream) -> Option<Peer> {
    let credentials = stream.peer_cred().ok()?;
    Some(Peer::Unix { uid: credentials.uid(), gid: credentials.gid() })
}

/// Connections that have not asked anything yet, oldest first: when all places are taken, they give way.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<Queue>>);

/// How many there have been; since when each waits that is left, and what dismisses it.
#[derive(Default)]
struct Queue {
    numbered: u64,
    dismissals: BTreeMap<u64, (Instant, oneshot::Sender<()>)>,
}

/// One connection's place among those that wait; gone when it asks, or ends.
struct Turn {
    waiting: Waiting,
    number: u64,
    dismissal: Option<oneshot::Receiver<()>>,
}

impl Waiting {
    fn begin(&self) -> Turn {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.numbered += 1;
        let number = state.numbered;
        state.dismissals.insert(number, (Instant::now(), sender));
        Turn { waiting: self.clone(), number, dismissal: Some(receiver) }
    }

    /// A place that became free, if need be at the cost of who waits longest. A request that has just been
    /// sent is not read yet: many who ask at once must not push each other out.
    async fn make_room(
        &self,
        free: &Arc<Semaphore>,
        undisturbed: Duration,
    ) -> Option<OwnedSemaphorePermit> {
        loop {
            let wait = self.dismiss_oldest(undisturbed).unwrap_or(undisturbed);
            match timeout(wait, Arc::clone(free).acquire_owned()).await {
                Ok(place) => return place.ok(),
                Err(_) => continue,
            }
        }
    }

    /// Dismisses who waits longest if that is long; how long it is undisturbed otherwise.
    fn dismiss_oldest(&self, undisturbed: Duration) -> Option<Duration> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = state.dismissals.first_entry()?;
        let waited = oldest.get().0.elapsed();
        if waited < undisturbed {
            return Some(undisturbed - waited);
        }
        // It may have ended meanwhile.
        let _ = oldest.remove().1.send(());
        None
    }
}

impl Turn {
    /// Ready when this connection must give way; never, once it has asked.
    fn dismissed(&mut self) -> impl Future<Output = ()> + use<> {
        let dismissal = self.dismissal.take();
        async move {
            let sent = match dismissal {
                Some(dismissal) => dismissal.await.is_ok(),
                None => false,
            };
            if !sent {
                std::future::pending::<()>().await;
            }
        }
    }

    fn end(&self) {
        let mut state = self.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.dismissals.remove(&self.number);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end();
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

/// What one connection needs to know.
struct Talk {
    peer: Peer,
    bounds: Bounds,
    is_tls: bool,
    turn: Turn,
}

impl Talk {
    async fn begin<A, F>(self, stream: TcpStream, tls: Option<Acceptor>, answer: A)
    where
        A: Fn(Request) -> F,
        F: Future<Output = Answer>,
    {
        let Some(acceptor) = tls else { return connection(stream, &self, answer).await };
        match timeout(self.bounds.headers, tls::accept(stream, &acceptor)).await {
            Ok(Ok(stream)) => connection(stream, &self, answer).await,
            Ok(Err(error)) => tracing::debug!("{}: no TLS: {error}", self.peer.address()),
            Err(_) => tracing::debug!("{}: no TLS in time", self.peer.address()),
        }
    }
}

async fn connection<S, A, F>(stream: S, talk: &Talk, answer: A)
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request) -> F,
    F: Future<Output = Answer>,
{
    let (source, bounds) = (talk.peer.address(), talk.bounds);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        talk.turn.end();
        let (head, body) = request.into_parts();
        let request = Request {
            method: head.method.to_string(),
            target: head.uri.path_and_query().map_or(String::new(), ToString::to_string),
            source,
            peer: talk.peer,
            is_tls: talk.is_tls,
            headers: head.headers,
            body,
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
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

    const BOUNDS: Bounds = Bounds {
        connections: 1,
        undisturbed: Duration::ZERO,
        connections_of_one: 1,
        headers: Duration::from_secs(5),
        whole: Duration::from_secs(60),
        headers_octets: 32 * 1_024,
    };

    /// What a request says of itself, for comparing.
    type Seen = (String, String, Option<String>, Vec<u8>);

    /// What a client does when it has sent all.
    #[derive(PartialEq, Eq)]
    enum Then {
        Listens,
        Leaves,
    }

    /// Sends `pieces` over a connection in turn; which request was understood, and what was answered.
    fn converse(pieces: &[&[u8]], then: Then) -> (Option<Seen>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 20);
            let seen = Arc::new(Mutex::new(None));
            let answer = |mut request: Request| {
                let seen = Arc::clone(&seen);
                async move {
                    let body = request.read_body(1_024, Duration::from_secs(1)).await;
                    let header = request.header("X-Header").map(str::to_owned);
                    let body = body.unwrap_or_default();
                    *seen.lock().unwrap() = Some((request.method, request.target, header, body));
                    let headers = Vec::new();
                    Answer { status: 200, headers, content_type: None, body: b"told".to_vec() }
                }
            };
            let end = SocketAddr::from(([192, 0, 2, 1], 1_024));
            let peer = Peer::Tcp { client: end, server: end };
            let turn = Waiting::default().begin();
            let talk = Talk { peer, bounds: BOUNDS, is_tls: false, turn };
            let mut reply = Vec::new();
            let sent = async {
                for piece in pieces {
                    // It may have answered and gone by now.
                    let _ = client.write_all(piece).await;
                    tokio::task::yield_now().await;
                }
                if then == Then::Leaves {
                    let _ = client.shutdown().await;
                }
                let _ = client.read_to_end(&mut reply).await;
            };
            tokio::join!(connection(server, &talk, answer), sent);
            let seen = seen.lock().unwrap().take();
            (seen, String::from_utf8_lossy(&reply).into_owned())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Goal: where a request is cut on its way does not matter.
        #[test]
        fn any_cuts_give_the_same_request(
            target in "/[a-zA-Z]{1,12}(\\?[a-z]=[a-zA-Z0-9%+]{0,40})?",
            value in "[!-~]{1,40}",
            body in proptest::collection::vec(any::<u8>(), 0..100),
            cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
        ) {
            let length = body.len();
            let head = format!(
                "POST {target} HTTP/1.1\r\nHost: x\r\nX-Header: {value}\r\nContent-Length: {length}\r\n\r\n"
            );
            let octets = [head.as_bytes(), &body].concat();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(octets.len())).collect();
            cuts.extend([0, octets.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|at| &octets[at[0]..at[1]]).collect();
            let (seen, reply) = converse(&pieces, Then::Listens);
            prop_assert_eq!(seen, Some(("POST".into(), target, Some(value), body)));
            prop_assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("told"), "{}", reply);
        }

        /// Goal: whatever comes, the connection ends, with a status or without.
        #[test]
        fn any_octets_are_answered_or_cut_off(
            before in prop_oneof![Just(""), Just("GET / HTTP/1.1\r\n"), Just("GET ")],
            octets in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let (_, reply) = converse(&[before.as_bytes(), &octets], Then::Leaves);
            prop_assert!(reply.is_empty() || reply.starts_with("HTTP/1."), "{}", reply);
        }

        #[test]
        fn headers_have_a_bound(length in 1_usize..100_000, many in any::<bool>()) {
            let headers = if many { "X: y\r\n".repeat(length / 6) } else { format!("X: {}\r\n", "y".repeat(length)) };
            let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
            let (seen, reply) = converse(&[request.as_bytes()], Then::Listens);
            // What arrives at once is looked at as a whole: the bound is known to a read.
            if request.len() > 2 * BOUNDS.headers_octets {
                prop_assert_eq!(seen, None, "{} octets", request.len());
                prop_assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431 "), "{}", reply);
            } else if request.len() < BOUNDS.headers_octets && !many {
                prop_assert!(reply.starts_with("HTTP/1.1 200 "), "{}", reply);
            }
        }
    }
}
