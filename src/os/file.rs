//! Files that are whole or not there: written beside their place, put on disk, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Its owner: keys.
    Owner,
    /// Everybody.
    All,
}

/// What was attempted with which file, and the kernel's reason for refusing.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempt} {}: {cause}", path.display())]
pub struct FileError {
    /// `read`, `write`, `create`.
    pub attempt: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The reason.
    #[source]
    pub cause: io::Error,
}

impl FileError {
    /// Adds what was attempted to the kernel's reason.
    pub fn new(attempt: &'static str, path: &Path, cause: io::Error) -> Self {
        Self { attempt, path: path.into(), cause }
    }
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|cause| FileError::new("read", path, cause))
}

/// Replaces a file at once: readers see the old or the new one, also after a crash.
pub fn replace(path: &Path, octets: &[u8], access: Access) -> Result<(), FileError> {
    let beside = write_beside(path, octets, access)?;
    fs::rename(&beside, path)
        .and_then(|()| sync_folder(path))
        .map_err(|cause| given_up("write", path, &beside, cause))
}

/// Makes a file that must not be there yet, at once.
pub fn create(path: &Path, octets: &[u8], access: Access) -> Result<(), FileError> {
    let beside = write_beside(path, octets, access)?;
    // A link refuses to replace, which a rename would not.
    fs::hard_link(&beside, path)
        .and_then(|()| fs::remove_file(&beside))
        .and_then(|()| sync_folder(path))
        .map_err(|cause| given_up("create", path, &beside, cause))
}

/// Makes a folder and those above it, if they are not there.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(|cause| FileError::new("create the folder", path, cause))
}

/// Whether only its owner may read a file.
pub fn is_private(path: &Path) -> Result<bool, FileError> {
    let metadata = fs::metadata(path).map_err(|cause| FileError::new("read", path, cause))?;
    Ok(metadata.permissions().mode() & 0o077 == 0)
}

/// Has only its owner read a file.
pub fn set_private(path: &Path) -> Result<(), FileError> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|cause| FileError::new("protect", path, cause))
}

fn write_beside(path: &Path, octets: &[u8], access: Access) -> Result<PathBuf, FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let beside = path.with_file_name(name);
    let mode = match access {
        Access::Owner => 0o600,
        Access::All => 0o644,
    };
    let written = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(octets)?;
        file.sync_all()
    };
    match written() {
        Ok(()) => Ok(beside),
        Err(cause) => Err(given_up("write", path, &beside, cause)),
    }
}

fn given_up(attempt: &'static str, path: &Path, beside: &Path, cause: io::Error) -> FileError {
    // Best effort: what matters is why it failed.
    let _ = fs::remove_file(beside);
    FileError::new(attempt, path, cause)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_owners_and_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create(&path, b"one", Access::Owner).unwrap();
        assert!(is_private(&path).unwrap());
        let refused = create(&path, b"two", Access::All).unwrap_err();
        assert_eq!(refused.cause.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path).unwrap(), b"one");
        replace(&path, b"three", Access::All).unwrap();
        assert_eq!(read(&path).unwrap(), b"three");
        assert!(!is_private(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
    }
}
