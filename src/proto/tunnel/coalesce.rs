//! Joins consecutive frames of one flow into a super-frame that the kernel takes as one.
//!
//! What is joined is what the kernel would join itself (its GRO): whole frames with right checksums and
//! equal headers, TCP segments whose sequence numbers follow each other, UDP datagrams of one size.
//! Anything else passes as it is, in order.

use crate::proto::limits::{TUNNEL_DATAGRAMS_JOINED_MAX, TUNNEL_SUPER_FRAME_OCTETS_MAX};
use crate::proto::tunnel::headers::{Headers, Transport, Version, set_ip_length};
use crate::proto::tunnel::kind::Device;
use crate::proto::tunnel::virtio::{Checksum, Kind, VirtioHeader};

/// Joins frames for one device. Between two pushes it may hold back a super-frame that can still grow.
#[derive(Debug)]
pub struct Coalescer {
    device: Device,
    datagrams: Datagrams,
    /// A virtio-net header and the frame behind it.
    buffer: Vec<u8>,
    train: Option<Train>,
}

/// Whether the kernel takes super-frames of UDP datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Datagrams {
    /// It does: Linux 6.2 and later.
    Join,
    /// It does not.
    Single,
}

/// What is held back.
#[derive(Clone, Copy, Debug)]
struct Train {
    headers: Headers,
    /// Octets of payload in its first frame.
    segment: usize,
    frames: usize,
    /// The next TCP sequence number.
    sequence: u32,
    /// The next identification that an IPv4 packet which may be fragmented must have.
    identification: u16,
}

const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const ECE: u8 = 0x40;
/// Where TCP's flags lie in its header.
const FLAGS: usize = 13;
/// Where the frame begins in the buffer.
const FRAME: usize = VirtioHeader::OCTETS;

impl Coalescer {
    /// Joins frames for a device.
    pub fn new(device: Device, datagrams: Datagrams) -> Self {
        let buffer = Vec::with_capacity(FRAME + TUNNEL_SUPER_FRAME_OCTETS_MAX);
        Self { device, datagrams, buffer, train: None }
    }

    /// Takes a frame; `write` gets what can grow no further, each time a virtio-net header and the frame.
    pub fn push(&mut self, frame: &[u8], write: &mut impl FnMut(&[u8])) {
        if frame.len() > TUNNEL_SUPER_FRAME_OCTETS_MAX {
            return;
        }
        let Some(headers) = self.joinable(frame) else {
            self.flush(write);
            self.buffer.extend_from_slice(&VirtioHeader::default().to_bytes());
            self.buffer.extend_from_slice(frame);
            write(&self.buffer);
            self.buffer.clear();
            return;
        };
        match &mut self.train {
            Some(train) if train.takes(&headers, &self.buffer[FRAME..], frame) => {
                train.join(frame);
                self.buffer.extend_from_slice(&frame[headers.payload..]);
                if headers.transport == Transport::Tcp {
                    self.buffer[FRAME + headers.start + FLAGS] |=
                        frame[headers.start + FLAGS] & PSH;
                }
            }
            _ => {
                self.flush(write);
                self.buffer.extend_from_slice(&[0; FRAME]);
                self.buffer.extend_from_slice(frame);
                self.train = Some(Train::begin(headers, frame));
            }
        }
        if self.train.is_some_and(|train| train.is_ended_by(&headers, frame)) {
            self.flush(write);
        }
    }

    /// Writes what was held back; to be called when no more frames are at hand.
    pub fn flush(&mut self, write: &mut impl FnMut(&[u8])) {
        if let Some(train) = self.train.take() {
            let header = train.finish(&mut self.buffer[FRAME..]);
            self.buffer[..FRAME].copy_from_slice(&header.to_bytes());
            write(&self.buffer);
        }
        self.buffer.clear();
    }

    /// The headers of a frame that could be joined with others.
    fn joinable(&self, frame: &[u8]) -> Option<Headers> {
        let headers = Headers::parse(frame, self.device)?;
        let is_plain = match headers.transport {
            Transport::Udp => self.datagrams == Datagrams::Join,
            // The lower bits before the flags are reserved or of newer use (RFC 9293 §3.1).
            Transport::Tcp => {
                let flags = frame[headers.start + FLAGS];
                let reserved = frame[headers.start + FLAGS - 1] & 0x0f;
                flags & ACK != 0 && flags & !(ACK | PSH | ECE) == 0 && reserved == 0
            }
        };
        (is_plain && headers.is_checksum_valid(frame)).then_some(headers)
    }
}

impl Train {
    fn begin(headers: Headers, frame: &[u8]) -> Self {
        let segment = frame.len() - headers.payload;
        let mut train = Self { headers, segment, frames: 0, sequence: 0, identification: 0 };
        if headers.transport == Transport::Tcp {
            train.sequence = sequence(&headers, frame);
        }
        train.identification = identification(&headers, frame);
        train.join(frame);
        train
    }

    fn join(&mut self, frame: &[u8]) {
        self.frames += 1;
        self.sequence = self.sequence.wrapping_add((frame.len() - self.headers.payload) as u32);
        self.identification = self.identification.wrapping_add(1);
    }

    /// Whether a frame continues what was joined so far.
    fn takes(&self, headers: &Headers, joined: &[u8], frame: &[u8]) -> bool {
        let payload = frame.len() - headers.payload;
        *headers == self.headers
            && payload <= self.segment
            && joined.len() - headers.ip + payload <= usize::from(u16::MAX)
            && self.is_same_ip(joined, frame)
            && match headers.transport {
                Transport::Tcp => self.is_next_segment(joined, frame),
                Transport::Udp => is_same(joined, frame, headers.start, 0..4),
            }
    }

    fn is_same_ip(&self, joined: &[u8], frame: &[u8]) -> bool {
        let ip = self.headers.ip;
        is_same(joined, frame, 0, 0..ip)
            && match self.headers.version {
                // Everything but length, identification and checksum.
                Version::V4 => {
                    let may_fragment = frame[ip + 6] & 0x40 == 0;
                    is_same(joined, frame, ip, 0..2)
                        && is_same(joined, frame, ip, 6..10)
                        && is_same(joined, frame, ip, 12..20)
                        && (!may_fragment
                            || identification(&self.headers, frame) == self.identification)
                }
                // Everything but the length.
                Version::V6 => {
                    is_same(joined, frame, ip, 0..4) && is_same(joined, frame, ip, 6..40)
                }
            }
    }

    /// Everything but sequence number, PSH and checksum is the same.
    fn is_next_segment(&self, joined: &[u8], frame: &[u8]) -> bool {
        let start = self.headers.start;
        let flags = |frame: &[u8]| frame[start + FLAGS] & !PSH;
        sequence(&self.headers, frame) == self.sequence
            && flags(joined) == flags(frame)
            && is_same(joined, frame, start, 0..4)
            && is_same(joined, frame, start, 8..FLAGS)
            && is_same(joined, frame, start, 14..16)
            && is_same(joined, frame, start, 18..self.headers.payload - start)
    }

    /// Whether nothing may follow a frame that was joined.
    fn is_ended_by(&self, headers: &Headers, frame: &[u8]) -> bool {
        let is_short = frame.len() - headers.payload < self.segment;
        is_short
            || match headers.transport {
                Transport::Tcp => frame[headers.start + FLAGS] & PSH != 0,
                Transport::Udp => self.frames >= TUNNEL_DATAGRAMS_JOINED_MAX,
            }
    }

    /// Completes the headers of what was joined, and gives the header before them.
    fn finish(&self, frame: &mut [u8]) -> VirtioHeader {
        if self.frames == 1 {
            return VirtioHeader { checksum: Checksum::Verified, ..VirtioHeader::default() };
        }
        let headers = &self.headers;
        let octets = frame.len() - headers.start;
        let packet_octets = frame.len() - headers.ip;
        set_ip_length(&mut frame[headers.ip..headers.start], headers.version, packet_octets);
        if headers.transport == Transport::Udp {
            frame[headers.start + 4..headers.start + 6]
                .copy_from_slice(&(octets as u16).to_be_bytes());
        }
        let pseudo = headers.pseudo_header(frame, octets).folded();
        let field = headers.start + headers.checksum_field();
        frame[field..field + 2].copy_from_slice(&pseudo);
        VirtioHeader {
            checksum: Checksum::Partial {
                start: headers.start as u16,
                field: headers.checksum_field() as u16,
            },
            kind: match (headers.transport, headers.version) {
                (Transport::Udp, _) => Kind::Udp,
                (Transport::Tcp, Version::V4) => Kind::Tcp4,
                (Transport::Tcp, Version::V6) => Kind::Tcp6,
            },
            header_octets: headers.payload as u16,
            segment_octets: self.segment as u16,
        }
    }
}

/// Whether a part of two frames, counted from `base`, is the same.
fn is_same(one: &[u8], other: &[u8], base: usize, part: std::ops::Range<usize>) -> bool {
    let part = base + part.start..base + part.end;
    one[part.clone()] == other[part]
}

fn sequence(headers: &Headers, frame: &[u8]) -> u32 {
    let at = headers.start + 4;
    u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]])
}

fn identification(headers: &Headers, frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[headers.ip + 4], frame[headers.ip + 5]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::tunnel::samples::{self, Sample};
    use crate::proto::tunnel::segment::Segments;

    /// What is written when `frames` are pushed, and then nothing more comes.
    fn join<'a>(device: Device, frames: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<Vec<u8>> {
        let mut written = Vec::new();
        let mut coalescer = Coalescer::new(device, Datagrams::Join);
        for frame in frames {
            coalescer.push(frame, &mut |octets| written.push(octets.to_vec()));
        }
        coalescer.flush(&mut |octets| written.push(octets.to_vec()));
        written
    }

    fn cut(written: &[Vec<u8>], device: Device) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for octets in written {
            let mut segments = Segments::of(octets, device).unwrap();
            let mut out = vec![0; segments.longest()];
            while let Some(length) = segments.write_next(&mut out) {
                frames.push(out[..length].to_vec());
            }
        }
        frames
    }

    fn frames(sample: &Sample) -> Vec<Vec<u8>> {
        (0..sample.payload.len().div_ceil(sample.segment)).map(|at| sample.frame(at)).collect()
    }

    /// Without the identification of an IPv4 packet that is never fragmented: it means nothing
    /// (RFC 6864 §4.1) and is numbered anew where frames were joined.
    fn without_number(mut frame: Vec<u8>, device: Device) -> Vec<u8> {
        if let Some(headers) = Headers::parse(&frame, device)
            && headers.version == Version::V4
            && frame[headers.ip + 6] & 0x40 != 0
        {
            frame[headers.ip + 4..headers.ip + 6].fill(0);
            frame[headers.ip + 10..headers.ip + 12].fill(0);
        }
        frame
    }

    proptest! {
        #[test]
        fn what_was_cut_becomes_the_same_super_frame(mut sample in samples::any()) {
            sample.flags = ACK | sample.flags & (PSH | ECE);
            sample.payload.truncate(sample.segment * TUNNEL_DATAGRAMS_JOINED_MAX);
            let frames = frames(&sample);
            let written = join(sample.device, &frames);
            prop_assert_eq!(written.len(), 1);
            if frames.len() > 1 {
                prop_assert_eq!(&written[0], &sample.super_frame());
            }
        }

        #[test]
        fn frames_of_any_flows_pass_unchanged_and_in_order(
            flows in proptest::collection::vec(samples::any(), 1..4),
            order in proptest::collection::vec((0..4_usize, 0..6_usize), 0..60),
            changes in proptest::collection::vec((0..60_usize, 0..90_usize, any::<u8>()), 0..6),
        ) {
            let device = flows[0].device;
            let flows: Vec<_> =
                flows.iter().filter(|flow| flow.device == device).map(frames).collect();
            let mut frames: Vec<Vec<u8>> = order
                .iter()
                .flat_map(|&(flow, count)| flows[flow % flows.len()].iter().take(count).cloned())
                .collect();
            for (index, at, value) in changes {
                if let Some(octet) = frames.get_mut(index).and_then(|frame| frame.get_mut(at)) {
                    *octet = value;
                }
            }
            let written = join(device, &frames);
            prop_assert!(written.len() <= frames.len());
            let passed = cut(&written, device).into_iter().map(|frame| without_number(frame, device));
            let pushed = frames.into_iter().map(|frame| without_number(frame, device));
            prop_assert!(passed.eq(pushed));
        }

        #[test]
        fn any_octets_pass_unchanged(
            frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..100), 0..9)
        ) {
            for device in [Device::Tap, Device::Tun] {
                prop_assert_eq!(cut(&join(device, &frames), device), frames.clone());
            }
        }
    }

    fn sample() -> Sample {
        Sample { payload: vec![7; 500], segment: 100, flags: ACK, ..Sample::default() }
    }

    #[test]
    fn every_truncation_passes_as_it_is() {
        let frames = frames(&sample());
        for length in 1..frames[1].len() {
            let frames = [frames[0].clone(), frames[1][..length].to_vec(), frames[2].clone()];
            let written = join(Device::Tap, &frames);
            assert_eq!(written.len(), 3, "{length} octets");
            assert_eq!(cut(&written, Device::Tap), frames);
        }
    }

    #[test]
    fn a_wrong_checksum_is_not_made_right() {
        let mut frames = frames(&sample());
        *frames[2].last_mut().unwrap() ^= 1;
        let written = join(Device::Tap, &frames);
        assert_eq!(written.len(), 3);
        assert_eq!(cut(&written, Device::Tap), frames);
    }

    #[test]
    fn push_ends_a_super_frame_and_what_is_no_plain_segment_is_alone() {
        let with = |flags| frames(&Sample { flags, ..sample() });
        let fin = with(ACK | 1).pop().unwrap();
        let pushed = with(ACK | PSH).pop().unwrap();
        let plain = with(ACK);
        let all = [&plain[0], &plain[1], &fin];
        assert_eq!(join(Device::Tap, all).len(), 2);
        let all = [&plain[2], &plain[3], &pushed, &plain[0], &plain[1]];
        assert_eq!(join(Device::Tap, all).len(), 2);
    }

    #[test]
    fn a_super_frame_does_not_outgrow_what_ip_can_say() {
        let sample = Sample { payload: vec![7; 150_000], segment: 1_280, flags: ACK, ..sample() };
        let frames = frames(&sample);
        let written = join(Device::Tap, &frames);
        assert_eq!(written.len(), 3);
        assert!(written[0].len() <= FRAME + TUNNEL_SUPER_FRAME_OCTETS_MAX);
        assert_eq!(cut(&written, Device::Tap), frames);
    }

    #[test]
    fn datagrams_stay_single_where_the_kernel_cannot_take_them_joined() {
        let sample = Sample { transport: Transport::Udp, ..sample() };
        let frames = frames(&sample);
        assert_eq!(join(Device::Tap, &frames).len(), 1);
        let mut written = 0;
        let mut coalescer = Coalescer::new(Device::Tap, Datagrams::Single);
        for frame in &frames {
            coalescer.push(frame, &mut |_| written += 1);
        }
        assert_eq!(written, frames.len());
    }
}
