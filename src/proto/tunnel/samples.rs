//! Frames for tests, their checksums computed another way than ours.

use proptest::prelude::*;

use crate::proto::tunnel::headers::{Headers, Transport, Version};
use crate::proto::tunnel::kind::Device;

/// A flow's next octets, as super-frame and as frames.
#[derive(Clone, Debug)]
pub struct Sample {
    pub device: Device,
    pub vlan: bool,
    pub version: Version,
    pub transport: Transport,
    pub payload: Vec<u8>,
    pub segment: usize,
    pub flags: u8,
    pub options: usize,
    pub may_fragment: bool,
    pub sequence: u32,
    pub port: u16,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            device: Device::Tap,
            vlan: false,
            version: Version::V6,
            transport: Transport::Tcp,
            payload: vec![1, 2, 3],
            segment: 2,
            flags: 0x10,
            options: 3,
            may_fragment: false,
            sequence: 0xffff_ff00,
            port: 443,
        }
    }
}

/// Any of them, with up to 3,000 octets.
pub fn any() -> impl Strategy<Value = Sample> {
    let shape = (proptest::bool::ANY, proptest::bool::ANY, proptest::bool::ANY);
    let more = (proptest::bool::ANY, proptest::bool::ANY, 0..4_usize);
    let payload = proptest::collection::vec(proptest::num::u8::ANY, 1..3_000);
    let numbers = (proptest::num::u32::ANY, 0..4_u16, 40..1_500_usize);
    let flags = proptest::sample::select(vec![0x10, 0x18, 0x50, 0x11, 0x90, 0x02]);
    (shape, more, payload, numbers, flags).prop_map(|(shape, more, payload, numbers, flags)| {
        Sample {
            device: if shape.0 { Device::Tap } else { Device::Tun },
            vlan: shape.0 && more.0 && more.1,
            version: if shape.1 { Version::V4 } else { Version::V6 },
            transport: if shape.2 { Transport::Tcp } else { Transport::Udp },
            segment: numbers.2.min(payload.len()),
            payload,
            flags,
            options: more.2,
            may_fragment: more.1,
            sequence: numbers.0,
            port: numbers.1,
        }
    })
}

impl Sample {
    /// A virtio-net header and the super-frame.
    pub fn super_frame(&self) -> Vec<u8> {
        let frame = self.build(0, &self.payload.clone(), self.flags);
        let headers = Headers::parse(&frame, self.device).unwrap();
        let mut octets = vec![1, 5];
        if self.transport == Transport::Tcp {
            octets[1] = if self.version == Version::V4 { 1 } else { 4 };
        }
        let numbers = [headers.payload, self.segment, headers.start, headers.checksum_field()];
        octets.extend(numbers.iter().flat_map(|&number| (number as u16).to_ne_bytes()));
        octets.extend_from_slice(&frame);
        let at = 10 + headers.start + headers.checksum_field();
        let pseudo = slow(&self.pseudo(frame.len() - headers.start));
        octets[at..at + 2].copy_from_slice(&pseudo.to_be_bytes());
        octets
    }

    /// One frame of it, complete.
    pub fn frame(&self, index: usize) -> Vec<u8> {
        let payload = self.payload.chunks(self.segment).nth(index).unwrap().to_vec();
        let is_last = (index + 1) * self.segment >= self.payload.len();
        let mut flags = self.flags;
        if !is_last {
            flags &= !0x09;
        }
        if index > 0 {
            flags &= !0x80;
        }
        self.build(index, &payload, flags)
    }

    fn build(&self, index: usize, payload: &[u8], flags: u8) -> Vec<u8> {
        let transport = self.transport(index, payload, flags);
        let mut frame = Vec::new();
        let kind = if self.version == Version::V4 { [8, 0] } else { [0x86, 0xdd] };
        if self.device == Device::Tap {
            frame.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
            if self.vlan {
                frame.extend_from_slice(&[0x81, 0, 0, 5]);
            }
            frame.extend_from_slice(&kind);
        }
        let protocol = self.protocol();
        let (from, to) = self.addresses();
        if self.version == Version::V4 {
            let octets = (20 + transport.len()) as u16;
            let mut ip = vec![0x45, 0];
            ip.extend_from_slice(&octets.to_be_bytes());
            ip.extend_from_slice(&0xfffe_u16.wrapping_add(index as u16).to_be_bytes());
            let fragments = if self.may_fragment { 0 } else { 0x40 };
            ip.extend_from_slice(&[fragments, 0, 64, protocol, 0, 0]);
            ip.extend_from_slice(&from);
            ip.extend_from_slice(&to);
            let checksum = !slow(&ip);
            ip[10..12].copy_from_slice(&checksum.to_be_bytes());
            frame.extend_from_slice(&ip);
        } else {
            frame.extend_from_slice(&[0x60, 0, 0, 9]);
            frame.extend_from_slice(&(transport.len() as u16).to_be_bytes());
            frame.extend_from_slice(&[protocol, 64]);
            frame.extend_from_slice(&from);
            frame.extend_from_slice(&to);
        }
        frame.extend_from_slice(&transport);
        frame
    }

    fn transport(&self, index: usize, payload: &[u8], flags: u8) -> Vec<u8> {
        let mut octets = Vec::new();
        octets.extend_from_slice(&self.port.to_be_bytes());
        octets.extend_from_slice(&[0, 80]);
        let field = if self.transport == Transport::Tcp {
            let sequence = self.sequence.wrapping_add((index * self.segment) as u32);
            octets.extend_from_slice(&sequence.to_be_bytes());
            octets.extend_from_slice(&[1, 2, 3, 4, (5 + self.options as u8) << 4, flags]);
            octets.extend_from_slice(&[0x12, 0x34, 0, 0, 0, 0]);
            octets.extend(std::iter::repeat_n(1, 4 * self.options));
            16
        } else {
            octets.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
            octets.extend_from_slice(&[0, 0]);
            6
        };
        octets.extend_from_slice(payload);
        let whole = [self.pseudo(octets.len()), octets.clone()].concat();
        let checksum = match !slow(&whole) {
            0 => 0xffff,
            checksum => checksum,
        };
        octets[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
        octets
    }

    fn pseudo(&self, octets: usize) -> Vec<u8> {
        let (mut pseudo, to) = self.addresses();
        pseudo.extend_from_slice(&to);
        pseudo.extend_from_slice(&[0, self.protocol()]);
        pseudo.extend_from_slice(&(octets as u16).to_be_bytes());
        pseudo
    }

    fn addresses(&self) -> (Vec<u8>, Vec<u8>) {
        match self.version {
            Version::V4 => (vec![10, 0, 0, 1], vec![10, 0, 0, 2]),
            Version::V6 => (vec![0xfd; 16], vec![0xfc; 16]),
        }
    }

    fn protocol(&self) -> u8 {
        if self.transport == Transport::Tcp { 6 } else { 17 }
    }
}

/// Whether a frame's transport checksum is right, told in another way than ours.
pub fn is_checksum_right(headers: &Headers, frame: &[u8]) -> bool {
    let addresses = if headers.version == Version::V4 { 12..20 } else { 8..40 };
    let mut octets = frame[headers.ip + addresses.start..headers.ip + addresses.end].to_vec();
    let protocol = if headers.transport == Transport::Tcp { 6 } else { 17 };
    octets.extend_from_slice(&[0, protocol]);
    octets.extend_from_slice(&((frame.len() - headers.start) as u16).to_be_bytes());
    octets.extend_from_slice(&frame[headers.start..]);
    slow(&octets) == 0xffff
}

/// Whether a frame's IPv4 checksum is right; IPv6 has none.
pub fn is_ip_checksum_right(headers: &Headers, frame: &[u8]) -> bool {
    headers.version == Version::V6 || slow(&frame[headers.ip..headers.start]) == 0xffff
}

/// The sum, as RFC 1071 §4.1 writes it.
fn slow(octets: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}
