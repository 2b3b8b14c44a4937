//! The interface of a tunnel: made when the tunnel comes up, gone when it ends.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use crate::os::link::{LinkError, Links};
use crate::os::tap::{Layer, Tap};
use crate::os::udp::{SEND_OCTETS_MAX, SEND_SEGMENTS_MAX};

/// What the alias of every interface of a tunnel begins with.
pub const ALIAS: &str = "re6st tunnel";

/// Octets of an Ethernet header.
const ETHERNET_OCTETS: u32 = 14;

/// Octets that sealing adds at most.
const SEAL_OCTETS_MAX: u32 = 28;

/// Octets of the headers of a TCP segment over IPv6, with timestamps.
const HEADERS_OCTETS: u32 = 40 + 20 + 12;

/// Octets of a super-frame that Linux keeps for headers and does not fill.
const KERNEL_RESERVE: u32 = 384;

/// Octets of the longest name of an interface.
pub const NAME_OCTETS: usize = 15;

/// An interface that is up.
#[derive(Debug)]
pub struct Interface {
    /// Where its frames are.
    pub tap: Arc<Tap>,
    /// The kernel's number of it.
    pub index: u32,
}

/// What an interface is to be.
#[derive(Clone, Debug)]
pub struct InterfaceSettings {
    /// Its name.
    pub name: String,
    /// What passes.
    pub layer: Layer,
    /// Octets of its largest packet.
    pub mtu: u32,
    /// Whose tunnel it is, for people.
    pub peer: String,
    /// Addresses besides the link-local one.
    pub addresses: Vec<(IpAddr, u8)>,
}

/// Why there is no interface.
#[derive(Debug, thiserror::Error)]
pub enum InterfaceError {
    /// The device could not be made.
    #[error("cannot make interface {0}: {1} ({advice})", advice = advice(.1))]
    Device(String, #[source] io::Error),
    /// It could not be set up.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// It vanished at once.
    #[error("interface {0} vanished while it was set up")]
    Vanished(String),
}

/// What to do about a device that cannot be made.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        // A device of ours or of somebody else's; an interface of another kind.
        io::ErrorKind::ResourceBusy | io::ErrorKind::InvalidInput => {
            "there is one of that name: choose another"
        }
        io::ErrorKind::PermissionDenied => "that takes root or CAP_NET_ADMIN",
        _ => "is /dev/net/tun there, and the kernel's module tun?",
    }
}

/// Whether the kernel would have an interface of that name.
pub fn is_name(name: &str) -> bool {
    let is_wrong = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '%');
    (1..=NAME_OCTETS).contains(&name.len())
        && !name.contains(is_wrong)
        && !matches!(name, "." | "..")
}

/// Whether an interface of that name can be made; it is gone again afterwards.
pub fn try_out(name: &str, layer: Layer) -> Result<(), InterfaceError> {
    open(name, layer).map(drop)
}

fn open(name: &str, layer: Layer) -> Result<Tap, InterfaceError> {
    Tap::open(name, layer).map_err(|error| InterfaceError::Device(name.to_owned(), error))
}

impl Interface {
    /// Makes it and brings it up, with a link-local address that is usable at once.
    pub async fn make(links: &Links, settings: &InterfaceSettings) -> Result<Self, InterfaceError> {
        let name = &settings.name;
        let tap = open(name, settings.layer)?;
        if let Some(shortcoming) = tap.offload().shortcoming() {
            tracing::info!("{name}: {shortcoming}");
        }
        // Where there is no IPv6 there is no duplicate address detection either.
        let _ = tap.skip_duplicate_address_detection();
        let link = links.find(name).await?;
        let index = link.ok_or_else(|| InterfaceError::Vanished(name.clone()))?.index;
        links.set_alias(index, &format!("{ALIAS} {}", settings.peer)).await?;
        links.set_mtu(index, settings.mtu).await?;
        // A kernel that cannot limit them has us send what is left over in a call of its own.
        let _ = links.set_super_frame_max(index, super_frame_max(settings.mtu)).await;
        links.set_up(index).await?;
        for &(address, length) in &settings.addresses {
            links.add_address(index, address, length).await?;
        }
        Ok(Self { tap: Arc::new(tap), index })
    }

    /// Changes the size of its largest packet.
    pub async fn set_mtu(&self, links: &Links, mtu: u32) -> Result<(), InterfaceError> {
        links.set_mtu(self.index, mtu).await?;
        let _ = links.set_super_frame_max(self.index, super_frame_max(mtu)).await;
        Ok(())
    }

    /// Removes it, whoever still reads from it.
    pub async fn remove(self, links: &Links) {
        // It may be gone already: somebody else removed it.
        let _ = links.delete(self.index).await;
    }
}

/// Octets of the largest super-frame whose segments one system call sends, all of them sealed.
fn super_frame_max(mtu: u32) -> u32 {
    let packet = mtu + ETHERNET_OCTETS + SEAL_OCTETS_MAX;
    let packets = (SEND_OCTETS_MAX as u32 / packet).clamp(1, SEND_SEGMENTS_MAX as u32);
    packets * mtu.saturating_sub(HEADERS_OCTETS) + KERNEL_RESERVE
}

/// A name for the interface of the peer called `common_name`, for example `re6st-1-16`: no longer than
/// the kernel allows, and different for different peers as far as that goes.
pub fn name_for(prefix: &str, common_name: &str) -> String {
    let clean = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    };
    let name = format!("{}{}", clean(prefix), clean(common_name));
    if name.len() <= NAME_OCTETS {
        return name;
    }
    // FNV-1a: the same name gets the same interface each time.
    let hash = common_name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{}{:06x}", &name[..NAME_OCTETS - 6], hash & 0xff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_may_not_have_is_known() {
        for name in ["e0", "re6st-1-16", "fifteen-letters", "é", "a.b"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "sixteen--letters", "a/b", "a b", "a:1", "a\n", ".", "..", "tap%d"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn names_are_short_and_differ() {
        assert_eq!(name_for("re6st-", "1/16"), "re6st-1-16");
        let (a, b) =
            (name_for("re6st-", "server.example.com"), name_for("re6st-", "server.example.net"));
        assert_eq!((a.len(), b.len()), (NAME_OCTETS, NAME_OCTETS));
        assert_ne!(a, b);
    }
}
