//! The checksum of IP, TCP and UDP (RFC 1071), quick enough for every octet that passes.

use std::ops::Add;

/// A sum of octets that is not folded yet. Sums of parts add up if all parts but the last have an
/// even length.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds up octets, two and two.
    pub fn of(octets: &[u8]) -> Self {
        // A one's complement sum may be taken in any word size and octet order (RFC 1071 §2): with
        // 32-bit words in 64-bit lanes no carry is lost and the compiler can use vectors.
        let mut lanes = [0_u64; 8];
        let (blocks, rest) = octets.as_chunks::<32>();
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane += u64::from(u32::from_ne_bytes(*word));
            }
        }
        let (pairs, last) = rest.as_chunks::<2>();
        let mut sum = lanes.iter().sum::<u64>();
        for pair in pairs {
            sum += u64::from(u16::from_ne_bytes(*pair));
        }
        if let [octet] = last {
            sum += u64::from(u16::from_ne_bytes([*octet, 0]));
        }
        Self(sum)
    }

    /// The sum of one number of a header.
    pub fn number(number: u16) -> Self {
        Self(u64::from(u16::from_ne_bytes(number.to_be_bytes())))
    }

    /// What takes a number away when it is added.
    pub fn without(number: u16) -> Self {
        Self::number(!number)
    }

    /// The sum as it lies in a header: for a checksum that somebody else completes.
    pub const fn folded(self) -> [u8; 2] {
        let mut sum = (self.0 >> 32) + (self.0 & 0xffff_ffff);
        // From 33 bits to 18, to 17, to 16.
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        (sum as u16).to_ne_bytes()
    }

    /// The checksum as it lies in a header.
    pub const fn checksum(self) -> [u8; 2] {
        let [high, low] = self.folded();
        [!high, !low]
    }

    /// The checksum, but never zero, which in UDP would mean "none" (RFC 768).
    pub const fn checksum_not_zero(self) -> [u8; 2] {
        match self.checksum() {
            [0, 0] => [0xff, 0xff],
            checksum => checksum,
        }
    }

    /// Whether this is the sum of something whose checksum is in it, and right.
    pub const fn is_valid(self) -> bool {
        matches!(self.folded(), [0xff, 0xff])
    }
}

impl Add for Sum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As RFC 1071 §4.1 writes it.
    fn slow(octets: &[u8]) -> u16 {
        let mut sum = 0_u32;
        for pair in octets.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum >> 16) + (sum & 0xffff);
        }
        sum as u16
    }

    #[test]
    fn the_example_of_the_rfc_adds_up() {
        let octets = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::of(&octets).folded(), [0xdd, 0xf2]);
        assert_eq!(Sum::of(&octets).checksum(), [0x22, 0x0d]);
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_slow_one(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(u16::from_be_bytes(Sum::of(&octets).folded()), slow(&octets));
        }

        #[test]
        fn parts_add_up(octets in proptest::collection::vec(any::<u8>(), 0..300), at in 0..150_usize) {
            let (left, right) = octets.split_at((2 * at).min(octets.len() & !1));
            let sum = Sum::of(left) + Sum::of(right);
            prop_assert_eq!(sum.folded(), Sum::of(&octets).folded());
        }

        #[test]
        fn what_is_taken_away_is_gone(octets in proptest::collection::vec(1..=255_u8, 2..30), number: u16) {
            let sum = Sum::of(&octets) + Sum::number(number) + Sum::without(number);
            prop_assert_eq!(sum.folded(), Sum::of(&octets).folded());
        }

        #[test]
        fn a_checksum_makes_its_octets_valid(
            mut octets in proptest::collection::vec(any::<u8>(), 2..300)
        ) {
            octets[..2].fill(0);
            let checksum = Sum::of(&octets).checksum();
            octets[..2].copy_from_slice(&checksum);
            prop_assert!(Sum::of(&octets).is_valid());
        }
    }
}
