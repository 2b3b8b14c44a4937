//! How large a tunnel's packets are: interface and connections follow the path.

use std::time::Duration;

use crate::command::tunnel::event::EventKind;
use crate::command::tunnel::inward::LaneOrder;
use crate::command::tunnel::outward::OutwardOrder;
use crate::command::tunnel::particulars::MtuWish;
use crate::command::tunnel::peer::Peer;
use crate::proto::time::Instant;
use crate::proto::tunnel::black_hole;
use crate::proto::tunnel::cipher::Cipher;
use crate::proto::tunnel::kind::{Device, Underlay};
use crate::proto::tunnel::path::{frame_octets, interface_mtu, packet_octets};
use crate::proto::tunnel::settings::{self, mtu};

impl Peer {
    /// What the kernel knows of the path, and what the interface should be like.
    pub(super) fn measure(&self, cipher: Cipher, overhead: usize) -> Size {
        let surroundings = &self.surroundings;
        let underlay = surroundings.underlay;
        let wanted = match surroundings.mtu {
            Some(MtuWish::Packet(octets)) => octets,
            Some(MtuWish::Datagram(octets)) => settings::mtu_of_link(octets, self.role, cipher),
            None => mtu(underlay, cipher),
        };
        let look_at = surroundings.clock.now() + PATH_EVERY;
        let size = Size { wanted, overhead, path: None, mtu: wanted, look_at };
        match self.path.link.path_mtu(surroundings.endpoint) {
            Some(path) => size.on(path, underlay, surroundings.device),
            None => size,
        }
    }

    /// Makes interface and connections follow the path.
    pub(super) async fn look_at_path(&mut self) {
        let Some(known) = self.size else { return };
        let (underlay, device) = (self.surroundings.underlay, self.surroundings.device);
        let path = self.path.link.path_mtu(self.surroundings.endpoint);
        let path = path.map(|path| self.probe_path(known, path));
        let every = if self.hole.is_suspicious() { black_hole::PATIENCE } else { PATH_EVERY };
        let look_at = self.surroundings.clock.now() + every;
        let size = match path {
            Some(path) => Size { look_at, ..known.on(path, underlay, device) },
            None => Size { look_at, ..known },
        };
        self.size = Some(size);
        let Some(path) = size.path.filter(|_| size.path != known.path) else { return };
        self.order_packet_octets(size);
        if let Some(interface) = &self.interface
            && size.mtu != known.mtu
            && let Err(error) = interface.set_mtu(&self.surroundings.links, size.mtu).await
        {
            tracing::warn!("{}: {error}", self.surroundings.interface);
        }
        self.tell(EventKind::Mtu { mtu: size.mtu, path }).await;
    }

    /// Asks a native peer, while packets are sent, whether the path takes what the kernel believes; what
    /// it takes as far as is known.
    fn probe_path(&mut self, size: Size, believed: u32) -> u32 {
        let sent = self.path.counters.statistics().packets_out;
        let is_busy = std::mem::replace(&mut self.sent, sent) != sent;
        let Some(liveness) = self.session.liveness() else { return believed };
        if is_busy || self.hole.is_suspicious() || self.hole.is_news(believed) {
            let before = self.hole.limit();
            let (underlay, device) = (self.surroundings.underlay, self.surroundings.device);
            let probes = self.hole.look(believed, self.surroundings.clock.now()).iter();
            let probes = probes.map(|&(time, path)| {
                let octets = frame_octets(path, underlay, device, size.overhead);
                liveness.padded_probe(time, octets as usize)
            });
            let probes = Vec::from_iter(probes);
            let is_doubtful = self.hole.is_doubtful();
            for probe in probes {
                self.order(match is_doubtful {
                    true => OutwardOrder::Whole(probe),
                    false => OutwardOrder::Frame(probe),
                });
            }
            if self.hole.is_refuted() {
                self.forget_lies(believed);
            }
            let found = self.hole.limit().filter(|&limit| before != Some(limit));
            if let Some(limit) = found
                && let Err(error) = self.path.link.tell_path_mtu(self.surroundings.endpoint, limit)
            {
                tracing::warn!("{}: {error}", self.surroundings.interface);
            }
        }
        self.hole.takes()
    }

    /// Somebody told the kernel that the path takes less than it does.
    fn forget_lies(&self, believed: u32) {
        let interface = &self.surroundings.interface;
        tracing::warn!(
            "{interface}: somebody says the path takes only {believed} octets; it takes more"
        );
        if let Err(error) = self.path.link.forget_path_mtu(self.surroundings.endpoint) {
            tracing::debug!("{interface}: the kernel goes on believing it: {error}");
        }
    }

    pub(super) fn order_packet_octets(&self, size: Size) {
        let (underlay, device) = (self.surroundings.underlay, self.surroundings.device);
        let octets = size.packet_octets(underlay, device);
        let wish = self.surroundings.mssfix;
        let wish = wish.map(|wish| wish.packet_octets(underlay, device, size.overhead));
        let octets = octets.min(wish.unwrap_or(octets));
        self.order(OutwardOrder::PacketOctets(octets));
        self.order_lane(LaneOrder::PacketOctets(octets));
    }
}

/// How large packets are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// The interface's largest packet on a path that is large enough.
    wanted: u32,
    /// Octets that sealing adds.
    overhead: usize,
    /// What the path takes, if that matters.
    pub(super) path: Option<u32>,
    /// The interface's largest packet.
    pub(super) mtu: u32,
    /// When to look at the path again.
    pub(super) look_at: Instant,
}

impl Size {
    fn on(mut self, path: u32, underlay: Underlay, device: Device) -> Self {
        let fits = packet_octets(path, underlay, device, self.overhead);
        self.mtu = interface_mtu(self.wanted, fits);
        self.path = Some(path);
        self
    }

    /// Octets of the largest packet that neither interface nor path must cut.
    fn packet_octets(self, underlay: Underlay, device: Device) -> u32 {
        let fits = self.path.map(|path| packet_octets(path, underlay, device, self.overhead));
        self.mtu.min(fits.unwrap_or(self.mtu))
    }
}

/// How often the path is looked at. What exceeds it meanwhile is sent in fragments.
const PATH_EVERY: Duration = Duration::from_secs(3);
