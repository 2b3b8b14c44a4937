//! Which process may serve a SQLite file: one, and no other replaces its content meanwhile.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;

use super::{DatabaseError, Location};

/// A lock on a database file, until it is dropped or the process ends. It is apart from SQLite's own locks,
/// which last for one transaction. PostgreSQL needs none: it is made for several registries.
#[derive(Debug)]
pub struct Claim(
    #[expect(dead_code, reason = "the lock lasts as long as the file is open")] Option<File>,
);

impl Claim {
    /// Locks the file at a location, if there is one; [`DatabaseError::Served`] if another process has
    /// locked it.
    ///
    /// Drop it after the [`super::Database`]: closing the file releases SQLite's locks on it, too.
    pub fn take(location: &Location) -> Result<Self, DatabaseError> {
        let Some(path) = location.file() else { return Ok(Self(None)) };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self(None)),
            Err(error) => return Err(error.into()),
        };
        match file.try_lock() {
            Ok(()) => Ok(Self(Some(file))),
            Err(TryLockError::WouldBlock) => Err(DatabaseError::Served),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

#[test]
fn second_claim_is_refused_until_the_first_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::File(folder.path().join("registry.db"));
    drop(Claim::take(&location).unwrap());
    assert!(!location.file().unwrap().exists());
    std::fs::write(location.file().unwrap(), "").unwrap();
    let first = Claim::take(&location).unwrap();
    assert!(matches!(Claim::take(&location), Err(DatabaseError::Served)));
    drop(first);
    Claim::take(&location).unwrap();
}
