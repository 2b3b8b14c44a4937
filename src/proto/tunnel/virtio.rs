//! The header before each frame of a TAP or TUN device that was opened with offloads (virtio 1.2 §5.1.6).
//!
//! ```text
//! flags (1)  kind of super-frame (1)  octets of headers (2)  octets of a segment (2)
//! where the checksum begins (2)  where in there it lies (2)           in the machine's octet order
//! ```

/// The header, as values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VirtioHeader {
    /// What is known of the checksum.
    pub checksum: Checksum,
    /// What the frame is to be cut into.
    pub kind: Kind,
    /// Octets of all headers.
    pub header_octets: u16,
    /// Octets of payload in each segment.
    pub segment_octets: u16,
}

/// What is known of a frame's transport checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Checksum {
    /// Nothing: it is there, to be believed or verified.
    #[default]
    Complete,
    /// It was verified.
    Verified,
    /// Its field holds the sum of the pseudo header: the rest is to be added.
    Partial {
        /// Where in the frame the sum begins.
        start: u16,
        /// Where behind that the field lies.
        field: u16,
    },
}

/// Whether a frame is a super-frame, and of what.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// It is one frame.
    #[default]
    Single,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams of one size.
    Udp,
    /// Something that was not asked for.
    Unknown,
}

const NEEDS_CHECKSUM: u8 = 1;
const CHECKSUM_VALID: u8 = 2;
const TCP4: u8 = 1;
const TCP6: u8 = 4;
const UDP: u8 = 5;
/// Set besides when TCP signals congestion; how flags are cut says all there is to know.
const ECN: u8 = 0x80;

impl VirtioHeader {
    /// Octets of it.
    pub const OCTETS: usize = 10;

    /// Reads it and gives the frame behind it; `None` if it is not whole.
    pub fn split(octets: &[u8]) -> Option<(Self, &[u8])> {
        let (header, frame) = octets.split_first_chunk::<{ Self::OCTETS }>()?;
        let &[flags, kind, l0, l1, s0, s1, c0, c1, f0, f1] = header;
        let checksum = if flags & NEEDS_CHECKSUM != 0 {
            Checksum::Partial {
                start: u16::from_ne_bytes([c0, c1]),
                field: u16::from_ne_bytes([f0, f1]),
            }
        } else if flags & CHECKSUM_VALID != 0 {
            Checksum::Verified
        } else {
            Checksum::Complete
        };
        let kind = match kind & !ECN {
            0 => Kind::Single,
            TCP4 => Kind::Tcp4,
            TCP6 => Kind::Tcp6,
            UDP => Kind::Udp,
            _ => Kind::Unknown,
        };
        let header_octets = u16::from_ne_bytes([l0, l1]);
        let segment_octets = u16::from_ne_bytes([s0, s1]);
        Some((Self { checksum, kind, header_octets, segment_octets }, frame))
    }

    /// Its octets; an unknown kind becomes a single frame.
    pub const fn to_bytes(self) -> [u8; Self::OCTETS] {
        let (flags, start, field) = match self.checksum {
            Checksum::Complete => (0, 0, 0),
            Checksum::Verified => (CHECKSUM_VALID, 0, 0),
            Checksum::Partial { start, field } => (NEEDS_CHECKSUM, start, field),
        };
        let kind = match self.kind {
            Kind::Single | Kind::Unknown => 0,
            Kind::Tcp4 => TCP4,
            Kind::Tcp6 => TCP6,
            Kind::Udp => UDP,
        };
        let [l0, l1] = self.header_octets.to_ne_bytes();
        let [s0, s1] = self.segment_octets.to_ne_bytes();
        let [c0, c1] = start.to_ne_bytes();
        let [f0, f1] = field.to_ne_bytes();
        [flags, kind, l0, l1, s0, s1, c0, c1, f0, f1]
    }
}

#[test]
fn what_is_written_is_read_and_every_truncation_refused() {
    for checksum in
        [Checksum::Complete, Checksum::Verified, Checksum::Partial { start: 34, field: 16 }]
    {
        for kind in [Kind::Single, Kind::Tcp4, Kind::Tcp6, Kind::Udp] {
            let header = VirtioHeader { checksum, kind, header_octets: 66, segment_octets: 0x0532 };
            let octets = header.to_bytes();
            assert_eq!(VirtioHeader::split(&octets), Some((header, &[][..])));
            for length in 0..octets.len() {
                assert_eq!(VirtioHeader::split(&octets[..length]), None);
            }
        }
    }
}
