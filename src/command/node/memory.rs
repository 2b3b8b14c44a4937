//! What a node remembers across restarts; a state folder that takes nothing costs it that, and no more.

use std::path::PathBuf;
use std::time::Duration;

use crate::command::node::network;
use crate::command::node::options::Options;
use crate::os::store::{Store, Value};
use crate::proto::registry::parameters::Parameters;
use crate::proto::time::Instant;

/// `cache.db` in the state folder.
pub struct Memory {
    folder: PathBuf,
    store: Option<Store>,
    /// Something could not be written: not before this is all of it tried again.
    behind_until: Option<Instant>,
}

/// What was remembered.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Prefixes as zeros and ones, with addresses; our own have an empty one.
    pub peers: Vec<(String, String)>,
    /// The network's parameters of last time.
    pub parameters: Option<Parameters>,
}

/// Something to remember.
#[derive(Debug)]
pub enum News {
    /// Where a peer is reached.
    Peer(String, String),
    /// A peer is forgotten.
    Forgotten(String),
    /// The network's parameters.
    Configuration(Vec<(String, Value)>),
}

/// All there is to remember.
#[derive(Debug, Default)]
pub struct Everything {
    /// Prefixes as zeros and ones, with addresses.
    pub peers: Vec<(String, String)>,
    /// The network's parameters.
    pub configuration: Vec<(String, Value)>,
}

impl Memory {
    /// Opens the file. One that cannot be written is still read: the network is more than its memory.
    pub fn open(options: &Options, now: Instant) -> (Self, Remembered) {
        let folder = options.state.clone();
        let mut memory = Self { folder, store: None, behind_until: None };
        let file = memory.file();
        let remembered = match Store::open(&file) {
            Ok(store) => {
                let remembered = recall(&store);
                memory.store = Some(store);
                remembered
            }
            Err(error) => {
                memory.fail(&error, now);
                Store::open_to_read(&file).map(|store| recall(&store)).unwrap_or_default()
            }
        };
        (memory, remembered)
    }

    /// Remembers news, or all there is if earlier news could not be written.
    pub fn keep(&mut self, news: News, now: Instant, all: impl FnOnce() -> Everything) {
        let written = match self.behind_until {
            Some(until) if now < until => return,
            Some(_) => self.write_all(&all()),
            None => self.write(news),
        };
        if let Err(error) = written {
            self.fail(&error, now);
        }
    }

    /// The last chance to write what could not be written.
    pub fn finish(&mut self, all: impl FnOnce() -> Everything) {
        if self.behind_until.is_some()
            && let Err(error) = self.write_all(&all())
        {
            tracing::warn!("what this node learnt is lost: {error}");
        }
    }

    fn write(&mut self, news: News) -> rusqlite::Result<()> {
        let Some(store) = &mut self.store else { return Ok(()) };
        match news {
            News::Peer(prefix, addresses) => store.set_peer(&prefix, &addresses),
            News::Forgotten(prefix) => store.forget_peer(&prefix),
            News::Configuration(rows) => store.set_configuration(&rows),
        }
    }

    fn write_all(&mut self, all: &Everything) -> rusqlite::Result<()> {
        if self.store.is_none() {
            self.store = Some(Store::open(&self.file())?);
        }
        if let Some(store) = &mut self.store {
            store.set_all(&all.peers, &all.configuration)?;
        }
        self.behind_until = None;
        tracing::info!("the state folder {} can be written again", self.folder.display());
        Ok(())
    }

    /// Says it once, until it is over.
    fn fail(&mut self, error: &rusqlite::Error, now: Instant) {
        let folder = self.folder.display();
        if self.behind_until.is_none() {
            tracing::warn!(
                "the state folder {folder} cannot be written ({error}): make room in it; this node \
                 goes on, and until then remembers what it learns only while it runs"
            );
        }
        self.behind_until = Some(now + PAUSE);
    }

    fn file(&self) -> PathBuf {
        self.folder.join("cache.db")
    }
}

fn recall(store: &Store) -> Remembered {
    let rows = store.configuration().ok();
    Remembered {
        peers: store.peers().unwrap_or_default(),
        parameters: rows.and_then(|rows| network::from_rows(rows).ok()),
    }
}

/// How long a folder is left alone that could not be written.
const PAUSE: Duration = Duration::from_secs(60);
