//! The Hello TLV: "I am here", numbered so that losses can be counted (RFC 8966 §4.6.5).

use std::time::Duration;

use crate::proto::babel::sub_tlv::{SubTlvs, put_timestamps};
use crate::proto::babel::tlv::{TlvError, centiseconds, from_centiseconds};
use crate::proto::bytes::{Reader, Writer};

/// A Hello, as its receiver sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello {
    /// To whom it was sent; each kind is counted apart.
    pub kind: HelloKind,
    /// One more than the previous Hello of the same kind.
    pub seqno: u16,
    /// When the next one is due; `None` if none is promised.
    pub next_within: Option<Duration>,
    /// When it was sent, by the sender's clock (RFC 9616 §6.1).
    pub sent: Option<u32>,
}

/// To whom a Hello is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HelloKind {
    /// Everyone on the link.
    Multicast,
    /// This neighbour only.
    Unicast,
}

impl Hello {
    /// The TLV's number.
    pub const TYPE: u8 = 4;

    /// Reads the body of a Hello TLV.
    pub fn parse(body: &[u8]) -> Result<Self, TlvError> {
        let mut reader = Reader::new(body);
        let flags = reader.u16()?;
        let seqno = reader.u16()?;
        let interval = reader.u16()?;
        let sub_tlvs = SubTlvs::parse(&mut reader)?;
        Ok(Self {
            kind: if flags & UNICAST == 0 { HelloKind::Multicast } else { HelloKind::Unicast },
            seqno,
            // Zero means "unscheduled", not "at once": RFC 8966 §4.6.5.
            next_within: (interval != 0).then(|| from_centiseconds(interval)),
            sent: sub_tlvs.sent(),
        })
    }

    /// Appends the body.
    pub fn put(&self, to: &mut Vec<u8>) {
        to.put_u16(if self.kind == HelloKind::Unicast { UNICAST } else { 0 });
        to.put_u16(self.seqno);
        to.put_u16(self.next_within.map_or(0, centiseconds));
        if let Some(sent) = self.sent {
            put_timestamps(&[sent], to);
        }
    }
}

const UNICAST: u16 = 0x8000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_of_babeld_is_read() {
        let body = [0, 0, 0x6d, 0x1a, 0, 0x64, 3, 4, 0x54, 0xf1, 0x55, 0x37];
        let hello = Hello::parse(&body).unwrap();
        let expected = Hello {
            kind: HelloKind::Multicast,
            seqno: 0x6d1a,
            next_within: Some(Duration::from_secs(1)),
            sent: Some(0x54f1_5537),
        };
        assert_eq!(hello, expected);
        let mut octets = Vec::new();
        hello.put(&mut octets);
        assert_eq!(octets, body);
    }

    #[test]
    fn every_truncation_is_refused_without_panic() {
        let whole = [0x80, 0, 0xff, 0xff, 0, 0, 0];
        for length in 0..whole.len() {
            assert_eq!(Hello::parse(&whole[..length]).is_ok(), length >= 6, "{length} octets");
        }
        assert_eq!(Hello::parse(&whole).unwrap().kind, HelloKind::Unicast);
        assert_eq!(Hello::parse(&whole).unwrap().next_within, None);
    }
}
