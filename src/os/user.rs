//! Becoming somebody with fewer rights, for good.

use std::io;

use nix::unistd::{User, initgroups, setgid, setuid};

/// Becomes the user `name`, with that user's groups.
pub fn become_user(name: &str) -> io::Result<()> {
    let user = User::from_name(name)?.ok_or_else(|| io::Error::other("there is no such user"))?;
    let text = std::ffi::CString::new(name)?;
    // The groups first: afterwards, nobody would allow it.
    initgroups(&text, user.gid)?;
    setgid(user.gid)?;
    Ok(setuid(user.uid)?)
}
