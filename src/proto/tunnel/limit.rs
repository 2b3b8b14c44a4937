//! How much one key may protect.
//!
//! The numbers of packets have 32 bits. And an attacker's chance against AES-GCM stays below 2⁻⁵⁷ as long
//! as packets and their blocks of 16 octets are at most 2³⁶ in all (draft-irtf-cfrg-aead-limits §5.1).
//! Keys are renewed at half of either, which leaves time for doing it.

const PACKETS: u64 = 1 << 31;
const BLOCKS: u64 = 1 << 35;

/// What an operator lets one key protect, if less than it could.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limit {
    /// Packets at most.
    pub packets: Option<u64>,
    /// Octets at most.
    pub octets: Option<u64>,
}

/// How much was sent when keys were last renewed for having been used so much.
#[derive(Clone, Copy, Debug, Default)]
pub struct Use {
    limit: Limit,
    packets: u64,
    octets: u64,
}

impl Use {
    /// Nothing yet.
    pub const fn up_to(limit: Limit) -> Self {
        Self { limit, packets: 0, octets: 0 }
    }

    /// Takes what was sent in all, under every key so far; whether it is time for the next one. Renewals
    /// for other reasons are not counted: at worst one comes early.
    pub fn is_over(&mut self, packets: u64, octets: u64) -> bool {
        let (since_packets, since_octets) =
            (packets.saturating_sub(self.packets), octets.saturating_sub(self.octets));
        let over = is_used_up(since_packets, since_octets)
            || self.limit.packets.is_some_and(|most| since_packets >= most)
            || self.limit.octets.is_some_and(|most| since_octets >= most);
        if over {
            (self.packets, self.octets) = (packets, octets);
        }
        over
    }
}

/// Whether a key that protected so much is to be renewed.
const fn is_used_up(packets: u64, octets: u64) -> bool {
    packets > PACKETS || packets.saturating_add(octets / 16) > BLOCKS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten million packets a second, looked at every three seconds: keys change once in 2³¹ packets, and
    /// none protects more than 2³² minus what is on its way.
    #[test]
    fn keys_are_renewed_in_time_at_any_rate() {
        for (a_turn, octets) in [(30_000_000_u64, 60_u64), (3_000_000, 1_400), (100_000, 9_000)] {
            let (mut used, mut last, mut renewals) = (Use::default(), 0, 0);
            for turn in 1..=10_000_u64 {
                let packets = a_turn * turn;
                if used.is_over(packets, packets * octets) {
                    assert!(!used.is_over(packets, packets * octets), "once is enough");
                    assert!(packets - last < (1 << 31) + 2 * a_turn, "{a_turn}");
                    assert!((packets - last) * (octets / 16) < (1 << 36), "{a_turn}");
                    (last, renewals) = (packets, renewals + 1);
                }
            }
            assert!(renewals > 10_000 * a_turn / (1 << 32), "{a_turn}: {renewals}");
        }
    }

    #[test]
    fn an_operator_may_have_them_renewed_earlier() {
        let mut by_packets = Use::up_to(Limit { packets: Some(10), octets: None });
        let mut by_octets = Use::up_to(Limit { packets: None, octets: Some(10_000) });
        let turns = [(9, 9_999), (10, 10_000), (19, 19_999), (20, 20_000)];
        for (turn, over) in turns.into_iter().zip([false, true, false, true]) {
            assert_eq!(by_packets.is_over(turn.0, u64::from(u32::MAX)), over, "{turn:?}");
            assert_eq!(by_octets.is_over(turn.0, turn.1), over, "{turn:?}");
        }
    }

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
