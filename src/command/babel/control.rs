//! Asking a running router: one line in, JSON Lines out, over a Unix socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::command::babel::clients::serve_clients;
use crate::command::babel::objects::{changes, objects};
use crate::command::babel::service::Babel;
use crate::command::json::Object;
use crate::proto::limits;

/// Where a router is asked; removed when dropped.
pub struct ControlSocket {
    path: PathBuf,
    /// Until somebody answers.
    listener: Option<UnixListener>,
}

impl ControlSocket {
    /// Listens: who asks waits. A socket file that nobody listens on is replaced.
    pub async fn open(path: &Path) -> io::Result<Self> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        let socket = Self { path: path.to_owned(), listener: Some(listener) };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(socket)
    }

    /// Answers from a task of its own; `reloads` gets requests to read the configuration again, if there
    /// is one.
    pub fn serve(&mut self, babel: Babel, reloads: Option<mpsc::Sender<Reload>>) {
        let Some(listener) = self.listener.take() else { return };
        tokio::spawn(async move {
            let serve = |client| serve(client, babel.clone(), reloads.clone());
            serve_clients(&listener, BUSY, serve).await;
        });
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A request to read the configuration again: it is answered with what is wrong with that.
pub type Reload = oneshot::Sender<Result<(), String>>;

/// What a client wants to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The present.
    Dump,
    /// The present, then every change.
    Monitor,
}

async fn serve(client: UnixStream, babel: Babel, reloads: Option<mpsc::Sender<Reload>>) {
    if let Err(error) = answer(client, babel, reloads).await {
        debug!("a client of the control socket: {error}");
    }
}

async fn answer(
    client: UnixStream,
    mut babel: Babel,
    reloads: Option<mpsc::Sender<Reload>>,
) -> io::Result<()> {
    let (read, mut write) = client.into_split();
    let mut request = String::new();
    // A request is one word: whoever sends more, or nothing for long, wants something else.
    let mut read = BufReader::new(read.take(64));
    let asked = read.read_line(&mut request);
    tokio::time::timeout(limits::CONTROL_REQUEST_PATIENCE, asked).await??;
    let monitor = match request.trim() {
        "dump" => false,
        "monitor" => true,
        RELOAD => {
            let answer = match reload(reloads).await {
                Ok(()) => DONE.to_owned(),
                Err(sentence) => sentence,
            };
            return write.write_all(answer.as_bytes()).await;
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let mut shown: Vec<Object> = Vec::new();
    loop {
        let dump = babel.dump().await.map_err(io::Error::other)?;
        let now = objects(&dump);
        let news = if monitor { changes(&shown, &now) } else { now.clone() };
        let mut lines = Vec::new();
        for object in &news {
            serde_json::to_writer(&mut lines, object)?;
            lines.push(b'\n');
        }
        write.write_all(&lines).await?;
        if !monitor {
            return Ok(());
        }
        shown = now;
        tokio::select! {
            changed = next_change(&mut babel) => changed?,
            // It has nothing more to say: it is gone.
            _ = read.read_u8() => return Ok(()),
        }
    }
}

async fn next_change(babel: &mut Babel) -> io::Result<()> {
    // Changes come in bursts.
    tokio::time::sleep(limits::BABEL_MONITOR_PAUSE).await;
    babel.changed().await.map_err(io::Error::other)
}

async fn reload(reloads: Option<mpsc::Sender<Reload>>) -> Result<(), String> {
    let Some(reloads) = reloads else {
        return Err("it was started with options and no --config: there is nothing to read".into());
    };
    let (answer, answered) = oneshot::channel();
    let ended = "the router has ended";
    reloads.send(answer).await.map_err(|_| ended.to_owned())?;
    answered.await.map_err(|_| ended.to_owned())?
}

/// Asks a router to read its configuration again; why it did not.
pub async fn ask_to_reload(path: &Path) -> io::Result<Result<(), String>> {
    let mut server = UnixStream::connect(path).await?;
    server.write_all(format!("{RELOAD}\n").as_bytes()).await?;
    let mut answer = String::new();
    server.read_to_string(&mut answer).await?;
    match answer.as_str() {
        DONE => Ok(Ok(())),
        BUSY => Err(is_busy()),
        _ => Ok(Err(answer)),
    }
}

fn is_busy() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "too many others ask it")
}

/// Asks a router; `take` gets each object as it comes.
pub async fn ask(
    path: &Path,
    wanted: Wanted,
    mut take: impl FnMut(Object) -> io::Result<()>,
) -> io::Result<()> {
    let mut server = UnixStream::connect(path).await?;
    let word: &[u8] = if wanted == Wanted::Monitor { b"monitor\n" } else { b"dump\n" };
    server.write_all(word).await.map_err(|_| is_busy())?;
    let mut lines = BufReader::new(server).lines();
    while let Some(line) = lines.next_line().await? {
        if line == BUSY.trim_end() {
            return Err(is_busy());
        }
        take(serde_json::from_str(&line)?)?;
    }
    Ok(())
}

const RELOAD: &str = "reload";
const DONE: &str = "done\n";
/// Said instead of an answer when too many ask; then the connection is closed.
const BUSY: &str = "busy\n";
