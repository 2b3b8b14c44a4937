//! The IHU TLV, "I heard you": what it costs its receiver to be heard (RFC 8966 §4.6.6).

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::babel::address::{
    AddressEncoding, encoding_of_address, parse_address, put_address,
};
use crate::proto::babel::sub_tlv::{SubTlvs, put_timestamps};
use crate::proto::babel::tlv::{TlvError, centiseconds, from_centiseconds, promised};
use crate::proto::bytes::{Reader, Writer};

/// An IHU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ihu {
    /// Whom it is about; `None` if it is whoever receives the packet.
    pub address: Option<IpAddr>,
    /// What it costs to reach the sender; 65535 if the sender does not hear the receiver.
    pub rxcost: u16,
    /// When the next one is due.
    pub next_within: Duration,
    /// When the receiver sent its last Hello, by its own clock, and when the sender got it, by the
    /// sender's (RFC 9616 §6.2).
    pub echo: Option<(u32, u32)>,
}

impl Ihu {
    /// The TLV's number.
    pub const TYPE: u8 = 5;

    /// Reads the body of an IHU TLV.
    pub fn parse(body: &[u8]) -> Result<Self, TlvError> {
        let mut reader = Reader::new(body);
        let encoding = AddressEncoding::parse(reader.u8()?)?;
        let _reserved = reader.u8()?;
        let rxcost = reader.u16()?;
        let next_within = promised(from_centiseconds(reader.u16()?))?;
        let address = parse_address(encoding, &mut reader)?;
        let echo = SubTlvs::parse(&mut reader)?.echo();
        Ok(Self { address, rxcost, next_within, echo })
    }

    /// Appends the body.
    pub fn put(&self, to: &mut Vec<u8>) {
        to.put_u8(self.address.map_or(AddressEncoding::Wildcard, encoding_of_address).number());
        to.put_u8(0);
        to.put_u16(self.rxcost);
        to.put_u16(centiseconds(self.next_within));
        if let Some(address) = self.address {
            put_address(address, to);
        }
        if let Some((sent, received)) = self.echo {
            put_timestamps(&[sent, received], to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ihu_of_babeld_is_read() {
        let body = [
            3, 0, 0, 0x60, 1, 0x2c, 0xa8, 0x21, 0xcb, 0xff, 0xfe, 0x65, 0x56, 0x91, 3, 8, 0x55,
            0x17, 0x6b, 0x94, 0x55, 0x17, 0x6e, 0xac,
        ];
        let ihu = Ihu::parse(&body).unwrap();
        let expected = Ihu {
            address: Some("fe80::a821:cbff:fe65:5691".parse().unwrap()),
            rxcost: 96,
            next_within: Duration::from_secs(3),
            echo: Some((0x5517_6b94, 0x5517_6eac)),
        };
        assert_eq!(ihu, expected);
        let mut octets = Vec::new();
        ihu.put(&mut octets);
        assert_eq!(octets, body);
        for length in 0..body.len() {
            assert_eq!(Ihu::parse(&body[..length]).is_ok(), length == 14, "{length} octets");
        }
    }

    #[test]
    fn an_ihu_is_about_an_address_or_about_whoever_reads_it_and_promises_another() {
        assert_eq!(Ihu::parse(&[0, 0, 0, 96, 0, 1]).map(|ihu| ihu.address), Ok(None));
        assert_eq!(Ihu::parse(&[0, 0, 0, 96, 0, 0]), Err(TlvError::Interval));
        for number in [4, 5] {
            let refused = Ihu::parse(&[number, 0, 0, 96, 0, 1, 10, 0, 0, 1]);
            assert_eq!(refused, Err(TlvError::AddressEncoding { number }));
        }
    }

    /// RFC 9616 §6.2.
    #[test]
    fn timestamps_may_be_longer_and_are_nothing_if_shorter() {
        let ihu = |timestamps: &[u8]| {
            let length = u8::try_from(timestamps.len()).unwrap();
            let body = [&[0, 0, 0, 96, 0, 1, 3, length], timestamps].concat();
            Ihu::parse(&body).unwrap().echo
        };
        assert_eq!(ihu(&[0, 0, 0, 7, 0, 0, 0, 8, 99]), Some((7, 8)));
        assert_eq!(ihu(&[0, 0, 0, 7, 0, 0, 0]), None);
    }
}
