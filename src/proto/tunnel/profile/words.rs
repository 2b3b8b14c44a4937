//! What the words of one option say, or what they should have said.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::time::Duration;

use crate::proto::tunnel::control_keys::Direction;
use crate::proto::tunnel::mss::Mssfix;
use crate::proto::tunnel::ovpn::Directive;
use crate::proto::tunnel::profile::{ProfileError, Protocol, Source};

impl Directive {
    pub(super) fn word(&self, at: usize) -> Result<&str, ProfileError> {
        let word = self.words.get(at).map(String::as_str);
        word.ok_or_else(|| ProfileError::Missing(self.line, self.name.clone()))
    }

    pub(super) fn wrong<T>(&self, value: &str, wanted: &'static str) -> Result<T, ProfileError> {
        let (line, name, value) = (self.line, self.name.clone(), value.to_owned());
        Err(ProfileError::Value { line, name, value, wanted })
    }

    pub(super) fn parsed<T: FromStr>(
        &self,
        at: usize,
        wanted: &'static str,
    ) -> Result<T, ProfileError> {
        let value = self.word(at)?;
        value.parse().map_or_else(|_| self.wrong(value, wanted), Ok)
    }

    pub(super) fn number<T: FromStr>(
        &self,
        at: usize,
        wanted: &'static str,
    ) -> Result<T, ProfileError> {
        self.parsed(at, wanted)
    }

    pub(super) fn seconds(&self, at: usize) -> Result<Duration, ProfileError> {
        self.number::<u32>(at, "seconds").map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// A number, of which 0 says that there is no limit.
    pub(super) fn amount(&self, at: usize) -> Result<Option<u64>, ProfileError> {
        Ok(Some(self.number(at, "a number")?).filter(|&amount| amount > 0))
    }

    pub(super) fn protocol(&self, at: usize) -> Result<Protocol, ProfileError> {
        self.parsed(at, "udp, udp4, udp6, tcp, tcp4 or tcp6")
    }

    pub(super) fn direction(&self, at: usize) -> Result<Direction, ProfileError> {
        match self.word(at)? {
            "0" => Ok(Direction::Normal),
            "1" => Ok(Direction::Inverse),
            other => self.wrong(other, "0 or 1"),
        }
    }

    pub(super) fn source(&self) -> Result<Source, ProfileError> {
        match &self.inline {
            Some(text) => Ok(Source::Inline(text.clone())),
            None => Ok(Source::Path(self.word(0)?.to_owned())),
        }
    }

    pub(super) fn mtu(&self) -> Result<u32, ProfileError> {
        let mtu = self.number(0, "a number of octets")?;
        if (576..=65_500).contains(&mtu) {
            Ok(mtu)
        } else {
            self.wrong(self.word(0)?, "between 576 and 65500")
        }
    }

    /// What `mssfix` counts. Without a number, or with 0, it says no more than we do unasked.
    pub(super) fn mssfix(&self) -> Result<Option<Mssfix>, ProfileError> {
        if matches!(self.words.first().map(String::as_str), None | Some("0")) {
            return Ok(None);
        }
        let octets = self.mtu()?;
        match self.words.get(1).map(String::as_str) {
            None => Ok(Some(Mssfix::Datagram(octets))),
            Some("mtu") => Ok(Some(Mssfix::Path(octets))),
            Some("fixed") => Ok(Some(Mssfix::Packet(octets))),
            Some(other) => self.wrong(other, "mtu or fixed"),
        }
    }

    /// An IPv4 address with a netmask; with a peer's address, it is alone.
    pub(super) fn address(&self) -> Result<(IpAddr, u8), ProfileError> {
        let address: Ipv4Addr = self.parsed(0, "an IPv4 address")?;
        let other: Ipv4Addr = self.parsed(1, "an IPv4 address or netmask")?;
        let bits = u32::from(other);
        let is_mask = bits.leading_ones() + bits.trailing_zeros() == 32 && bits.leading_ones() >= 8;
        let length = if is_mask { bits.leading_ones() as u8 } else { 32 };
        Ok((address.into(), length))
    }
}
