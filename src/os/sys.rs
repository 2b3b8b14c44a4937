//! Every system call that no safe crate wraps, one per function: the only file with `unsafe`.
#![allow(unsafe_code, reason = "the one place for it")]

use std::io;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::os::mapping::Mapping;

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

/// Lets go the memory of a mapping; it is read again where it is needed.
pub fn forget_pages(mapping: &Mapping) -> io::Result<()> {
    let addresses = mapping.addresses();
    let start = std::ptr::without_provenance_mut(addresses.start);
    // SAFETY: what is mapped there is a file's and was not written to: its pages come back as they were.
    let done = unsafe { libc::madvise(start, addresses.len(), libc::MADV_DONTNEED) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets all threads that come share one heap, and keeps what is larger than `octets` out of it; where the heap
/// is not glibc's, nothing changes.
pub fn share_heap(octets: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes its arguments by value.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, octets);
    }
}

/// Gives back to the system what of the heap is free; where the heap is not glibc's, nothing.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes its argument by value, and only memory that is not in use is given back.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Asks that this thread is run before others; without the right to ask, nothing changes.
pub fn prefer_this_thread(niceness: libc::c_int) {
    // SAFETY: takes its arguments by value; 0 is this thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, niceness) };
}

/// What is watched of a device: frames, and its removal.
const DEVICE_INTEREST: Interest = Interest::READABLE.add(Interest::ERROR);

/// Takes the descriptor out of a device that `tun` made, and watches it.
pub fn watch_device(device: tun::Device) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the device gives its descriptor away, so that nobody else closes it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) };
    // SAFETY: an `OwnedFd` has the same descriptor as long as it lives.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, DEVICE_INTEREST) }?)
}

/// The path MTU that the kernel knows towards the peer of a connected socket.
pub fn path_mtu(socket: impl AsFd, ipv6: bool) -> io::Result<u32> {
    let (level, name) =
        if ipv6 { (libc::IPPROTO_IPV6, libc::IPV6_MTU) } else { (libc::IPPROTO_IP, libc::IP_MTU) };
    let mut value: libc::c_int = 0;
    let mut length = size_of_val(&value) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: both options give an int, for which there is room, and both pointers outlive the call.
    let done =
        unsafe { libc::getsockopt(fd, level, name, (&raw mut value).cast(), &raw mut length) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(value).map_err(io::Error::other)
}

/// Has a socket's datagrams fragmented only here, and only if they exceed the path that the kernel
/// knows: on their way they may not be, so that the path is found. (Those of one UDP_SEGMENT call may be
/// over IPv4: Linux looks at the length of all of them when it decides.)
pub fn find_path_mtu(socket: impl AsFd, ipv6: bool) -> io::Result<()> {
    let (level, name, value) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT)
    };
    let length = size_of_val(&value) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `value` is an int, as both options want it, and outlives the call.
    let done = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has a socket's datagrams sent whole, whatever the kernel was told of the path. What comes of it is seen
/// at the other end only; [`find_path_mtu`] ends it.
pub fn doubt_path_mtu(socket: impl AsFd, ipv6: bool) -> io::Result<()> {
    let (level, name, value) = if ipv6 {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)
    } else {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
    };
    let length = size_of_val(&value) as libc::socklen_t;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `value` is an int, as both options want it, and outlives the call.
    let done = unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), length) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A datagram that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// How many octets of the buffer it fills.
    pub octets: usize,
    /// Who sent it.
    pub from: SocketAddrV6,
    /// To which of our addresses, or to which group.
    pub to: Ipv6Addr,
    /// The number of the interface it arrived on.
    pub interface: u32,
}

/// Receives one datagram and where it was sent to; the socket has `IPV6_RECVPKTINFO` set.
pub fn receive_addressed(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Arrival> {
    // SAFETY: all-zero octets are a valid value of these C structures.
    let (mut from, mut header) =
        unsafe { (std::mem::zeroed::<libc::sockaddr_in6>(), std::mem::zeroed::<libc::msghdr>()) };
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = ControlOctets([0; 64]);
    header.msg_name = std::ptr::from_mut(&mut from).cast();
    header.msg_namelen = size_of_val(&from) as libc::socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    // SAFETY: every pointer in `header` is to a live value of the length given with it.
    let octets = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let octets = usize::try_from(octets).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel filled the control octets up to `msg_controllen`, and the macro checks it.
    let message = unsafe { libc::CMSG_FIRSTHDR(&raw const header).as_ref() };
    let is_wanted = |message: &&libc::cmsghdr| {
        message.cmsg_level == libc::IPPROTO_IPV6 && message.cmsg_type == libc::IPV6_PKTINFO
    };
    let message = message.filter(is_wanted).ok_or(io::ErrorKind::InvalidData)?;
    // SAFETY: a message of this type carries this structure, perhaps unaligned.
    let info: libc::in6_pktinfo =
        unsafe { std::ptr::read_unaligned(libc::CMSG_DATA(message).cast()) };
    let port = u16::from_be(from.sin6_port);
    let address = Ipv6Addr::from(from.sin6_addr.s6_addr);
    Ok(Arrival {
        octets,
        from: SocketAddrV6::new(address, port, 0, from.sin6_scope_id),
        to: Ipv6Addr::from(info.ipi6_addr.s6_addr),
        interface: info.ipi6_ifindex,
    })
}

/// Sends one datagram from one of our addresses on one interface.
pub fn send_addressed(
    socket: BorrowedFd<'_>,
    octets: &[u8],
    (from, interface): (Ipv6Addr, u32),
    to: (Ipv6Addr, u16),
) -> io::Result<()> {
    // SAFETY: all-zero octets are a valid value of these C structures.
    let (mut name, mut header) =
        unsafe { (std::mem::zeroed::<libc::sockaddr_in6>(), std::mem::zeroed::<libc::msghdr>()) };
    name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    name.sin6_port = to.1.to_be();
    name.sin6_addr.s6_addr = to.0.octets();
    name.sin6_scope_id = interface;
    let mut part =
        libc::iovec { iov_base: octets.as_ptr().cast_mut().cast(), iov_len: octets.len() };
    let info = libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr { s6_addr: from.octets() },
        ipi6_ifindex: interface,
    };
    let mut control = ControlOctets([0; 64]);
    header.msg_name = std::ptr::from_mut(&mut name).cast();
    header.msg_namelen = size_of_val(&name) as libc::socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    let length = size_of_val(&info) as libc::c_uint;
    // SAFETY: these macros only compute; 64 octets hold one such message.
    header.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as usize;
    // SAFETY: the control octets are large enough and aligned for the header and what follows it.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::IPPROTO_IPV6;
        (*message).cmsg_type = libc::IPV6_PKTINFO;
        (*message).cmsg_len = libc::CMSG_LEN(length) as usize;
        std::ptr::write_unaligned(libc::CMSG_DATA(message).cast(), info);
    }
    // SAFETY: every pointer in `header` is to a live value of the length given with it; the kernel only
    // reads `octets`.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, libc::MSG_DONTWAIT) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Room for control messages, aligned as they are.
#[repr(align(8))]
struct ControlOctets([u8; 64]);

/// Takes every capability from this process, and from those that it starts, but those whose bits are set in
/// `keep`, for good.
pub fn keep_capabilities(keep: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let check =
        |done: libc::c_long| if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    for capability in 0..64 {
        // SAFETY: prctl takes its arguments by value; a kernel that has no such capability says EINVAL.
        let is_there = unsafe { libc::prctl(libc::PR_CAPBSET_READ, capability, 0, 0, 0) } == 1;
        if is_there && keep >> capability & 1 == 0 {
            // SAFETY: as above.
            let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
            check(done.into())?;
        }
    }
    let header = Header { version: VERSION_3, pid: 0 };
    #[expect(clippy::cast_possible_truncation, reason = "two words of 32 bits")]
    let words = [keep as u32, (keep >> 32) as u32];
    let sets = words.map(|word| Sets { effective: word, permitted: word, inheritable: 0 });
    // SAFETY: both structures are as capset(2) has them for version 3, and outlive the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) })?;
    // SAFETY: prctl takes its arguments by value.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())
}
