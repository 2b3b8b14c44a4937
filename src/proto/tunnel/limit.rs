//! How much one key may protect.
//!
//! The numbers of packets have 32 bits. And an attacker's chance against AES-GCM stays below 2⁻⁵⁷ as long
//! as packets and their blocks of 16 octets are at most 2³⁶ in all (draft-irtf-cfrg-aead-limits §5.1).
//! Keys are renewed at half of either, which leaves time for doing it.

const PACKETS: u64 = 1 << 31;
const BLOCKS: u64 = 1 << 35;

/// Whether a key that protected so much is to be renewed.
pub const fn is_used_up(packets: u64, octets: u64) -> bool {
    packets > PACKETS || packets.saturating_add(octets / 16) > BLOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_neither_their_numbers_nor_their_strength() {
        assert!(!is_used_up(0, 0));
        assert!(is_used_up(u64::from(u32::MAX / 2 + 2), 0));
        assert!(!is_used_up(1 << 28, 1_400 << 28));
        // Large packets: 550 GB.
        assert!(is_used_up(1 << 29, 1_400 << 29));
        assert!(is_used_up(u64::MAX, u64::MAX));
    }
}
