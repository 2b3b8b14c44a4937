//! The control socket of a running lab: one request a connection, one JSON line each way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::command::Failure;
use crate::command::lab::Lab;
use crate::command::lab::emulator::{Emulator, Status};
use crate::proto::lab::fault::Fault;

/// What is asked of a running lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// What the Internet is like now.
    Status,
    /// Change the Internet.
    Fault(Fault),
    /// End.
    Down,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// It was done.
    Done,
    /// What the Internet is like now.
    Status(Status),
    /// It was not done, because of this.
    Refused {
        /// The reason.
        reason: String,
    },
}

/// Asks a lab that should be up.
pub fn ask(lab: &Lab, request: &Request) -> Result<Reply, Failure> {
    let stream = StdUnixStream::connect(lab.socket()).map_err(|_| lab.absent())?;
    let exchanged = exchange(stream, request);
    exchanged.map_err(|error| Failure::failed(format!("lab {} does not answer: {error}", lab.name)))
}

fn exchange(mut stream: StdUnixStream, request: &Request) -> std::io::Result<Reply> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    Ok(serde_json::from_str(&reply)?)
}

/// Answers requests; ends when one asks for it.
pub async fn serve(listener: UnixListener, emulator: &Emulator) {
    let (down, mut asked_down) = mpsc::channel(1);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(answer(stream, emulator.clone(), down.clone()));
                }
            }
            _ = asked_down.recv() => return,
        }
    }
}

async fn answer(stream: UnixStream, emulator: Emulator, down: mpsc::Sender<()>) {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let read = tokio::io::BufReader::new(read).read_line(&mut line).await;
    let reply = match read.map(|_| serde_json::from_str(&line)) {
        Ok(Ok(Request::Status)) => emulator.status().await.map(Reply::Status),
        Ok(Ok(Request::Fault(fault))) => emulator.change(fault).await.map(|()| Reply::Done),
        Ok(Ok(Request::Down)) => {
            let _ = down.send(()).await;
            Ok(Reply::Done)
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let reply = reply.unwrap_or_else(|reason| Reply::Refused { reason });
    if let Ok(mut line) = serde_json::to_vec(&reply) {
        line.push(b'\n');
        // Whoever asked may be gone.
        let _ = write.write_all(&line).await;
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
