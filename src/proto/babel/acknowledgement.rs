//! Acknowledgements, and requests for them (RFC 8966 §4.6.3 and §4.6.4).

use std::time::Duration;

use crate::proto::babel::sub_tlv::SubTlvs;
use crate::proto::babel::tlv::{TlvError, from_centiseconds};
use crate::proto::bytes::{Reader, Writer};

/// "Tell me that this packet arrived."
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AcknowledgementRequest {
    /// Comes back in the acknowledgement.
    pub opaque: u16,
    /// Patience.
    pub within: Duration,
}

impl AcknowledgementRequest {
    /// The TLV's number.
    pub const TYPE: u8 = 2;

    /// Reads the body of an Acknowledgement Request TLV.
    pub fn parse(body: &[u8]) -> Result<Self, TlvError> {
        let mut reader = Reader::new(body);
        let _reserved = reader.u16()?;
        let opaque = reader.u16()?;
        let within = from_centiseconds(reader.u16()?);
        SubTlvs::parse(&mut reader)?;
        Ok(Self { opaque, within })
    }
}

/// The number of the Acknowledgement TLV.
pub const TYPE: u8 = 3;

/// Reads the body of an Acknowledgement TLV.
pub fn parse(body: &[u8]) -> Result<u16, TlvError> {
    let mut reader = Reader::new(body);
    let opaque = reader.u16()?;
    SubTlvs::parse(&mut reader)?;
    Ok(opaque)
}

/// Appends the body of an Acknowledgement TLV.
pub fn put(opaque: u16, to: &mut Vec<u8>) {
    to.put_u16(opaque);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_truncation_is_refused_without_panic() {
        let whole = [0, 0, 0x12, 0x34, 0, 100];
        for length in 0..whole.len() {
            assert!(AcknowledgementRequest::parse(&whole[..length]).is_err(), "{length} octets");
        }
        let expected = AcknowledgementRequest { opaque: 0x1234, within: Duration::from_secs(1) };
        assert_eq!(AcknowledgementRequest::parse(&whole), Ok(expected));
        assert!(parse(&[1]).is_err());
        assert_eq!(parse(&[1, 2]), Ok(0x0102));
    }
}
