//! Who a router is: given, remembered from its last life, or drawn; and the file that remembers.

use std::path::{Path, PathBuf};

use tracing::warn;

use crate::command::Failure;
use crate::os::file::{self, Access};
use crate::os::{clock, entropy};
use crate::proto::babel::router_id::RouterId;
use crate::proto::babel::state::{Past, State};
use crate::proto::limits;
use crate::proto::time::Instant;

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
    /// When writing failed, if it did when last tried.
    failed_at: Option<Instant>,
}

impl Identity {
    /// The identity that is given, or else the one in the state file, or else the one that `otherwise` finds.
    /// A state file that cannot be written is refused; one that makes no sense, or is of another router,
    /// is replaced.
    pub fn find(
        given: Option<RouterId>,
        path: Option<&Path>,
        otherwise: impl FnOnce() -> RouterId,
    ) -> Result<Self, Failure> {
        let Some(path) = path else {
            let router_id = given.unwrap_or_else(otherwise);
            return Ok(Self { router_id, seqno: None, file: None });
        };
        let kept = kept(path).filter(|kept| given.is_none_or(|given| kept.is_of(given)));
        let known = given.or_else(|| kept?.router_id);
        let router_id = known.unwrap_or_else(otherwise);
        let seqno = kept.map(|kept| kept.next_seqno());
        let mut file = StateFile { path: path.to_owned(), written: None, failed_at: None };
        // Kept from the first moment on: the disk may be full later.
        let first = State { router_id, seqno: seqno.unwrap_or(0) };
        file.write(first).map_err(|error| Failure::failed(error.to_string()))?;
        Ok(Self { router_id, seqno, file: Some(file) })
    }

    /// Writes down what must be known in the next life, before `current` is announced. A disk that refuses it
    /// is not tried again at once.
    pub fn keep(&mut self, current: State, now: Instant) {
        if let Some(file) = &mut self.file
            && let Some(next) = State::ahead_of(current, file.written)
            && file.failed_at.is_none_or(|at| now - at >= limits::STATE_FILE_PAUSE)
        {
            file.try_write(next, now);
        }
    }

    /// The router ends with this: the next life begins right after.
    pub fn close(&mut self, last: State, now: Instant) {
        if let Some(file) = &mut self.file {
            file.try_write(last, now);
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

    fn try_write(&mut self, state: State, now: Instant) {
        match self.write(state) {
            Ok(()) => self.failed_at = None,
            Err(error) => {
                if self.failed_at.replace(now).is_none() {
                    warn!(
                        "{error}; if this router is killed, neighbours may refuse it for a while"
                    );
                }
            }
        }
    }
}

/// What a file remembers, if there is one.
fn kept(path: &Path) -> Option<Past> {
    let octets = file::read(path).ok()?;
    let kept = std::str::from_utf8(&octets).ok().and_then(Past::parse);
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
        let find = |given| Identity::find(given, Some(&path), draw).unwrap();
        let mut first = find(None);
        assert_eq!(first.seqno, None);
        let now = Instant::default();
        first.keep(State { router_id: first.router_id, seqno: 100 }, now);
        // Crashed: no lower number than it may have announced.
        let second = find(None);
        assert_eq!(second.router_id, first.router_id);
        assert!(second.seqno.unwrap() > 100);
        // Ended.
        let mut third = find(None);
        third.close(State { router_id: first.router_id, seqno: 7 }, now);
        assert_eq!(find(None).seqno, Some(8));
        // Of another router, and rubbish.
        let other = RouterId::new([9; 8]).unwrap();
        assert_eq!((find(Some(other)).router_id, find(Some(other)).seqno.is_some()), (other, true));
        std::fs::write(&path, b"\xff rubbish").unwrap();
        assert_eq!(find(None).seqno, None);
        let missing = folder.path().join("none").join("state");
        let refused = Identity::find(None, Some(&missing), draw).unwrap_err();
        assert!(refused.to_string().contains("none"));
    }

    #[test]
    fn a_disk_that_refuses_is_tried_again_after_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, path) = (folder.path().join("inside"), folder.path().join("inside/state"));
        std::fs::create_dir(&inside).unwrap();
        let mut identity = Identity::find(None, Some(&path), draw).unwrap();
        let state = State { router_id: identity.router_id, seqno: 100 };
        std::fs::remove_dir_all(&inside).unwrap();
        let at = |seconds| Instant::ZERO + std::time::Duration::from_secs(seconds);
        identity.keep(state, at(1));
        std::fs::create_dir(&inside).unwrap();
        identity.keep(state, at(2));
        assert!(!path.exists(), "not at once");
        identity.keep(state, at(1) + limits::STATE_FILE_PAUSE);
        assert!(path.exists());
    }
}
