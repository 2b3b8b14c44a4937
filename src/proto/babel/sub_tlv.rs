//! What follows the fixed part of a TLV: timestamps, a source prefix, padding (RFC 8966 §4.4).

use crate::proto::babel::address::{AddressEncoding, parse_prefix, prefix_octets};
use crate::proto::babel::tlv::TlvError;
use crate::proto::bytes::{Reader, Writer};
use crate::proto::cidr::Cidr;

/// The sub-TLVs of one TLV that mean something here.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct SubTlvs<'a> {
    /// Timestamps, not looked at yet (RFC 9616 §6).
    pub timestamps: Option<&'a [u8]>,
    /// A source prefix, its length first, not looked at yet (RFC 9079 §7.1).
    source: Option<&'a [u8]>,
}

impl<'a> SubTlvs<'a> {
    /// Reads to the end. One that is mandatory and unknown makes the whole TLV void; so does a source
    /// prefix, which means something beside a prefix only (RFC 9079 §5.2).
    pub fn parse(reader: &mut Reader<'a>) -> Result<Self, TlvError> {
        let found = Self::parse_beside_prefix(reader)?;
        match found.source {
            None => Ok(found),
            Some(_) => Err(TlvError::Mandatory { kind: SOURCE_PREFIX }),
        }
    }

    /// The same where a source prefix may be: in a TLV with a prefix.
    pub fn parse_beside_prefix(reader: &mut Reader<'a>) -> Result<Self, TlvError> {
        let mut found = Self::default();
        while !reader.is_empty() {
            let kind = reader.u8()?;
            if kind == PAD1 {
                continue;
            }
            let length = reader.u8()?;
            let body = reader.take(usize::from(length))?;
            match kind {
                TIMESTAMP => found.timestamps = found.timestamps.or(Some(body)),
                // RFC 9079 §7.1: at most one.
                SOURCE_PREFIX if found.source.is_some() => return Err(TlvError::SourcePrefix),
                SOURCE_PREFIX => found.source = Some(body),
                _ if kind >= MANDATORY => return Err(TlvError::Mandatory { kind }),
                _ => {}
            }
        }
        Ok(found)
    }

    /// The source prefix, encoded as the TLV's own prefix is.
    pub fn source(&self, encoding: AddressEncoding) -> Result<Option<Cidr>, TlvError> {
        let Some(body) = self.source else { return Ok(None) };
        let mut reader = Reader::new(body);
        let length = reader.u8()?;
        // RFC 9079 §7.1: a source prefix of length zero is not sent, and makes the TLV void.
        if length == 0 {
            return Err(TlvError::SourcePrefix);
        }
        parse_prefix(encoding, length, (0, &[0; 16]), &mut reader).map(Some)
    }

    /// Timestamps of a Hello: when it was sent.
    pub fn sent(&self) -> Option<u32> {
        Reader::new(self.timestamps?).u32().ok()
    }

    /// Timestamps of an IHU: when the last Hello was sent by its sender's clock, and when it arrived.
    pub fn echo(&self) -> Option<(u32, u32)> {
        let mut reader = Reader::new(self.timestamps?);
        Some((reader.u32().ok()?, reader.u32().ok()?))
    }
}

/// Appends timestamps.
pub fn put_timestamps(timestamps: &[u32], to: &mut Vec<u8>) {
    to.put_u8(TIMESTAMP);
    to.put_u8(if timestamps.len() == 1 { 4 } else { 8 });
    for &timestamp in timestamps {
        to.put_u32(timestamp);
    }
}

/// Appends a source prefix; nothing if every source is meant.
pub fn put_source(source: &Cidr, to: &mut Vec<u8>) {
    if source.length() == 0 {
        return;
    }
    let (octets, count) = prefix_octets(source);
    to.put_u8(SOURCE_PREFIX);
    #[expect(clippy::cast_possible_truncation, reason = "at most 16 octets and the length")]
    to.put_u8(count as u8 + 1);
    to.put_u8(source.length());
    to.put(&octets[..count]);
}

const PAD1: u8 = 0;
const TIMESTAMP: u8 = 3;
const MANDATORY: u8 = 128;
const SOURCE_PREFIX: u8 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_the_unknown_are_skipped_unless_mandatory() {
        let mut octets = vec![PAD1, 1, 2, 0, 0, 99, 1, 7];
        put_timestamps(&[5, 6], &mut octets);
        let found = SubTlvs::parse(&mut Reader::new(&octets)).unwrap();
        assert_eq!(found.echo(), Some((5, 6)));
        octets.extend([200, 0]);
        let refused = SubTlvs::parse(&mut Reader::new(&octets));
        assert_eq!(refused, Err(TlvError::Mandatory { kind: 200 }));
    }

    #[test]
    fn a_source_prefix_is_read_as_it_was_written() {
        let source: Cidr = "2001:db8:42::/48".parse().unwrap();
        let mut octets = Vec::new();
        put_source(&source, &mut octets);
        assert_eq!(octets, [0x80, 7, 48, 0x20, 1, 0xd, 0xb8, 0, 0x42]);
        let parse = |octets| SubTlvs::parse_beside_prefix(&mut Reader::new(octets));
        assert_eq!(parse(&octets).unwrap().source(AddressEncoding::Ipv6), Ok(Some(source)));
        let zero = parse(&[SOURCE_PREFIX, 1, 0]).unwrap();
        assert_eq!(zero.source(AddressEncoding::Ipv6), Err(TlvError::SourcePrefix));
        let twice = [&octets[..], &octets].concat();
        assert_eq!(parse(&twice), Err(TlvError::SourcePrefix));
    }

    #[test]
    fn a_source_prefix_is_nothing_for_tlvs_without_a_prefix() {
        let refused = SubTlvs::parse(&mut Reader::new(&[SOURCE_PREFIX, 2, 8, 0x20]));
        assert_eq!(refused, Err(TlvError::Mandatory { kind: SOURCE_PREFIX }));
    }

    #[test]
    fn every_truncation_is_refused_or_shorter() {
        let mut octets = Vec::new();
        put_timestamps(&[5], &mut octets);
        put_source(&"2001:db8::/32".parse().unwrap(), &mut octets);
        for length in 0..octets.len() {
            let parsed = SubTlvs::parse_beside_prefix(&mut Reader::new(&octets[..length]));
            assert_eq!(parsed.is_ok(), length == 0 || length == 6, "{length} octets");
        }
    }
}
