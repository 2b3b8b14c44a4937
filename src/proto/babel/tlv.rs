//! What TLVs have in common: why one is ignored, and how times are written (RFC 8966 §4.3 and §4.1.2).

use std::time::Duration;

use crate::proto::bytes::Short;

/// Why a TLV is ignored; the rest of its packet is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TlvError {
    /// It ends before its fields do.
    #[error("a TLV ends too early: {0}")]
    Short(#[from] Short),
    /// An address encoding that is unknown, or not for this TLV.
    #[error("address encoding {number} is not for this TLV")]
    AddressEncoding {
        /// Its number.
        number: u8,
    },
    /// A prefix longer than its address, or with more omitted than it has.
    #[error("a prefix of {length} bits is not possible")]
    PrefixLength {
        /// Its length.
        length: u8,
    },
    /// Octets are omitted, but no prefix came before.
    #[error("a prefix omits octets that nothing gave")]
    NoDefaultPrefix,
    /// A mandatory sub-TLV that is not known here.
    #[error("mandatory sub-TLV {kind} is unknown")]
    Mandatory {
        /// Its number.
        kind: u8,
    },
    /// A source prefix given twice, empty, or of another family.
    #[error("a source prefix is malformed")]
    SourcePrefix,
    /// An update for everything that does not retract.
    #[error("an update for everything can only retract")]
    Wildcard,
    /// No router-id, or a reserved one.
    #[error("an update or request has no router-id")]
    NoRouterId,
    /// The next one is promised for no time at all.
    #[error("an interval of zero")]
    Interval,
    /// No next hop of that family.
    #[error("an update has no next hop")]
    NoNextHop,
    /// A request that may not go anywhere.
    #[error("a seqno request with hop count zero")]
    HopCount,
}

/// A time as the wire has it: hundredths of a second, at least one, at most 655.35 s.
pub fn centiseconds(duration: Duration) -> u16 {
    u16::try_from(duration.as_millis().div_ceil(10)).unwrap_or(u16::MAX).max(1)
}

/// When the next one is due; zero must not be promised (RFC 8966 §4.6.6 and §4.6.9).
pub const fn promised(interval: Duration) -> Result<Duration, TlvError> {
    if interval.is_zero() { Err(TlvError::Interval) } else { Ok(interval) }
}

/// A time from the wire.
pub fn from_centiseconds(count: u16) -> Duration {
    Duration::from_millis(10 * u64::from(count))
}
