//! Who a router is: given, remembered from its last life, or drawn; and the file that remembers.

use std::path::{Path, PathBuf};

use tracing::warn;

use crate::command::Failure;
use crate::os::file::{self, Access};
use crate::os::{clock, entropy};
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::state::State;

/// An identity, and what keeps it over the end of the process, however it ends.
#[derive(Debug)]
pub struct Identity {
    /// Who it is.
    pub router_id: RouterId,
    /// The number of its first announcement; `None` if it has no past.
    pub seqno: Option<u16>,
    file: Option<StateFile>,
}

#[derive(Debug)]
struct StateFile {
    path: PathBuf,
    written: Option<State>,
    /// Writing failed, and that was said.
    is_failing: bool,
}

impl Identity {
    /// The identity that is given, or else the one in the state file, or else a new one. A state file
    /// that cannot be written is refused; one that makes no sense, or is of another router, is replaced.
    pub fn find(given: Option<RouterId>, path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            let router_id = given.unwrap_or_else(draw);
            return Ok(Self { router_id, seqno: None, file: None });
        };
        let kept = kept(path).filter(|kept| given.is_none_or(|given| given == kept.router_id));
        let router_id = given.or(kept.map(|kept| kept.router_id)).unwrap_or_else(draw);
        let seqno = kept.map(|kept| kept.next_seqno());
        let mut file = StateFile { path: path.to_owned(), written: None, is_failing: false };
        // Kept from the first moment on: the disk may be full later.
        let first = State { router_id, seqno: seqno.unwrap_or(0) };
        file.write(first).map_err(|error| Failure::failed(error.to_string()))?;
        Ok(Self { router_id, seqno, file: Some(file) })
    }

    /// Writes down what must be known in the next life, before `current` is announced.
    pub fn keep(&mut self, current: State) {
        if let Some(file) = &mut self.file
            && let Some(next) = State::ahead_of(current, file.written)
        {
            file.try_write(next);
        }
    }

    /// The router ends with this: the next life begins right after.
    pub fn close(&mut self, last: State) {
        if let Some(file) = &mut self.file {
            file.try_write(last);
        }
    }
}

/// An identity that nobody has.
pub fn draw() -> RouterId {
    RouterId::draw(&mut entropy::random())
}

impl StateFile {
    fn write(&mut self, state: State) -> Result<(), file::FileError> {
        let text = state.to_text(clock::unix_time());
        file::replace(&self.path, text.as_bytes(), Access::All)?;
        self.written = Some(state);
        Ok(())
    }

    fn try_write(&mut self, state: State) {
        match self.write(state) {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    warn!(
                        "{error}; if this router is killed, neighbours may refuse it for a while"
                    );
                }
            }
        }
    }
}

/// What a file remembers, if there is one.
fn kept(path: &Path) -> Option<State> {
    let octets = file::read(path).ok()?;
    let kept = std::str::from_utf8(&octets).ok().and_then(State::parse);
    if kept.is_none() {
        warn!("the state file {} makes no sense: beginning anew", path.display());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_an_end_and_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let find = |given| Identity::find(given, Some(&path)).unwrap();
        let mut first = find(None);
        assert_eq!(first.seqno, None);
        first.keep(State { router_id: first.router_id, seqno: 100 });
        // Crashed: no lower number than it may have announced.
        let second = find(None);
        assert_eq!(second.router_id, first.router_id);
        assert!(second.seqno.unwrap() > 100);
        // Ended.
        let mut third = find(None);
        third.close(State { router_id: first.router_id, seqno: 7 });
        assert_eq!(find(None).seqno, Some(8));
        // Of another router, and rubbish.
        let other = RouterId::new([9; 8]).unwrap();
        assert_eq!((find(Some(other)).router_id, find(Some(other)).seqno.is_some()), (other, true));
        std::fs::write(&path, b"\xff rubbish").unwrap();
        assert_eq!(find(None).seqno, None);
        let missing = folder.path().join("none").join("state");
        assert!(Identity::find(None, Some(&missing)).unwrap_err().to_string().contains("none"));
    }
}
