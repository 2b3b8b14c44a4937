//! The control socket of a running node: one question a connection, JSON Lines as the answer.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::command::json::Object;

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Whether it is part of the network, and since when.
    Status,
    /// Whom it knows.
    Peers,
    /// Which tunnels it has.
    Tunnels,
    /// Which nodes it has a way to.
    Routes,
    /// To leave the network and end.
    Down,
}

/// A question and where its answer goes.
pub type Asked = (Question, oneshot::Sender<Vec<Object>>);

/// The socket; removed when dropped.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Control {
    /// Opens the socket, in place of one that a killed process left.
    pub fn open(folder: &Path, questions: mpsc::Sender<Asked>) -> io::Result<Self> {
        let path = socket(folder);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let questions = questions.clone();
                        tokio::spawn(async move {
                            let served = timeout(PATIENCE, serve(stream, questions)).await;
                            tracing::debug!("control socket: {served:?}");
                        });
                    }
                    // Out of descriptors: others may close some.
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Ok(Self { path, task })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(stream: UnixStream, questions: mpsc::Sender<Asked>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader).take(LINE_OCTETS_MAX).read_line(&mut line).await?;
    let question: Question = serde_json::from_str(&line)?;
    let (answer, answered) = oneshot::channel();
    questions.send((question, answer)).await.map_err(io::Error::other)?;
    let mut text = Vec::new();
    for object in answered.await.map_err(io::Error::other)? {
        serde_json::to_writer(&mut text, &object)?;
        text.push(b'\n');
    }
    writer.write_all(&text).await?;
    writer.shutdown().await
}

/// Asks the node whose socket is in `folder`.
pub async fn ask(folder: &Path, question: Question) -> io::Result<Vec<Object>> {
    let mut stream = UnixStream::connect(socket(folder)).await?;
    let mut line = serde_json::to_vec(&question)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut text = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut text)).await??;
    text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::from)).collect()
}

/// Waits until the node whose socket is in `folder` is gone; false if it does not go.
pub async fn wait_until_gone(folder: &Path) -> bool {
    for _ in 0..150 {
        if !socket(folder).exists() {
            return true;
        }
        tokio::time::sleep(PAUSE).await;
    }
    false
}

/// Where the socket of the node with that run folder is.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join("re6st.sock")
}

/// How long a question and its answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Octets of a question; a longer one is none.
const LINE_OCTETS_MAX: u64 = 1_024;
