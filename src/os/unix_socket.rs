//! A listening Unix socket that is its owner's, and perhaps a group's.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Listens on a socket at `path` with mode 0600, or 0660 if a group may use it. A socket that nobody listens on
/// any more is replaced; a folder that is not there is created.
pub fn listen(path: &Path, owner: Option<u32>, group: Option<u32>) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        // Users of the group must reach the socket.
        let mode = if group.is_some() { 0o755 } else { 0o700 };
        if !folder.exists() {
            DirBuilder::new().recursive(true).mode(mode).create(folder)?;
            fs::set_permissions(folder, Permissions::from_mode(mode))?;
        }
    }
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    listener.set_nonblocking(true)?;
    // The registry's unit allows no chown that is not asked for.
    if owner.is_some() || group.is_some() {
        chown(path, owner, group)?;
    }
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(listener)
}

fn is_stale(path: &Path) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = UnixStream::connect(path).err().map(|error| error.kind());
    is_socket && refused == Some(io::ErrorKind::ConnectionRefused)
}
