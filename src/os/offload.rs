//! Which of the kernel's work the reader of a TAP or TUN device takes over, so that one read gives much.

use std::io;
use std::os::fd::AsFd;

use crate::os::sys::set_tap_offload;

/// What the kernel leaves to us on a device that was opened with IFF_VNET_HDR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offload {
    /// Super-frames of TCP and UDP, and checksums.
    Full,
    /// Super-frames of TCP, and checksums: before Linux 6.2.
    WithoutUdp,
    /// Nothing: frame by frame.
    None,
}

const TCP: libc::c_uint = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
const UDP: libc::c_uint = libc::TUN_F_USO4 | libc::TUN_F_USO6;

impl Offload {
    /// Asks for as much as the kernel knows.
    pub fn of(device: &impl AsFd) -> io::Result<Self> {
        Self::choose(|flags| set_tap_offload(device.as_fd(), flags))
    }

    fn choose(ask: impl Fn(libc::c_uint) -> io::Result<()>) -> io::Result<Self> {
        if ask(TCP | UDP).is_ok() {
            return Ok(Self::Full);
        }
        if ask(TCP).is_ok() {
            return Ok(Self::WithoutUdp);
        }
        ask(0).map(|()| Self::None)
    }

    /// What an operator is told of a kernel that knows less than it could.
    pub const fn shortcoming(self) -> Option<&'static str> {
        match self {
            Self::Full => None,
            Self::WithoutUdp => {
                Some("this kernel hands out UDP packets one by one (before Linux 6.2)")
            }
            Self::None => Some("this kernel hands out packets one by one"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is chosen on a kernel that takes these flags and no others.
    fn on_kernel(known: Option<libc::c_uint>) -> io::Result<Offload> {
        Offload::choose(|flags| match known {
            Some(known) if flags & !known == 0 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        })
    }

    #[test]
    fn each_kernel_gives_what_it_can_and_what_it_cannot_is_told() {
        let chosen =
            [TCP | UDP, TCP, libc::TUN_F_CSUM, 0].map(|known| on_kernel(Some(known)).unwrap());
        assert_eq!(chosen, [Offload::Full, Offload::WithoutUdp, Offload::None, Offload::None]);
        assert_eq!(chosen.map(|one| one.shortcoming().is_some()), [false, true, true, true]);
    }

    #[test]
    fn a_device_that_takes_no_offload_at_all_is_an_error() {
        assert_eq!(on_kernel(None).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
