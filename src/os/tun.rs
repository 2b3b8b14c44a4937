//! A plain TUN or TAP device: one packet or frame a call, without offloads.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// A device; it exists as long as this value.
pub struct Tun {
    device: tun::Device,
}

/// What passes through a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// IP packets: TUN.
    Packets,
    /// Ethernet frames: TAP.
    Frames,
}

impl Tun {
    /// Makes a device in the network namespace of this thread, up, non-blocking, without addresses.
    pub fn open(name: &str, layer: Layer, mtu: u16) -> io::Result<Self> {
        let mut configuration = tun::Configuration::default();
        let layer = match layer {
            Layer::Packets => tun::Layer::L3,
            Layer::Frames => tun::Layer::L2,
        };
        configuration.tun_name(name).layer(layer).mtu(mtu).up();
        let device = tun::create(&configuration).map_err(io::Error::from)?;
        device.set_nonblock()?;
        Ok(Self { device })
    }

    /// The next packet or frame that the kernel sends through the device, if there is one now.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.device.recv(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the kernel a packet or frame as if it had arrived.
    pub fn send(&self, octets: &[u8]) -> io::Result<()> {
        self.device.send(octets).map(|_| ())
    }
}

impl AsRawFd for Tun {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}
