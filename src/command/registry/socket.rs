//! The administration socket: where it is, who may connect to it, and what is asked over it.

use std::io;
use std::path::{Path, PathBuf};

use crate::os::database::Location;
use crate::os::file::FileError;
use crate::os::unix_socket;

/// Where the socket is if neither a folder nor a database's file says so.
const RUN: &str = "/run/re6st-registry/registry.sock";

/// Its name in a folder.
const NAME: &str = "registry.sock";

/// The socket, open; its file is removed when dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
}

/// Where a registry's socket is: in its folder, or beside its database.
pub fn default_path(dir: Option<&Path>, db: Option<&Location>) -> PathBuf {
    let beside = |file: &Path| file.parent().map(|folder| folder.join(NAME));
    let in_folder = dir.map(|dir| dir.join(NAME));
    in_folder.or_else(|| beside(db?.file()?)).unwrap_or_else(|| RUN.into())
}

/// Where registries' sockets are that were started without a folder.
pub fn usual_paths() -> [PathBuf; 2] {
    [RUN.into(), Path::new("/var/lib/re6stnet").join(NAME)]
}

/// Whether a registry listens on a socket that we may use.
pub fn is_served(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}

impl AdminSocket {
    /// Opens the socket, for `owner` (user and group) or this process's user; for a group, too, if given.
    pub fn bind(
        path: &Path,
        owner: Option<(u32, u32)>,
        group: Option<u32>,
    ) -> Result<Self, FileError> {
        let listener = unix_socket::listen(path, owner.map(|(uid, _)| uid), group)
            .map_err(|cause| FileError::new("listen on", path, cause))?;
        Ok(Self { listener, path: path.into() })
    }

    /// The socket, for tokio.
    pub fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }

    /// The path of the socket file, which is removed at the end.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // The next registry replaces a socket file without a listener.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_is_in_the_folder_or_beside_the_database() {
        let file = Location::File("/var/lib/re6stnet/registry.db".into());
        let server = Location::Server("postgres://re6st@host/re6st".into());
        let dir = Path::new("/etc/re6st");
        for (dir, db, path) in [
            (Some(dir), &server, "/etc/re6st/registry.sock"),
            (Some(dir), &file, "/etc/re6st/registry.sock"),
            (None, &file, "/var/lib/re6stnet/registry.sock"),
            (None, &server, RUN),
        ] {
            assert_eq!(default_path(dir, Some(db)), Path::new(path));
        }
    }

    #[test]
    fn socket_of_a_running_registry_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        let socket = AdminSocket::bind(&path, None, None).unwrap();
        assert!(is_served(&path));
        assert_eq!(
            AdminSocket::bind(&path, None, None).unwrap_err().cause.kind(),
            io::ErrorKind::AddrInUse
        );
        drop(socket);
        assert!(!path.exists() && !is_served(&path));
        // One that was killed leaves its file.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(!is_served(&path));
        AdminSocket::bind(&path, None, None).unwrap();
        std::fs::write(&path, "a file of somebody's").unwrap();
        AdminSocket::bind(&path, None, None).unwrap_err();
        assert!(path.exists(), "what is no socket stays");
    }
}
