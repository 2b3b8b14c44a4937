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
        let device = device.as_fd();
        if set_tap_offload(device, TCP | UDP).is_ok() {
            return Ok(Self::Full);
        }
        if set_tap_offload(device, TCP).is_ok() {
            return Ok(Self::WithoutUdp);
        }
        set_tap_offload(device, 0).map(|()| Self::None)
    }

    /// What an operator is told.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "TCP and UDP",
            Self::WithoutUdp => "TCP",
            Self::None => "none",
        }
    }
}
