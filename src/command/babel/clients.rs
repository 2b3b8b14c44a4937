//! Clients of a router's sockets: so many at a time, whatever is asked there.

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tracing::debug;

use crate::proto::limits;

/// Serves each that comes in a task of its own, until this is dropped; who is one too many is told
/// `refusal` and closed.
pub async fn serve_clients<Served>(
    listener: &UnixListener,
    refusal: &str,
    serve: impl Fn(UnixStream) -> Served,
) where
    Served: Future<Output = ()> + Send + 'static,
{
    let mut clients = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((mut client, _)) => {
                while clients.try_join_next().is_some() {}
                if clients.len() < limits::CONTROL_CLIENTS_MAX {
                    clients.spawn(serve(client));
                } else {
                    // Nothing waits to be sent to it, so that this does not wait either.
                    let _ = client.write_all(refusal.as_bytes()).await;
                }
            }
            Err(error) => {
                debug!("cannot accept a client: {error}");
                tokio::time::sleep(limits::CONTROL_ACCEPT_PAUSE).await;
            }
        }
    }
}
