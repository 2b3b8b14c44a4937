//! Every system call that no safe crate wraps, one per function: the only file with `unsafe`.
#![allow(unsafe_code, reason = "the one place for it")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use tokio::io::unix::AsyncFd;

/// Tells the kernel which segmentation offloads the reader of a TUN or TAP device handles.
pub fn set_tap_offload(device: BorrowedFd<'_>, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value, and `device` is open while borrowed.
    let done =
        unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(flags)) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits until one of `descriptors` can be read, at most for `patience`, to some 50 µs; which can, by
/// position. A signal ends the wait early.
pub fn wait_readable(
    descriptors: &[RawFd],
    patience: Option<Duration>,
    ready: &mut Vec<usize>,
) -> io::Result<()> {
    let entry = |fd: &RawFd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<libc::pollfd> = descriptors.iter().map(entry).collect();
    let patience = patience.map(|patience| libc::timespec {
        tv_sec: libc::time_t::try_from(patience.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(patience.subsec_nanos().cast_signed()),
    });
    let patience = patience.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = entries.len() as libc::nfds_t;
    // SAFETY: `entries` has `count` elements, `patience` is null or outlives the call; descriptors that
    // are not open are reported, not used.
    let done = unsafe { libc::ppoll(entries.as_mut_ptr(), count, patience, std::ptr::null()) };
    ready.clear();
    if done < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
    }
    ready.extend((0..entries.len()).filter(|at| entries[*at].revents != 0));
    Ok(())
}

/// Asks that this thread is run before others; without the right to ask, nothing changes.
pub fn prefer_this_thread(niceness: libc::c_int) {
    // SAFETY: takes its arguments by value; 0 is this thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
}

/// Takes the descriptor out of a device that `tun` made, and watches it.
pub fn watch_device(device: tun::Device) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the device gives its descriptor away, so that nobody else closes it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) };
    // SAFETY: an `OwnedFd` has the same descriptor as long as it lives.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// Has a socket's datagrams never fragmented: one that is too large is an error, `EMSGSIZE`.
pub fn never_fragment(socket: impl AsFd, ipv6: bool) -> io::Result<()> {
    let (level, name, value) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DO)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DO)
    };
    let length = size_of_val(&value) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `value` is an int, as both options want it, and outlives the call.
    let done = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
