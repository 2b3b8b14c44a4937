//! TAP and TUN devices: Ethernet frames or IP packets, each behind a virtio-net header.
//!
//! A device lives as long as its descriptor: what a killed process leaves, the kernel removes.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::os::offload::Offload;
use crate::os::sys;
use crate::proto::tunnel::kind::Device;

/// A device.
#[derive(Debug)]
pub struct Tap {
    descriptor: AsyncFd<OwnedFd>,
    name: String,
    offload: Offload,
    layer: Layer,
}

/// What passes through a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// Ethernet frames: TAP.
    Ethernet,
    /// IP packets: TUN.
    Ip,
}

impl From<Device> for Layer {
    fn from(device: Device) -> Self {
        match device {
            Device::Tap => Self::Ethernet,
            Device::Tun => Self::Ip,
        }
    }
}

impl Tap {
    /// Makes a device, which is down. Fails with `EBUSY` if there is one of that name.
    pub fn open(name: &str, layer: Layer) -> io::Result<Self> {
        let mut configuration = tun::Configuration::default();
        configuration.tun_name(name).layer(match layer {
            Layer::Ethernet => tun::Layer::L2,
            Layer::Ip => tun::Layer::L3,
        });
        configuration.platform_config(|platform| {
            platform.vnet_hdr(true);
        });
        let device = tun::create(&configuration).map_err(io::Error::from)?;
        device.set_nonblock()?;
        let descriptor = sys::watch_device(device)?;
        let offload = Offload::of(descriptor.get_ref())?;
        Ok(Self { descriptor, name: name.to_owned(), offload, layer })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What passes.
    pub const fn device(&self) -> Device {
        match self.layer {
            Layer::Ethernet => Device::Tap,
            Layer::Ip => Device::Tun,
        }
    }

    /// What the kernel leaves to us.
    pub const fn offload(&self) -> Offload {
        self.offload
    }

    /// Makes its addresses usable at once: there is nobody on a tunnel who could have the same.
    pub fn skip_duplicate_address_detection(&self) -> io::Result<()> {
        fs::write(format!("/proc/sys/net/ipv6/conf/{}/accept_dad", self.name), "0")
    }

    /// Waits until there is something to read; fails when somebody removed the device.
    pub async fn readable(&self) -> io::Result<()> {
        let mut guard = self.descriptor.ready(Interest::READABLE | Interest::ERROR).await?;
        if guard.ready().is_error() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        guard.retain_ready();
        Ok(())
    }

    /// Reads one header and frame; `WouldBlock` if there is none.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.descriptor.try_io(Interest::READABLE, |fd| Ok(nix::unistd::read(fd.as_fd(), buffer)?))
    }

    /// Writes one header and frame. The kernel takes it at once or drops it.
    pub fn write(&self, frame: &[u8]) -> io::Result<()> {
        nix::unistd::write(self.descriptor.get_ref().as_fd(), frame)?;
        Ok(())
    }
}
