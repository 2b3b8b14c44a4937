//! Files that are whole or not there: written beside their place, put on disk, then renamed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
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

/// Reads a secret from a file, or from standard input if `path` is `-`; without the end of its line.
pub fn read_secret(path: &Path) -> Result<String, FileError> {
    let failed = |cause| FileError::new("read", path, cause);
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin().read_line(&mut text).map_err(failed)?;
    } else {
        mend_mode(path);
        text = fs::read_to_string(path).map_err(failed)?;
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Whether a secret is among this process's arguments, which every user of this host can read.
pub fn is_in_arguments(secret: &str) -> bool {
    std::env::args_os().any(|argument| argument.to_string_lossy().contains(secret))
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
            let mut options = OpenOptions::new();
            options.write(true).custom_flags(libc::O_NOFOLLOW);
            let mut file = options.open(&self.beside)?;
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

/// Creates a folder and those above it, if they are not there, for their owner alone.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.map_err(|cause| FileError::new("create the folder", path, cause))
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

/// A new file beside `path`, the owner's alone. A link or file of that name, which somebody else may have put
/// there, is not used.
fn create_beside(path: &Path) -> io::Result<(File, PathBuf)> {
    let mut attempt = 0;
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".new-{}-{attempt}", std::process::id()));
        let beside = path.with_file_name(name);
        match create_private(&beside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                attempt += 1;
            }
            created => return Ok((created?, beside)),
        }
    }
}

/// How many names are tried for a file beside another: a process that was killed leaves its own.
const ATTEMPTS: u32 = 16;

/// Creates a file that must not be there yet with mode 0600, whatever the umask; does not follow links.
pub fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path)
}

/// Opens a file with secrets to append to it; creates it with mode 0600, or mends the mode that it has.
pub fn append_private(path: &Path) -> io::Result<File> {
    if let Err(error) = create_private(path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    mend_mode(path);
    OpenOptions::new().append(true).open(path)
}

/// Creates a database's file with mode 0600 if it is not there; mends its mode and those of the files that SQLite
/// keeps beside it.
pub fn prepare_database(path: &Path) -> io::Result<()> {
    if let Err(error) = create_private(path)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(error);
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        mend_mode(Path::new(&name));
    }
    Ok(())
}

/// Takes the rights of group and others from a file with secrets, if it is there and has them; the log says so.
pub fn mend_mode(path: &Path) {
    let mended = || -> io::Result<Option<u32>> {
        // A path only: closing a file that was opened to be read would release the locks that SQLite has on it.
        let open =
            |flags| OpenOptions::new().read(true).custom_flags(libc::O_PATH | flags).open(path);
        let mut file = open(libc::O_NOFOLLOW)?;
        let found = file.metadata()?;
        if found.is_symlink() {
            // Anybody could have made another user's link.
            if found.uid() != 0 && found.uid() != crate::os::user::own_uid() {
                return Err(io::Error::other("it is another user's link"));
            }
            file = open(0)?;
        }
        let mode = file.metadata()?.permissions().mode();
        if mode & 0o077 == 0 {
            return Ok(None);
        }
        let through = format!("/proc/self/fd/{}", file.as_raw_fd());
        fs::set_permissions(through, fs::Permissions::from_mode(mode & 0o7700))?;
        Ok(Some(mode & 0o777))
    };
    match mended() {
        Ok(None) => {}
        Ok(Some(mode)) => tracing::warn!(
            "{} holds secrets and had mode {mode:04o}: only its owner may use it now",
            path.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(
            "{} holds secrets, and its mode could not be checked: {error}",
            path.display()
        ),
    }
}

fn write_beside(path: &Path, octets: &[u8], access: Access) -> Result<PathBuf, FileError> {
    let mode = match access {
        Access::Owner => 0o600,
        Access::All => 0o644,
    };
    let failed = |cause| FileError::new("write", path, cause);
    let (mut file, beside) = create_beside(path).map_err(failed)?;
    let mut written = || {
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

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn secrets_are_their_owners_and_wider_modes_are_mended() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("registry.db");
        prepare_database(&database).unwrap();
        assert_eq!(mode(&database), 0o600);
        let wal = folder.path().join("registry.db-wal");
        fs::write(&wal, "").unwrap();
        for path in [&database, &wal] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        prepare_database(&database).unwrap();
        assert_eq!((mode(&database), mode(&wal)), (0o600, 0o600));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&database, &link).unwrap();
        fs::set_permissions(&database, fs::Permissions::from_mode(0o640)).unwrap();
        append_private(&link).unwrap().write_all(b"mail").unwrap();
        assert_eq!((mode(&database), fs::read(&database).unwrap()), (0o600, b"mail".to_vec()));
        create_private(&link).unwrap_err();
        let inner = folder.path().join("a/b");
        create_folder(&inner).unwrap();
        assert_eq!((mode(&inner), mode(&folder.path().join("a"))), (0o700, 0o700));
    }

    #[test]
    fn link_beside_a_file_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("key"), folder.path().join("victim"));
        fs::write(&victim, "whole").unwrap();
        let beside = format!("key.new-{}-0", std::process::id());
        std::os::unix::fs::symlink(&victim, folder.path().join(beside)).unwrap();
        create(&path, b"secret", Access::Owner).unwrap();
        assert_eq!(
            (read(&path).unwrap(), read(&victim).unwrap()),
            (b"secret".into(), b"whole".into())
        );
    }

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
