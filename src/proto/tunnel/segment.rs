//! Cuts what a device with offloads hands out into frames that fit the tunnel's MTU.
//!
//! A super-frame has the headers of its first segment, one payload for all, and in its checksum field
//! the sum of the pseudo header over everything. Each segment gets its own copy of the headers, with
//! length, identification, sequence number, flags and checksums of its own.

use crate::proto::tunnel::checksum::Sum;
use crate::proto::tunnel::headers::{
    self, IPV4_OCTETS, IPV6_OCTETS, TCP_OCTETS, UDP_OCTETS, Version, set_ip_length,
};
use crate::proto::tunnel::kind::Device;
use crate::proto::tunnel::virtio::{Checksum, Kind, VirtioHeader};

/// The frames of one read, one after the other.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    frame: &'a [u8],
    /// Where the sum begins and where it goes, if we are to complete it.
    checksum: Option<(usize, usize)>,
    cut: Option<Cut>,
    /// Where the payload of the next segment begins; at the frame's end there is none.
    at: usize,
}

/// Why nothing can be made of a read: it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// It ends within its headers.
    #[error("truncated")]
    Short,
    /// It is a super-frame of something that is not cut here.
    #[error("a super-frame of an unknown kind")]
    Kind,
    /// Its headers contradict each other.
    #[error("contradictory headers")]
    Headers,
}

/// How a super-frame is cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    ip: usize,
    version: Version,
    transport: usize,
    payload: usize,
    /// Octets of payload in each segment but the last.
    segment: usize,
    /// The pseudo header, its length left out.
    pseudo: Sum,
    identification: u16,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Tcp { sequence: u32, flags: u8 },
    Udp,
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;
/// Where TCP's flags lie in its header.
const FLAGS: usize = 13;

impl<'a> Segments<'a> {
    /// Takes what one read gave: a virtio-net header and a frame behind it.
    pub fn of(octets: &'a [u8], device: Device) -> Result<Self, Unusable> {
        let (header, frame) = VirtioHeader::split(octets).ok_or(Unusable::Short)?;
        let checksum = match header.checksum {
            Checksum::Complete | Checksum::Verified => None,
            Checksum::Partial { start, field } => {
                let start = usize::from(start);
                let field = start + usize::from(field);
                if field + 2 > frame.len() {
                    return Err(Unusable::Headers);
                }
                Some((start, field))
            }
        };
        let cut = match (header.kind, checksum) {
            (Kind::Single, _) => None,
            (Kind::Unknown, _) => return Err(Unusable::Kind),
            (_, None) => return Err(Unusable::Headers),
            (_, Some((transport, field))) => {
                Some(Cut::of(&header, frame, device, (transport, field))?)
            }
        };
        let at = cut.map_or(0, |cut| cut.payload);
        if frame.is_empty() {
            return Err(Unusable::Short);
        }
        Ok(Self { frame, checksum, cut, at })
    }

    /// Whether it is one frame, which is not cut.
    pub const fn is_single(&self) -> bool {
        self.cut.is_none()
    }

    /// Octets of the longest of them.
    pub fn longest(&self) -> usize {
        match &self.cut {
            None => self.frame.len(),
            Some(cut) => (cut.payload + cut.segment).min(self.frame.len()),
        }
    }

    /// Writes the next frame to the beginning of `out` and gives its length; `None` after the last.
    ///
    /// # Panics
    /// If `out` is shorter than [`Self::longest`].
    pub fn write_next(&mut self, out: &mut [u8]) -> Option<usize> {
        if self.at >= self.frame.len() {
            return None;
        }
        match &self.cut {
            None => {
                self.at = self.frame.len();
                let frame = &mut out[..self.frame.len()];
                frame.copy_from_slice(self.frame);
                if let Some((start, field)) = self.checksum {
                    // What is in the field is the pseudo header's sum and belongs to the whole.
                    let checksum = Sum::of(&frame[start..]).checksum_not_zero();
                    frame[field..field + 2].copy_from_slice(&checksum);
                }
                Some(frame.len())
            }
            Some(cut) => {
                let from = self.at;
                self.at = (from + cut.segment).min(self.frame.len());
                let payload = &self.frame[from..self.at];
                let frame = &mut out[..cut.payload + payload.len()];
                frame[..cut.payload].copy_from_slice(&self.frame[..cut.payload]);
                frame[cut.payload..].copy_from_slice(payload);
                cut.adapt(frame, from - cut.payload, self.at == self.frame.len());
                Some(frame.len())
            }
        }
    }
}

impl Cut {
    fn of(
        header: &VirtioHeader,
        frame: &[u8],
        device: Device,
        (transport, field): (usize, usize),
    ) -> Result<Self, Unusable> {
        let (ip, version) = headers::ip(frame, device).ok_or(Unusable::Headers)?;
        let ip_octets = match version {
            Version::V4 => IPV4_OCTETS,
            Version::V6 => IPV6_OCTETS,
        };
        let version_fits = match header.kind {
            Kind::Tcp4 => version == Version::V4,
            Kind::Tcp6 => version == Version::V6,
            _ => true,
        };
        let segment = usize::from(header.segment_octets);
        if transport < ip + ip_octets || segment == 0 || !version_fits {
            return Err(Unusable::Headers);
        }
        if version == Version::V4 && usize::from(frame[ip] & 0xf) * 4 != transport - ip {
            return Err(Unusable::Headers);
        }
        let whole = frame.get(transport..).ok_or(Unusable::Short)?;
        let (what, own, checksum) = if header.kind == Kind::Udp {
            (What::Udp, UDP_OCTETS, 6)
        } else {
            let tcp = whole.first_chunk::<TCP_OCTETS>().ok_or(Unusable::Short)?;
            let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
            (What::Tcp { sequence, flags: tcp[FLAGS] }, usize::from(tcp[12] >> 4) * 4, 16)
        };
        let minimum = if header.kind == Kind::Udp { UDP_OCTETS } else { TCP_OCTETS };
        if own < minimum || field != transport + checksum || whole.len() <= own {
            return Err(Unusable::Headers);
        }
        // Segments may be up to this long: their lengths fit 16 bits, and so does the sum's.
        if frame.len() - ip > usize::from(u16::MAX) + IPV6_OCTETS {
            return Err(Unusable::Headers);
        }
        let pseudo = Sum::number(u16::from_be_bytes([frame[field], frame[field + 1]]))
            + Sum::without(whole.len() as u16);
        let identification = u16::from_be_bytes([frame[ip + 4], frame[ip + 5]]);
        let payload = transport + own;
        Ok(Self { ip, version, transport, payload, segment, pseudo, identification, what })
    }

    /// Makes the headers of a segment its own, `offset` octets into the payload.
    fn adapt(&self, frame: &mut [u8], offset: usize, is_last: bool) {
        let index = (offset / self.segment) as u16;
        let (ip_octets, octets) = (frame.len() - self.ip, frame.len() - self.transport);
        let (before, transport) = frame.split_at_mut(self.transport);
        let ip = &mut before[self.ip..];
        if self.version == Version::V4 {
            let identification = self.identification.wrapping_add(index);
            ip[4..6].copy_from_slice(&identification.to_be_bytes());
        }
        set_ip_length(ip, self.version, ip_octets);
        let field = match self.what {
            What::Tcp { sequence, mut flags } => {
                let sequence = sequence.wrapping_add(offset as u32);
                transport[4..8].copy_from_slice(&sequence.to_be_bytes());
                if !is_last {
                    flags &= !(FIN | PSH);
                }
                if offset > 0 {
                    // Said once for the whole (RFC 3168 §6.1.2).
                    flags &= !CWR;
                }
                transport[FLAGS] = flags;
                16
            }
            What::Udp => {
                transport[4..6].copy_from_slice(&(octets as u16).to_be_bytes());
                6
            }
        };
        transport[field..field + 2].fill(0);
        let sum = self.pseudo + Sum::number(octets as u16) + Sum::of(transport);
        transport[field..field + 2].copy_from_slice(&sum.checksum_not_zero());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::tunnel::headers::Headers;
    use crate::proto::tunnel::samples::{self, Sample, is_checksum_right};

    fn cut(octets: &[u8], device: Device) -> Vec<Vec<u8>> {
        let mut segments = Segments::of(octets, device).unwrap();
        let mut out = vec![0; segments.longest()];
        std::iter::from_fn(|| segments.write_next(&mut out).map(|octets| out[..octets].to_vec()))
            .collect()
    }

    proptest! {
        #[test]
        fn segments_carry_the_stream_with_headers_of_their_own(sample in samples::any()) {
            let whole = sample.super_frame();
            let frames = cut(&whole, sample.device);
            prop_assert_eq!(frames.len(), sample.payload.len().div_ceil(sample.segment));
            let mut payload = Vec::new();
            for (index, frame) in frames.iter().enumerate() {
                let headers = Headers::parse(frame, sample.device).unwrap();
                prop_assert!(is_checksum_right(&headers, frame));
                prop_assert!(headers.is_checksum_valid(frame));
                prop_assert!(samples::is_ip_checksum_right(&headers, frame));
                let own = &frame[headers.payload..];
                prop_assert!(own.len() == sample.segment || index + 1 == frames.len());
                prop_assert_eq!(frame, &sample.frame(index));
                payload.extend_from_slice(own);
            }
            prop_assert_eq!(payload, sample.payload);
        }

        #[test]
        fn a_single_frame_gets_its_checksum(mut sample in samples::any()) {
            sample.segment = sample.payload.len();
            let mut octets = sample.super_frame();
            // The kind of super-frame and its segment size.
            octets[1] = 0;
            octets[4..6].fill(0);
            let frames = cut(&octets, sample.device);
            prop_assert_eq!(frames, [sample.frame(0)]);
        }

        #[test]
        fn any_octets_are_cut_or_refused(
            octets in proptest::collection::vec(any::<u8>(), 0..200), tun: bool
        ) {
            let device = if tun { Device::Tun } else { Device::Tap };
            if Segments::of(&octets, device).is_ok() {
                prop_assert!(!cut(&octets, device).is_empty());
            }
        }

        #[test]
        fn changed_headers_are_cut_or_refused(
            sample in samples::any(),
            changes in proptest::collection::vec((0..90_usize, any::<u8>()), 1..4),
            length in 0..400_usize,
        ) {
            let mut octets = sample.super_frame();
            octets.truncate(octets.len().min(length.max(20)));
            for (at, value) in changes {
                if let Some(octet) = octets.get_mut(at) {
                    *octet = value;
                }
            }
            if Segments::of(&octets, sample.device).is_ok() {
                prop_assert!(cut(&octets, sample.device).len() <= octets.len());
            }
        }
    }

    #[test]
    fn every_truncation_is_cut_or_refused() {
        let sample = Sample { payload: vec![7; 300], segment: 100, ..Sample::default() };
        let octets = sample.super_frame();
        for length in 0..octets.len() {
            let segments = Segments::of(&octets[..length], sample.device);
            assert_eq!(segments.is_ok(), length > octets.len() - 300, "{length} octets");
        }
    }

    #[test]
    fn flags_are_given_to_the_segment_they_belong_to() {
        let flags = 0x10 | FIN | PSH | CWR;
        let sample = Sample { payload: vec![7; 300], segment: 100, flags, ..Sample::default() };
        let frames = cut(&sample.super_frame(), sample.device);
        let flags: Vec<u8> = frames.iter().map(|frame| frame[14 + 40 + FLAGS]).collect();
        assert_eq!(flags, [0x10 | CWR, 0x10, 0x10 | FIN | PSH]);
    }

    #[test]
    fn super_frames_of_other_kinds_are_refused() {
        let mut octets = Sample::default().super_frame();
        for (kind, error) in [(3, Unusable::Kind), (7, Unusable::Kind), (1, Unusable::Headers)] {
            octets[1] = kind;
            assert_eq!(Segments::of(&octets, Device::Tap).unwrap_err(), error, "kind {kind}");
        }
    }
}
