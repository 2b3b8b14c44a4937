//! Serves the control socket of the babeld that re6stnet patches (`-X`).

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tracing::{debug, info};

use crate::command::babel::clients::serve_clients;
use crate::command::babel::request::BabelError;
use crate::command::babel::service::Babel;
use crate::proto::babel::control::{
    ControlError, Multiplied, Request, Requests, answer_dump, answer_set_cost_multiplier,
};

/// A socket that clients may connect to; its file is removed when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Why a connection ended before its client closed it.
#[derive(Debug, thiserror::Error)]
enum ConnectionError {
    /// The client is gone.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The client is not understood.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The router is gone.
    #[error(transparent)]
    Babel(#[from] BabelError),
}

impl ControlSocket {
    /// Makes the socket; one that a predecessor left is replaced.
    pub fn bind(path: &Path) -> io::Result<Self> {
        // Nothing but a socket is removed: a mistyped path must not cost a file.
        if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            std::fs::remove_file(path)?;
        }
        Ok(Self { listener: UnixListener::bind(path)?, path: path.to_owned() })
    }

    /// Answers clients until this is dropped.
    pub async fn serve(&self, babel: &Babel) {
        // Its protocol has no word for being busy.
        serve_clients(&self.listener, "", |client| serve_client(client, babel.clone())).await;
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve_client(stream: UnixStream, babel: Babel) {
    if let Err(error) = answer_requests(stream, &babel).await {
        debug!("a client of the control socket is left: {error}");
    }
}

async fn answer_requests(mut stream: UnixStream, babel: &Babel) -> Result<(), ConnectionError> {
    let mut requests = Requests::default();
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        requests.receive(&buffer[..length]);
        while let Some(request) = requests.next_request()? {
            let answer = answer(request, babel).await?;
            stream.write_all(&answer).await?;
        }
    }
}

async fn answer(request: Request, babel: &Babel) -> Result<Vec<u8>, BabelError> {
    let dump = babel.dump().await?;
    match request {
        Request::Dump(parts) => Ok(answer_dump(&dump, parts)),
        Request::SetCostMultiplier { address, index, multiplier } => {
            let interface = dump.interfaces.iter().find(|interface| interface.index == index);
            let Some(interface) = interface else {
                return Ok(answer_set_cost_multiplier(Multiplied::NoNeighbour));
            };
            let done = babel.set_cost_multiplier(&interface.name, address, multiplier).await;
            match done {
                Ok(()) => {
                    let (factor, name) = (multiplier.in_256ths(), &interface.name);
                    info!("the cost of {address} on {name} is multiplied by {factor}/256");
                    Ok(answer_set_cost_multiplier(Multiplied::Done))
                }
                Err(BabelError::NoNeighbour { .. }) => {
                    Ok(answer_set_cost_multiplier(Multiplied::NoNeighbour))
                }
                Err(error) => Err(error),
            }
        }
    }
}
