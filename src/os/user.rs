//! Becoming somebody with fewer rights, for good.

use std::io;

use nix::sys::stat::Mode;
use nix::unistd::{Group, User, initgroups, setgid, setuid};

use crate::os::sys;

/// Becomes the user `name`, with that user's groups.
pub fn become_user(name: &str) -> io::Result<()> {
    let user = User::from_name(name)?.ok_or_else(|| io::Error::other("there is no such user"))?;
    let text = std::ffi::CString::new(name)?;
    // The groups first: afterwards, nobody would allow it.
    initgroups(&text, user.gid)?;
    setgid(user.gid)?;
    Ok(setuid(user.uid)?)
}

/// The effective user of this process.
pub fn own_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Has this process create files and sockets for their owner alone, whatever mode they ask for.
pub fn set_umask() {
    nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
}

/// A user's number and the number of the user's own group.
pub fn ids_of(name: &str) -> io::Result<(u32, u32)> {
    let user = User::from_name(name)?.ok_or_else(|| io::Error::other("there is no such user"))?;
    Ok((user.uid.as_raw(), user.gid.as_raw()))
}

/// A group's number.
pub fn group_of(name: &str) -> io::Result<u32> {
    let group =
        Group::from_name(name)?.ok_or_else(|| io::Error::other("there is no such group"))?;
    Ok(group.gid.as_raw())
}

/// Drops what root may do but what a node needs: interfaces, addresses, routes and packet filters; raw
/// sockets; ports below 1024; and files whoever owns them, for those of an earlier re6stnet. The kernel has
/// capabilities of threads: this is for the first one, before there are others.
pub fn drop_privileges() -> io::Result<()> {
    const KEPT: [u32; 6] = [
        0,  // CAP_CHOWN
        1,  // CAP_DAC_OVERRIDE
        3,  // CAP_FOWNER
        10, // CAP_NET_BIND_SERVICE
        12, // CAP_NET_ADMIN
        13, // CAP_NET_RAW
    ];
    sys::keep_capabilities(KEPT.into_iter().fold(0, |bits, capability| bits | 1 << capability))
}
