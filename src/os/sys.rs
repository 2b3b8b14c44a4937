//! Every system call that no safe crate wraps, one per function: the only file with `unsafe`.
#![allow(unsafe_code, reason = "the one place for it")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Tells the kernel which segmentation offloads the reader of a TUN or TAP device handles.
pub fn set_tap_offload(device: BorrowedFd<'_>, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value, and `device` is open while borrowed.
    let done =
        unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(flags)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
