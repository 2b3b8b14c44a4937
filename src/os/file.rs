//! Files that are whole or not there: written beside their place, put on disk, then renamed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
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
#[error("cannot {attempt} {}: {cause}{}", path.display(), advice(cause))]
pub struct FileError {
    /// `read`, `write`, `create`.
    pub attempt: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The reason.
    #[source]
    pub cause: io::Error,
}

fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull => "; make room there and try again",
        _ => "",
    }
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

/// Replaces a file at once, and leaves its owner and permissions as they are.
pub fn replace_content(path: &Path, octets: &[u8]) -> Result<(), FileError> {
    let failed = |cause| FileError::new("write", path, cause);
    // What a link leads to is replaced, not the link.
    let path = &fs::canonicalize(path).map_err(failed)?;
    let old = fs::metadata(path).map_err(failed)?;
    let beside = write_beside(path, octets, Access::Owner)?;
    let replace = || {
        std::os::unix::fs::chown(&beside, Some(old.uid()), Some(old.gid()))?;
        fs::set_permissions(&beside, old.permissions())?;
        fs::rename(&beside, path)?;
        sync_folder(path)
    };
    replace().map_err(|cause| given_up("write", path, &beside, cause))
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

/// Room for a file that must not be there yet: what is to be in it cannot be had a second time.
#[derive(Debug)]
pub struct Room {
    beside: PathBuf,
    path: PathBuf,
}

impl Room {
    /// Takes so many octets of the disk, or fails as long as nothing is lost.
    pub fn take(path: &Path, octets: usize) -> Result<Self, FileError> {
        let beside = write_beside(path, &vec![0; octets], Access::All)?;
        Ok(Self { beside, path: path.into() })
    }

    /// Makes the file, at once.
    pub fn create(self, octets: &[u8]) -> Result<(), FileError> {
        let write = || {
            let mut file = OpenOptions::new().write(true).open(&self.beside)?;
            file.write_all(octets)?;
            file.set_len(octets.len() as u64)?;
            file.sync_all()?;
            fs::hard_link(&self.beside, &self.path)?;
            sync_folder(&self.path)
        };
        write().map_err(|cause| FileError::new("create", &self.path, cause))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.beside);
    }
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
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace_content(&link, b"four").unwrap();
        assert_eq!(read(&path).unwrap(), b"four");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        fs::remove_file(&link).unwrap();
        let room = Room::take(&folder.path().join("certificate"), 4_096).unwrap();
        drop(room);
        let room = Room::take(&folder.path().join("certificate"), 4_096).unwrap();
        room.create(b"four").unwrap();
        assert_eq!(read(&folder.path().join("certificate")).unwrap(), b"four");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside");
    }
}
